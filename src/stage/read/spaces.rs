//! The spaces that vectors are compared in: raw, or relative to the reference set of table
//! `reference`.

use std::collections::BTreeMap;

use crate::store::Store;
use crate::table::schema::REFERENCE;
use crate::table::{ReadRow as _, TableError, status, view};

/// What is done to a vector before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    /// Nothing.
    Raw,
    /// The reference set's mean is subtracted.
    Centred,
    /// The mean is subtracted and every dimension divided by its standard deviation there; a
    /// dimension that does not vary is left out (it becomes 0).
    Standardised,
}

/// Mean and standard deviation of every dimension, by layer.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    layers: BTreeMap<i16, LayerReference>,
}

/// Mean and standard deviation of every dimension of one layer.
#[derive(Debug, Default, Clone)]
pub(crate) struct LayerReference {
    mean: Vec<f64>,
    sd: Vec<f64>,
}

view! {
    /// One dimension of a layer's reference set.
    struct Dimension<'a> of [REFERENCE] {
        layer: i16,
        mean: Option<f64>,
        sd: Option<f64>,
        status: &'a str,
    }
}

impl Reference {
    /// What stage `reference` wrote; a layer whose reference set was too small, or a run without
    /// that stage, has none.
    pub(crate) fn read(store: &Store) -> Result<Self, TableError> {
        let mut reference = Self::default();
        let Some(frame) = Dimension::frame_if_there(store, &REFERENCE, 0)? else {
            return Ok(reference);
        };
        for row in Dimension::rows(&frame)?.iter().filter(|row| row.status == status::OK) {
            // Rows are ordered by dimension, ascending.
            let layer = reference.layers.entry(row.layer).or_default();
            layer.mean.push(row.mean.unwrap_or_default());
            layer.sd.push(row.sd.unwrap_or_default());
        }
        Ok(reference)
    }

    /// That of one layer.
    pub(crate) fn layer(&self, layer: i16) -> Option<&LayerReference> {
        self.layers.get(&layer)
    }
}

impl LayerReference {
    /// Transforms rows of `d_model` numbers each, one after the other, into a space.
    pub(crate) fn apply(&self, space: Space, rows: &mut [f64]) {
        for row in rows.chunks_exact_mut(self.mean.len().max(1)) {
            match space {
                Space::Raw => {}
                Space::Centred => {
                    for (value, mean) in row.iter_mut().zip(&self.mean) {
                        *value -= mean;
                    }
                }
                Space::Standardised => {
                    for ((value, mean), sd) in row.iter_mut().zip(&self.mean).zip(&self.sd) {
                        let standardised = (*value - mean) / sd;
                        *value = if *sd > 0.0 { standardised } else { 0.0 };
                    }
                }
            }
        }
    }

    /// How many dimensions count in a space.
    pub(crate) fn dimensions(&self, space: Space) -> usize {
        match space {
            Space::Standardised => self.sd.iter().filter(|sd| **sd > 0.0).count(),
            Space::Raw | Space::Centred => self.mean.len(),
        }
    }
}

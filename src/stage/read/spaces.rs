//! The spaces that vectors are compared in: raw, or relative to their scenario's reference set of
//! table `reference`.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Store;
use crate::table::declare::names;
use crate::table::groups::each_group;
use crate::table::schema::REFERENCE;
use crate::table::writer::PartAddress;
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

/// Mean and standard deviation of every dimension, by scenario and layer.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    scenarios: BTreeMap<String, BTreeMap<i16, LayerReference>>,
}

/// Mean and standard deviation of every dimension of one layer.
#[derive(Debug, Default, Clone)]
pub(crate) struct LayerReference {
    mean: Vec<f64>,
    sd: Vec<f64>,
}

view! {
    /// One dimension of a layer of a scenario's reference set.
    struct Dimension<'a> of [REFERENCE] {
        scenario: &'a str,
        layer: i16,
        mean: Option<f64>,
        sd: Option<f64>,
        status: &'a str,
    }
}

impl Reference {
    /// What stage `reference` wrote of these scenarios; a scenario whose reference set was too small, or
    /// a run without that stage, has none.
    pub(crate) fn read(store: &Store, scenarios: &BTreeSet<&str>) -> Result<Self, TableError> {
        let mut reference = Self::default();
        each_dimension(store, Some(scenarios), &mut |row| {
            if scenarios.contains(row.scenario) {
                // Rows are ordered by dimension, ascending.
                let layers = reference.scenarios.entry(row.scenario.to_owned()).or_default();
                let layer = layers.entry(row.layer).or_default();
                layer.mean.push(row.mean.unwrap_or_default());
                layer.sd.push(row.sd.unwrap_or_default());
            }
        })?;
        Ok(reference)
    }

    /// That of one scenario and layer.
    pub(crate) fn layer(&self, scenario: &str, layer: i16) -> Option<&LayerReference> {
        self.scenarios.get(scenario)?.get(&layer)
    }
}

/// For each scenario, 1/sd of each dimension of a layer in its reference set, 0 for one that does not
/// vary there; scenarios without a reference set have none.
pub(crate) fn scales(store: &Store, layer: i16) -> Result<BTreeMap<String, Vec<f64>>, TableError> {
    let mut scales: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    each_dimension(store, None, &mut |row| {
        if row.layer == layer {
            let sd = row.sd.unwrap_or_default();
            let scale = if sd > 0.0 { 1.0 / sd } else { 0.0 };
            scales.entry(row.scenario.to_owned()).or_default().push(scale);
        }
    })?;
    Ok(scales)
}

/// Passes on the rows that have values, of all scenarios or at least those wanted.
fn each_dimension(
    store: &Store,
    wanted: Option<&BTreeSet<&str>>,
    take: &mut dyn FnMut(&Dimension<'_>),
) -> Result<(), TableError> {
    let address = PartAddress::new(&REFERENCE, 0);
    if !address.is_there(store) {
        return Ok(());
    }
    let file = store.open_sound(&address.file())?;
    let (path, columns) = (store.path(&address.file()), names(Dimension::FIELDS));
    let wanted = wanted.map(|scenarios| ("scenario", scenarios));
    each_group(&file, &path, &columns, wanted, &mut |part| {
        Dimension::rows(part)?.iter().filter(|row| row.status == status::OK).for_each(&mut *take);
        Ok(())
    })
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

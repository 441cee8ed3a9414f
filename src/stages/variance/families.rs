//! The correction over layers, without keeping every layer's draws.

use indexmap::IndexMap;

use super::{Place, Row, Tested};
use crate::math::Family;

/// The tests of each place, by how many inputs they rest on: only tests of equally many inputs were
/// made by the same exchanges.
#[derive(Debug, Default)]
pub(super) struct Families {
    families: IndexMap<Place, IndexMap<usize, Family>>,
    /// What each row with a test observed, by the row's place and layer.
    observed: IndexMap<(Place, i16), f64>,
}

impl Families {
    /// Takes in a row's test and gives the row back.
    pub(super) fn add(&mut self, tested: Tested) -> Row {
        let Tested { row, test } = tested;
        if let Some(test) = test {
            let families = self.families.entry(row.place.clone()).or_default();
            families.entry(row.n_inputs).or_default().add(&test);
            self.observed.insert((row.place.clone(), row.layer), test.observed());
        }
        row
    }

    /// Puts the corrected p into the rows that have one. Where layers rest on different numbers of
    /// inputs, they were not exchanged together and make several families; then each family's p is
    /// multiplied by the number of families (Bonferroni).
    pub(super) fn correct(&self, rows: &mut [Row]) {
        for row in rows {
            let Some(families) = self.families.get(&row.place) else { continue };
            let observed = self.observed.get(&(row.place.clone(), row.layer));
            let family = families.get(&row.n_inputs);
            row.p_max_t = family
                .zip(observed)
                .map(|(family, observed)| (family.p(*observed) * families.len() as f64).min(1.0));
        }
    }
}

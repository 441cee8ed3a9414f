//! The correction over layers, without keeping every layer's draws.

use indexmap::IndexMap;

use super::row::{Place, Row};
use crate::math::{Family, PermutationTest};

/// The tests of each place, by which exchanges they were made with: for exchanges within inputs, how
/// many inputs they rest on.
#[derive(Debug, Default)]
pub(super) struct Families {
    families: IndexMap<Place, IndexMap<usize, Family>>,
    /// What each row with a test observed, by the row's place and layer.
    observed: IndexMap<(Place, i16), f64>,
}

impl Families {
    /// Takes in a row's test, if it has one.
    pub(super) fn add(&mut self, row: &Row, exchanges: usize, test: Option<&PermutationTest>) {
        let Some(test) = test else { return };
        let families = self.families.entry(row.place.clone()).or_default();
        families.entry(exchanges).or_default().add(test);
        self.observed.insert((row.place.clone(), row.layer), test.observed());
    }

    /// The corrected p of a row that has a test. Where layers rest on different exchanges, they were
    /// not exchanged together and make several families; then each family's p is multiplied by the
    /// number of families (Bonferroni).
    pub(super) fn p(&self, row: &Row, exchanges: usize) -> Option<f64> {
        let families = self.families.get(&row.place)?;
        let observed = self.observed.get(&(row.place.clone(), row.layer))?;
        let p = families.get(&exchanges)?.p(*observed);
        Some((p * families.len() as f64).min(1.0))
    }
}

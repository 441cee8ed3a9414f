//! From the inputs' numbers to the rows of table `effect`.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use rayon::prelude::*;

use super::Effect;
use super::deal::Dealt;
use super::family::Family;
use super::row::{COVERAGE, Row};
use super::tally::{Measured, Scenario, Tally};
use crate::math;
use crate::math::{PermutationTest, Resamples, SignFlips};
use crate::stage::names::{BETWEEN, PARAPHRASE};
use crate::stage::{Context, StageError};
use crate::table::status;

/// What is drawn of that many clusters, the same for all rows of a scenario.
struct Draws {
    resamples: Resamples,
    flips: SignFlips,
}

impl Effect {
    /// Scenarios and measures in the order of the plan, contrasts in the order of their table,
    /// layers ascending.
    pub(super) fn rows<'t>(
        &'t self,
        context: &Context<'_>,
        tally: &'t Tally,
    ) -> Result<Vec<Row<'t>>, StageError> {
        let mut rows = Vec::new();
        for (name, scenario) in &tally.scenarios {
            context.go_on()?;
            let mut families = self.families(name, scenario);
            self.draw(context, name, &mut families)?;
            let dealt = Dealt::new(self, context, (name, scenario))?;
            let warning = scenario.wordings.warning();
            let mut own: Vec<Row<'t>> =
                families.into_iter().flat_map(|family| family.rows).collect();
            for row in own.iter_mut().filter(|row| row.contrast == PARAPHRASE) {
                row.wording = dealt.of(row.measure, row.layer);
                row.warning.clone_from(&warning);
            }
            discover(&mut own);
            rows.extend(own);
        }
        Ok(rows)
    }

    fn families<'t>(&'t self, name: &'t str, scenario: &'t Scenario) -> Vec<Family<'t>> {
        let mut families = Vec::new();
        for (measure, layers) in &scenario.measures {
            let own = layers.values().flat_map(|measured| measured.contrasts.keys());
            // What pairs of prompts say needs no row in a table of contrasts.
            let is_there = |m: &Measured| !m.of_pairs.is_empty() || m.pairs.refused.is_some();
            let of_pairs = layers.values().any(is_there);
            let of_pairs = of_pairs.then_some(PARAPHRASE);
            let contrasts: IndexSet<&str> =
                own.map(String::as_str).filter(|name| *name != BETWEEN).chain(of_pairs).collect();
            for contrast in contrasts {
                families.push(Family::new(
                    [name, measure, contrast],
                    scenario,
                    layers,
                    &self.judged,
                ));
            }
        }
        families
    }

    /// Fills in what is drawn of clusters: the intervals of all rows with as many clusters together, the
    /// tests of each family, the families side by side, and the joint test.
    fn draw(
        &self,
        context: &Context<'_>,
        scenario: &str,
        families: &mut [Family<'_>],
    ) -> Result<(), StageError> {
        let (seed, purpose) = (context.seed, format!("deltas of {scenario}"));
        let joint = Joint::of(self, families);
        // Nearly all measures have all inputs, so nearly all share their draws.
        let mut draws: BTreeMap<usize, Draws> = BTreeMap::new();
        let sizes = families.iter().map(|family| family.clusters.len());
        for n in sizes.chain([joint.clusters.len()]).filter(|n| *n > 0) {
            draws.entry(n).or_insert_with(|| Draws {
                resamples: Resamples::new(n, self.bootstrap, seed, &purpose),
                flips: SignFlips::new(n, self.permutations, seed, &purpose),
            });
        }
        for (n, draws) in &draws {
            context.go_on()?;
            let rows = || families.iter().flat_map(|family| &family.rows);
            let own = |row: &&Row<'_>| row.deltas.len() == *n;
            let deltas: Vec<&[f64]> = rows().filter(own).map(|row| row.deltas.as_slice()).collect();
            let intervals = math::mean_intervals(&deltas, COVERAGE, &draws.resamples);
            let mut intervals = intervals.unwrap_or_default().into_iter();
            let rows = families.iter_mut().flat_map(|family| &mut family.rows);
            for row in rows.filter(|row| row.deltas.len() == *n) {
                row.over_inputs = intervals.next();
            }
        }
        let test = |family: &mut Family<'_>| {
            context.go_on()?;
            test(family, &draws);
            Ok(())
        };
        let tested: Vec<Result<(), StageError>> = families.par_iter_mut().map(test).collect();
        tested.into_iter().collect::<Result<(), _>>()?;
        context.go_on()?;
        joint.test(families, &draws);
        Ok(())
    }
}

/// The test of every row that has inputs, and its correction over the layers.
fn test(family: &mut Family<'_>, draws: &BTreeMap<usize, Draws>) {
    let mut largest = math::Family::default();
    let mut observed = vec![None; family.rows.len()];
    for (row, observed) in family.rows.iter_mut().zip(&mut observed) {
        if row.effect.is_none() {
            continue;
        }
        match draws[&row.deltas.len()].flips.test(&row.deltas) {
            Ok(test) => {
                (row.p, row.n_permutations) = (Some(test.p()), test.count());
                largest.add(&test);
                *observed = Some(test.observed());
            }
            Err(reason) => status::of(reason).clone_into(&mut row.status),
        }
    }
    for (row, observed) in family.rows.iter_mut().zip(observed) {
        row.p_max_t = observed.map(|observed| largest.p(observed));
    }
}

/// The one family of all measures and layers that the verdict rests on.
struct Joint {
    /// Places of its rows: family, row.
    rows: Vec<(usize, usize)>,
    /// The clusters that all of them have.
    clusters: IndexSet<usize>,
}

impl Joint {
    fn of(effect: &Effect, families: &[Family<'_>]) -> Self {
        let mut rows = Vec::new();
        let mut clusters: Option<IndexSet<usize>> = None;
        for (f, family) in families.iter().enumerate() {
            let counts = |row: &Row<'_>| {
                let is_judged = effect.judged.counts(row.measure, row.layer);
                row.contrast == PARAPHRASE && row.effect.is_some() && is_judged
            };
            let own = family.rows.iter().enumerate().filter(|(_, row)| counts(row));
            let before = rows.len();
            rows.extend(own.map(|(r, _)| (f, r)));
            if rows.len() > before {
                let shared = clusters.get_or_insert_with(|| family.clusters.clone());
                shared.retain(|cluster| family.clusters.contains(cluster));
            }
        }
        Self { rows, clusters: clusters.unwrap_or_default() }
    }

    /// Fills in `p_joint`, from the same flips on all rows.
    fn test(&self, families: &mut [Family<'_>], draws: &BTreeMap<usize, Draws>) {
        let Some(draws) = draws.get(&self.clusters.len()) else { return };
        let test = |&(f, r): &(usize, usize)| -> Option<PermutationTest> {
            let family = &families[f];
            let delta = |cluster: &usize| {
                Some(family.rows[r].deltas[family.clusters.get_index_of(cluster)?])
            };
            let deltas = self.clusters.iter().map(delta);
            draws.flips.test(&deltas.collect::<Option<Vec<f64>>>()?).ok()
        };
        let mut largest = math::Family::default();
        let mut observed = Vec::new();
        for row in &self.rows {
            let test = test(row);
            if let Some(test) = &test {
                largest.add(test);
            }
            observed.push(test.map(|test| test.observed()));
        }
        for (&(f, r), observed) in self.rows.iter().zip(observed) {
            families[f].rows[r].p_joint = observed.map(|observed| largest.p(observed));
        }
    }
}

/// Puts q into the rows that have a p.
fn discover(rows: &mut [Row<'_>]) {
    let p: Vec<f64> = rows.iter().filter_map(|row| row.p).collect();
    let mut q = math::false_discovery(&p).into_iter();
    for row in rows.iter_mut().filter(|row| row.p.is_some()) {
        row.q = q.next();
    }
}

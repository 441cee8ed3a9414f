//! From the inputs' numbers to the rows of table `effect`.

use std::collections::BTreeMap;

use super::super::measure::{BETWEEN, PARAPHRASE};
use super::super::{Context, StageError};
use super::Effect;
use super::tally::{Measured, Scenario, Series, Tally};
use crate::math::{
    self, Effect as Size, Family, Interval, IntervalMethod, PermutationTest, Reassignments,
    Resamples, Undefined,
};
use crate::table::status;

const LEVEL: f64 = 0.95;

/// One row of table `effect`.
#[derive(Debug)]
pub(super) struct Row<'t> {
    pub(super) scenario: &'t str,
    pub(super) layer: i16,
    pub(super) measure: &'t str,
    pub(super) contrast: &'t str,
    pub(super) n_inputs: usize,
    pub(super) n_wordings: usize,
    pub(super) effect: Option<Size>,
    pub(super) interval: Option<Interval>,
    pub(super) p: Option<f64>,
    pub(super) p_max_t: Option<f64>,
    pub(super) q: Option<f64>,
    pub(super) n_permutations: usize,
    pub(super) wording: Option<WordingP>,
    pub(super) status: String,
}

/// What dealing the wordings out anew says.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordingP {
    pub(super) p: f64,
    pub(super) p_max_t: f64,
    /// How many ways were counted, the pipeline's own among them.
    pub(super) count: usize,
}

/// As in column `ci_method`.
pub(super) fn interval_word(interval: Option<Interval>) -> &'static str {
    match interval.map(|interval| interval.method) {
        Some(IntervalMethod::Bca) => "bca",
        Some(IntervalMethod::Percentile) => "percentile",
        Some(IntervalMethod::Constant) => "constant",
        None => "none",
    }
}

impl Effect {
    /// Scenarios and measures in the order of the plan, contrasts in the order of their table,
    /// layers ascending.
    pub(super) fn rows<'t>(
        &self,
        context: &Context<'_>,
        tally: &'t Tally,
    ) -> Result<Vec<Row<'t>>, StageError> {
        let mut rows = Vec::new();
        for (name, scenario) in &tally.scenarios {
            let first = rows.len();
            // Nearly all measures have all inputs, so nearly all share their draws.
            let mut resamples = BTreeMap::new();
            for (measure, layers) in &scenario.measures {
                let wordings = self.wordings(context, name, layers);
                let contrasts = layers.values().flat_map(|measured| measured.contrasts.keys());
                let contrasts: indexmap::IndexSet<&str> =
                    contrasts.map(String::as_str).filter(|contrast| *contrast != BETWEEN).collect();
                for contrast in contrasts {
                    context.go_on()?;
                    let key = (name.as_str(), measure.as_str(), contrast);
                    let mut found = self.contrast(context, key, scenario, layers, &mut resamples);
                    for row in &mut found {
                        row.n_wordings = wordings.n_wordings;
                        let own = (contrast == PARAPHRASE).then_some(&wordings.by_layer);
                        row.wording = own.and_then(|own| own.get(&row.layer).copied());
                    }
                    rows.extend(found);
                }
            }
            discover(&mut rows[first..]);
        }
        Ok(rows)
    }

    /// One measure against one baseline: a row for each layer, all on the inputs that have both
    /// values on every layer that has any.
    fn contrast<'t>(
        &self,
        context: &Context<'_>,
        (name, measure, contrast): (&'t str, &'t str, &'t str),
        scenario: &'t Scenario,
        layers: &'t BTreeMap<i16, Measured>,
        resamples: &mut BTreeMap<usize, Resamples>,
    ) -> Vec<Row<'t>> {
        let empty = Series::default();
        let series = |measured: &'t Measured| {
            [BETWEEN, contrast].map(|contrast| measured.contrasts.get(contrast))
        };
        let both = |measured: &'t Measured, input: usize| {
            let [between, baseline] = series(measured).map(|s| s.and_then(|s| s.get(input)));
            Some((between?, baseline?))
        };
        let all = 0..scenario.n_inputs();
        let has_any = |measured: &&'t Measured| all.clone().any(|i| both(measured, i).is_some());
        let with_any: Vec<&'t Measured> = layers.values().filter(has_any).collect();
        let is_common = |input: &usize| with_any.iter().all(|m| both(m, *input).is_some());
        let common: Vec<usize> = all.clone().filter(is_common).collect();
        let mut family = Family::default();
        let mut rows = Vec::with_capacity(layers.len());
        for (&layer, measured) in layers {
            let values: Vec<(f64, f64)> =
                common.iter().filter_map(|&input| both(measured, input)).collect();
            let mut row = Row {
                scenario: name,
                layer,
                measure,
                contrast,
                n_inputs: values.len(),
                n_wordings: 0,
                effect: None,
                interval: None,
                p: None,
                p_max_t: None,
                q: None,
                n_permutations: 0,
                wording: None,
                status: status::OK.to_owned(),
            };
            if values.is_empty() {
                let [between, baseline] = series(measured).map(|s| s.unwrap_or(&empty));
                row.status = Scenario::refusal(&[baseline, between]);
            }
            let test = self.fill(context, &mut row, &values, resamples);
            if let Some(test) = &test {
                family.add(test);
            }
            rows.push((row, test.map(|test| test.observed())));
        }
        let corrected = |(mut row, observed): (Row<'t>, Option<f64>)| {
            row.p_max_t = observed.map(|observed| family.p(observed));
            row
        };
        rows.into_iter().map(corrected).collect()
    }

    /// Everything that a row says of its own inputs.
    fn fill(
        &self,
        context: &Context<'_>,
        row: &mut Row<'_>,
        values: &[(f64, f64)],
        resamples: &mut BTreeMap<usize, Resamples>,
    ) -> Option<PermutationTest> {
        let (between, within): (Vec<f64>, Vec<f64>) = values.iter().copied().unzip();
        row.effect = Size::of(&between, &within).ok();
        row.effect?;
        let deltas: Vec<f64> = values.iter().map(|(between, within)| between - within).collect();
        let purpose = format!("deltas of {}", row.scenario);
        let seed = context.seed;
        let n = deltas.len();
        let draw = || Resamples::new(n, self.bootstrap, seed, &purpose);
        let resamples = resamples.entry(n).or_insert_with(draw);
        row.interval = math::mean_interval(&deltas, LEVEL, resamples).ok();
        match math::sign_flips(&deltas, self.permutations, seed, &purpose) {
            Ok(test) => {
                (row.p, row.n_permutations) = (Some(test.p()), test.count());
                Some(test)
            }
            Err(reason) => {
                status::of(reason).clone_into(&mut row.status);
                None
            }
        }
    }

    /// The test of tasks against wordings on every layer of a measure.
    fn wordings(
        &self,
        context: &Context<'_>,
        scenario: &str,
        layers: &BTreeMap<i16, Measured>,
    ) -> Wordings {
        let mut wordings = Wordings::default();
        let mut ways: Option<(usize, usize, Reassignments)> = None;
        let mut tests: Vec<(i16, f64, PermutationTest)> = Vec::new();
        for (&layer, measured) in layers {
            let Some((k, w, table)) = measured.pairs.balanced() else { continue };
            wordings.n_wordings = w;
            if ways.as_ref().is_none_or(|(tasks, wordings, _)| (*tasks, *wordings) != (k, w)) {
                let purpose = format!("wordings of {scenario}");
                let new = Reassignments::new(k, w, self.permutations, context.seed, &purpose).ok();
                ways = new.map(|ways| (k, w, ways));
            }
            let Some((.., ways)) = &ways else { continue };
            // On one scale: a layer's dissimilarities may be a hundred times another's.
            let test: Result<_, Undefined> = ways.test(&table).and_then(|test| {
                let p = test.p();
                Ok((p, test.standardised()?))
            });
            if let Ok((p, test)) = test {
                tests.push((layer, p, test));
            }
        }
        let corrected = math::max_t(&tests.iter().map(|(.., test)| test).collect::<Vec<_>>());
        for ((layer, p, test), p_max_t) in tests.iter().zip(corrected) {
            let found = WordingP { p: *p, p_max_t, count: test.count() };
            wordings.by_layer.insert(*layer, found);
        }
        wordings
    }
}

/// The tests of one measure, by layer.
#[derive(Debug, Default)]
struct Wordings {
    n_wordings: usize,
    by_layer: BTreeMap<i16, WordingP>,
}

/// Puts q into the rows that have a p.
fn discover(rows: &mut [Row<'_>]) {
    let p: Vec<f64> = rows.iter().filter_map(|row| row.p).collect();
    let mut q = math::false_discovery(&p).into_iter();
    for row in rows.iter_mut().filter(|row| row.p.is_some()) {
        row.q = q.next();
    }
}

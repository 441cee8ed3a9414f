//! From the inputs' numbers to the rows of table `effect`.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Effect;
use super::tally::{Measured, Scenario, Series, Tally};
use crate::math;
use crate::math::{
    Effect as Size, Interval, IntervalMethod, PermutationTest, Reassignments, Resamples, SignFlips,
    Undefined,
};
use crate::stage::names::{BETWEEN, PARAPHRASE};
use crate::stage::{Context, StageError};
use crate::table::schema::EffectRow;
use crate::table::status;

const LEVEL: f64 = 0.95;

/// A row of table `effect`, filled in step by step.
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

/// The result of dealing the wordings out again.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordingP {
    pub(super) p: f64,
    pub(super) p_max_t: f64,
    /// How many ways were counted, the pipeline's own among them.
    pub(super) count: usize,
}

impl Row<'_> {
    /// As the table has it.
    pub(super) fn row(&self) -> EffectRow<'_> {
        let Self { effect, interval, wording, .. } = self;
        EffectRow {
            scenario: self.scenario,
            layer: self.layer,
            measure: self.measure,
            contrast: self.contrast,
            n_inputs: self.n_inputs as i64,
            between: effect.map(|effect| effect.between),
            baseline: effect.map(|effect| effect.within),
            delta: effect.map(|effect| effect.delta),
            ci_low: interval.map(|interval| interval.low),
            ci_high: interval.map(|interval| interval.high),
            ci_method: interval.map_or("none", |interval| word(interval.method)),
            d_z: effect.and_then(|effect| effect.d_z),
            auc: effect.map(|effect| effect.auc),
            cliffs_delta: effect.map(|effect| effect.cliffs_delta()),
            p: self.p,
            p_max_t: self.p_max_t,
            q: self.q,
            n_permutations: self.n_permutations as i64,
            p_wording: wording.map(|wording| wording.p),
            p_wording_max_t: wording.map(|wording| wording.p_max_t),
            n_reassignments: wording.map_or(0, |wording| wording.count as i64),
            n_wordings: self.n_wordings as i64,
            status: &self.status,
        }
    }
}

/// As in column `ci_method`.
fn word(method: IntervalMethod) -> &'static str {
    match method {
        IntervalMethod::Bca => "bca",
        IntervalMethod::Percentile => "percentile",
        IntervalMethod::Constant => "constant",
    }
}

/// One measure compared with one baseline, layers ascending.
struct Family<'t> {
    rows: Vec<Row<'t>>,
    /// For each row the differences of the inputs.
    deltas: Vec<Vec<f64>>,
}

/// What is drawn of that many inputs, the same for all rows of a scenario.
struct Draws {
    resamples: Resamples,
    flips: SignFlips,
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
            let (purpose, mut ways) = (format!("wordings of {name}"), BTreeMap::new());
            let mut families = Vec::new();
            for (measure, layers) in &scenario.measures {
                context.go_on()?;
                let wordings = self.wordings((context.seed, &purpose), layers, &mut ways);
                let contrasts = layers.values().flat_map(|measured| measured.contrasts.keys());
                let contrasts: indexmap::IndexSet<&str> =
                    contrasts.map(String::as_str).filter(|contrast| *contrast != BETWEEN).collect();
                for contrast in contrasts {
                    let mut family = Family::new((name, measure, contrast), scenario, layers);
                    for row in &mut family.rows {
                        row.n_wordings = wordings.n_wordings;
                        let own = (contrast == PARAPHRASE).then_some(&wordings.by_layer);
                        row.wording = own.and_then(|own| own.get(&row.layer).copied());
                    }
                    families.push(family);
                }
            }
            self.draw(context, name, &mut families)?;
            rows.extend(families.into_iter().flat_map(|family| family.rows));
            discover(&mut rows[first..]);
        }
        Ok(rows)
    }

    /// Fills in what is drawn: the intervals of all rows with as many inputs together, and the tests
    /// of each family, the families side by side.
    fn draw(
        &self,
        context: &Context<'_>,
        scenario: &str,
        families: &mut [Family<'_>],
    ) -> Result<(), StageError> {
        let (seed, purpose) = (context.seed, format!("deltas of {scenario}"));
        // Nearly all measures have all inputs, so nearly all share their draws.
        let mut draws: BTreeMap<usize, Draws> = BTreeMap::new();
        for n in families.iter().flat_map(|family| &family.deltas).map(Vec::len) {
            draws.entry(n).or_insert_with(|| Draws {
                resamples: Resamples::new(n, self.bootstrap, seed, &purpose),
                flips: SignFlips::new(n, self.permutations, seed, &purpose),
            });
        }
        for (n, draws) in &draws {
            context.go_on()?;
            let own =
                || families.iter().flat_map(|family| &family.deltas).filter(|d| d.len() == *n);
            let deltas: Vec<&[f64]> = own().map(Vec::as_slice).collect();
            let intervals = math::mean_intervals(&deltas, LEVEL, &draws.resamples);
            let mut intervals = intervals.unwrap_or_default().into_iter();
            for family in &mut *families {
                let rows = family.rows.iter_mut().zip(&family.deltas);
                for (row, _) in rows.filter(|(_, deltas)| deltas.len() == *n) {
                    row.interval = intervals.next();
                }
            }
        }
        let test = |family: &mut Family<'_>| {
            context.go_on()?;
            family.test(&draws);
            Ok(())
        };
        families.par_iter_mut().map(test).collect::<Vec<_>>().into_iter().collect()
    }

    /// The test of tasks against wordings on every layer of a measure.
    fn wordings(
        &self,
        (seed, purpose): (u64, &str),
        layers: &BTreeMap<i16, Measured>,
        ways: &mut BTreeMap<(usize, usize), Option<Reassignments>>,
    ) -> Wordings {
        let mut wordings = Wordings::default();
        let mut tests: Vec<(i16, f64, PermutationTest)> = Vec::new();
        for (&layer, measured) in layers {
            let Some((k, w, table)) = measured.pairs.balanced() else { continue };
            wordings.n_wordings = w;
            let new = || Reassignments::new(&vec![w; k], self.permutations, seed, purpose).ok();
            let Some(ways) = ways.entry((k, w)).or_insert_with(new) else { continue };
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

impl<'t> Family<'t> {
    /// A row for each layer, all on the inputs that have both values on every layer that has any.
    fn new(
        (scenario, measure, contrast): (&'t str, &'t str, &'t str),
        of: &'t Scenario,
        layers: &'t BTreeMap<i16, Measured>,
    ) -> Self {
        let empty = Series::default();
        let series = |measured: &'t Measured| {
            [BETWEEN, contrast].map(|contrast| measured.contrasts.get(contrast))
        };
        let both: Vec<_> = layers.values().map(series).collect();
        let pair = |[between, baseline]: [Option<&'t Series>; 2], input: usize| {
            Some((between?.get(input)?, baseline?.get(input)?))
        };
        let all = 0..of.n_inputs();
        let with_any: Vec<_> =
            both.iter().filter(|own| all.clone().any(|i| pair(**own, i).is_some())).collect();
        let is_common = |input: &usize| with_any.iter().all(|own| pair(**own, *input).is_some());
        let common: Vec<usize> = all.filter(is_common).collect();
        let row = |(&layer, &own): (&i16, &[Option<&'t Series>; 2])| {
            let values = common.iter().filter_map(|&input| pair(own, input));
            let (between, within): (Vec<f64>, Vec<f64>) = values.unzip();
            let status = if between.is_empty() {
                let [between, baseline] = own.map(|series| series.unwrap_or(&empty));
                Scenario::refusal(&[baseline, between])
            } else {
                status::OK.to_owned()
            };
            let row = Row {
                scenario,
                layer,
                measure,
                contrast,
                n_inputs: between.len(),
                n_wordings: 0,
                effect: Size::of(&between, &within).ok(),
                interval: None,
                p: None,
                p_max_t: None,
                q: None,
                n_permutations: 0,
                wording: None,
                status,
            };
            (row, between.iter().zip(&within).map(|(b, w)| b - w).collect())
        };
        let (rows, deltas) = layers.keys().zip(&both).map(row).unzip();
        Self { rows, deltas }
    }

    /// The test of every row that has inputs, and its correction over the layers.
    fn test(&mut self, draws: &BTreeMap<usize, Draws>) {
        let mut largest = math::Family::default();
        let mut observed = vec![None; self.rows.len()];
        for ((row, deltas), observed) in self.rows.iter_mut().zip(&self.deltas).zip(&mut observed) {
            if row.effect.is_none() {
                continue;
            }
            match draws[&deltas.len()].flips.test(deltas) {
                Ok(test) => {
                    (row.p, row.n_permutations) = (Some(test.p()), test.count());
                    largest.add(&test);
                    *observed = Some(test.observed());
                }
                Err(reason) => status::of(reason).clone_into(&mut row.status),
            }
        }
        for (row, observed) in self.rows.iter_mut().zip(observed) {
            row.p_max_t = observed.map(|observed| largest.p(observed));
        }
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

//! Values between tasks: means over all inputs, and those of the shown inputs alone.

use std::collections::BTreeMap;

use super::roster::Roster;
use super::sources::{Sources, last, meaning, measure};
use super::starts::{InputStarts, Split};
use crate::render::page::{Alignment, Matrix, Overlap, PairValue, pair_index};
use crate::stage::StageError;
use crate::stage::names::{FLAT, JACCARD, MEAN_HEAD};
use crate::table::schema::{ATTENTION_OVERLAP, SIMILARITY};

/// The values of one pair of tasks.
#[derive(Debug, Clone, Default)]
struct Sum {
    total: f64,
    n: u64,
    missing: u64,
    why: Option<Box<str>>,
}

/// Sums for every pair of a scenario's tasks.
type Sums = Vec<Sum>;

/// Means of a measure by scenario and layer, and for shown inputs.
#[derive(Debug, Default)]
pub(super) struct PairMeans {
    scenarios: BTreeMap<(usize, i16), Sums>,
    /// By scenario, input and layer; only the last layer is asked for.
    inputs: BTreeMap<(usize, usize, i16), Sums>,
    /// By scenario, at the last layer.
    splits: BTreeMap<(usize, i16), Split>,
    k: i32,
}

/// One row of a table of pairs.
struct PairRow<'a> {
    scenario: &'a str,
    input: &'a str,
    layer: i16,
    tasks: (&'a str, &'a str),
    value: Option<f64>,
    status: &'a str,
}

/// Reduces table `similarity`, part after part, rows in order.
pub(super) fn similarity(sources: &Sources<'_>, roster: &Roster) -> Result<PairMeans, StageError> {
    let columns = ["scenario", "input", "layer", "task_a", "task_b", "measure", "value", "status"];
    let mut means = PairMeans::default();
    for part in 0..sources.shards {
        let table = sources.needed(&SIMILARITY, part, &columns)?;
        let (scenario, input) = (table.texts("scenario")?, table.texts("input")?);
        let (layer, name) = (table.int16s("layer")?, table.texts("measure")?);
        let (a, b) = (table.texts("task_a")?, table.texts("task_b")?);
        let (value, status) = (table.float64s("value")?, table.texts("status")?);
        let shown_layer = last(layer.values().iter().copied());
        let starts = InputStarts::read(sources, part)?;
        for row in (0..table.rows()).filter(|row| name.value(*row) == FLAT) {
            let pair = PairRow {
                scenario: scenario.value(row),
                input: input.value(row),
                layer: layer.value(row),
                tasks: (a.value(row), b.value(row)),
                value: measure(value, row),
                status: status.value(row),
            };
            means.add(roster, &pair, shown_layer);
            if Some(pair.layer) == shown_layer {
                means.split(roster, &pair, &starts);
            }
        }
    }
    Ok(means)
}

/// Reduces table `attention_overlap`, when it is there: the last layer, heads averaged.
pub(super) fn overlap(sources: &Sources<'_>, roster: &Roster) -> Result<PairMeans, StageError> {
    let columns = [
        "scenario", "input", "layer", "head", "task_a", "task_b", "measure", "value", "k", "status",
    ];
    let mut means = PairMeans::default();
    for part in 0..sources.shards {
        let Some(table) = sources.optional(&ATTENTION_OVERLAP, part, &columns)? else { continue };
        let (scenario, input) = (table.texts("scenario")?, table.texts("input")?);
        let (layer, head) = (table.int16s("layer")?, table.int16s("head")?);
        let (a, b) = (table.texts("task_a")?, table.texts("task_b")?);
        let (name, k) = (table.texts("measure")?, table.int32s("k")?);
        let (value, status) = (table.float64s("value")?, table.texts("status")?);
        let is_mean = |row: &usize| head.value(*row) == MEAN_HEAD && name.value(*row) == JACCARD;
        let rows: Vec<usize> = (0..table.rows()).filter(is_mean).collect();
        let last_layer = last(rows.iter().map(|row| layer.value(*row)));
        for row in rows.into_iter().filter(|row| Some(layer.value(*row)) == last_layer) {
            let pair = PairRow {
                scenario: scenario.value(row),
                input: input.value(row),
                layer: layer.value(row),
                tasks: (a.value(row), b.value(row)),
                value: measure(value, row),
                status: status.value(row),
            };
            means.k = means.k.max(k.value(row));
            means.add(roster, &pair, last_layer);
        }
    }
    Ok(means)
}

impl PairMeans {
    fn add(&mut self, roster: &Roster, row: &PairRow<'_>, shown_layer: Option<i16>) {
        let Some((scenario, _, entry)) = roster.scenarios.get_full(row.scenario) else { return };
        let tasks = (entry.tasks.get_index_of(row.tasks.0), entry.tasks.get_index_of(row.tasks.1));
        let (Some(a), Some(b)) = tasks else { return };
        if a == b {
            return;
        }
        let n = entry.tasks.len();
        let place = pair_index(n, a.min(b), a.max(b));
        let empty = || vec![Sum::default(); n * (n - 1) / 2];
        let sums = self.scenarios.entry((scenario, row.layer)).or_insert_with(empty);
        sums[place].add(row.value, row.status);
        if Some(row.layer) == shown_layer
            && let Some(input) = entry.shown.get_index_of(row.input)
        {
            let sums = self.inputs.entry((scenario, input, row.layer)).or_insert_with(empty);
            sums[place].add(row.value, row.status);
        }
    }

    /// Puts a value on the heap of pairs whose input stands at the same positions, or the other.
    fn split(&mut self, roster: &Roster, row: &PairRow<'_>, starts: &InputStarts) {
        let agree = starts.agree(row.scenario, row.input, row.tasks);
        let scenario = roster.scenarios.get_index_of(row.scenario);
        if let (Some(scenario), Some(agree), Some(value)) = (scenario, agree, row.value) {
            self.splits.entry((scenario, row.layer)).or_default().add(agree, value);
        }
    }

    /// A scenario's values at the last layer, split by where the input stands.
    pub(super) fn alignment(&self, scenario: usize) -> Option<Alignment> {
        let layers = self.splits.range((scenario, i16::MIN)..=(scenario, i16::MAX));
        layers.last().map(|((_, layer), split)| split.means(*layer))
    }

    /// A scenario's matrices, layers ascending.
    pub(super) fn of_scenario(&self, scenario: usize) -> Vec<Matrix> {
        let layers = self.scenarios.range((scenario, i16::MIN)..=(scenario, i16::MAX));
        layers.map(|((_, layer), sums)| matrix(*layer, sums)).collect()
    }

    /// A shown input's matrix at its last layer.
    pub(super) fn of_input(&self, scenario: usize, input: usize) -> Option<Matrix> {
        let layers = self.inputs.range((scenario, input, i16::MIN)..=(scenario, input, i16::MAX));
        layers.last().map(|((_, _, layer), sums)| matrix(*layer, sums))
    }

    /// A scenario's overlap at the last layer.
    pub(super) fn overlap_of_scenario(&self, scenario: usize) -> Option<Overlap> {
        let matrix = self.of_scenario(scenario).pop()?;
        Some(Overlap { k: self.k, matrix })
    }

    /// A shown input's overlap at the last layer.
    pub(super) fn overlap_of_input(&self, scenario: usize, input: usize) -> Option<Overlap> {
        Some(Overlap { k: self.k, matrix: self.of_input(scenario, input)? })
    }
}

fn matrix(layer: i16, sums: &[Sum]) -> Matrix {
    Matrix { layer, pairs: sums.iter().map(Sum::mean).collect() }
}

impl Sum {
    fn add(&mut self, value: Option<f64>, status: &str) {
        if let Some(value) = value {
            self.total += value;
            self.n += 1;
        } else {
            self.missing += 1;
            self.why.get_or_insert_with(|| status.into());
        }
    }

    fn mean(&self) -> PairValue {
        let why = self.why.as_deref().map_or("", meaning);
        let missing = match (self.n, self.missing) {
            (_, 0) => String::new(),
            (0, 1) => why.to_owned(),
            (_, 1) => format!("1 input without a value: {why}"),
            (_, n) => format!("{n} inputs without a value: {why}"),
        };
        let value = (self.n > 0).then(|| self.total / self.n as f64);
        PairValue { value, n: self.n, missing }
    }
}

//! Values between tasks: means over all inputs, and those of the shown inputs alone.

use std::collections::BTreeMap;

use super::roster::Roster;
use super::sources::{Sources, last};
use super::starts::{InputStarts, Split};
use crate::render::page::{Alignment, Matrix, Overlap, PairValue, pair_index};
use crate::stage::StageError;
use crate::stage::names::{FLAT, JACCARD, MEAN_HEAD};
use crate::table::schema::{ATTENTION_OVERLAP, SIMILARITY};
use crate::table::status::meaning;
use crate::table::{ReadRow as _, view};

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

view! {
    /// How similar two tasks' prompts of an input are on a layer.
    struct Similarity<'a> of [SIMILARITY] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        task_a: &'a str,
        task_b: &'a str,
        measure: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// How far two tasks' focus sets agree.
    struct FocusOverlap<'a> of [ATTENTION_OVERLAP] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        head: i16,
        task_a: &'a str,
        task_b: &'a str,
        measure: &'a str,
        value: Option<f64>,
        k: i32,
        status: &'a str,
    }
}

/// One value between two tasks, of either table.
struct PairRow<'a> {
    scenario: &'a str,
    input: &'a str,
    layer: i16,
    tasks: (&'a str, &'a str),
    value: Option<f64>,
    status: &'a str,
}

impl<'a> From<Similarity<'a>> for PairRow<'a> {
    fn from(row: Similarity<'a>) -> Self {
        let Similarity { scenario, input, layer, task_a, task_b, value, status, .. } = row;
        Self { scenario, input, layer, tasks: (task_a, task_b), value, status }
    }
}

impl<'a> From<FocusOverlap<'a>> for PairRow<'a> {
    fn from(row: FocusOverlap<'a>) -> Self {
        let FocusOverlap { scenario, input, layer, task_a, task_b, value, status, .. } = row;
        Self { scenario, input, layer, tasks: (task_a, task_b), value, status }
    }
}

/// Reduces table `similarity`, part after part, rows in order.
pub(super) fn similarity(sources: &Sources<'_>, roster: &Roster) -> Result<PairMeans, StageError> {
    let mut means = PairMeans::default();
    for part in 0..sources.shards {
        let table = sources.needed::<Similarity<'_>>(&SIMILARITY, part)?;
        let rows = Similarity::rows(&table)?;
        let shown_layer = last(rows.iter().map(|row| row.layer));
        let starts = InputStarts::read(sources, part)?;
        for row in rows.into_iter().filter(|row| row.measure == FLAT) {
            let pair = PairRow::from(row);
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
    let mut means = PairMeans::default();
    for part in 0..sources.shards {
        let table = sources.optional::<FocusOverlap<'_>>(&ATTENTION_OVERLAP, part)?;
        let Some(table) = table else { continue };
        let mut rows = FocusOverlap::rows(&table)?;
        rows.retain(|row| row.head == MEAN_HEAD && row.measure == JACCARD);
        let last_layer = last(rows.iter().map(|row| row.layer));
        for row in rows.into_iter().filter(|row| Some(row.layer) == last_layer) {
            means.k = means.k.max(row.k);
            means.add(roster, &PairRow::from(row), last_layer);
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

    /// Counts a value among the pairs whose input stands at the same positions, or among the others.
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

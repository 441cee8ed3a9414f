//! One measure compared with one baseline, layer by layer: how large the difference is.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};

use super::row::{Beyond, COVERAGE, Relative, Row};
use super::tally::{Measured, Scenario};
use crate::math::{Crossed, Effect as Size};
use crate::prompt::Role;
use crate::stage::judged::Judged;
use crate::stage::names::{BETWEEN, PARAPHRASE};
use crate::table::status;

/// A difference that is larger than what matters by less than this part is as large.
const ROUNDING: f64 = 1e-9;

/// Inputs beyond the smallest difference that matters which are named.
const NAMED: usize = 10;

/// The rows of a measure and baseline, layers ascending.
#[derive(Debug)]
pub(super) struct Family<'t> {
    pub(super) rows: Vec<Row<'t>>,
    /// The clusters of the inputs that all rows are about, in the order of their deltas.
    pub(super) clusters: IndexSet<usize>,
}

/// The means of clusters, in the order in which they first appear.
fn cluster_means(values: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums: IndexMap<usize, (f64, u32)> = IndexMap::new();
    for (cluster, value) in values {
        let sum = sums.entry(cluster).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    sums.into_values().map(|(sum, n)| sum / f64::from(n)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// What the rows of a measure are made of.
struct Source<'t> {
    of: &'t Scenario,
    contrast: &'t str,
    /// The inputs with both values on every layer that has any.
    inputs: Vec<usize>,
    judged: &'t Judged,
}

impl<'t> Family<'t> {
    /// A row for each layer, all on the inputs that have both values on every layer that has any.
    pub(super) fn new(
        names: [&'t str; 3],
        of: &'t Scenario,
        layers: &'t BTreeMap<i16, Measured>,
        judged: &'t Judged,
    ) -> Self {
        let contrast = names[2];
        let has_both = |measured: &Measured, input: usize| {
            [BETWEEN, contrast].iter().all(|name| measured.value(name, input).is_some())
        };
        let all = 0..of.n_inputs();
        let with_any: Vec<&Measured> =
            layers.values().filter(|own| all.clone().any(|input| has_both(own, input))).collect();
        let is_common = |input: &usize| with_any.iter().all(|own| has_both(own, *input));
        let inputs: Vec<usize> =
            if with_any.is_empty() { Vec::new() } else { all.filter(is_common).collect() };
        let clusters = inputs.iter().map(|input| of.cluster(*input)).collect();
        let source = Source { of, contrast, inputs, judged };
        let row = |(&layer, own): (&i16, &Measured)| source.row(Row::new(names, layer, of), own);
        Self { rows: layers.iter().map(row).collect(), clusters }
    }
}

impl Source<'_> {
    /// The values of the clusters in a contrast; `None` when an input has none.
    fn means(&self, own: &Measured, contrast: &str) -> Option<Vec<f64>> {
        let value = |input: &usize| Some((self.of.cluster(*input), own.value(contrast, *input)?));
        let values: Vec<(usize, f64)> = self.inputs.iter().map(value).collect::<Option<_>>()?;
        Some(cluster_means(values.into_iter()))
    }

    fn row<'t>(&self, row: Row<'t>, own: &Measured) -> Row<'t> {
        let values = self.means(own, BETWEEN).zip(self.means(own, self.contrast));
        let Some((between, within)) = values.filter(|(between, _)| !between.is_empty()) else {
            let status = Scenario::refusal(own, [self.contrast, BETWEEN]);
            return Row { status, ..row };
        };
        let deltas: Vec<f64> = between.iter().zip(&within).map(|(b, w)| b - w).collect();
        let effect = Size::of(&between, &within).ok();
        let row = Row { n_inputs: self.inputs.len(), effect, deltas, ..row };
        let row = Row { status: status::OK.to_owned(), ..row };
        if self.contrast == PARAPHRASE {
            self.against_wordings(row, own, &between, &within)
        } else {
            row
        }
    }

    /// What only wordings of one task say as a baseline: they are a sample of their own.
    fn against_wordings<'t>(
        &self,
        row: Row<'t>,
        own: &Measured,
        between: &[f64],
        within: &[f64],
    ) -> Row<'t> {
        let without = own.pairs.means(&self.of.wordings).and_then(|means| means.without());
        let over_both = without.as_ref().and_then(|without| {
            let deltas = |task: &Vec<[f64; 2]>| task.iter().map(|[b, w]| b - w).collect();
            let without: Vec<Vec<f64>> = without.iter().map(deltas).collect();
            Crossed::of(mean(&row.deltas), &row.deltas, &without, COVERAGE).ok()
        });
        let other = self.means(own, Role::OtherInput.name());
        let scale = other.as_ref().map(|other| mean(other) - mean(within));
        let scale = scale.filter(|scale| *scale > 0.0);
        let others = own.others.without(&self.of.wordings);
        let without = without.zip(others).map(|(pairs, others)| left_out(&pairs, &others));
        let relative = other
            .zip(scale)
            .map(|(other, scale)| relative([between, within, &other], scale, without.as_deref()));
        let exceeds = |input: &usize| {
            let of_pairs = own.of_pairs.get(*input).copied().flatten()?;
            Some((self.of.cluster(*input), f64::from(u8::from(of_pairs.exceeds()))))
        };
        let exceeds: Option<Vec<(usize, f64)>> = self.inputs.iter().map(exceeds).collect();
        let prevalence = exceeds.map(|exceeds| mean(&cluster_means(exceeds.into_iter())));
        let smallest = self.judged.smallest.of(row.measure, scale);
        let beyond = self.beyond(own, smallest);
        Row { over_both, relative, prevalence, beyond, ..row }
    }

    /// The inputs that differ by more than matters.
    fn beyond(&self, own: &Measured, smallest: Option<f64>) -> Beyond {
        let Some(bound) = smallest else { return Beyond::default() };
        let differs = |input: &&usize| {
            let [between, within] = [BETWEEN, PARAPHRASE].map(|name| own.value(name, **input));
            between.zip(within).is_some_and(|(between, within)| {
                (between - within).abs() > bound * (1.0 + ROUNDING)
            })
        };
        let found: Vec<&usize> = self.inputs.iter().filter(differs).collect();
        let ids: Vec<&str> = found.iter().take(NAMED).map(|input| self.of.input(**input)).collect();
        let ids = serde_json::to_string(&ids).expect("texts serialise");
        Beyond { smallest, n: found.len(), ids }
    }
}

/// For each task and each of its wordings: between less within, and another input less within, without it.
fn left_out(pairs: &[Vec<[f64; 2]>], others: &[Vec<f64>]) -> Vec<Vec<[f64; 2]>> {
    let pair = |([b, w], o): (&[f64; 2], &f64)| [b - w, o - w];
    let of_task =
        |(pairs, others): (&Vec<_>, &Vec<_>)| pairs.iter().zip(others).map(pair).collect();
    pairs.iter().zip(others).map(of_task).collect()
}

/// Ratio of sums, by cluster, of between less within and of another input less within; `without` is of
/// [`left_out`].
fn relative(
    [between, within, other]: [&[f64]; 3],
    scale: f64,
    without: Option<&[Vec<[f64; 2]>]>,
) -> Relative {
    let delta = mean(between) - mean(within);
    let pair = |((b, w), o): ((&f64, &f64), &f64)| [b - w, o - w];
    let clusters: Vec<[f64; 2]> = between.iter().zip(within).zip(other).map(pair).collect();
    let interval = without.and_then(|without| {
        Crossed::of_ratio([delta, scale], &clusters, without, COVERAGE).ok().flatten()
    });
    Relative { value: delta / scale, interval }
}

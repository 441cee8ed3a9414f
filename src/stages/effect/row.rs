//! A row of table `effect`, filled in step by step.

use super::tally::Scenario;
use crate::math::{Crossed, Effect as Size, Interval, IntervalMethod, detectable};
use crate::stage::feasible::LEVEL;
use crate::table::schema::EffectRow;

/// Coverage of the intervals.
pub(super) const COVERAGE: f64 = 1.0 - LEVEL;

/// A row and the numbers of the clusters behind it.
#[derive(Debug)]
pub(super) struct Row<'t> {
    pub(super) scenario: &'t str,
    pub(super) layer: i16,
    pub(super) measure: &'t str,
    pub(super) contrast: &'t str,
    pub(super) n_inputs: usize,
    pub(super) n_wordings: usize,
    /// Each cluster's mean difference, in the order of the family's clusters.
    pub(super) deltas: Vec<f64>,
    pub(super) effect: Option<Size>,
    /// Over inputs alone.
    pub(super) over_inputs: Option<Interval>,
    pub(super) over_both: Option<Crossed>,
    pub(super) relative: Option<Relative>,
    pub(super) prevalence: Option<f64>,
    pub(super) beyond: Beyond,
    pub(super) p: Option<f64>,
    pub(super) p_max_t: Option<f64>,
    pub(super) p_joint: Option<f64>,
    pub(super) q: Option<f64>,
    pub(super) n_permutations: usize,
    pub(super) wording: WordingP,
    pub(super) warning: String,
    pub(super) status: String,
}

/// On the scale from another wording to another input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relative {
    pub(super) value: f64,
    /// Without it where one wording leaves nothing to compare.
    pub(super) interval: Option<Crossed>,
}

/// Inputs that differ by more than the smallest difference that matters.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    /// That difference, in the measure's unit.
    pub(super) smallest: Option<f64>,
    pub(super) n: usize,
    /// The first of them, as a JSON list.
    pub(super) ids: String,
}

/// What dealing the wordings out again gave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WordingP {
    pub(super) p: Option<f64>,
    pub(super) p_max_t: Option<f64>,
    pub(super) p_joint: Option<f64>,
    pub(super) p_form: Option<f64>,
    /// How many ways were counted, the pipeline's own among them.
    pub(super) count: usize,
}

impl<'t> Row<'t> {
    /// Nothing is known of it yet.
    pub(super) fn new(
        [scenario, measure, contrast]: [&'t str; 3],
        layer: i16,
        of: &Scenario,
    ) -> Self {
        Self {
            scenario,
            layer,
            measure,
            contrast,
            n_inputs: 0,
            n_wordings: of.wordings.sizes().into_iter().min().unwrap_or(0),
            deltas: Vec::new(),
            effect: None,
            over_inputs: None,
            over_both: None,
            relative: None,
            prevalence: None,
            beyond: Beyond::default(),
            p: None,
            p_max_t: None,
            p_joint: None,
            q: None,
            n_permutations: 0,
            wording: WordingP::default(),
            warning: String::new(),
            status: String::new(),
        }
    }

    /// As the table has it.
    pub(super) fn row(&self) -> EffectRow<'_> {
        let Self { effect, over_inputs, over_both, relative, beyond, wording, .. } = self;
        let of_relative = relative.and_then(|relative| relative.interval);
        let mde = |crossed: &Crossed| detectable(crossed.error(), crossed.freedom, COVERAGE);
        EffectRow {
            scenario: self.scenario,
            layer: self.layer,
            measure: self.measure,
            contrast: self.contrast,
            n_inputs: self.n_inputs as i64,
            n_clusters: self.deltas.len() as i64,
            n_wordings: self.n_wordings as i64,
            between: effect.map(|effect| effect.between),
            baseline: effect.map(|effect| effect.within),
            delta: effect.map(|effect| effect.delta),
            ci_low: over_both.map(|crossed| crossed.low),
            ci_high: over_both.map(|crossed| crossed.high),
            ci_method: over_both.as_ref().map_or("none", method),
            df: over_both.map(|crossed| crossed.freedom).filter(|df| df.is_finite()),
            var_clusters: over_both.map(|crossed| crossed.var_clusters),
            var_wordings: over_both.map(|crossed| crossed.var_wordings),
            ci_inputs_low: over_inputs.map(|interval| interval.low),
            ci_inputs_high: over_inputs.map(|interval| interval.high),
            ci_inputs_method: over_inputs.map_or("none", |interval| word(interval.method)),
            relative: relative.map(|relative| relative.value),
            relative_low: of_relative.map(|crossed| crossed.low),
            relative_high: of_relative.map(|crossed| crossed.high),
            mde: over_both.as_ref().map(mde),
            mde_relative: of_relative.as_ref().map(mde),
            median: median(&self.deltas),
            prevalence: self.prevalence,
            smallest: beyond.smallest,
            n_beyond: beyond.smallest.map(|_| beyond.n as i64),
            beyond: &beyond.ids,
            d_z: effect.and_then(|effect| effect.d_z),
            auc: effect.map(|effect| effect.auc),
            cliffs_delta: effect.map(|effect| effect.cliffs_delta()),
            p: self.p,
            p_max_t: self.p_max_t,
            p_joint: self.p_joint,
            q: self.q,
            n_permutations: self.n_permutations as i64,
            p_wording: wording.p,
            p_wording_max_t: wording.p_max_t,
            p_wording_joint: wording.p_joint,
            p_wording_form: wording.p_form,
            n_reassignments: wording.count as i64,
            warning: &self.warning,
            status: &self.status,
        }
    }
}

fn method(crossed: &Crossed) -> &'static str {
    if crossed.freedom.is_finite() { "crossed" } else { "constant" }
}

/// As in column `ci_inputs_method`.
fn word(method: IntervalMethod) -> &'static str {
    match method {
        IntervalMethod::Bca => "bca",
        IntervalMethod::Percentile => "percentile",
        IntervalMethod::Constant => "constant",
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    (n > 0).then(|| f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]))
}

//! Does the task matter more than what should not matter? The difference between tasks, compared
//! with baselines, over inputs and wordings.
//!
//! For every scenario, measure, captured layer and baseline, with one dissimilarity of each kind for
//! each input i (1 less a cosine; for outputs, attention and the lens a Jensen-Shannon divergence; for
//! the surprisal of its tokens a mean absolute difference; for geometry a pseudo-value of 1 - CKA; layer
//! -1 is what comes after all layers), averaged within clusters of inputs:
//!
//! ```text
//! delta_i  = between_i - baseline_i      between: prompts of different tasks
//!                                        baseline: wordings of one task (paraphrase), or a task
//!                                        against its neutral or scrambled control, or another input
//! delta    = mean of delta_i; its interval takes clusters and wordings as random (math::Crossed),
//!            ci_inputs the clusters alone
//! relative = Σ (between - paraphrase) / Σ (other_input - paraphrase)
//!                                        0 = as another wording does, 1 = as another input does
//! p        = the sign of each delta_i flipped: does the difference hold over inputs?
//! p_wording = wordings dealt out to the tasks again: do tasks differ more than wordings do?
//! p_wording_form = wordings exchanged, their difference in form taken out
//! ```
//!
//! `_max_t` corrects over the captured layers of a measure and baseline (the same draws on all),
//! `_joint` over all measures and layers that stage `summary` names, `q` is Benjamini and Hochberg's
//! over all rows of the scenario. Nothing is drawn but clusters of inputs and wordings: tokens, heads,
//! layers and pairs of tasks come from the same runs. Wordings that differ in blanks or case only are one;
//! tasks may have different numbers of them. The layers of a measure are compared on the inputs that
//! have both values on all of them. [`crate::math`] says how each number is computed, and what it cannot
//! show.
//!
//! `neutral` and `scrambled` stand beside the first wording alone, so nothing says how they vary with
//! wordings: the rows of controls have `ci_inputs` and no other interval. `other_input` goes through the
//! wordings, one cluster of inputs after the other, so `relative` has one that takes its wordings as random.
//!
//! Reads `prompts`, `contrast`, `wording_pairs` and, when an earlier stage wrote them, `output_contrast`
//! and the tables of wording pairs of outputs, attention, surprisal, lens and geometry; writes `effect`. A number for each input, layer, measure and kind is in
//! memory, of at most about `max_inputs` inputs a scenario.

mod deal;
mod family;
mod pairs;
mod read;
mod reduce;
mod row;
mod tally;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::row::Row;
use self::tally::Tally;
use crate::math::{BOOTSTRAP_DRAWS, PERMUTATION_DRAWS};
use crate::stage::judged::Judged;
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ATTENTION_WORDING_PAIRS, CONTRAST, EFFECT, EffectRow, GEOMETRY_WORDING_PAIRS,
    LENS_WORDING_PAIRS, OUTPUT_CONTRAST, OUTPUT_WORDING_PAIRS, PROMPTS, SURPRISAL_WORDING_PAIRS,
    WORDING_PAIRS,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "effect",
    version: 3,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&PROMPTS, &CONTRAST, &WORDING_PAIRS],
    reads_if_there: &[
        &OUTPUT_CONTRAST,
        &OUTPUT_WORDING_PAIRS,
        &ATTENTION_WORDING_PAIRS,
        &SURPRISAL_WORDING_PAIRS,
        &LENS_WORDING_PAIRS,
        &GEOMETRY_WORDING_PAIRS,
    ],
    writes: &[&EFFECT],
    file: None,
    depends_on: DependsOn { layers: false, seed: true, head: false, lineage: false },
};

/// Shards that are read side by side.
const AT_ONCE: u32 = 8;

/// Compares the difference between tasks with baselines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many exchanges are drawn where there are too many to count them all.
    pub permutations: usize,
    /// How often the inputs are drawn for an interval.
    pub bootstrap: usize,
    /// About how many inputs of a scenario are taken in at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { permutations: PERMUTATION_DRAWS, bootstrap: BOOTSTRAP_DRAWS, max_inputs: 1000 }
    }
}

impl Config {
    /// Valid with enough draws for a p below 0.05 and for the ends of an interval.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Effect> {
        let permutations = draws::check_permutations(self.permutations, at, problems);
        let bootstrap = draws::check_bootstrap(self.bootstrap, at, problems);
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems);
        let (permutations, bootstrap, max_inputs) = (permutations?, bootstrap?, max_inputs?);
        let judged = facts.judged.as_deref().cloned().unwrap_or_default();
        Some(Effect { permutations, bootstrap, max_inputs, judged })
    }
}

/// The stage, configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    permutations: usize,
    bootstrap: usize,
    max_inputs: u64,
    /// What the verdict rests on: one family of tests.
    judged: Judged,
}

impl Stage for Effect {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "permutations": self.permutations,
            "bootstrap": self.bootstrap,
            "max_inputs": self.max_inputs,
            "judged": self.judged,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        context.start(&DESCRIPTION, units);
        let mut tally = Tally::new(context)?;
        for first in (0..context.shards).step_by(AT_ONCE as usize) {
            context.go_on()?;
            let parts = first..context.shards.min(first + AT_ONCE);
            let amount = parts.len() as u64;
            tally.add_parts(context, parts)?;
            context.advance(&DESCRIPTION, amount);
        }
        tally.add_run(context)?;
        let rows = self.rows(context, &tally)?;
        let rows: Vec<EffectRow<'_>> = rows.iter().map(Row::row).collect();
        let part = EffectRow::write(context.store, 0, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

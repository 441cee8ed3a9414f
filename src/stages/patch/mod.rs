//! Where the input's reading is: the residual stream of one prompt in another's, block by block.
//!
//! The prompts of tasks A and B have three segments each: what stands before the input (`prefix`), the input, and
//! what stands behind it (`rest`). After block l the three are taken from either prompt, put one after the other, and
//! the model goes on from there. With the two prompts themselves these are eight runs, and the six that mix are
//! exactly all ways to patch one segment in (from A into B) or out (from B into A), so one set of runs gives both
//! directions of a pair:
//!
//! ```text
//! v(S)      = KL(A‖B) - KL(A‖h_S)          h_S: the segments of S from A, the others from B
//! gain      = v({segment})
//! shapley   = Σ over S without the segment of |S|! (2 - |S|)! / 3! [v(S and it) - v(S)], over KL(A‖B)
//! ```
//!
//! Shapley's shares sum to 1 at every block and do not depend on whether one patches in or out. `last` is the last
//! token alone. `dose` mixes: B's stream at the input's tokens plus a share of the way to A's. Tokens are patched one by
//! one for a few inputs, drawn by the seed; a report shows the first of them. First wordings only.
//!
//! Only the input's tokens must be equal; the other segments may differ in length. Where a model learns positions, the
//! stream holds those of the prompt that it is from; where they are relative, the mixed prompt counts its own.
//!
//! Reads `prompts`, writes `patch`, `patch_dose` and `patch_tokens`; runs the model: each prompt once, and for each pair
//! of tasks and block eight more, from the patch graph, which computes every block of every row. Meng et al. 2022 (arXiv
//! 2202.05262) patch streams; Heimersheim and Nanda 2024 (arXiv 2404.15255) say what patching in and out show.

mod rows;
mod streams;
mod tasks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run_dir::receipt::PartStats;
use crate::stage::model::head;
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::WriteRow as _;
use crate::table::schema::{
    PATCH, PATCH_DOSE, PATCH_TOKENS, PROMPTS, PatchDoseRow, PatchRow, PatchTokensRow,
};
use crate::yaml::{Path, Problems};
use rows::Found;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "patch",
    version: 1,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS],
    reads_if_there: &[],
    writes: &[&PATCH, &PATCH_DOSE, &PATCH_TOKENS],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

/// Patches the residual stream of one task's prompt into another's, by block and segment.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many inputs of a scenario are taken at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
    /// About how many of them are also patched token by token.
    pub token_inputs: u64,
    /// How much of the way to the other stream, for the dose; above 0.
    pub doses: Vec<f64>,
    /// The captured layer after which the dose is given, or the nearest one; a third of the way up when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dose_layer: Option<i64>,
}

impl Default for Config {
    fn default() -> Self {
        let doses = vec![0.25, 0.5, 0.75, 1.0, 1.25];
        Self { max_inputs: 20, token_inputs: 2, doses, dose_layer: None }
    }
}

impl Config {
    /// Valid with doses above 0 and a block that the model has.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Patch> {
        head::has(DESCRIPTION.kind, "patch.onnx", facts.has_patch, at, problems)?;
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems);
        let mut is_good = true;
        for (i, dose) in self.doses.iter().enumerate() {
            if rows::percent(*dose).is_none() {
                problems.push(
                    &at.key("doses").index(i),
                    format!("dose {dose} is not above 0 and up to 100 in steps of 0.01"),
                    "a dose is the share of the way to the other stream: 0.5 is half of it",
                );
                is_good = false;
            }
        }
        let n_layer = facts.n_layer.unwrap_or(i16::MAX);
        let dose_layer = self.dose_layer.unwrap_or(i64::from(n_layer) / 3);
        if !(0..i64::from(n_layer)).contains(&dose_layer) {
            problems.push(
                &at.key("dose_layer"),
                format!("layer {dose_layer} does not exist: the model has {n_layer} layers"),
                "layer l is the output of transformer block l, counted from 0",
            );
            is_good = false;
        }
        let (max_inputs, token_inputs) = (max_inputs?, self.token_inputs);
        let doses = self.doses.clone();
        is_good.then_some(Patch { max_inputs, token_inputs, doses, dose_layer: dose_layer as i16 })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Patch {
    max_inputs: u64,
    token_inputs: u64,
    doses: Vec<f64>,
    dose_layer: i16,
}

impl Stage for Patch {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "max_inputs": self.max_inputs,
            "token_inputs": self.token_inputs,
            "doses": self.doses,
            "dose_layer": self.dose_layer,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.taken(context);
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let mut found = Found::default();
        for input in inputs {
            context.go_on()?;
            self.of_input(context, input, &mut found)?;
            context.advance(&DESCRIPTION, 1);
        }
        let parts = write(context, &found)?;
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// Writes the tables of a shard.
fn write(context: &Context<'_>, found: &Found<'_>) -> Result<Vec<PartStats>, StageError> {
    let segments: Vec<PatchRow<'_>> = found.segments.iter().map(rows::OfSegment::row).collect();
    let doses: Vec<PatchDoseRow<'_>> = found.doses.iter().map(rows::OfDose::row).collect();
    let tokens: Vec<PatchTokensRow<'_>> = found.tokens.iter().map(rows::OfToken::row).collect();
    Ok(vec![
        PatchRow::write(context.store, context.part, &segments)?,
        PatchDoseRow::write(context.store, context.part, &doses)?,
        PatchTokensRow::write(context.store, context.part, &tokens)?,
    ])
}

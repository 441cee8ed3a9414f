//! The logit lens: what the model would say next if it ended after a block, and where on the way
//! through the blocks the tasks begin to say different things.
//!
//! With `h_l` the output of block `l` at a prompt's last token, `P_l = softmax(W_U ln_f(h_l))` and `P`
//! the model's own distribution, from its stored logits:
//!
//! ```text
//! entropy(l)     = -Σ P_l log2 P_l                         bits
//! kl_to_final(l) = KL(P ‖ P_l) = Σ P ln(P / P_l)           nats
//! jsd_bits(l)    = JSD of two tasks' P_l, first wordings   bits, 0..1
//! between(l)     = mean JSD of all pairs of a wording of the one task and a wording of the other
//! within(l)      = the largest JSD of two wordings of one of the two tasks
//! onset          = the first captured layer from which on, in every captured layer,
//!                  between(l) is above within(l) and at least half of between of the tasks' P
//! ```
//!
//! There is no onset where the outputs' own `between` is not above their `within`: what two wordings
//! of one task do as well is none of the task's doing. All pairs of wordings are compared for about
//! `baseline_inputs` inputs of a scenario, drawn by the seed; the others have `jsd_bits` alone. All is
//! in float64 from float32 scores, over the whole vocabulary. The final layer norm is applied here,
//! once: no stored activations have passed it, not even the last block's, whose `P_l` is `P`.
//!
//! The blocks were not trained to be read off early: in early layers the lens is unreliable, and a
//! small `jsd_bits` there says little (Belrose et al. 2023, arXiv 2303.08112). `kl_to_final` has the
//! direction of that paper. The onset is only that of what can be read off in this way, and it needs
//! outputs that differ: below [`JSD_FLOOR`] there is none.
//!
//! Reads `prompts`, `activations` and `logits`, writes `logit_lens` (every prompt),
//! `logit_lens_divergence` (pairs of tasks) and `lens_wording_pairs` (all pairs). Needs the model's head. nostalgebraist
//! 2020, "interpreting GPT: the logit lens".

mod read;
mod rows;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::model::head;
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ACTIVATIONS, LENS_WORDING_PAIRS, LOGIT_LENS, LOGIT_LENS_DIVERGENCE, LOGITS,
    LensWordingPairsRow, LogitLensDivergenceRow, LogitLensRow, PROMPTS,
};
use crate::yaml::{Path, Problems};
use read::Reader;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "lens",
    version: 3,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS, &ACTIVATIONS, &LOGITS],
    reads_if_there: &[],
    writes: &[&LOGIT_LENS, &LOGIT_LENS_DIVERGENCE, &LENS_WORDING_PAIRS],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: true, lineage: false },
};

/// Outputs less apart than this, in bits, count as equal: an error of a thousandth in each score
/// gives less.
pub const JSD_FLOOR: f64 = 1e-6;

/// Reads off every captured layer what the model would say if it ended there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For about how many inputs of a scenario all wordings are compared with each other, drawn by
    /// the seed; only they have an onset. 0 = none.
    pub baseline_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { baseline_inputs: 100 }
    }
}

impl Config {
    /// Valid when the model has a head.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Lens> {
        head::check("lens", at, facts, problems)?;
        Some(Lens { baseline_inputs: self.baseline_inputs })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Lens {
    baseline_inputs: u64,
}

impl Stage for Lens {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.baseline_inputs)
    }

    /// Without `baseline_inputs`: the share of the inputs that it makes is what counts.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "jsd_floor": JSD_FLOOR })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let reader = Reader::open(context, &prompts)?;
        let (mut lenses, mut pairs, mut wordings) = (Vec::new(), Vec::new(), Vec::new());
        for inputs in reader.chunks(&inputs) {
            for of_input in reader.read(inputs)? {
                lenses.extend(of_input.lenses);
                pairs.extend(of_input.pairs);
                wordings.extend(of_input.wordings);
            }
            let amount = inputs.len() as u64;
            context.advance(&DESCRIPTION, amount);
        }
        let lenses: Vec<LogitLensRow<'_>> = lenses.iter().map(rows::PromptLens::row).collect();
        let wordings: Vec<_> = wordings.iter().map(LensWordingPairsRow::from).collect();
        let parts = vec![
            LogitLensRow::write(context.store, context.part, &lenses)?,
            LogitLensDivergenceRow::write(context.store, context.part, &pairs)?,
            LensWordingPairsRow::write(context.store, context.part, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

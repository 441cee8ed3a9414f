//! The logit lens: what the model would say next if it ended after a block, and where on the way
//! through the blocks the tasks begin to say different things.
//!
//! With `h_l` the output of block `l` at a prompt's last token, `P_l = softmax(W_U ln_f(h_l))` and `P`
//! the model's own distribution, from its stored logits:
//!
//! ```text
//! entropy(l)     = -Σ P_l log2 P_l                         bits
//! kl_to_final(l) = KL(P ‖ P_l) = Σ P ln(P / P_l)           nats
//! jsd_bits(l)    = JSD of two tasks' P_l                   bits, 0..1
//! onset          = the first captured layer from which on jsd_bits(l) is at least half the JSD of the
//!                  two tasks' P, in every captured layer
//! ```
//!
//! in float64 from float32 scores, over the whole vocabulary. The final layer norm is applied here,
//! once: no stored activations have passed it, not even the last block's, whose `P_l` is `P`.
//!
//! The blocks were not trained to be read off early: in early layers the lens is unreliable, and a
//! small `jsd_bits` there says little (Belrose et al. 2023, arXiv 2303.08112). `kl_to_final` has the
//! direction of that paper. The onset is only that of what can be read off in this way, and it needs
//! outputs that differ: below [`JSD_FLOOR`] there is none.
//!
//! Reads `prompts`, `activations` and `logits`, writes `logit_lens` (every prompt) and
//! `logit_lens_divergence` (pairs of tasks, first wordings). Needs the model's head. nostalgebraist
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
    ACTIVATIONS, LOGIT_LENS, LOGIT_LENS_DIVERGENCE, LOGITS, LogitLensDivergenceRow, LogitLensRow,
    PROMPTS,
};
use crate::yaml::{Path, Problems};
use read::Reader;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "lens",
    version: 2,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS, &ACTIVATIONS, &LOGITS],
    reads_if_there: &[],
    writes: &[&LOGIT_LENS, &LOGIT_LENS_DIVERGENCE],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: true, lineage: false },
};

/// Outputs less apart than this, in bits, count as equal: an error of a thousandth in each score
/// gives less.
pub const JSD_FLOOR: f64 = 1e-6;

/// Reads off every captured layer what the model would say if it ended there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Valid when the model has a head.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Lens> {
        head::check("lens", at, facts, problems).map(|()| Lens {})
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Lens {}

impl Stage for Lens {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "jsd_floor": JSD_FLOOR })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let reader = Reader::open(context, &prompts)?;
        let mut lenses = Vec::new();
        let mut pairs = Vec::new();
        for inputs in reader.chunks(&inputs) {
            for of_input in reader.read(inputs)? {
                lenses.extend(of_input.lenses);
                pairs.extend(of_input.pairs);
            }
            let amount = inputs.len() as u64;
            context.advance(&DESCRIPTION, amount);
        }
        let lenses: Vec<LogitLensRow<'_>> = lenses.iter().map(rows::PromptLens::row).collect();
        let parts = vec![
            LogitLensRow::write(context.store, context.part, &lenses)?,
            LogitLensDivergenceRow::write(context.store, context.part, &pairs)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

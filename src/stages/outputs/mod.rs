//! What the model would say next, task against task: how far the distributions lie apart, and which
//! tokens make the difference.
//!
//! With `p` and `q` the softmax of two prompts' logits over the whole vocabulary, `m = (p + q) / 2`:
//!
//! ```text
//! jsd_bits        = ½ Σ [p log2(p/m) + q log2(q/m)]     bits, 0..1; a token's contribution: its term
//! kl_ab           = Σ p ln(p/q)                         nats
//! total_variation = ½ Σ |p - q|                         0..1
//! entropy         = -Σ p log2 p                         bits
//! overlap_k       = tokens that both have among their k most probable, over k
//! rbo             = rank-biased overlap of the 100 most probable, persistence 0.9
//! ```
//!
//! in float64 from float32 logits; equally probable tokens rank by id. The pairs are those of the
//! tasks' first wordings (`output_divergence`, `output_divergence_token`). Whether the task causes a
//! divergence shows only beside other divergences of the same input: table `output_contrast` has the
//! mean JSD of prompts of different tasks, of wordings of one task, and of each task and its
//! controls; `output_wording_pairs` has that of all pairs of the tasks' prompts one by one, for the
//! test that deals the wordings out to the tasks again.
//!
//! Reads `prompts` and `logits`. Each prompt's softmax and ranking are made once for all its pairs;
//! one input's are in memory at a time. Lin 1991 (JSD); Webber, Moffat and Zobel 2010 (rank-biased
//! overlap).

mod compare;
mod contrast;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::compare::{Contribution, Reader};
use self::contrast::{Contrasted, Wordings};
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    LOGITS, OUTPUT_CONTRAST, OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN, OUTPUT_WORDING_PAIRS,
    OutputContrastRow, OutputDivergenceRow, OutputDivergenceTokenRow, OutputWordingPairsRow,
    PROMPTS,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "outputs",
    version: 3,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS, &LOGITS],
    reads_if_there: &[],
    writes: &[
        &OUTPUT_DIVERGENCE,
        &OUTPUT_DIVERGENCE_TOKEN,
        &OUTPUT_CONTRAST,
        &OUTPUT_WORDING_PAIRS,
    ],
    file: None,
    depends_on: DependsOn { layers: false, seed: false, head: false, lineage: false },
};

/// Compares what the model says next under every pair of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tokens to list for each pair of tasks, those that add most to their divergence.
    pub top_tokens: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { top_tokens: 20 }
    }
}

impl Config {
    /// Valid when `top_tokens` can be a rank; 0 lists none.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Outputs> {
        let top_tokens = self.top_tokens;
        if i16::try_from(top_tokens).is_ok() {
            return Some(Outputs { top_tokens });
        }
        problems.push(
            &at.key("top_tokens"),
            format!("top_tokens {top_tokens} is not between 0 and {}", i16::MAX),
            "it is how many tokens are listed for each pair of tasks; 20 when it is left out",
        );
        None
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Outputs {
    top_tokens: usize,
}

impl Stage for Outputs {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "top_tokens": self.top_tokens })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let reader = Reader::open(context, &prompts, self.top_tokens)?;
        let (mut pairs, mut tokens) = (Vec::new(), Vec::new());
        let (mut contrasts, mut wordings) = (Vec::new(), Vec::new());
        for input in inputs {
            context.go_on()?;
            let of_input = reader.compare(input)?;
            pairs.extend(of_input.pairs);
            tokens.extend(of_input.tokens);
            contrasts.extend(of_input.contrasts);
            wordings.push(of_input.wordings);
            context.advance(&DESCRIPTION, 1);
        }
        let tokens: Vec<_> = tokens.iter().map(Contribution::row).collect();
        let contrasts: Vec<_> = contrasts.iter().map(Contrasted::row).collect();
        let wordings: Vec<_> = wordings.iter().map(Wordings::row).collect();
        let (store, part) = (context.store, context.part);
        let parts = vec![
            OutputDivergenceRow::write(store, part, &pairs)?,
            OutputDivergenceTokenRow::write(store, part, &tokens)?,
            OutputContrastRow::write(store, part, &contrasts)?,
            OutputWordingPairsRow::write(store, part, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

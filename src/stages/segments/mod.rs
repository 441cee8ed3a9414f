//! Where the last token's attention goes, by what stands there; and how far two tasks spread it
//! differently.
//!
//! In many models position 0 draws attention whatever stands there (a "sink"; Xiao et al. 2023, arXiv
//! 2309.17453; stage `sinks` says whether it does), so it is counted alone and belongs to no segment; the
//! names below call it the sink. Every other token belongs to the task, the
//! template, the input or the tail (the template after the input), and with `α` one head's weights:
//!
//! ```text
//! mass(segment) = Σ α(t), t in the segment          the five sum to 1
//! support       = (sink, task, template, input token 1, ..., input token S, tail)
//! jsd_full      = JSD of two tasks' masses over the support                      bits, 0..1
//! jsd_no_sink   = the same without the sink, each side made to sum to 1
//! jsd_input     = the same over the input's tokens only
//! overlap       = Σ min(p, q) over the support = 1 - total variation
//! ```
//!
//! in float64 from the stored float32. The support is shared by prompts of any length, so nothing is
//! cut off and no token is compared with another one; both prompts must have the same token ids of
//! the input (else `no_alignment`). Where less than 0.001 is left on either side there is nothing to
//! compare (`low_mass`). Head -1 is the mean over the heads that have a value: the JSD of the mean
//! weights would be smaller (it is convex) and would hide heads that move in opposite ways.
//! `attention_wording_pairs` has the same mean of the three JSDs for all pairs of the tasks' prompts,
//! in all wordings: two tasks may spread attention differently just as two wordings of one do.
//!
//! Attention is not importance: a head may look where little is read off (Kobayashi et al. 2020,
//! arXiv 2004.10102). Reads `prompts` and `attention`, writes `attention_mass` (every prompt),
//! `attention_divergence` (pairs of tasks, first wordings) and `attention_wording_pairs`.

mod rows;
mod support;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::rows::{OfInput, Scheme};
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::read::weights;
pub use crate::stage::read::weights::Heads;
use crate::stage::read::weights::Weights;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ATTENTION, ATTENTION_DIVERGENCE, ATTENTION_MASS, ATTENTION_WORDING_PAIRS,
    AttentionDivergenceRow, AttentionMassRow, AttentionWordingPairsRow, PROMPTS,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "segments",
    version: 3,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS, &ATTENTION],
    reads_if_there: &[],
    writes: &[&ATTENTION_MASS, &ATTENTION_DIVERGENCE, &ATTENTION_WORDING_PAIRS],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// A head's sink is position 0 when that takes more than this: the epsilon of Gu et al. 2024, "When
/// attention sink emerges in language models" (arXiv 2410.10781), who average over all queries of a
/// head; here it is the last query's attention alone.
const SINK_THRESHOLD: f64 = 0.3;

/// Measures how attention falls on task, template, input and first token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which heads have rows.
    pub heads: Heads,
}

impl Default for Config {
    fn default() -> Self {
        Self { heads: Heads::All }
    }
}

impl Config {
    /// Every configuration is valid.
    pub fn validate(
        &self,
        _at: &Path,
        _facts: &Facts,
        _problems: &mut Problems,
    ) -> Option<Segments> {
        Some(Segments { heads: self.heads })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Segments {
    heads: Heads,
}

impl Stage for Segments {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "heads": self.heads, "sink_threshold": SINK_THRESHOLD })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let part = weights::read(context)?;
        let weights = Weights::of(&part, context.card.n_head)?;
        let scheme = Scheme {
            spans: weights.spans(&prompts)?,
            weights,
            layers: weights::layers(context.layers, context.card.n_layer),
            n_head: context.card.n_head,
            heads: self.heads,
        };
        let found = inputs.into_par_iter().map(|input| {
            context.go_on()?;
            let of_input = scheme.of_input(input)?;
            context.advance(&DESCRIPTION, 1);
            Ok(of_input)
        });
        let found: Vec<OfInput<'_>> = found.collect::<Result<_, StageError>>()?;
        let (mut masses, mut divergences, mut wordings) = (Vec::new(), Vec::new(), Vec::new());
        for of_input in found {
            masses.extend(of_input.masses);
            divergences.extend(of_input.divergences);
            wordings.extend(of_input.wordings);
        }
        let wordings: Vec<_> = wordings.iter().map(AttentionWordingPairsRow::from).collect();
        let parts = vec![
            AttentionMassRow::write(context.store, context.part, &masses)?,
            AttentionDivergenceRow::write(context.store, context.part, &divergences)?,
            AttentionWordingPairsRow::write(context.store, context.part, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

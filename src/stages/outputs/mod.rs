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
//! tasks' first wordings (`output_divergence`, `output_divergence_token`). Whether a divergence is
//! the task's doing shows beside others of the same input: table `output_contrast` has the mean JSD
//! of prompts of different tasks, of wordings of one task, and of each task against its controls;
//! `output_wording_pairs` has that of all pairs of the tasks' prompts one by one, for the test that
//! deals the wordings out to the tasks anew.
//!
//! Reads `prompts` and `logits`. Each prompt's softmax and ranking are made once for all its pairs;
//! one input's are in memory at a time. Lin 1991 (JSD); Webber, Moffat and Zobel 2010 (rank-biased
//! overlap).

mod compare;
mod contrast;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::compare::{PairRow, Reader, TokenRow};
use self::contrast::{ContrastRow, WordingRow};
use crate::monitor::Event;
use crate::run_dir::receipt::PartStats;
use crate::stage::columns::Columns;
use crate::stage::names::JSD_BITS;
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::TableError;
use crate::table::schema::{
    LOGITS, OUTPUT_CONTRAST, OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN, OUTPUT_WORDING_PAIRS,
    PROMPTS,
};
use crate::table::writer::{PartAddress, write_part};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "outputs",
    version: 2,
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
        let (stage, unit, shard) = (DESCRIPTION.kind, DESCRIPTION.unit, Some(context.part));
        context.monitor.event(&Event::StageStarted { stage, shard, total: units, unit });
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
            context.monitor.event(&Event::Advanced { stage, amount: 1 });
        }
        let parts = vec![
            write_pairs(context, &pairs)?,
            write_tokens(context, &tokens)?,
            write_contrasts(context, &contrasts)?,
            write_wordings(context, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

fn write_pairs(context: &Context<'_>, rows: &[PairRow<'_>]) -> Result<PartStats, TableError> {
    let columns = Columns::of(rows)
        .texts(|row| row.pair.input.scenario())
        .texts(|row| row.pair.input.input())
        .texts(|row| row.pair.a())
        .texts(|row| row.pair.b())
        .float64s(|row| row.numbers.map(|n| n.divergences.jsd_bits))
        .float64s(|row| row.numbers.map(|n| n.divergences.kl_ab))
        .float64s(|row| row.numbers.map(|n| n.divergences.kl_ba))
        .float64s(|row| row.numbers.map(|n| n.divergences.total_variation))
        .float64s(|row| row.numbers.map(|n| n.entropy_bits.0))
        .float64s(|row| row.numbers.map(|n| n.entropy_bits.1))
        .maybe_int16s(|row| row.numbers.map(|n| i16::from(n.same_top)))
        .float64s(|row| row.numbers.map(|n| n.overlaps[0]))
        .float64s(|row| row.numbers.map(|n| n.overlaps[1]))
        .float64s(|row| row.numbers.map(|n| n.overlaps[2]))
        .float64s(|row| row.numbers.map(|n| n.rbo.extrapolated))
        .float64s(|row| row.numbers.map(|n| n.rbo.minimum))
        .float64s(|row| row.numbers.map(|n| n.rbo.residual))
        .texts(|row| row.status);
    let address = PartAddress::new(&OUTPUT_DIVERGENCE, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

fn write_tokens(context: &Context<'_>, rows: &[TokenRow<'_>]) -> Result<PartStats, TableError> {
    let columns = Columns::of(rows)
        .texts(|row| row.pair.input.scenario())
        .texts(|row| row.pair.input.input())
        .texts(|row| row.pair.a())
        .texts(|row| row.pair.b())
        .int16s(|row| row.rank)
        .int32s(|row| row.token_id)
        .texts(|row| &row.token)
        .float64s(|row| Some(row.probabilities.0))
        .float64s(|row| Some(row.probabilities.1))
        .float64s(|row| Some(row.contribution_bits));
    let address = PartAddress::new(&OUTPUT_DIVERGENCE_TOKEN, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

fn write_contrasts(
    context: &Context<'_>,
    rows: &[ContrastRow<'_>],
) -> Result<PartStats, TableError> {
    let columns = Columns::of(rows)
        .texts(|row| row.input.scenario())
        .texts(|row| row.input.input())
        .texts(|_| JSD_BITS)
        .texts(|row| row.contrast)
        .float64s(|row| row.value)
        .int64s(|row| row.n_pairs)
        .texts(|row| row.status);
    let address = PartAddress::new(&OUTPUT_CONTRAST, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

fn write_wordings(context: &Context<'_>, rows: &[WordingRow<'_>]) -> Result<PartStats, TableError> {
    let columns = Columns::of(rows)
        .texts(|row| row.input.scenario())
        .texts(|row| row.input.input())
        .texts(|_| JSD_BITS)
        .int32_lists(|row| &row.tasks)
        .maybe_float64_lists(|row| row.values.as_deref())
        .texts(|row| row.status);
    let address = PartAddress::new(&OUTPUT_WORDING_PAIRS, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

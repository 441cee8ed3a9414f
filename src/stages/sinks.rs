//! Which positions of a prompt are sinks: vectors far longer than the others, and tokens that the last one
//! looks at whatever they say.
//!
//! ```text
//! norm       = ‖x(t)‖                     of the block's output at position t
//! norm_ratio = norm / median over the prompt's positions
//! norm_share = norm² / Σ norm²            over the prompt's positions
//! attention  = mean over the heads of the last token's weight on t
//!
//! norm sink       norm_ratio > 3          (setting `norm_ratio`)
//! attention sink  attention > 0.3         (setting `attention`), and t is not the last token itself
//! ```
//!
//! in float64 from the stored float32; of an even number of positions the median is the mean of the two in
//! the middle. Only the sinks have rows, and position 0, so that its share is known where it is none.
//!
//! A few tokens of a prompt, most often its first, have activations that are orders of magnitude longer
//! than the others and hardly depend on the text (Sun et al. 2024, "Massive activations in large language
//! models", arXiv 2402.17762), and heads put their attention there when there is nothing to look for (Xiao
//! et al. 2023, arXiv 2309.17453). Gu et al. 2024 (arXiv 2410.10781) call a position a sink of a head that
//! gives it more than 0.3, mean over all queries; here there is one query and the mean over the heads, which
//! is stricter. The last token is left out: what it gives itself is no sink, and the mean over queries has
//! hardly anything of it. One query cannot tell a sink from a word that the answer is read from: `kind` says
//! which of the two signs there are, and a norm sink is one whatever is asked.
//!
//! Reads `prompts`, `activations` and `attention`, writes `sinks`. Cost: one pass over the activations.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::stage::read::hidden::{Layer, by_input_and_layer};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::read::weights::{self, Weights};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{ACTIVATIONS, ATTENTION, PROMPTS, SINKS, SinksRow};
use crate::table::status;
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "sinks",
    version: 1,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS, &ATTENTION],
    reads_if_there: &[],
    writes: &[&SINKS],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// Finds the positions whose vectors are far longer than the others, or that the last token looks at
/// whatever they say.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A position is a norm sink when its vector is longer than so many times the median of its prompt's.
    pub norm_ratio: f64,
    /// A position is an attention sink when the last token gives it more than this share of its attention,
    /// mean over the heads.
    pub attention: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { norm_ratio: 3.0, attention: 0.3 }
    }
}

impl Config {
    /// Valid when some positions can be sinks and others not.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Sinks> {
        let Self { norm_ratio, attention } = *self;
        let is_ratio = norm_ratio > 1.0 && norm_ratio.is_finite();
        if !is_ratio {
            problems.push(
                &at.key("norm_ratio"),
                format!("norm_ratio {norm_ratio} is not above 1"),
                "half of a prompt's positions are longer than its median; 3 is the default",
            );
        }
        let is_share = attention > 0.0 && attention < 1.0;
        if !is_share {
            problems.push(
                &at.key("attention"),
                format!("attention {attention} is not a share between 0 and 1"),
                "it is how much of the last token's attention a sink takes; 0.3 is the default",
            );
        }
        (is_ratio && is_share).then_some(Sinks { norm_ratio, attention })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Sinks {
    norm_ratio: f64,
    attention: f64,
}

/// Whether a position is a sink, and by which sign: the words of column `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Norm,
    Attention,
    Both,
}

impl Kind {
    fn of(is_norm: bool, is_attention: bool) -> Self {
        match (is_norm, is_attention) {
            (false, false) => Self::None,
            (true, false) => Self::Norm,
            (false, true) => Self::Attention,
            (true, true) => Self::Both,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Norm => "norm",
            Self::Attention => "attention",
            Self::Both => "both",
        }
    }
}

/// A position of one prompt on one layer.
#[derive(Debug, Clone, Copy)]
struct Found {
    position: usize,
    norm: f64,
    /// `None` where half of the positions or more have no length.
    norm_ratio: Option<f64>,
    /// `None` where no position has a length.
    norm_share: Option<f64>,
    attention: f64,
    kind: Kind,
}

/// What was found of one prompt on one layer; `None` when it did not run.
type OfPrompt = Option<Vec<Found>>;

impl Stage for Sinks {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "norm_ratio": self.norm_ratio, "attention": self.attention })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let part = weights::read(context)?;
        let weights = Weights::of(&part, context.card.n_head)?;
        let spans = weights.spans(&prompts)?;
        let found =
            by_input_and_layer(context, DESCRIPTION.kind, &prompts, &inputs, |layer, input| {
                self.of_input(layer, *input, &weights, &spans)
            })?;
        let rows = rows(context, &inputs, &found);
        let rows: Vec<SinksRow<'_>> = rows.iter().map(Row::row).collect();
        let part = SinksRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

impl Sinks {
    /// What is found of each of an input's prompts on one layer.
    fn of_input(
        &self,
        layer: &Layer,
        input: InputGroup<'_>,
        weights: &Weights<'_>,
        spans: &[Range<usize>],
    ) -> Result<Vec<OfPrompt>, StageError> {
        let prompts: Vec<&PromptRow> = input.prompts.iter().collect();
        let of_each = prompts.iter().zip(layer.of(&prompts)?).map(|(prompt, vectors)| {
            let Some(vectors) = vectors else { return Ok(None) };
            let heads = weights.of_layer(spans[prompt.run_index].clone(), layer.number, prompt)?;
            Ok(Some(self.find(vectors, layer.width, &mean(&heads))))
        });
        of_each.collect()
    }

    /// The sinks among a prompt's positions, and position 0, ascending.
    fn find(&self, vectors: &[f32], width: usize, attention: &[f64]) -> Vec<Found> {
        let norms: Vec<f64> = vectors.chunks_exact(width).map(math::norm).collect();
        let squares: f64 = norms.iter().map(|norm| norm * norm).sum();
        let median = math::median(&norms).filter(|median| *median > 0.0);
        let found =
            norms.iter().zip(attention).enumerate().map(|(position, (&norm, &attention))| {
                let norm_ratio = median.map(|median| norm / median);
                let is_norm = norm_ratio.is_some_and(|ratio| ratio > self.norm_ratio);
                let is_attention = attention > self.attention && position + 1 < norms.len();
                Found {
                    position,
                    norm,
                    norm_ratio,
                    norm_share: (squares > 0.0).then(|| norm * norm / squares),
                    attention,
                    kind: Kind::of(is_norm, is_attention),
                }
            });
        found.filter(|found| found.position == 0 || found.kind != Kind::None).collect()
    }
}

/// The mean over the heads of their weights on each position.
fn mean(heads: &[&[f32]]) -> Vec<f64> {
    let mut sums = vec![0.0; heads.first().map_or(0, |weights| weights.len())];
    for weights in heads {
        for (sum, weight) in sums.iter_mut().zip(*weights) {
            *sum += f64::from(*weight);
        }
    }
    sums.into_iter().map(|sum| sum / heads.len() as f64).collect()
}

/// A row to be written.
struct Row<'p> {
    prompt: &'p PromptRow,
    layer: i16,
    token: Option<String>,
    /// `None` when the prompt did not run.
    found: Option<Found>,
}

/// The rows of a shard: prompts in the order of the plan, layers ascending, then positions.
fn rows<'p>(
    context: &Context<'_>,
    inputs: &[InputGroup<'p>],
    found: &[Vec<OfPrompt>],
) -> Vec<Row<'p>> {
    let mut rows = Vec::new();
    let by_input = found.chunks(context.layers.len().max(1));
    for (input, by_layer) in inputs.iter().zip(by_input) {
        for (place, prompt) in input.prompts.iter().enumerate() {
            for (&layer, of_layer) in context.layers.iter().zip(by_layer) {
                let Some(found) = &of_layer[place] else {
                    rows.push(Row { prompt, layer, token: None, found: None });
                    continue;
                };
                rows.extend(found.iter().map(|found| {
                    let token = context.tokenizer.decode_token(prompt.token_ids[found.position]);
                    Row { prompt, layer, token: Some(token), found: Some(*found) }
                }));
            }
        }
    }
    rows
}

impl Row<'_> {
    fn row(&self) -> SinksRow<'_> {
        let Self { prompt, layer, token, found } = self;
        let position = found.map_or(0, |found| found.position);
        let status = match found {
            None => status::SKIPPED,
            Some(found) if found.norm_ratio.is_none() => status::ZERO_NORM,
            Some(_) => status::OK,
        };
        SinksRow {
            scenario: &prompt.key.scenario,
            input: &prompt.key.input,
            task: &prompt.key.task,
            wording: prompt.key.wording,
            layer: *layer,
            position: position as i32,
            token_id: found.map(|_| prompt.token_ids[position]),
            token: token.as_deref(),
            segment: found.and_then(|_| prompt.segments.get(position..=position)),
            norm: found.map(|found| found.norm),
            norm_ratio: found.and_then(|found| found.norm_ratio),
            norm_share: found.and_then(|found| found.norm_share),
            attention: found.map(|found| found.attention),
            kind: found.map(|found| found.kind.word()),
            status,
        }
    }
}

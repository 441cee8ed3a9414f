//! One vector per prompt and site, for the measures that compare many inputs at once: partition of
//! variance and geometry.
//!
//! `span` is the mean over the input's own tokens, position 0 left out, in float64 and stored as
//! float32; `last` is the prompt's last token, as stored. One row for each prompt of a task, in all
//! wordings; the controls are left out. Of a scenario with more inputs than `max_inputs` about that
//! many are taken, drawn by the seed.
//!
//! What a mean over tokens hides goes into `token_spread`: how far the input's tokens, one by one,
//! differ from it alone, with the task and with the wording. That is all that the partition of variance
//! needs of the tokens beside their means ([`crate::math::CentredCells`]), in three vectors an input in
//! place of one a token and prompt, which would take as much room as the activations do. Only inputs
//! whose tokens can be compared in all prompts have it.
//!
//! Reads `prompts` and `activations`, writes `vectors` and `token_spread`, one file a layer each. Size:
//! 8 bytes a dimension, prompt and layer, and 12 bytes a dimension, input and layer.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::ArrayRef;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::within_units;
use crate::stage::compare::spans::Spans;
use crate::stage::read::hidden::Layer;
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{ACTIVATIONS, PROMPTS, TOKEN_SPREAD, VECTORS};
use crate::table::writer::{PartAddress, write_part};
use crate::table::{raw, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "vectors",
    version: 2,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[],
    writes: &[&VECTORS, &TOKEN_SPREAD],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

/// Keeps a vector or two of each prompt, for the measures over many inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many inputs of a scenario to take at most, drawn by the seed.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_inputs: 1000 }
    }
}

impl Config {
    /// Valid when some input is taken.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Vectors> {
        if self.max_inputs > 0 {
            return Some(Vectors { max_inputs: self.max_inputs });
        }
        problems.push(
            &at.key("max_inputs"),
            "max_inputs 0 takes no input",
            "it is about how many inputs of a scenario are taken; 1000 is the default",
        );
        None
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Vectors {
    max_inputs: u64,
}

impl Stage for Vectors {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    /// Empty: the share of the inputs that it makes is what counts.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let mut inputs = prompts.inputs();
        inputs.retain(|input| context.takes(input.scenario(), input.input()));
        let inputs: Vec<Input<'_>> = inputs.into_iter().map(Input::of).collect();
        let (own, tokens) = (Columns::of_prompts(&inputs), Columns::of_tokens(&inputs));
        let write = |&layer: &i16| {
            let layer = Layer::read(context, layer, &prompts)?;
            let (vectors, spread) = vectors(context, &layer, &inputs)?;
            let part = |table, columns: &Columns, values| {
                let address = PartAddress { table, layer: Some(layer.number), part: context.part };
                let columns = columns.with(layer.number, raw::fixed_lists(values, layer.width));
                write_part(context.store, address, context.dims(), columns)
            };
            let parts = [part(&VECTORS, &own, vectors)?, part(&TOKEN_SPREAD, &tokens, spread)?];
            context.advance(&DESCRIPTION, 1);
            Ok(parts)
        };
        let parts = context.layers.par_iter().map(write).collect::<Vec<_>>();
        let parts = parts.into_iter().collect::<Result<Vec<_>, StageError>>()?;
        // Table after table.
        let (vectors, spread): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|[vectors, spread]| (vectors, spread)).unzip();
        Ok(Outcome { parts: [vectors, spread].concat(), units, ..Outcome::default() })
    }
}

/// The prompts of one input that have vectors, whatever the layer.
#[derive(Debug)]
struct Input<'p> {
    prompts: Vec<&'p PromptRow>,
    /// For each prompt the tokens whose mean is `span`, and the status of its vectors.
    spans: Vec<Option<Range<usize>>>,
    statuses: Vec<[&'static str; 2]>,
    /// How many wordings each task has.
    wordings: Vec<usize>,
    /// The tokens that stand in all spans, or why there are none.
    tokens: Result<usize, &'static str>,
}

impl<'p> Input<'p> {
    fn of(input: InputGroup<'p>) -> Self {
        let (prompts, spans) = (input.tasks(), Spans::of(input));
        let span = |prompt: &&PromptRow| {
            let span = prompt.input.clone().filter(|_| spans.refusal(prompt).is_none())?;
            // In many models position 0 is a sink, which says nothing about the input.
            let span = span.start.max(1)..span.end;
            (prompt.ran && !span.is_empty()).then_some(span)
        };
        let spans: Vec<Option<Range<usize>>> = prompts.iter().map(span).collect();
        let statuses = prompts.iter().zip(&spans).map(|(prompt, span)| match (prompt.ran, span) {
            (false, _) => [status::SKIPPED; 2],
            (true, None) => [status::NO_ALIGNMENT, status::OK],
            (true, Some(_)) => [status::OK; 2],
        });
        let tasks = prompts.chunk_by(|a, b| a.key.task == b.key.task);
        Self {
            statuses: statuses.collect(),
            wordings: tasks.map(<[_]>::len).collect(),
            tokens: common_tokens(&prompts, &spans),
            spans,
            prompts,
        }
    }
}

/// How many tokens all spans have, or why they cannot be compared one by one.
fn common_tokens(
    prompts: &[&PromptRow],
    spans: &[Option<Range<usize>>],
) -> Result<usize, &'static str> {
    if prompts.iter().any(|prompt| !prompt.ran) {
        return Err(status::SKIPPED);
    }
    let mut lengths = spans.iter().map(|span| span.as_ref().map(ExactSizeIterator::len));
    // Where a span starts at position 0 it has lost that token, and no other lines up.
    let first = lengths.next().flatten().ok_or(status::NO_ALIGNMENT)?;
    let is_common = lengths.all(|length| length == Some(first));
    is_common.then_some(first).ok_or(status::NO_ALIGNMENT)
}

/// The two vectors of a prompt, as column `site` names them.
const SITES: [&str; 2] = ["span", "last"];

/// What the tokens of an input vary by, as column `part` of `token_spread` names it.
const PARTS: [&str; 3] = ["input", "task", "wording"];

/// The columns of a table beside its vectors, the same on every layer.
#[derive(Debug)]
struct Columns {
    keys: Vec<ArrayRef>,
    before: Vec<ArrayRef>,
    after: ArrayRef,
}

impl Columns {
    /// The prompts' keys, their sites and the status of their vectors.
    fn of_prompts(inputs: &[Input<'_>]) -> Self {
        let prompts = || inputs.iter().flat_map(|input| &input.prompts);
        let statuses = inputs.iter().flat_map(|input| input.statuses.iter().copied().flatten());
        Self {
            keys: raw::keys(prompts().flat_map(|prompt| SITES.map(|_| &prompt.key))),
            before: vec![raw::cells(prompts().flat_map(|_| SITES))],
            after: raw::cells(statuses),
        }
    }

    /// The inputs' keys, the parts of what their tokens vary by, how many tokens, and the status.
    fn of_tokens(inputs: &[Input<'_>]) -> Self {
        let rows = || inputs.iter().flat_map(|input| PARTS.map(|part| (input, part)));
        let keys: Vec<_> =
            rows().filter_map(|(input, _)| Some(&input.prompts.first()?.key)).collect();
        Self {
            keys: vec![
                raw::cells(keys.iter().map(|key| &*key.scenario)),
                raw::cells(keys.iter().map(|key| &*key.input)),
            ],
            before: vec![
                raw::cells(rows().map(|(_, part)| part)),
                raw::cells(rows().map(|(input, _)| input.tokens.map_or(0, |n| n as i32))),
            ],
            after: raw::cells(rows().map(|(input, _)| input.tokens.err().unwrap_or(status::OK))),
        }
    }

    /// Those of one layer, with its vectors.
    fn with(&self, layer: i16, vectors: ArrayRef) -> Vec<ArrayRef> {
        let others = [self.before.clone(), vec![vectors, Arc::clone(&self.after)]].concat();
        raw::with_layer(&self.keys, layer, &others)
    }
}

/// The vectors of one layer: for each prompt the mean over its span and its last token, and for each
/// input what its tokens vary by; zeros where there are none.
fn vectors(
    context: &Context<'_>,
    layer: &Layer,
    inputs: &[Input<'_>],
) -> Result<(Vec<f32>, Vec<f32>), StageError> {
    let width = layer.width;
    let n_prompts: usize = inputs.iter().map(|input| input.prompts.len()).sum();
    let mut values: Vec<f32> = Vec::with_capacity(2 * n_prompts * width);
    let mut spread: Vec<f32> = Vec::with_capacity(PARTS.len() * inputs.len() * width);
    let mut means: Vec<f64> = Vec::new();
    for input in inputs {
        context.go_on()?;
        let prompts = layer.of(&input.prompts)?;
        means.clear();
        for (tokens, span) in prompts.iter().zip(&input.spans) {
            let mean = means.len();
            means.resize(mean + width, 0.0);
            let own = span.as_ref().zip(*tokens).map(|(span, tokens)| of_span(tokens, span, width));
            for token in own.unwrap_or_default().chunks_exact(width.max(1)) {
                for (sum, value) in means[mean..].iter_mut().zip(token) {
                    *sum += f64::from(*value);
                }
            }
            let count = span.as_ref().map_or(1, ExactSizeIterator::len) as f64;
            means[mean..].iter_mut().for_each(|sum| *sum /= count);
            values.extend(means[mean..].iter().map(|mean| *mean as f32));
            let last =
                tokens.and_then(|tokens| tokens.len().checked_sub(width).map(|at| &tokens[at..]));
            let first = values.len();
            values.resize(first + width, 0.0);
            if let Some(last) = last {
                values[first..].copy_from_slice(last);
            }
        }
        let cells: Vec<&[f32]> = prompts
            .iter()
            .zip(&input.spans)
            .filter_map(|(tokens, span)| Some(of_span((*tokens)?, span.as_ref()?, width)))
            .collect();
        if input.tokens.is_ok() {
            let parts = within_units(&cells, &means, &input.wordings, width);
            for part in &parts {
                spread.extend_from_slice(part);
            }
        } else {
            spread.resize(spread.len() + PARTS.len() * width, 0.0);
        }
    }
    Ok((values, spread))
}

/// The activations of a span.
fn of_span<'t>(tokens: &'t [f32], span: &Range<usize>, width: usize) -> &'t [f32] {
    &tokens[span.start * width..span.end * width]
}

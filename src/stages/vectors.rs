//! One vector per prompt and site, for the measures that compare many inputs at once: partition of
//! variance and geometry.
//!
//! `span` is the mean over the input's own tokens, position 0 left out, in float64 and stored as
//! float32; `last` is the prompt's last token, as stored. One row for each prompt of a task, in all
//! wordings; the controls are left out. Of a scenario with more inputs than `max_inputs` about that
//! many are taken, drawn by the seed. Reads `prompts` and `activations`, writes `vectors`, one file
//! a layer. Size: 8 bytes a dimension, prompt and layer.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::compare::spans::Spans;
use crate::stage::read::hidden::Layer;
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{ACTIVATIONS, PROMPTS, VECTORS};
use crate::table::writer::{PartAddress, write_part};
use crate::table::{raw, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "vectors",
    version: 1,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[],
    writes: &[&VECTORS],
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
        let (keys, sites, statuses) = columns(&inputs);
        let write = |&layer: &i16| {
            let layer = Layer::read(context, layer, &prompts)?;
            let vectors = vectors(context, &layer, &inputs)?;
            let others = [Arc::clone(&sites), vectors, Arc::clone(&statuses)];
            let columns = raw::with_layer(&keys, layer.number, &others);
            let address =
                PartAddress { table: &VECTORS, layer: Some(layer.number), part: context.part };
            let part = write_part(context.store, address, context.dims(), columns)?;
            context.advance(&DESCRIPTION, 1);
            Ok(part)
        };
        let parts = context.layers.par_iter().map(write).collect::<Vec<_>>();
        let parts = parts.into_iter().collect::<Result<_, StageError>>()?;
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// The prompts of one input that have vectors, whatever the layer.
#[derive(Debug)]
struct Input<'p> {
    prompts: Vec<&'p PromptRow>,
    /// For each prompt the tokens whose mean is `span`, and the status of its vectors.
    spans: Vec<Option<Range<usize>>>,
    statuses: Vec<[&'static str; 2]>,
}

impl<'p> Input<'p> {
    fn of(input: InputGroup<'p>) -> Self {
        let (prompts, spans) = (input.tasks(), Spans::of(input));
        let span = |prompt: &&PromptRow| {
            let span = prompt.input.clone().filter(|_| spans.refusal(prompt).is_none())?;
            // Position 0 says nothing about the input.
            let span = span.start.max(1)..span.end;
            (prompt.ran && !span.is_empty()).then_some(span)
        };
        let spans: Vec<Option<Range<usize>>> = prompts.iter().map(span).collect();
        let statuses = prompts.iter().zip(&spans).map(|(prompt, span)| match (prompt.ran, span) {
            (false, _) => [status::SKIPPED; 2],
            (true, None) => [status::NO_ALIGNMENT, status::OK],
            (true, Some(_)) => [status::OK; 2],
        });
        Self { statuses: statuses.collect(), spans, prompts }
    }
}

/// The two vectors of a prompt, as column `site` names them.
const SITES: [&str; 2] = ["span", "last"];

/// The prompts' keys, their sites and the status of their vectors, the same on every layer.
fn columns(inputs: &[Input<'_>]) -> (Vec<ArrayRef>, ArrayRef, ArrayRef) {
    let prompts = || inputs.iter().flat_map(|input| &input.prompts);
    let keys = raw::keys(prompts().flat_map(|prompt| SITES.map(|_| &prompt.key)));
    let sites = raw::cells(prompts().flat_map(|_| SITES));
    let statuses = inputs.iter().flat_map(|input| input.statuses.iter().copied().flatten());
    (keys, sites, raw::cells(statuses))
}

/// The vectors of one layer: for each prompt the mean over its span and its last token, zeros where
/// it has none.
fn vectors(
    context: &Context<'_>,
    layer: &Layer,
    inputs: &[Input<'_>],
) -> Result<ArrayRef, StageError> {
    let width = layer.width;
    let n_prompts: usize = inputs.iter().map(|input| input.prompts.len()).sum();
    let mut values: Vec<f32> = Vec::with_capacity(2 * n_prompts * width);
    let mut sums = vec![0.0; width];
    for input in inputs {
        context.go_on()?;
        for (tokens, span) in layer.of(&input.prompts)?.into_iter().zip(&input.spans) {
            let first = values.len();
            values.resize(first + 2 * width, 0.0);
            let (mean, last) = values[first..].split_at_mut(width);
            let Some(tokens) = tokens else { continue };
            if let Some(token) = tokens.len().checked_sub(width) {
                last.copy_from_slice(&tokens[token..]);
            }
            let Some(span) = span else { continue };
            sums.fill(0.0);
            for token in tokens[span.start * width..span.end * width].chunks_exact(width) {
                for (sum, value) in sums.iter_mut().zip(token) {
                    *sum += f64::from(*value);
                }
            }
            for (mean, sum) in mean.iter_mut().zip(&sums) {
                *mean = (sum / span.len() as f64) as f32;
            }
        }
    }
    Ok(raw::fixed_lists(values, width))
}

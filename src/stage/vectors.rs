//! One vector a prompt and site, for the measures that compare many inputs at once: partition of
//! variance and geometry.
//!
//! `span` is the mean over the input's own tokens, position 0 left out, in float64 and stored as
//! float32; `last` is the prompt's last token, as stored. One row for each prompt of a task, in all
//! wordings; the controls are left out. Of a scenario with more inputs than `max_inputs` about that
//! many are taken, drawn by the seed. Reads `prompts` and `activations`, writes `vectors`, one folder
//! a layer. Size: 8 bytes a dimension, prompt and layer.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::{Columns, fixed_lists};
use super::compare::Compared;
use super::hidden::Layer;
use super::prompts::{InputGroup, PromptRow, ShardPrompts};
use super::spans::Spans;
use super::vector_measure::Site;
use super::{Context, Facts, Outcome, Scope, Stage, StageError};
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::table::receipt::PartStats;
use crate::table::schema::{ACTIVATIONS, PROMPTS, Table, VECTORS};
use crate::table::status;
use crate::table::writer::{PartAddress, write_part};

const KIND: &str = "vectors";

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
    fn kind(&self) -> &'static str {
        KIND
    }

    fn version(&self) -> u32 {
        1
    }

    fn scope(&self) -> Scope {
        Scope::Shard
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn unit(&self) -> &'static str {
        "layers"
    }

    fn reads(&self) -> &'static [&'static Table] {
        &[&PROMPTS, &ACTIVATIONS]
    }

    fn writes(&self) -> &'static [&'static Table] {
        &[&VECTORS]
    }

    /// Empty: the share of the inputs that it makes is what counts.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.monitor.event(&Event::StageStarted {
            stage: KIND,
            shard: Some(context.part),
            total: units,
            unit: self.unit(),
        });
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let mut inputs = prompts.inputs();
        inputs.retain(|input| context.takes(input.scenario(), input.input()));
        let write = |&layer: &i16| {
            let part = write_layer(context, layer, &prompts, &inputs)?;
            context.monitor.event(&Event::Advanced { stage: KIND, amount: 1 });
            Ok(part)
        };
        let parts = context.layers.par_iter().map(write).collect::<Vec<_>>();
        let parts = parts.into_iter().collect::<Result<_, StageError>>()?;
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// One row of table `vectors`; its numbers stand apart.
#[derive(Debug)]
struct Row<'p> {
    prompt: &'p PromptRow,
    site: &'static str,
    status: &'static str,
}

fn write_layer(
    context: &Context<'_>,
    layer: i16,
    prompts: &ShardPrompts,
    inputs: &[InputGroup<'_>],
) -> Result<PartStats, StageError> {
    let layer = Layer::read(context, layer, prompts)?;
    let mut rows = Vec::new();
    let mut values: Vec<f32> = Vec::new();
    for &input in inputs {
        context.go_on()?;
        let (tasks, spans) = (input.tasks(), Spans::of(input));
        let compared = Compared::new(&tasks, &layer, &spans, None)?;
        for (i, prompt) in tasks.iter().enumerate() {
            for (site, name) in [(Site::Span, "span"), (Site::Last, "last")] {
                let vector = compared.vector(site, i);
                let is_refused = site == Site::Span && spans.refusal(prompt).is_some();
                let status = match &vector {
                    _ if !prompt.ran => status::SKIPPED,
                    Some(_) if !is_refused => status::OK,
                    _ => status::NO_ALIGNMENT,
                };
                let vector = vector.filter(|_| status == status::OK);
                let vector = vector.unwrap_or_else(|| vec![0.0; layer.width]);
                values.extend(vector.into_iter().map(|value| value as f32));
                rows.push(Row { prompt, site: name, status });
            }
        }
    }
    let mut columns = Columns::of(&rows)
        .texts(|row| &row.prompt.key.scenario)
        .texts(|row| &row.prompt.key.input)
        .texts(|row| &row.prompt.key.task)
        .int16s(|row| row.prompt.key.wording)
        .texts(|row| row.site)
        .finish();
    columns.push(fixed_lists(values, layer.width));
    columns.extend(Columns::of(&rows).texts(|row| row.status).finish());
    let address = PartAddress { table: &VECTORS, layer: Some(layer.number), part: context.part };
    Ok(write_part(context.store, address, context.dims(), columns)?)
}

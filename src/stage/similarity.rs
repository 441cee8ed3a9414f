//! How alike two tasks leave the same input, on every captured layer: the notebook's cosine, and
//! what should be looked at in its place.
//!
//! For every input, captured layer and pair of tasks (first wordings), with `a` and `b` the two
//! prompts' activations flattened token after token and both cut to the shorter prompt:
//!
//! ```text
//! flat = a·b / (max(‖a‖, 1e-8) · max(‖b‖, 1e-8))         in float64 from the stored float32
//! ```
//!
//! This compares position with position from the start of the prompt, so words that stand at
//! different places are compared with each other: it is the notebook's number, under its own name
//! (its section 4, `cosine_similarity`, also sections 5 and 8).
//!
//! The other measures compare what plays the same part in both prompts: the input's own tokens one by
//! one (`token`), their mean (`span`), the last token (`last`). Each as it is, `_centred` and
//! `_standardised` by table `reference`; and as relative distance (`_rel_l2`), difference of norms
//! (`_log_norm_ratio`) and share of the three largest dimensions (`_rogue_share`).
//!
//! Reads `prompts`, `activations` and, when there, `reference`; writes `similarity`. Cost: one pass
//! over the activations, and for each pair a dot product a token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::compare::{Cell, Compared};
use super::hidden::{Layer, by_input_and_layer};
use super::prompts::{InputGroup, ShardPrompts, pairs};
use super::spaces::Reference;
use super::spans::Spans;
use super::vector_measure::{Choice, Measure, chosen};
use super::{Context, Facts, Outcome, Scope, Stage, StageError};
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::table::schema::{ACTIVATIONS, PROMPTS, REFERENCE, SIMILARITY, Table};
use crate::table::writer::{PartAddress, write_part};

const KIND: &str = "similarity";

/// Compares the activations of every pair of tasks, input by input and layer by layer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to compare; `all` stands for every measure, and `flat`, the notebook's, is always among
    /// them.
    pub measures: Vec<Choice>,
}

impl Default for Config {
    fn default() -> Self {
        Self { measures: vec![Choice::Flat] }
    }
}

impl Config {
    /// Valid when every measure is named once.
    pub fn validate(
        &self,
        at: &Path,
        _facts: &Facts,
        problems: &mut Problems,
    ) -> Option<Similarity> {
        let at = at.key("measures");
        let every = (|_: &Measure| true, "");
        chosen(&self.measures, &at, every, problems)?;
        // The notebook's verdict rests on it, whatever else is asked for.
        let mut measures = self.measures.clone();
        if !measures.contains(&Choice::Flat) {
            measures.push(Choice::Flat);
        }
        Some(Similarity { measures: chosen(&measures, &at, every, problems)? })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Similarity {
    measures: Vec<Measure>,
}

impl Stage for Similarity {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn version(&self) -> u32 {
        3
    }

    fn scope(&self) -> Scope {
        Scope::Shard
    }

    fn unit(&self) -> &'static str {
        "layers"
    }

    fn reads(&self) -> &'static [&'static Table] {
        &[&PROMPTS, &ACTIVATIONS]
    }

    fn reads_if_there(&self) -> &'static [&'static Table] {
        &[&REFERENCE]
    }

    fn writes(&self) -> &'static [&'static Table] {
        &[&SIMILARITY]
    }

    fn settings(&self) -> serde_json::Value {
        let names: Vec<&str> = self.measures.iter().map(|measure| measure.name).collect();
        serde_json::json!({ "measures": names })
    }

    fn uses_seed(&self) -> bool {
        false
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
        let reference = Reference::read(context.store)?;
        let inputs = prompts.inputs();
        let rows = by_input_and_layer(context, KIND, &prompts, &inputs, |layer, input| {
            self.compare(layer, *input, &reference)
        })?;
        let rows = rows.concat();
        let columns = Columns::of(&rows)
            .texts(|row| row.scenario)
            .texts(|row| row.input)
            .int16s(|row| row.layer)
            .texts(|row| row.task_a)
            .texts(|row| row.task_b)
            .texts(|row| row.measure)
            .float64s(|row| row.cell.value)
            .int64s(|row| row.cell.n as i64)
            .texts(|row| row.cell.status);
        let address = PartAddress::new(&SIMILARITY, context.part);
        let part = write_part(context.store, address, context.dims(), columns.finish())?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// One row of table `similarity`.
#[derive(Debug, Clone, PartialEq)]
struct Row<'a> {
    scenario: &'a str,
    input: &'a str,
    layer: i16,
    task_a: &'a str,
    task_b: &'a str,
    measure: &'static str,
    cell: Cell,
}

impl Similarity {
    /// The rows of one input on one layer: by pair, then measure.
    fn compare<'p>(
        &self,
        layer: &Layer,
        input: InputGroup<'p>,
        reference: &Reference,
    ) -> Result<Vec<Row<'p>>, StageError> {
        let tasks = input.first_wordings();
        let spans = Spans::of(input);
        let compared = Compared::new(&tasks, layer, &spans, reference.layer(layer.number))?;
        let all: Vec<(usize, usize)> = pairs(tasks.len()).collect();
        let cells = compared.measure(&self.measures, &all);
        let mut rows = Vec::with_capacity(all.len() * self.measures.len());
        for (pair, &(a, b)) in all.iter().enumerate() {
            for (measure, cells) in self.measures.iter().zip(&cells) {
                rows.push(Row {
                    scenario: input.scenario(),
                    input: input.input(),
                    layer: layer.number,
                    task_a: &tasks[a].key.task,
                    task_b: &tasks[b].key.task,
                    measure: measure.name,
                    cell: cells[pair],
                });
            }
        }
        Ok(rows)
    }
}

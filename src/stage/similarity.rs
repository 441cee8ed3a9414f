//! How alike two tasks leave the same input: the notebook's cosine, on every captured layer.
//!
//! For every input, captured layer and pair of tasks (first wordings), with `a` and `b` the two
//! prompts' activations flattened token after token and both cut to the shorter prompt:
//!
//! ```text
//! flat = a·b / (max(‖a‖, 1e-8) · max(‖b‖, 1e-8))         in float64 from the stored float32
//! ```
//!
//! This compares position with position from the start of the prompt, so words that stand at
//! different places are compared with each other: it is the notebook's number, under its own name.
//! Reads `prompts` and `activations`, writes `similarity`. Each activation is read once from memory
//! for all pairs. Section 4 of the notebook (`cosine_similarity`), also sections 5 and 8.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::measure::FLAT;
use super::prompts::{InputGroup, ShardPrompts, pairs};
use super::{Context, Facts, Outcome, Scope, Stage, StageError};
use crate::math;
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::table::reader::read_part;
use crate::table::schema::{ACTIVATIONS, PROMPTS, SIMILARITY, Table};
use crate::table::status;
use crate::table::writer::{PartAddress, write_part};

const KIND: &str = "similarity";

/// Compares the activations of every pair of tasks, input by input and layer by layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Every configuration is valid.
    pub fn validate(
        &self,
        _at: &Path,
        _facts: &Facts,
        _problems: &mut Problems,
    ) -> Option<Similarity> {
        Some(Similarity {})
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Similarity {}

impl Stage for Similarity {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn version(&self) -> u32 {
        1
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

    fn writes(&self) -> &'static [&'static Table] {
        &[&SIMILARITY]
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "measures": [FLAT] })
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
        let rows = compare(context, &prompts)?;
        let columns = Columns::of(&rows)
            .texts(|row| row.scenario)
            .texts(|row| row.input)
            .int16s(|row| row.layer)
            .texts(|row| row.task_a)
            .texts(|row| row.task_b)
            .texts(|_| FLAT)
            .float64s(|row| row.value)
            .int64s(|row| row.n)
            .texts(|row| row.status);
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
    value: Option<f64>,
    n: i64,
    status: &'static str,
}

/// All rows of a shard: inputs in the order of the plan, then layers, then pairs.
fn compare<'p>(
    context: &Context<'_>,
    prompts: &'p ShardPrompts,
) -> Result<Vec<Row<'p>>, StageError> {
    let inputs = prompts.inputs();
    let by_layer = context
        .layers
        .par_iter()
        .map(|&layer| {
            let rows = compare_layer(context, layer, prompts, &inputs)?;
            context.monitor.event(&Event::Advanced { stage: KIND, amount: 1 });
            Ok(rows)
        })
        .collect::<Result<Vec<_>, StageError>>()?;
    let mut by_layer: Vec<_> = by_layer.into_iter().map(Vec::into_iter).collect();
    let mut rows = Vec::new();
    for _ in &inputs {
        rows.extend(by_layer.iter_mut().filter_map(Iterator::next).flatten());
    }
    Ok(rows)
}

/// The rows of one layer, input by input.
fn compare_layer<'p>(
    context: &Context<'_>,
    layer: i16,
    prompts: &ShardPrompts,
    inputs: &[InputGroup<'p>],
) -> Result<Vec<Vec<Row<'p>>>, StageError> {
    context.go_on()?;
    let address = PartAddress { table: &ACTIVATIONS, layer: Some(layer), part: context.part };
    let table = read_part(context.store, address, &["token_id", "values"])?;
    prompts.check_tokens(&table)?;
    let (values, width) = table.vectors("values")?;
    let rows = inputs.par_iter().map(|&input| {
        context.go_on()?;
        Ok(compare_input(input, layer, values, width))
    });
    let rows = rows.collect::<Result<Vec<_>, StageError>>()?;
    let is_finite = |row: &Row<'_>| row.value.is_none_or(f64::is_finite);
    match rows.iter().flatten().find(|row| !is_finite(row)) {
        Some(row) => {
            let (scenario, input) = (row.scenario, row.input);
            let problem =
                format!("has a value that is not finite in a prompt of {scenario}/{input}");
            Err(table.problem(problem).into())
        }
        None => Ok(rows),
    }
}

/// The pairs of one input on one layer.
fn compare_input<'p>(
    input: InputGroup<'p>,
    layer: i16,
    values: &[f32],
    width: usize,
) -> Vec<Row<'p>> {
    let tasks = input.first_wordings();
    let vectors: Vec<Option<&[f32]>> = tasks
        .iter()
        .map(|prompt| {
            let first = prompt.first_token * width;
            prompt.ran.then(|| &values[first..first + prompt.token_ids.len() * width])
        })
        .collect();
    pairs(tasks.len())
        .zip(flat_cosines(&vectors, width))
        .map(|((a, b), pair)| Row {
            scenario: input.scenario(),
            input: input.input(),
            layer,
            task_a: &tasks[a].key.task,
            task_b: &tasks[b].key.task,
            value: pair.value,
            n: pair.n as i64,
            status: pair.status,
        })
        .collect()
}

/// What comes of comparing two vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    value: Option<f64>,
    n: usize,
    status: &'static str,
}

/// The cosine of all [`pairs`] of vectors, each pair cut to its shorter vector. Goes token by token
/// over all pairs, so that a token's numbers are still in the cache when its next pair needs them.
fn flat_cosines(vectors: &[Option<&[f32]>], width: usize) -> Vec<Pair> {
    let norms: Vec<Vec<f64>> = vectors
        .iter()
        .map(|vector| math::prefix_squared_norms(vector.unwrap_or_default(), width))
        .collect();
    let tokens = |i: usize| norms[i].len() - 1;
    let mut dots = vec![0.0; pairs(vectors.len()).count()];
    for token in 0..(0..vectors.len()).map(tokens).max().unwrap_or(0) {
        let span = token * width..(token + 1) * width;
        for ((a, b), dot) in pairs(vectors.len()).zip(&mut dots) {
            if token < tokens(a).min(tokens(b))
                && let (Some(a), Some(b)) = (vectors[a], vectors[b])
            {
                *dot += math::dot(&a[span.clone()], &b[span.clone()]);
            }
        }
    }
    let finish = |((a, b), dot): ((usize, usize), f64)| {
        if vectors[a].is_none() || vectors[b].is_none() {
            return Pair { value: None, n: 0, status: status::SKIPPED };
        }
        let shorter = tokens(a).min(tokens(b));
        let value = math::cosine(dot, norms[a][shorter], norms[b][shorter]);
        let status = if value.is_some() { status::OK } else { status::ZERO_NORM };
        Pair { value, n: shorter * width, status }
    };
    pairs(vectors.len()).zip(dots).map(finish).collect()
}

//! How similar two tasks leave the same input, on every captured layer: the notebook's cosine, and
//! what should be looked at instead.
//!
//! For every input, captured layer and pair of tasks (first wordings), with `a` and `b` the two
//! prompts' activations flattened token after token and both cut to the shorter prompt:
//!
//! ```text
//! flat = a·b / (max(‖a‖, 1e-8) · max(‖b‖, 1e-8))         in float64 from the stored float32
//! ```
//!
//! This compares position with position from the start of the prompt, so a word may be compared with
//! a different one: it is the notebook's number, under a name that says how it is made (its section
//! 4, `cosine_similarity`, also sections 5 and 8). A position counts in it by its squared norm, and in
//! many models position 0 has nearly all of that, whatever is asked; so `position_0_share` stands beside
//! it: how much of the squared norm of what is compared position 0 has, mean of the two prompts.
//!
//! The other measures compare what plays the same part in both prompts: the input's own tokens one by
//! one (`token`), their mean (`span`), the last token (`last`). Each is there unchanged, `_centred`
//! and `_standardised` by table `reference`; and as relative distance (`_rel_l2`), difference of norms
//! (`_log_norm_ratio`) and share of the three largest dimensions (`_rogue_share`).
//!
//! Reads `prompts`, `activations` and, when there, `reference`; writes `similarity`. Cost: one pass
//! over the activations, and for each pair a dot product a token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::compare::Compared;
use crate::stage::compare::spans::Spans;
use crate::stage::compare::vector_measure::{Choice, Measure, chosen};
use crate::stage::read::hidden::{Layer, by_input_and_layer};
use crate::stage::read::prompts::{InputGroup, ShardPrompts, pairs};
use crate::stage::read::spaces::Reference;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{ACTIVATIONS, PROMPTS, REFERENCE, SIMILARITY, SimilarityRow};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "similarity",
    version: 5,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[&REFERENCE],
    writes: &[&SIMILARITY],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

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
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        let names: Vec<&str> = self.measures.iter().map(|measure| measure.name).collect();
        serde_json::json!({ "measures": names })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let scenarios = inputs.iter().map(|input| input.scenario()).collect();
        let reference = Reference::read(context.store, &scenarios)?;
        let rows =
            by_input_and_layer(context, DESCRIPTION.kind, &prompts, &inputs, |layer, input| {
                self.compare(layer, *input, &reference)
            })?;
        let rows = rows.concat();
        let part = SimilarityRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

impl Similarity {
    /// The rows of one input on one layer: by pair, then measure.
    fn compare<'p>(
        &self,
        layer: &Layer,
        input: InputGroup<'p>,
        reference: &Reference,
    ) -> Result<Vec<SimilarityRow<'p>>, StageError> {
        let tasks = input.first_wordings();
        let spans = Spans::of(input);
        let reference = reference.layer(input.scenario(), layer.number);
        let compared = Compared::new(&tasks, layer, &spans, reference)?;
        let all: Vec<(usize, usize)> = pairs(tasks.len()).collect();
        let cells = compared.measure(&self.measures, &all);
        let mut rows = Vec::with_capacity(all.len() * self.measures.len());
        for (pair, &(a, b)) in all.iter().enumerate() {
            for (measure, cells) in self.measures.iter().zip(&cells) {
                rows.push(SimilarityRow {
                    scenario: input.scenario(),
                    input: input.input(),
                    layer: layer.number,
                    task_a: &tasks[a].key.task,
                    task_b: &tasks[b].key.task,
                    measure: measure.name,
                    value: cells[pair].value,
                    n: cells[pair].n as i64,
                    position_0_share: cells[pair].position_0_share,
                    status: cells[pair].status,
                });
            }
        }
        Ok(rows)
    }
}

//! What the model says when the input is read as under another task.
//!
//! The prompt of task B is a prefix, the input and a rest. A *mediated run* h computes B's rest over B's prefix
//! and over the keys and values that the same input tokens had under a donor; nothing else changes. It is causal
//! mediation analysis (Pearl 2001; Vig et al. 2020) with the input's reading as the mediator.
//!
//! ```text
//! gain = KL(A‖B) - KL(A‖h)     of KL(A‖B)     what h has of A's prediction that B had not
//! loss = KL(B‖h)               of KL(B‖A)     what h no longer has of B's
//! ```
//!
//! nats, from float64 softmaxes of float32 scores; no answer tokens are chosen. Donors, column `source`: `task` (A
//! itself), `paraphrase` (other wordings of B: what foreign positions and words do that change no question),
//! `neutral` (B's neutral prefixes: what destroying the reading does), `third` (tasks that are neither), and
//! `same_run` (B's own reading, put back: must change nothing, else the stage stops). Rows whose donor is the
//! receiver are measured towards what the model says after the neutral prefix.
//!
//! Wording w of B gets wording w of A (modulo A's number). With `wordings: in_turn` every input has one such w, drawn
//! by its name, in place of all: about a third of the work for three wordings.
//!
//! Where the model's positions are relative, all prompts of an input are moved so that the input stands at the same
//! positions in each; where they are learned, keys stay as they were made. Prompts may differ in length: only the input
//! is exchanged, and only where its token ids are equal. Each input is computed by itself, so shards, threads and other
//! inputs change nothing.
//!
//! Reads `prompts`, writes `mediation`; runs the model: each prompt that has a part once more, and a fraction of one
//! (its rest) for each donor. Memory: keys, values and predictions of one input's prompts for each batch that the model
//! runs at once.

mod cast;
mod exchange;
mod rows;
mod values;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::model::spliced::{self, Needs};
use crate::stage::model::{batches, head};
use crate::stage::read::prompts::{InputGroup, ShardPrompts};
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::WriteRow as _;
use crate::table::schema::{MEDIATION, MediationRow, PROMPTS};
use crate::yaml::{Path, Problems};
use cast::Cast;
use rows::Row;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "mediate",
    version: 1,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS],
    reads_if_there: &[],
    writes: &[&MEDIATION],
    file: None,
    depends_on: DependsOn { layers: false, seed: true, head: false, lineage: false },
};

/// Puts the input, as it was read under one task, into the prompts of the others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many inputs of a scenario are taken at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
    /// Which wordings of an input's tasks take part: `all`, or one of each task, in turn over the inputs.
    pub wordings: Wordings,
    /// `from`: also for every block m the run in which only blocks from m on read the other reading, of first
    /// wordings; costs as much again for each block.
    pub layers: Layers,
}

/// Which wordings of an input take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wordings {
    /// All of them, so that every input says how much wordings do.
    #[default]
    All,
    /// One of each task, drawn by the input's name, with one other wording as its control: cheaper, and intervals
    /// may be wider, because wordings are then compared over different inputs.
    InTurn,
}

/// Which blocks read the other reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layers {
    /// All of them.
    #[default]
    None,
    /// All of them, and those from each block on.
    From,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_inputs: 100, wordings: Wordings::All, layers: Layers::None }
    }
}

impl Config {
    /// Valid with at least one input.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Mediate> {
        head::has(
            DESCRIPTION.kind,
            "a past.onnx in a folder of format 1 or 3",
            facts.has_past,
            at,
            problems,
        )?;
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems)?;
        Some(Mediate { max_inputs, wordings: self.wordings, layers: self.layers })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Mediate {
    max_inputs: u64,
    wordings: Wordings,
    layers: Layers,
}

impl Stage for Mediate {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn needs_past(&self) -> bool {
        true
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "max_inputs": self.max_inputs,
            "wordings": self.wordings,
            "layers": self.layers,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.taken(context);
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let rows = self.rows(context, &inputs)?;
        let rows: Vec<MediationRow<'_>> = rows.iter().map(Row::row).collect();
        let part = MediationRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

impl Mediate {
    /// The rows of all inputs, in their order; as many inputs at a time as the model runs batches.
    fn rows<'p>(
        &self,
        context: &Context<'_>,
        inputs: &[InputGroup<'p>],
    ) -> Result<Vec<Row<'p>>, StageError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        spliced::check_folder(context, DESCRIPTION.kind, Needs::Moved)?;
        batches::in_order(context, &DESCRIPTION, inputs.len(), |i| {
            self.of_input(context, inputs[i])
        })
    }

    fn of_input<'p>(
        &self,
        context: &Context<'_>,
        input: InputGroup<'p>,
    ) -> Result<Vec<Row<'p>>, StageError> {
        let cast = Cast::of(input, context.card);
        let later = match self.layers {
            Layers::None => 0,
            Layers::From => context.card.n_layer - 1,
        };
        let turn = match self.wordings {
            Wordings::All => None,
            Wordings::InTurn => Some(context.drawn("wording", input.scenario(), input.input())),
        };
        rows::of(context, &cast, later, turn)
    }
}

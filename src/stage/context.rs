//! What every stage gets and returns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::description::{Description, Scope};
use super::judged::Judged;
use crate::model::{Engine, ModelCard, ModelError, Tokenizer};
use crate::monitor::{Event, Monitor};
use crate::prompt::{Prompt, PromptKey};
use crate::run_dir::receipt::{PartStats, SelfProof};
use crate::store::{Store, StoreError, hashed_number};
use crate::table::Dims;
use crate::table::TableError;

/// What validation of a stage's configuration may look at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The model's blocks; `None` when the model folder could not be read (its own problem).
    pub n_layer: Option<i16>,
    /// Longest prompt in tokens; `None` likewise.
    pub n_positions: Option<usize>,
    /// Whether the model folder has the head as a separate graph; `None` likewise.
    pub has_head: Option<bool>,
    /// Whether it has the graph that takes a past, and says where positions enter; `None` likewise.
    pub has_past: Option<bool>,
    /// Whether it has the graph that goes on from a residual stream; `None` likewise.
    pub has_patch: Option<bool>,
    /// Whether the model's last layer is captured; `None` when that is not known.
    pub captures_last: Option<bool>,
    /// The threshold that stage `divergence` was given; `None` without that stage.
    pub threshold: Option<f64>,
    /// What stage `summary` rests its verdict on; `None` without that stage.
    pub judged: Option<Arc<Judged>>,
}

/// Everything a stage may use while it runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The run directory.
    pub store: &'a Store,
    /// The shard, or 0 for stages that run once.
    pub part: u32,
    /// How many shards the run has.
    pub shards: u32,
    /// The shard's prompts in the order of the plan: all wordings of all tasks of an input stand
    /// together, in the pipeline's order. Before all shards: the sample that the stage asked for.
    /// Empty for stages over the whole run.
    pub prompts: &'a [Prompt],
    /// For a stage with [`Stage::max_inputs`]: the share of each scenario's inputs that it uses,
    /// below 1; of a scenario that is not named it uses all. See [`Context::takes`].
    pub fractions: &'a BTreeMap<String, f64>,
    /// The captured layers, ascending.
    pub layers: &'a [i16],
    /// Seed of everything that is drawn at random.
    pub seed: u64,
    /// The versions of aqlens that made what is done so far, for a stage that shows the lineage; empty
    /// for others.
    pub made_by: &'a str,
    /// The model's shape.
    pub card: &'a ModelCard,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model itself, opened on first use.
    pub engine: &'a Engine,
    /// Where progress is reported.
    pub monitor: &'a dyn Monitor,
    /// Called by a stage that runs the model on a shard when less of it is left than the model could
    /// do at once: the next shard may then start.
    pub model_is_spare: &'a (dyn Fn() + Sync),
}

impl Context<'_> {
    /// Lengths of the fixed-size vectors.
    pub fn dims(&self) -> Dims {
        Dims { d_model: self.card.d_model, vocab_size: self.card.vocab_size }
    }

    /// Reports that a stage begins its work on the part, `total` units of it.
    pub fn start(&self, stage: &Description, total: u64) {
        let shard = (stage.scope == Scope::Shard).then_some(self.part);
        let Description { kind: stage, unit, .. } = stage;
        self.monitor.event(&Event::StageStarted { stage, shard, total, unit });
    }

    /// Reports that a stage has done that many units more.
    pub fn advance(&self, stage: &Description, amount: u64) {
        self.monitor.event(&Event::Advanced { stage: stage.kind, amount });
    }

    /// Ends the stage when the run was asked to stop. Stages call this between inputs, batches or
    /// parts, so that they end within seconds.
    ///
    /// # Errors
    /// [`StageError::Interrupted`] when the run was asked to stop.
    pub fn go_on(&self) -> Result<(), StageError> {
        if self.monitor.is_interrupted() { Err(StageError::Interrupted) } else { Ok(()) }
    }

    /// Whether the input is in the stage's share of the scenario: drawn by the hash of seed and
    /// name, so that neither shards nor the order of the inputs matter.
    pub fn takes(&self, scenario: &str, input: &str) -> bool {
        let Some(share) = self.fractions.get(scenario) else { return true };
        self.draws("input", *share, scenario, input)
    }

    /// Whether the input is in that share of the scenario's, drawn for a purpose: likewise by the hash of seed
    /// and name.
    pub(crate) fn draws(&self, purpose: &str, share: f64, scenario: &str, input: &str) -> bool {
        (self.drawn(purpose, scenario, input) as f64) < share * (1_u64 << 52) as f64
    }

    /// A number from 0 to 2⁵² that the input draws for a purpose: likewise.
    pub(crate) fn drawn(&self, purpose: &str, scenario: &str, input: &str) -> u64 {
        hashed_number(format!("{purpose} {:?}", (self.seed, scenario, input)).as_bytes())
    }
}

/// What a stage did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The parts it wrote.
    pub parts: Vec<PartStats>,
    /// How many prompts it could not run.
    pub skipped: u64,
    /// How many prompts have the numbers of another one with the same tokens, which ran for them.
    pub repeats: u64,
    /// What it proved of its numbers.
    pub self_proof: Option<SelfProof>,
    /// How many units it worked through.
    pub units: u64,
}

/// The part of a stage's work that runs the model, ready to run: it returns the last part.
pub type Compute<'s> = Box<dyn FnOnce(&Context<'_>) -> Result<Finish<'s>, StageError> + Send + 's>;

/// The part of a stage's work that comes after the model: encoding tables and writing them.
pub type Finish<'s> = Box<dyn FnOnce(&Context<'_>) -> Result<Outcome, StageError> + Send + 's>;

/// One step of the pipeline, configured.
pub trait Stage: fmt::Debug + Send + Sync {
    /// What its kind is.
    fn description(&self) -> &'static Description;

    /// Its kind, as in the pipeline file.
    fn kind(&self) -> &'static str {
        self.description().kind
    }

    /// Shard by shard, or once.
    fn scope(&self) -> Scope {
        self.description().scope
    }

    /// How many prompts a stage of [`Scope::Before`] looks at.
    fn sample(&self) -> usize {
        0
    }

    /// About how many inputs of a scenario it uses at most, drawn by the seed; `None` = all.
    fn max_inputs(&self) -> Option<u64> {
        None
    }

    /// Its valid configuration, for the fingerprint: everything that can change its result.
    fn settings(&self) -> serde_json::Value;

    /// Whether it puts pasts together, for which the engine must run the graph that takes one.
    fn needs_past(&self) -> bool {
        false
    }

    /// Whether [`Context::layers`] can change its result, as it is configured.
    fn uses_layers(&self) -> bool {
        self.description().depends_on.layers
    }

    /// Prepares the work on `context.part` for the model, where a stage's work can be split into
    /// what comes before the model, the model, and what comes after it: each part then runs beside
    /// those of the neighbouring shards. A stage that reads tables cannot be split like this.
    ///
    /// # Errors
    /// As [`Stage::run`], which does the same with the same result.
    fn prepare<'s>(&'s self, _context: &Context<'_>) -> Result<Option<Compute<'s>>, StageError> {
        Ok(None)
    }

    /// Does the work on `context.part`.
    ///
    /// # Errors
    /// When a table, a file or the model fails, a prompt cannot be run, or the run was asked to
    /// stop.
    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError>;
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A table could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file of the run directory could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run was asked to stop; see [`Monitor::is_interrupted`].
    #[error("interrupted")]
    Interrupted,
    /// The model cannot be used or failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Something that the pipeline names is no longer what it was when the pipeline was read.
    #[error("{problem}; {help}")]
    Given {
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        help: &'static str,
    },
    /// One prompt cannot be run, or gave no numbers.
    #[error("prompt {key} {problem}")]
    Prompt {
        /// Which prompt.
        key: PromptKey,
        /// What is wrong with it, to follow its name.
        problem: String,
    },
}

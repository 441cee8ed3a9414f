//! What every stage gets and gives back.

use std::fmt;

use crate::model::{Engine, ModelCard, ModelError, Tokenizer};
use crate::monitor::Monitor;
use crate::prompt::{Prompt, PromptKey};
use crate::store::{Store, StoreError};
use crate::table::TableError;
use crate::table::receipt::{PartStats, SelfProof};
use crate::table::schema::{Dims, Table};

/// Whether a stage works shard by shard or once over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Once for each shard; its tables have one part a shard.
    Shard,
    /// Once, after all shards; its tables have one part.
    Run,
}

/// What validation of a stage's configuration may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The model's blocks; `None` when the model folder could not be read (its own problem).
    pub n_layer: Option<i16>,
    /// Longest prompt in tokens; `None` likewise.
    pub n_positions: Option<usize>,
    /// The threshold that stage `divergence` was given; `None` without that stage.
    pub threshold: Option<f64>,
}

/// Everything a stage may use while it runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The run directory.
    pub store: &'a Store,
    /// The shard, or 0 for stages over the whole run.
    pub part: u32,
    /// How many shards the run has.
    pub shards: u32,
    /// The shard's prompts in the order of the plan: all wordings of all tasks of an input stand
    /// together, in the pipeline's order. Empty for stages over the whole run.
    pub prompts: &'a [Prompt],
    /// The captured layers, ascending.
    pub layers: &'a [i16],
    /// Seed of everything that is drawn at random.
    pub seed: u64,
    /// The model's shape.
    pub card: &'a ModelCard,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model itself, opened on first use.
    pub engine: &'a Engine,
    /// Who listens.
    pub monitor: &'a dyn Monitor,
}

impl Context<'_> {
    /// Lengths of the fixed-size vectors.
    pub fn dims(&self) -> Dims {
        Dims { d_model: self.card.d_model, vocab_size: self.card.vocab_size }
    }

    /// Ends the stage when somebody asked to stop. Stages call this between inputs, batches or
    /// parts, so that no more than seconds pass before they end.
    pub fn go_on(&self) -> Result<(), StageError> {
        if self.monitor.is_interrupted() { Err(StageError::Interrupted) } else { Ok(()) }
    }
}

/// What a stage did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The parts it wrote.
    pub parts: Vec<PartStats>,
    /// How many prompts it could not run.
    pub skipped: u64,
    /// What it proved of its numbers.
    pub self_proof: Option<SelfProof>,
    /// How many units it worked through.
    pub units: u64,
}

/// One step of the pipeline, configured.
pub trait Stage: fmt::Debug + Send + Sync {
    /// Its kind, as in the pipeline file.
    fn kind(&self) -> &'static str;

    /// Raised when the code changes what it writes: old receipts then no longer hold.
    fn version(&self) -> u32;

    /// Shard by shard, or once.
    fn scope(&self) -> Scope;

    /// What a unit of its work is called: `tokens`, `inputs`, ...
    fn unit(&self) -> &'static str;

    /// Tables it cannot do without.
    fn reads(&self) -> &'static [&'static Table];

    /// Tables it uses when an earlier stage wrote them.
    fn reads_if_there(&self) -> &'static [&'static Table] {
        &[]
    }

    /// Tables it writes.
    fn writes(&self) -> &'static [&'static Table];

    /// Its valid configuration, for the fingerprint: everything that can change its result.
    fn settings(&self) -> serde_json::Value;

    /// Whether [`Context::layers`] can change its result. Part of the fingerprint unless a stage
    /// denies it, so that none can forget to say so.
    fn uses_layers(&self) -> bool {
        true
    }

    /// Whether [`Context::seed`] can change its tables; likewise.
    fn uses_seed(&self) -> bool {
        true
    }

    /// Whether it shows where the run comes from, so that another origin makes another result.
    fn shows_lineage(&self) -> bool {
        false
    }

    /// Does the work on `context.part`.
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
    /// [`Monitor::is_interrupted`] said to stop.
    #[error("interrupted")]
    Interrupted,
    /// The model cannot be used or failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// One prompt cannot be run, or gave no numbers.
    #[error("prompt {key} {problem}")]
    Prompt {
        /// Which prompt.
        key: PromptKey,
        /// What is wrong with it, to follow its name.
        problem: String,
    },
}

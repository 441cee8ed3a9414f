//! The pipeline: what is to be done, from its file to the plan of its prompts; how it is done is
//! elsewhere.

mod chat;
pub mod chosen;
pub mod config;
mod controls;
mod error;
mod examples;
mod filler;
mod form;
mod framing;
mod inputs;
mod neutral;
mod others;
pub mod plan;
mod scenario_plan;
pub mod share;
mod special;
pub mod template;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;

pub use chat::Chat;
pub use examples::{Example, Examples};
pub(crate) use filler::MOST_MADE;
pub use form::{Body, Form};
pub use inputs::{FileSource, HashedFile, Input, Inputs, InputsChanged, InputsFile, Odd, Survey};

use crate::model::{ModelCard, ModelError, ProviderChoice, SpecialTokens, Tokenizer};
use crate::stage::{Scope, Stage};
use crate::stages::{StageConfig, extract};
use crate::yaml::Warning;

/// A valid pipeline: every value in it can be used without further checks.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name, also of the default run directory.
    pub name: String,
    /// The model folder, absolute or relative to the working directory.
    pub model: PathBuf,
    /// The model's shape, from its `model.json`.
    pub card: ModelCard,
    /// How task and input become a prompt; at least one way, and each scenario names one.
    pub forms: Vec<Form>,
    /// Special tokens around prompts, where a form does not say otherwise.
    pub special_tokens: SpecialTokens,
    /// What to run on.
    pub provider: ProviderChoice,
    /// Whether CUDA may round matrix products to TF32.
    pub tf32: bool,
    /// Raw tables that are kept when the stages that read them are done.
    pub retain: BTreeSet<String>,
    /// Inputs a shard holds; `None` lets the plan choose.
    pub shard_inputs: Option<NonZeroU32>,
    /// Share of all prompts, 0 to 1, that may be skipped before the run stops.
    pub max_skipped: f64,
    /// Seed of everything that is drawn at random.
    pub seed: u64,
    /// Captured layers, ascending, from the extract stage.
    pub layers: Vec<i16>,
    /// The scenarios, in the file's order.
    pub scenarios: Vec<Scenario>,
    /// The stages, in the file's order.
    pub stages: Vec<Box<dyn Stage>>,
    /// What the pipeline file says of each stage, defaults filled in; same order.
    pub stage_configs: Vec<StageConfig>,
    /// What in it was perhaps not meant; no reason to stop.
    pub warnings: Vec<Warning>,
}

impl Pipeline {
    /// The stages of `scope`, in the file's order; but of those over the whole run each comes after
    /// the ones whose tables it uses.
    pub fn stages_of(&self, scope: Scope) -> Vec<&dyn Stage> {
        let own = self.stages.iter().map(AsRef::as_ref).filter(|stage| stage.scope() == scope);
        if scope == Scope::Run { in_order(own.collect()) } else { own.collect() }
    }

    /// The model's tokenizer, with the special tokens that prompts have which are not
    /// [bare](crate::prompt::Prompt::is_bare).
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let tokenizer = Tokenizer::load(&self.card)?;
        let adds = self.forms.iter().any(|form| form.adds_special_tokens);
        Ok(if adds { tokenizer } else { tokenizer.bare() })
    }

    /// The settings of the extract stage; the defaults when the pipeline has no such stage.
    pub fn extract(&self) -> extract::Config {
        let of = |config: &StageConfig| match config {
            StageConfig::Extract(extract) => Some(extract.clone()),
            _ => None,
        };
        self.stage_configs.iter().find_map(of).unwrap_or_default()
    }
}

/// The stages in their order, each after those that write what it may read.
fn in_order(mut left: Vec<&dyn Stage>) -> Vec<&dyn Stage> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |place: usize| {
            let mut tables = left[place].description().may_read();
            let others = || left.iter().enumerate().filter(|(other, _)| *other != place);
            tables.any(|table| others().any(|(_, other)| other.description().writes(table)))
        };
        let next = (0..left.len()).find(|place| !waits(*place)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// Inputs and the tasks they are all put under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, unique in the pipeline; of several forms `NAME@FORM`.
    pub name: String,
    /// Its name in the pipeline file.
    pub base: String,
    /// How its prompts are made: a place in the pipeline's forms.
    pub form: usize,
    /// The inputs.
    pub inputs: Inputs,
    /// The tasks; ids unique, at least one wording each.
    pub tasks: Vec<Task>,
    /// Prompts to compare the tasks' differences with.
    pub controls: Controls,
    /// The files that the tasks came from, if they did.
    pub tasks_file: Option<FileSource>,
}

/// Which controls each task of a scenario has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Prefixes that ask for nothing.
    pub neutral: Option<Neutral>,
    /// The task's own words in another order.
    pub scrambled: bool,
    /// The task, put to an input of another cluster.
    pub other_input: bool,
}

/// The texts of the neutral control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Neutral {
    /// Made to the length of each task: so many texts.
    Auto(usize),
    /// The pipeline's own, for every task; at least one, no two alike.
    Texts(Vec<String>),
}

/// One task framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id within the scenario.
    pub id: String,
    /// Its phrasings; the first is the one that the notebook's measures use.
    pub wordings: Vec<String>,
    /// What the phrasings are made of, for a task by example.
    pub examples: Option<Examples>,
}

//! Why a run failed.

use std::path::PathBuf;

use super::skips::TooManySkipped;
use crate::model::ModelError;
use crate::pipeline::chosen::ShardList;
use crate::pipeline::plan::PlanError;
use crate::stage::{Scope, StageError};
use crate::store::StoreError;
use crate::table::TableError;
use crate::verify::VerifyError;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The model could not be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The prompts could not be laid out.
    #[error(transparent)]
    Plan(PlanError),
    /// A file of the run directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table or receipt failed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The files could not be compared with their hashes.
    #[error(transparent)]
    Verify(VerifyError),
    /// A stage failed.
    #[error("stage '{stage}' failed on {}", place(*.scope, *.part))]
    Stage {
        /// Its kind.
        stage: &'static str,
        /// Shard by shard, or once.
        scope: Scope,
        /// The shard.
        part: u32,
        /// Why.
        #[source]
        source: StageError,
    },
    /// The folder belongs to something else.
    #[error(
        "{} {holds}; choose another folder with --run-dir, or delete it if it is not needed",
        path.display()
    )]
    ForeignFolder {
        /// The run directory.
        path: PathBuf,
        /// What it holds instead.
        holds: String,
    },
    /// Other processes are doing shares of another state of the same pipeline.
    #[error(
        "{} is in use by {} for another state of this pipeline ({differs}); wait for it, end it, or \
         choose another folder with --run-dir", path.display(), holders.join(", ")
    )]
    OtherState {
        /// The run directory.
        path: PathBuf,
        /// The processes.
        holders: Vec<String>,
        /// How the states differ.
        differs: String,
    },
    /// The run should be finished, but its shards are not all done.
    #[error("{}", unfinished(missing, *shards, redo))]
    Unfinished {
        /// What is not done.
        missing: ShardList,
        /// How many shards the run has.
        shards: u32,
        /// The options with which to run to make them.
        redo: Vec<String>,
    },
    /// A list names a shard that the run does not have.
    #[error(
        "there is no shard {last}: the run has {shards}, numbered from 0 to {}; list others with --shards, \
         or take whatever is free with --join", shards.saturating_sub(1)
    )]
    NoSuchShard {
        /// The largest number in the list.
        last: u32,
        /// How many shards the run has.
        shards: u32,
    },
    /// More prompts have no numbers than the pipeline accepts.
    #[error(transparent)]
    TooManySkipped(#[from] TooManySkipped),
    /// The user or the scheduler asked to stop.
    #[error("interrupted; run the same command again to continue from here")]
    Interrupted,
}

impl From<PlanError> for RunError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Interrupted => Self::Interrupted,
            other => Self::Plan(other),
        }
    }
}

impl From<VerifyError> for RunError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Interrupted => Self::Interrupted,
            VerifyError::Plan(error) => error.into(),
            VerifyError::Store(error) => Self::Store(error),
            other => Self::Verify(other),
        }
    }
}

fn place(scope: Scope, part: u32) -> String {
    match scope {
        Scope::Shard => format!("shard {part}"),
        Scope::Before => "a sample of the prompts".to_owned(),
        Scope::Run => "the whole run".to_owned(),
    }
}

/// Most shares that a message names one by one.
const NAMED: usize = 12;
/// Most characters of the list of shards that a message has.
const LISTED: usize = 120;

fn unfinished(missing: &ShardList, shards: u32, redo: &[String]) -> String {
    let (n, are) = match missing.len() {
        1 => ("1 shard".to_owned(), "is"),
        n => (format!("{n} shards"), "are"),
    };
    let mut numbers = missing.to_string();
    if numbers.len() > LISTED {
        let end = numbers[..LISTED].rfind(',').unwrap_or(LISTED);
        numbers.truncate(end);
        numbers.push_str(",... (all of them in `aqlens status`)");
    }
    format!(
        "{n} of {shards} {are} not done: {numbers}; run this command with {} in place of --finish, then \
         with --finish again",
        list(redo, " and with ", "others")
    )
}

fn list(words: &[String], between: &str, more: &str) -> String {
    match words.len().checked_sub(NAMED) {
        None | Some(0) => words.join(between),
        Some(left) => format!("{} and {left} {more}", words[..NAMED].join(between)),
    }
}

//! A run directory, opened for reading.

use std::path::{Path, PathBuf};

use super::layout;
use super::record::RunRecord;
use super::summary::Summaries;
use crate::store::{Store, StoreError};

/// A run directory that holds a run; writes nothing.
#[derive(Debug, Clone)]
pub struct RunDir {
    store: Store,
}

/// A run directory could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no run.
    #[error(
        "{} {}", path.display(), if path.is_dir() {
            "is no run directory: it holds neither run.json nor receipts"
        } else {
            "does not exist; runs are in runs/NAME unless --run-dir said otherwise"
        }
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file exists but is not what aqlens writes.
    #[error("{} is damaged: {problem}; delete it and run again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl RunDir {
    /// Opens the folder of a run, finished or not; creates nothing.
    ///
    /// # Errors
    /// When there is no such folder, or it holds neither a record nor receipts.
    pub fn open(root: &Path) -> Result<Self, OpenError> {
        let run = Self::of(&Store::open(root));
        if run.holds_run() { Ok(run) } else { Err(OpenError::NoRun { path: root.to_owned() }) }
    }

    /// The run directory of an open store, whatever it holds.
    pub fn of(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Its files.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it holds a run at all: a record or receipts.
    pub fn holds_run(&self) -> bool {
        self.store.exists(layout::RECORD) || self.store.exists(layout::RECEIPTS)
    }

    /// The run's record; `None` when there is no record, or it is damaged.
    pub fn record(&self) -> Option<RunRecord> {
        RunRecord::read(&self.store)
    }

    /// The verdicts; `None` when no stage `summary` wrote them.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn summary(&self) -> Result<Option<Summaries>, OpenError> {
        if !self.store.exists(layout::SUMMARY) {
            return Ok(None);
        }
        let bytes = self.store.read_sound(layout::SUMMARY)?;
        let summaries = serde_json::from_slice(&bytes).map_err(|error| OpenError::Damaged {
            path: self.store.path(layout::SUMMARY),
            problem: error.to_string(),
        })?;
        Ok(Some(summaries))
    }

    /// Names of the receipts, relative to the run directory and sorted.
    ///
    /// # Errors
    /// When their folder cannot be listed.
    pub fn receipts(&self) -> Result<Vec<String>, StoreError> {
        self.store.walk(layout::RECEIPTS)
    }

    /// The path of its report, when it has one.
    pub fn report(&self) -> Option<PathBuf> {
        self.store.exists(layout::REPORT).then(|| self.store.path(layout::REPORT))
    }
}

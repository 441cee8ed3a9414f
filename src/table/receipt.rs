//! Receipts: what one stage did on one shard, and from what.
//!
//! A (stage, shard) is done when its receipt is there with the fingerprint that the present plan
//! gives, and the files that it names are there in the recorded size; never because a file exists.

use serde::{Deserialize, Serialize};

use super::TableError;
use crate::store::{FileStats, Store, read_sealed, sealed_json};

/// One part of a table, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStats {
    /// The file.
    #[serde(flatten)]
    pub file: FileStats,
    /// How many rows it holds.
    pub rows: u64,
}

impl PartStats {
    /// Whether the file is there in the recorded size (its content is checked by its SHA-256 when
    /// somebody asks for that).
    pub fn is_there(&self, store: &Store) -> bool {
        store.bytes(&self.file.path) == Some(self.file.bytes)
    }
}

/// Proof that a stage is done on a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Kind of the stage.
    pub stage: String,
    /// Version of the stage's code.
    pub version: u32,
    /// Number of the shard; 0 for stages over the whole run.
    pub part: u32,
    /// SHA-256 over everything the result depends on.
    pub fingerprint: String,
    /// Prompts the stage could not run.
    pub skipped: u64,
    /// The files it wrote.
    pub parts: Vec<PartStats>,
}

impl Receipt {
    /// Name of the file that holds the receipt of a stage on a part.
    pub fn file(stage: &str, part: u32) -> String {
        format!("receipts/{stage}/part-{part:05}.json")
    }

    /// Writes the receipt; called only after all its parts are committed.
    pub fn write(&self, store: &Store) -> Result<(), TableError> {
        store.write(&Self::file(&self.stage, self.part), sealed_json(self).as_bytes())?;
        Ok(())
    }

    /// Reads a receipt; `None` when there is none or it is not one (a damaged receipt proves
    /// nothing, so the work is done again).
    pub fn read(store: &Store, stage: &str, part: u32) -> Option<Self> {
        let bytes = store.read(&Self::file(stage, part)).ok()?;
        read_sealed(&bytes).ok()
    }
}

//! Receipts: what one stage did on one shard, and from what.
//!
//! A (stage, shard) is done when its receipt is there with the fingerprint that the present plan
//! gives, and the files that it names are there in the recorded size; never because a file exists.

use serde::{Deserialize, Serialize};

use super::layout;
use crate::store::{FileStats, Store, StoreError, read_sealed, sealed_json};

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
    /// Whether the file is there in the recorded size (its content is checked by its SHA-256 on
    /// request).
    pub fn is_there(&self, store: &Store) -> bool {
        store.bytes(&self.file.path) == Some(self.file.bytes)
    }
}

/// What running some prompts a second time, one at a time, gave: how far batches changed them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfProof {
    /// How many prompts ran twice.
    pub prompts: u64,
    /// Largest difference of an activation or a logit, as a share of its vector's norm.
    pub largest_relative_difference: f64,
    /// Largest difference of an attention weight.
    pub largest_attention_difference: f64,
    /// What was allowed of the former.
    pub tolerance: f64,
    /// What was allowed of the latter.
    pub attention_tolerance: f64,
}

impl SelfProof {
    /// Both together: all prompts, the larger differences.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (a, b) = (self, other);
        let larger = f64::max;
        Self {
            prompts: a.prompts.saturating_add(b.prompts),
            largest_relative_difference: larger(
                a.largest_relative_difference,
                b.largest_relative_difference,
            ),
            largest_attention_difference: larger(
                a.largest_attention_difference,
                b.largest_attention_difference,
            ),
            tolerance: larger(a.tolerance, b.tolerance),
            attention_tolerance: larger(a.attention_tolerance, b.attention_tolerance),
        }
    }
}

/// What it took to do a stage on a shard. It proves nothing: the same work takes a different time
/// when it is repeated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// How many times the model ran.
    pub model_calls: u64,
    /// How many times its head ran alone.
    pub head_calls: u64,
    /// Threads of ONNX Runtime within an operation, where the model ran; another number may change
    /// the last digits of activations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_threads: Option<usize>,
    /// Time spent at work, without waiting for other work.
    pub seconds: f64,
}

/// Proof that a stage is done on a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Kind of the stage.
    pub stage: String,
    /// Version of the stage's code.
    pub version: u32,
    /// Number of the shard; 0 for stages over the whole run.
    pub part: u32,
    /// SHA-256 over everything the result depends on.
    pub fingerprint: String,
    /// Version of aqlens that did it; early receipts name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aqlens: Option<String>,
    /// Prompts the stage could not run.
    pub skipped: u64,
    /// Prompts that have the numbers of another one with the same tokens, which ran for them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub repeats: u64,
    /// What it proved of its numbers, if it made any with the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_proof: Option<SelfProof>,
    /// What it took.
    #[serde(default)]
    pub effort: Effort,
    /// The files it wrote.
    pub parts: Vec<PartStats>,
}

/// Left out of a receipt: most stages run no prompts.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(repeats: &u64) -> bool {
    *repeats == 0
}

impl Receipt {
    /// Name of the file that holds the receipt of a stage on a part.
    pub fn file(stage: &str, part: u32) -> String {
        layout::receipt_file(stage, part)
    }

    /// Whether the version of aqlens that did this work compared everything that it read with what
    /// had been written: those that do record [`FileStats::xxh3`].
    pub fn checked_what_it_read(&self) -> bool {
        self.parts.iter().all(|part| part.file.xxh3.is_some())
    }

    /// Puts its parts on the disk, and the receipts before it; then writes the receipt, which lasts
    /// from the next one's writing or [`Self::settle`] on. Without it the work would be done again.
    pub fn write(&self, store: &Store) -> Result<(), StoreError> {
        let is_part = |name: &str| self.parts.iter().any(|part| part.file.path == name);
        store.sync(|name| is_part(name) || layout::is_receipt(name))?;
        store.write_later(&Self::file(&self.stage, self.part), sealed_json(self).as_bytes())?;
        Ok(())
    }

    /// Makes all receipts last that were written.
    pub fn settle(store: &Store) -> Result<(), StoreError> {
        store.sync(layout::is_receipt)
    }

    /// Reads a receipt; `None` when there is none or it is not one (a damaged receipt proves
    /// nothing, so the work is done again).
    pub fn read(store: &Store, stage: &str, part: u32) -> Option<Self> {
        let bytes = store.read(&Self::file(stage, part)).ok()?;
        read_sealed(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_written_when_its_parts_last_and_lasts_from_the_next_one_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let receipt = |stage: &str| {
            let file = store.write_later(&format!("tables/{stage}/part"), b"x").unwrap();
            let parts = vec![PartStats { file, rows: 1 }];
            let (stage, fingerprint, aqlens) = (stage.to_owned(), String::new(), None);
            let effort = Effort::default();
            let (version, part, skipped, self_proof) = (1, 0, 0, None);
            Receipt {
                stage,
                version,
                part,
                fingerprint,
                aqlens,
                skipped,
                repeats: 0,
                self_proof,
                effort,
                parts,
            }
        };
        let others = store.write_later("tables/another/part", b"x").unwrap();
        receipt("a").write(&store).unwrap();
        assert_eq!(store.unsynced(), [others.path.as_str(), "receipts/a/part-00000.json"]);
        receipt("b").write(&store).unwrap();
        assert_eq!(store.unsynced(), [others.path.as_str(), "receipts/b/part-00000.json"]);
        Receipt::settle(&store).unwrap();
        assert_eq!(store.unsynced(), [others.path]);
    }
}

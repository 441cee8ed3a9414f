//! `run.json`: where the numbers come from, for people and for the report.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::layout::RECORD;
use super::receipt::SelfProof;
use crate::model::Provider;
use crate::store::{FileStamp, Store, StoreError, read_sealed, sealed_json};

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Raised when this file's shape changes.
    pub format: u32,
    /// `running` until every stage is done, then `finished`.
    pub state: State,
    /// What the numbers depend on.
    pub lineage: Lineage,
    /// Raw tables that stay; the others are deleted once they are read.
    pub retain: BTreeSet<String>,
    /// Into how many shares the last process that did one of them divided the run; only while
    /// running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u32>,
    /// What the finished run is recognised by; absent while running, and where a file of the model
    /// was too new to be recognised later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// The libraries of ONNX Runtime that processes of this lineage loaded: SHA-256 of each, and where
    /// it was loaded from last. No part of the lineage: the same library may lie elsewhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: BTreeMap<String, String>,
    /// What was done; zero while running.
    pub counts: Counts,
    /// How far prompts that ran a second time, alone, were from what the batches gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_proof: Option<SelfProof>,
}

/// What a finished run is recognised by, beside its lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// SHA-256 over names and fingerprints of all receipts.
    pub receipts_sha256: String,
    /// The model's files as they were before they were hashed.
    pub model_files: BTreeMap<String, FileStamp>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Begun: resume it by running the same command again.
    Running,
    /// Every stage is done.
    Finished,
}

/// What the numbers of a run depend on. Holds no times, so equal runs give equal lineages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Name of the pipeline.
    pub pipeline: String,
    /// SHA-256 of `pipeline.yml` in the run directory: the pipeline as resolved.
    pub pipeline_sha256: String,
    /// The model's source, as its folder says.
    pub model: String,
    /// Revision of that source, when it has one.
    pub model_revision: Option<String>,
    /// SHA-256 of the graph.
    pub model_sha256: String,
    /// SHA-256 of the model's head, when a stage uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_sha256: Option<String>,
    /// SHA-256 of the tokenizer.
    pub tokenizer_sha256: String,
    /// SHA-256 over all prompts (keys and texts) in the order of the plan.
    pub prompts_sha256: String,
    /// Version of aqlens.
    pub aqlens: String,
    /// Version of ONNX Runtime.
    pub onnxruntime: String,
    /// What the graph ran on: `cpu` or `cuda`.
    pub provider: Provider,
    /// Precision of stored activations.
    pub precision: String,
    /// Whether CUDA might round matrix products to TF32.
    pub tf32: bool,
}

/// What made the tables of a run, counted over all processes that worked on it, from their receipts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Shards of the plan.
    pub shards: u32,
    /// Prompts of the plan.
    pub prompts: u64,
    /// Prompts that could not be run.
    pub skipped: u64,
    /// Times the model ran, for a batch or for a prompt alone.
    pub model_calls: u64,
    /// Calls of the model's head.
    #[serde(default)]
    pub head_calls: u64,
    /// Numbers of threads of ONNX Runtime within an operation that parts were made with, ascending;
    /// another number may change the last digits of activations.
    pub model_threads: BTreeSet<usize>,
    /// Parts of tables written.
    pub parts_written: u64,
    /// Time that the stages took, summed: more than the clock's where they worked side by side.
    pub stage_seconds: f64,
    /// Wall time of the last process up to the end of the last stage.
    pub seconds: f64,
}

impl Lineage {
    /// How a run differs from another: name of the field, its own value, the other's.
    pub(crate) fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let fields = |lineage: &Self| match serde_json::to_value(lineage) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => unreachable!("a lineage serialises to an object"),
        };
        let (ours, theirs) = (fields(self), fields(other));
        let differ = ours.into_iter().filter(|(name, value)| theirs.get(name) != Some(value));
        differ
            .map(|(name, value)| {
                let there = theirs.get(&name).unwrap_or(&serde_json::Value::Null).to_string();
                (name, value.to_string(), there)
            })
            .collect()
    }
}

impl RunRecord {
    /// Reads the record of a run directory; `None` when there is none or it is damaged.
    pub fn read(store: &Store) -> Option<Self> {
        read_sealed(&store.read(RECORD).ok()?).ok()
    }

    /// Takes over the libraries that other processes of this lineage loaded.
    pub(crate) fn keep_libraries(&mut self, store: &Store) {
        let before = Self::read(store).filter(|before| before.lineage == self.lineage);
        for (sha256, path) in before.into_iter().flat_map(|before| before.libraries) {
            self.libraries.entry(sha256).or_insert(path);
        }
    }

    pub(crate) fn write(&self, store: &Store) -> Result<(), StoreError> {
        store.write(RECORD, sealed_json(self).as_bytes())?;
        Ok(())
    }
}

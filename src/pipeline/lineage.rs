//! `run.json`: where the numbers come from, for people and for the report.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Pipeline;
use super::run::Marks;
use crate::model::EngineFacts;
use crate::store::{Store, StoreError, hex_sha256, read_sealed, sealed_json};
use crate::table::receipt::SelfProof;

/// Name of the file in the run directory.
pub const FILE: &str = "run.json";

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
    /// What was done; zero while running.
    pub counts: Counts,
    /// How far prompts that ran a second time, alone, were from what the batches gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_proof: Option<SelfProof>,
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
    pub provider: crate::model::Provider,
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
    pub(super) fn new(
        pipeline: &Pipeline,
        resolved: &str,
        prompts_sha256: String,
        facts: &EngineFacts,
    ) -> Self {
        let card = &pipeline.card;
        Self {
            pipeline: pipeline.name.clone(),
            pipeline_sha256: hex_sha256(resolved.as_bytes()),
            model: card.source.name.clone(),
            model_revision: card.source.revision.clone(),
            model_sha256: card.graph_sha256(),
            head_sha256: pipeline
                .stages
                .iter()
                .any(|stage| stage.uses_head())
                .then(|| card.head_sha256())
                .flatten(),
            tokenizer_sha256: card.tokenizer_sha256(),
            prompts_sha256,
            aqlens: env!("CARGO_PKG_VERSION").to_owned(),
            onnxruntime: facts.runtime_version.clone(),
            provider: facts.provider,
            precision: "float32".to_owned(),
            tf32: facts.tf32,
        }
    }
}

impl Lineage {
    /// In what a run differs from another: name of the field, its own value, the other's.
    pub(super) fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
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
        read_sealed(&store.read(FILE).ok()?).ok()
    }

    pub(super) fn write(&self, store: &Store) -> Result<(), StoreError> {
        store.write(FILE, sealed_json(self).as_bytes())?;
        Ok(())
    }
}

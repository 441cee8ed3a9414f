//! `run.json`: where the numbers come from, for people and for the report.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::judgements::Judgements;
use super::layout::RECORD;
use super::made_by::{MadeBy, UNKNOWN};
use super::receipt::SelfProof;
use crate::model::{ModelCard, Provider};
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
    /// Which versions of aqlens did the stages; empty while running.
    #[serde(default, skip_serializing_if = "MadeBy::is_empty")]
    pub made_by: MadeBy,
    /// The version of aqlens that last worked on the run, or found that nothing was to be done: the
    /// fingerprints of all receipts are those that it gives. Early records name none: that of the
    /// lineage is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<String>,
    /// The version that made receipts which name none, where that is known and they may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnamed_by: Option<String>,
    /// What `model.json` says the model is; earlier versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_shape: Option<ModelShape>,
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
    /// How often verdicts were made of the run's numbers, and by which rules. No part of the lineage,
    /// as it holds times.
    #[serde(default, skip_serializing_if = "Judgements::is_empty")]
    pub judgements: Judgements,
    /// What was done; zero while running.
    pub counts: Counts,
    /// How far prompts that ran a second time, alone, were from what the batches gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_proof: Option<SelfProof>,
}

/// The sizes in `model.json`, the one file of a model folder whose hash nothing records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// Transformer blocks.
    pub n_layer: i16,
    /// Attention heads a block.
    pub n_head: i16,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Longest prompt in tokens.
    pub n_positions: usize,
}

impl ModelShape {
    /// That of a model folder.
    pub(crate) fn of(card: &ModelCard) -> Self {
        let ModelCard { n_layer, n_head, d_model, vocab_size, n_positions, .. } = *card;
        Self { n_layer, n_head, d_model, vocab_size, n_positions }
    }

    /// What is different in the other one, in words: `n_positions 64, not 32`.
    pub(crate) fn differences(&self, other: &Self) -> String {
        let sizes = |shape: &Self| {
            let Self { n_layer, n_head, d_model, vocab_size, n_positions } = *shape;
            let widths = [d_model, vocab_size, n_positions];
            let names = ["n_layer", "n_head", "d_model", "vocab_size", "n_positions"];
            let sizes = [n_layer, n_head].map(|n| n.to_string()).into_iter();
            names.into_iter().zip(sizes.chain(widths.map(|n| n.to_string())))
        };
        let differ =
            sizes(self).zip(sizes(other)).filter(|((_, ours), (_, theirs))| ours != theirs);
        let words =
            differ.map(|((name, ours), (_, theirs))| format!("{name} {ours}, not {theirs}"));
        words.collect::<Vec<_>>().join("; ")
    }
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
    /// Version of aqlens: while running, that of the process at work; of a finished run, all that made
    /// it, as [`MadeBy::words`] has them.
    pub aqlens: String,
    /// Version of ONNX Runtime.
    pub onnxruntime: String,
    /// What the graph ran on: `cpu` or `cuda`.
    pub provider: Provider,
    /// Precision of stored activations.
    pub precision: String,
    /// Whether CUDA might round matrix products to TF32.
    pub tf32: bool,
    /// How the tables are written: [`ENCODING`](crate::table::writer::ENCODING) of the version that
    /// wrote them.
    #[serde(default = "first_encoding")]
    pub table_encoding: u32,
}

/// What run directories have that say nothing of it.
fn first_encoding() -> u32 {
    1
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
    /// Prompts that have the numbers of another one with the same tokens, which ran for them.
    #[serde(default)]
    pub repeats: u64,
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
    /// Whether both are of the same run, whichever versions of aqlens made it: whether a version makes
    /// something in another way is seen from its fingerprints.
    pub(crate) fn is_of_same_run(&self, other: &Self) -> bool {
        Self { aqlens: other.aqlens.clone(), ..self.clone() } == *other
    }

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
    /// The version of aqlens whose fingerprints the receipts have.
    pub fn judge(&self) -> &str {
        self.judged_by.as_deref().unwrap_or(&self.lineage.aqlens)
    }

    /// The version that made receipts which name none: all were made by that of the lineage before
    /// records named the versions.
    pub(crate) fn maker_of_unnamed(&self) -> &str {
        let early = self.judged_by.is_none().then_some(self.lineage.aqlens.as_str());
        self.unnamed_by.as_deref().or(early).unwrap_or(UNKNOWN)
    }

    /// Reads the record of a run directory; `None` when there is none or it is damaged.
    pub fn read(store: &Store) -> Option<Self> {
        read_sealed(&store.read(RECORD).ok()?).ok()
    }

    /// Takes over what stays from one run in the folder to the next: the judgements, and the libraries
    /// that other processes of this lineage loaded.
    pub(crate) fn keep_history(&mut self, store: &Store) {
        let Some(before) = Self::read(store) else { return };
        let rule = self.judgements.rule.take();
        self.judgements = Judgements { rule, ..before.judgements };
        if before.lineage == self.lineage {
            for (sha256, path) in before.libraries {
                self.libraries.entry(sha256).or_insert(path);
            }
        }
    }

    pub(crate) fn write(&self, store: &Store) -> Result<(), StoreError> {
        store.write(RECORD, sealed_json(self).as_bytes())?;
        Ok(())
    }
}

//! The run directory before the work: whether it may be used, and what it holds.

use std::path::Path;

use super::RunError;
use crate::model::{CARD, EngineFacts, ModelCard, ModelError};
use crate::monitor::{Event, Monitor};
use crate::run_dir::layout;
use crate::run_dir::record::{Lineage, RunRecord};
use crate::store::Store;

/// Refuses a folder that belongs to something else.
pub(super) fn refuse_foreign(run_dir: &Path, name: &str, resolved: &str) -> Result<(), RunError> {
    let store = Store::open(run_dir);
    let foreign = |holds: String| Err(RunError::ForeignFolder { path: run_dir.to_owned(), holds });
    // Listed first: a process that shares the run writes its record before any table.
    let names = if run_dir.is_dir() { store.list("")? } else { Vec::new() };
    if let Some(record) = RunRecord::read(&store) {
        let other = &record.lineage.pipeline;
        if other != name {
            return foreign(format!("holds a run of another pipeline, '{other}', not '{name}'"));
        }
    } else if !is_written(&store, resolved) {
        // A run of this very pipeline may have lost its run.json; a process killed before its first
        // record leaves these and nothing else.
        let ours = [layout::LOCK, layout::LOCKS, layout::PENDING, layout::PIPELINE, layout::RECORD];
        if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
            return foreign(format!("is no run directory: it holds '{name}' and no run.json"));
        }
    }
    Ok(())
}

/// Whether the folder's `pipeline.yml` is this one.
pub(super) fn is_written(store: &Store, resolved: &str) -> bool {
    store.read(layout::PIPELINE).is_ok_and(|text| text == resolved.as_bytes())
}

/// Refuses a `model.json` that says something else of the very model that the folder's numbers are of.
pub(super) fn refuse_other_shape(
    record: &RunRecord,
    before: Option<&RunRecord>,
    card: &ModelCard,
) -> Result<(), RunError> {
    let is_same_model = |before: &&RunRecord| {
        let (ours, theirs) = (&record.lineage, &before.lineage);
        ours.model_sha256 == theirs.model_sha256 && ours.tokenizer_sha256 == theirs.tokenizer_sha256
    };
    let then = before.filter(is_same_model).and_then(|before| before.model_shape);
    match (then, record.model_shape) {
        (Some(then), Some(now)) if then != now => {
            let problem = format!(
                "has changed since the run directory's numbers were made, though the files that it \
                 lists are the same: it says {now:?}, and said {then:?}"
            );
            Err(ModelError::Card { path: card.folder.join(CARD), problem }.into())
        }
        _ => Ok(()),
    }
}

/// Says what the run is about to do.
pub(super) fn announce(
    record: &RunRecord,
    before: Option<&RunRecord>,
    facts: &EngineFacts,
    monitor: &dyn Monitor,
) {
    let Lineage { model, onnxruntime, provider, .. } = &record.lineage;
    let (threads, prompts, shards) = (facts.threads, record.counts.prompts, record.counts.shards);
    monitor.event(&Event::Note(&format!(
        "model {model} on ONNX Runtime {onnxruntime} ({provider}, {threads} threads); \
         {prompts} prompts, {shards} {}",
        if shards == 1 { "shard" } else { "shards" }
    )));
    if let Some(reason) = &facts.fallback {
        monitor.event(&Event::Note(&format!("provider auto uses the processor: {reason}")));
    }
    if let Some(differs) = differs(&record.lineage, before) {
        monitor.event(&Event::Note(&format!(
            "the run directory holds an earlier state of this pipeline ({differs}): what depends on \
             that is done again, and what no longer belongs to the pipeline is deleted"
        )));
    }
}

/// How this run differs from the recorded one; `None` when it does not, or none is recorded.
pub(super) fn differs(lineage: &Lineage, before: Option<&RunRecord>) -> Option<String> {
    let differences = lineage.differences(&before?.lineage);
    let words: Vec<String> = differences
        .iter()
        .map(|(field, here, there)| match field.as_str() {
            // Hashes mean nothing to a reader.
            "pipeline_sha256" => "another pipeline.yml".to_owned(),
            "model_sha256" => "another model".to_owned(),
            "tokenizer_sha256" => "another tokenizer".to_owned(),
            "prompts_sha256" => "other prompts".to_owned(),
            _ => format!("{field} {there} there, {here} here"),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

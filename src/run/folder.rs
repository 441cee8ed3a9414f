//! The run directory before the work: whether it may be used, and what it holds.

use std::path::Path;

use super::RunError;
use crate::model::{CARD, EngineFacts, ModelCard, ModelError};
use crate::monitor::{Event, Monitor};
use crate::run_dir::layout;
use crate::run_dir::record::{Lineage, RunRecord};
use crate::store::Store;

/// Refuses a folder that belongs to something else, so that nothing is overwritten that aqlens did not
/// write.
///
/// A run directory is one that says so under its seal (`run.json`, written before any other file that
/// is not for locks), or, should that be lost, one that holds receipts and this very `pipeline.yml`.
pub(super) fn refuse_foreign(run_dir: &Path, name: &str, resolved: &str) -> Result<(), RunError> {
    let store = Store::open(run_dir);
    let foreign = |holds: String| Err(RunError::ForeignFolder { path: run_dir.to_owned(), holds });
    // Listed first: a process that shares the run writes its record before anything else.
    let names = if run_dir.is_dir() { store.list("")? } else { Vec::new() };
    if let Some(record) = RunRecord::read(&store) {
        let other = &record.lineage.pipeline;
        if other != name {
            return foreign(format!("holds a run of another pipeline, '{other}', not '{name}'"));
        }
    } else if !(is_written(&store, resolved) && store.exists(layout::RECEIPTS)) {
        // A process killed before its first record leaves these and nothing else.
        let ours = [layout::LOCK, layout::LOCKS, layout::PENDING];
        let others = || names.iter().filter(|name| !ours.contains(&name.as_str()));
        // First what would be overwritten.
        let written = [layout::PIPELINE, layout::RECORD, layout::SUMMARY, layout::REPORT];
        let first = others().find(|name| written.contains(&name.as_str()));
        match first.or_else(|| others().next()).map(String::as_str) {
            Some(layout::RECORD) => {
                return foreign(
                    "is no run directory of this pipeline: its run.json is damaged or not of \
                     aqlens, and would be overwritten"
                        .to_owned(),
                );
            }
            Some(name) if written.contains(&name) => {
                return foreign(format!(
                    "is no run directory: it holds no run.json, and a run would overwrite the \
                     '{name}' in it"
                ));
            }
            Some(name) => {
                return foreign(format!("is no run directory: it holds '{name}' and no run.json"));
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether a run was begun in the folder: what is left of it may need no model.
pub(super) fn begun(run_dir: &Path) -> bool {
    RunRecord::read(&Store::open(run_dir)).is_some()
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
                "has changed since the numbers in this run directory were made, though the files \
                 that it lists are the same: it says {}; restore it, or choose another folder with \
                 --run-dir if that is meant",
                now.differences(&then)
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
    let Some(before) = before else { return };
    if let Some(differs) = differs(&record.lineage, Some(before), false) {
        monitor.event(&Event::Note(&format!(
            "the run directory holds an earlier state of this pipeline ({differs}): what depends on \
             that is done again, and what no longer belongs to the pipeline is deleted"
        )));
    }
    let (there, here) = (&before.lineage.aqlens, &record.lineage.aqlens);
    if there != here {
        monitor.event(&Event::Note(&format!(
            "aqlens {there} made what the run directory holds, and this is {here}: what both make in \
             the same way stays, recorded as made by {there}; the rest is done again"
        )));
    }
}

/// How this run differs from the recorded one, with the version of aqlens if that is asked for; `None`
/// when it does not, or none is recorded.
pub(super) fn differs(
    lineage: &Lineage,
    before: Option<&RunRecord>,
    with_version: bool,
) -> Option<String> {
    let differences = lineage.differences(&before?.lineage);
    let words: Vec<String> = differences
        .iter()
        .filter(|(field, ..)| with_version || field != "aqlens")
        .map(|(field, here, there)| match field.as_str() {
            // Hashes mean nothing to a reader.
            "pipeline_sha256" => "another pipeline.yml".to_owned(),
            "model_sha256" => "another model".to_owned(),
            "tokenizer_sha256" => "another tokenizer".to_owned(),
            "prompts_sha256" => "other prompts".to_owned(),
            "table_encoding" => "tables that an earlier aqlens wrote".to_owned(),
            _ => format!("{field} {there} there, {here} here"),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

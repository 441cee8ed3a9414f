//! Recognises a finished run quickly, without hashing the model or laying out a prompt.
//!
//! `run.json` carries its own hash, so what it says is what the run wrote when it was done. The run
//! that is asked for is that one when the pipeline and everything else in the lineage are the same,
//! the model's files have the sizes, inodes and times that they had then, and the receipts are the
//! same, with every part that they name present in its size. What escapes is a file of the same size
//! that was altered later: `--recheck` and `aqlens verify` compare a table with its hash, and a model
//! file cannot be altered without its time of change (see [`FileStamp`]).

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::folder::is_written;
use crate::ledger::lineage::lineage_of;
use crate::ledger::{claims, is_released, receipts_sha256};
use crate::model::{CARD, Engine, ModelCard, ModelError};
use crate::pipeline::Pipeline;
use crate::run_dir::RunDir;
use crate::run_dir::layout::{self, Place};
use crate::run_dir::made_by::THIS_VERSION;
use crate::run_dir::record::{Marks, RunRecord, State};
use crate::stages::described;
use crate::store::{FileStamp, Store};

/// Stamps of all files of a model folder, the card among them; `None` when one has none.
pub(super) fn stamps(card: &ModelCard) -> Option<BTreeMap<String, FileStamp>> {
    let stamp = |name: &str| Some((name.to_owned(), FileStamp::of(&card.folder.join(name))?));
    card.files.keys().map(String::as_str).chain([CARD]).map(stamp).collect()
}

/// The record of the finished run that `store` holds, when it is quickly seen to be the one asked
/// for. `None` decides nothing: the caller looks closer.
///
/// # Errors
/// When there is no usable ONNX Runtime.
pub(super) fn record(
    store: &Store,
    pipeline: &Pipeline,
    resolved: &str,
    engine: &Engine,
) -> Result<Option<RunRecord>, ModelError> {
    let Some(before) = RunRecord::read(store) else { return Ok(None) };
    let Some(marks) = before.marks.as_ref().filter(|_| before.state == State::Finished) else {
        return Ok(None);
    };
    // Another version may give other fingerprints: then they are compared.
    if before.judge() != THIS_VERSION {
        return Ok(None);
    }
    if !is_written(store, resolved) || stamps(&pipeline.card).as_ref() != Some(&marks.model_files) {
        return Ok(None);
    }
    // The prompts follow from the pipeline, the tokenizer and this program.
    let prompts = before.lineage.prompts_sha256.clone();
    let lineage = lineage_of(pipeline, resolved, prompts, engine.facts()?);
    let is_same =
        lineage.is_of_same_run(&before.lineage) && holds(store, marks, pipeline).unwrap_or(false);
    Ok(is_same.then_some(before))
}

/// Whether the receipts are those of the finished run, of today's versions of their stages, and all
/// their parts are there.
fn holds(store: &Store, marks: &Marks, pipeline: &Pipeline) -> Option<bool> {
    let names = RunDir::of(store).receipts().ok()?;
    let fingerprints: Option<BTreeMap<String, String>> = names
        .into_par_iter()
        .map(|name| {
            let Some(Place::Receipt(kind, part)) = layout::place_of(&name) else { return None };
            let stage = described(kind)?;
            let receipt = claims::read(store, stage, part)?;
            let needed =
                receipt.parts.iter().filter(|p| !is_released(&pipeline.retain, &p.file.path));
            let are_there = needed.into_iter().all(|part| part.is_there(store));
            let is_current = stage.version == receipt.version;
            (are_there && is_current).then(|| (name.clone(), receipt.fingerprint))
        })
        .collect();
    Some(receipts_sha256(&fingerprints?) == marks.receipts_sha256)
}

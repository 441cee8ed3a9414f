//! How far a run is, from its files alone: without its model, its inputs or its prompts, so that it can be
//! asked anywhere and often.
//!
//! A shard counts as done when every stage of it has a receipt. Whether these hold for the pipeline as it
//! is now, only a run decides: after a change of settings it does some of them again.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use crate::pipeline::chosen::ShardList;
use crate::run_dir::record::State;
use crate::run_dir::{OpenError, RunDir, layout};
use crate::stage::Scope;
use crate::stages::described;
use crate::store::{Holder, Store};
use crate::yaml::{Document, Node};

/// How far a run is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Name of its pipeline.
    pub pipeline: String,
    /// Whether every stage is done, those over the whole run too.
    pub state: State,
    /// How many shards it has.
    pub shards: u32,
    /// How many prompts they have.
    pub prompts: u64,
    /// Shards of which every stage has a receipt.
    pub done: ShardList,
    /// The others.
    pub missing: ShardList,
    /// Shards that a process is working on, and which one.
    pub held: Vec<(u32, Holder)>,
    /// The processes at work.
    pub at_work: Vec<Holder>,
    /// Prompts a second since the first process that is still at work began; `None` when no shard was done
    /// since, or nobody is at work.
    pub prompts_per_second: Option<f64>,
    /// About how long the missing shards take at that rate.
    pub left: Option<Duration>,
}

impl Progress {
    /// That of the run in a folder.
    ///
    /// # Errors
    /// When the folder holds no run, its record or pipeline file is damaged, or its receipts cannot be listed.
    pub fn of(run: &RunDir) -> Result<Self, OpenError> {
        let store = run.store();
        let damaged = |name: &str, problem: &str| OpenError::Damaged {
            path: store.path(name),
            problem: problem.to_owned(),
        };
        let record = run.record().ok_or_else(|| damaged(layout::RECORD, "it has no sound seal"))?;
        let (shards, prompts) = (record.counts.shards, record.counts.prompts);
        let kinds = shard_stages(store)
            .ok_or_else(|| damaged(layout::PIPELINE, "it names no stages that aqlens knows"))?;
        let at_work = store.at_work();
        let done = match record.state {
            State::Finished => (0..shards).collect(),
            State::Running => done(store, &kinds, shards)?,
        };
        let rate = rate(store, &kinds, &done, &at_work);
        let rate = rate.map(|rate| rate * prompts as f64 / f64::from(shards.max(1)));
        let missing: ShardList = (0..shards).filter(|part| !done.contains(part)).collect();
        let prompts_left = prompts as f64 * f64::from(missing.len()) / f64::from(shards.max(1));
        let held = store.held_pieces().into_iter();
        Ok(Self {
            pipeline: record.lineage.pipeline,
            state: record.state,
            shards,
            prompts,
            done: done.into_iter().collect(),
            missing,
            held: held.filter_map(|(name, by)| Some((layout::part_of(&name)?, by))).collect(),
            at_work,
            prompts_per_second: rate,
            left: rate.map(|rate| Duration::from_secs_f64(prompts_left / rate)),
        })
    }
}

/// The kinds of stages that are done shard by shard; `None` when the run's own pipeline file does not name
/// any.
fn shard_stages(store: &Store) -> Option<Vec<&'static str>> {
    let bytes = store.read(layout::PIPELINE).ok()?;
    let (document, problems) = Document::new(layout::PIPELINE, &bytes, &[]);
    let stages = document.root().filter(|_| problems.is_empty())?.get("stages")?;
    let kind = |stage: &Node| described(stage.get("kind")?.text()?);
    let kinds = stages.elements()?.iter().filter_map(kind);
    let of_shards = kinds.filter(|stage| stage.scope == Scope::Shard);
    Some(of_shards.map(|stage| stage.kind).collect()).filter(|kinds: &Vec<_>| !kinds.is_empty())
}

/// The shards that have a receipt of each of these stages.
fn done(store: &Store, kinds: &[&str], shards: u32) -> Result<BTreeSet<u32>, OpenError> {
    let mut done: BTreeSet<u32> = (0..shards).collect();
    for kind in kinds {
        let folder = format!("{}/{kind}", layout::RECEIPTS);
        let names = if store.exists(&folder) { store.list(&folder)? } else { Vec::new() };
        let parts: BTreeSet<u32> = names.iter().filter_map(|name| layout::part_of(name)).collect();
        done.retain(|part| parts.contains(part));
    }
    Ok(done)
}

/// Shards a second since the first of those at work began.
fn rate(store: &Store, kinds: &[&str], done: &BTreeSet<u32>, at_work: &[Holder]) -> Option<f64> {
    let elapsed = at_work.iter().filter_map(|holder| holder.held).max()?;
    let began = SystemTime::now().checked_sub(elapsed)?;
    let last = kinds.last()?;
    let is_new = |part: &&u32| {
        let path = store.path(&layout::receipt_file(last, **part));
        fs::metadata(path).and_then(|file| file.modified()).is_ok_and(|time| time >= began)
    };
    let new = done.iter().filter(is_new).count();
    (new > 0).then(|| new as f64 / elapsed.as_secs_f64())
}

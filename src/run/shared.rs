//! A run that several processes do together: some of its shards each, and one that finishes it.

use super::folder::{differs, is_written, refuse_foreign};
use super::record::nothing_to_do;
use super::work::Work;
use super::{Run, RunError, RunSummary};
use crate::monitor::Event;
use crate::pipeline::chosen::{Chosen, ShardList, Shards};
use crate::pipeline::share::Share;
use crate::run_dir::record::RunRecord;

impl Run<'_> {
    /// The stages over the whole run need every shard; takes over the receipts of all.
    pub(super) fn refuse_unfinished(&mut self) -> Result<(), RunError> {
        let missing = self.executor.missing(self.plan, usize::MAX)?;
        if !missing.is_empty() {
            let before = RunRecord::read(self.executor.work.store);
            let redo = redo(&missing, before.and_then(|before| before.shares));
            let missing = missing.into_iter().collect();
            return Err(RunError::Unfinished { missing, shards: self.record.counts.shards, redo });
        }
        Ok(())
    }

    /// What others leave of `chosen`.
    pub(super) fn share(mut self, chosen: &Chosen) -> Result<RunSummary, RunError> {
        let Work { store, pipeline, monitor, .. } = self.executor.work;
        self.refuse_missing(chosen)?;
        let setting_up = self.executor.work.wait_for_piece("setup")?;
        refuse_foreign(store.root(), &pipeline.name, self.resolved)?;
        let before = RunRecord::read(store);
        let is_same = is_written(store, self.resolved)
            && before.as_ref().is_some_and(|before| before.lineage == self.record.lineage);
        let holders = if is_same { Vec::new() } else { store.present() };
        if !holders.is_empty() {
            let path = store.root().to_owned();
            let differs = differs(&self.record.lineage, before.as_ref(), true);
            let differs = differs.unwrap_or_else(|| "its record cannot be read".to_owned());
            return Err(RunError::OtherState { path, holders, differs });
        }
        if let Some(before) = self.finished()? {
            return Ok(nothing_to_do(before, self.started, monitor));
        }
        self.announce();
        self.record.shares = match &chosen.of {
            Shards::Share(share) => Some(share.n()),
            Shards::All | Shards::Listed(_) => None,
        };
        self.record.keep_history(store);
        if !is_same || before.is_none_or(|before| before != self.record) {
            self.begin()?;
        }
        let _presence = store.announce_presence(&chosen.to_string())?;
        drop(setting_up);
        let left: ShardList = self.executor.run_share(self.plan, chosen)?.into_iter().collect();
        self.add_counts();
        monitor.event(&Event::Note(&self.note(chosen, &left)));
        Ok(RunSummary { left, ..self.summary() })
    }

    /// Listed shards that the run does not have are a mistake.
    fn refuse_missing(&self, chosen: &Chosen) -> Result<(), RunError> {
        let shards = self.record.counts.shards;
        match &chosen.of {
            Shards::Listed(list) if list.last().is_some_and(|last| last >= shards) => {
                Err(RunError::NoSuchShard { last: list.last().unwrap_or_default(), shards })
            }
            _ => Ok(()),
        }
    }

    fn note(&self, chosen: &Chosen, left: &ShardList) -> String {
        let shards = self.record.counts.shards;
        let n = chosen.count(shards);
        if left.is_empty() {
            return format!(
                "{chosen}: done, {n} of the run's {shards} shards; run with --finish when all are"
            );
        }
        format!(
            "{chosen}: nothing is free any more; of {n} of the run's {shards} shards other processes are \
             working on {left}; run with --finish when all are done"
        )
    }
}

/// The options with which the missing shards are done: the shares that they are in, where the last process
/// divided the run into `shares`.
fn redo(missing: &[u32], shares: Option<u32>) -> Vec<String> {
    let Some(n) = shares.filter(|n| *n > 0) else { return vec!["--join".to_owned()] };
    let mut redo: Vec<String> = Vec::new();
    for share in missing.iter().map(|part| format!("--shard {}", Share::of(*part, n))) {
        if !redo.contains(&share) {
            redo.push(share);
        }
    }
    redo
}

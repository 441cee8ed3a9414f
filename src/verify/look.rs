//! One look at a run directory, from its record down to its tables.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::doubt::doubts;
use super::inspect::{inspect, read_whole, unread};
use super::steps::Steps;
use super::{Finding, Verification, VerifyError, Wrong};
use crate::ledger::descent::{Key, key_of, keys_of, writer_of};
use crate::ledger::fingerprint::Ground;
use crate::ledger::{Ledger, claims, is_released, made_files, maker};
use crate::monitor::Monitor;
use crate::pipeline::plan::PlanError;
use crate::pipeline::{Pipeline, config};
use crate::run_dir::made_by::THIS_VERSION;
use crate::run_dir::receipt::Receipt;
use crate::run_dir::record::{RunRecord, State};
use crate::run_dir::{RunDir, layout};
use crate::stage::{Scope, Stage};
use crate::store::{FileStats, Store, StoreError, hex_sha256};
use crate::table::Table;
use crate::table::writer::ENCODING;

/// What is said of a symbolic link.
const LINK: &str = "it is a symbolic link, which aqlens does not follow";

/// One look at a run directory.
pub(super) struct Look<'a> {
    run: &'a RunDir,
    store: &'a Store,
    found: Verification,
    record: Option<RunRecord>,
    /// Receipts that are whole and, as far as the plan is known, hold.
    receipts: BTreeMap<Key, Receipt>,
    /// Sound receipts of other work than the recorded plan's. A run of another state of the
    /// pipeline, which `run.json` does not record yet, may hold them.
    set_aside: Vec<Receipt>,
    /// Work that no receipt proves; its files are neither sound nor foreign.
    unproved: BTreeSet<Key>,
}

impl<'a> Look<'a> {
    pub(super) fn new(run: &'a RunDir) -> Self {
        Self {
            run,
            store: run.store(),
            found: Verification::default(),
            record: None,
            receipts: BTreeMap::new(),
            set_aside: Vec::new(),
            unproved: BTreeSet::new(),
        }
    }

    /// What is wrong with the folder by the recorded plan.
    pub(super) fn by_plan(mut self, monitor: &dyn Monitor) -> Result<Verification, VerifyError> {
        self.check_plan()?;
        self.finish(monitor)
    }

    /// Likewise, and the files of every receipt that can be read, whatever plan it belongs to.
    pub(super) fn by_every_receipt(
        mut self,
        monitor: &dyn Monitor,
    ) -> Result<Verification, VerifyError> {
        self.check_plan()?;
        let set_aside = std::mem::take(&mut self.set_aside);
        self.hash_files(&set_aside.iter().collect::<Vec<_>>(), monitor)?;
        self.finish(monitor)
    }

    fn check_plan(&mut self) -> Result<(), VerifyError> {
        self.read_record();
        let pipeline = self.read_pipeline();
        let steps = match &pipeline {
            Some(pipeline) => Some(Steps::new(pipeline)?),
            None => None,
        };
        self.read_receipts(steps.as_ref())?;
        if let (Some(steps), Some(record)) = (&steps, self.record.clone()) {
            self.check_receipts(steps, &record)?;
        }
        Ok(())
    }

    fn finish(mut self, monitor: &dyn Monitor) -> Result<Verification, VerifyError> {
        let receipts = std::mem::take(&mut self.receipts);
        self.hash_files(&receipts.values().collect::<Vec<_>>(), monitor)?;
        self.receipts = receipts;
        self.find_doubtful()?;
        self.find_foreign()?;
        self.find_links();
        if !self.store.is_link(layout::PENDING) {
            self.found.leftovers = self.store.pending()?;
        }
        self.found.findings.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(self.found)
    }

    fn add(&mut self, file: &str, wrong: Wrong, why: impl Into<String>) {
        self.found.findings.push(Finding {
            file: file.to_owned(),
            wrong,
            why: why.into(),
            receipt: None,
            run_repairs: wrong != Wrong::Foreign || maker(file).is_some(),
        });
    }

    fn sound(&mut self, bytes: u64) {
        self.found.sound_files += 1;
        self.found.sound_bytes += bytes;
    }

    fn read_record(&mut self) {
        match read_whole::<RunRecord>(self.store, layout::RECORD) {
            Ok((record, bytes)) => {
                self.found.state = Some(record.state);
                self.record = Some(record);
                self.sound(bytes);
            }
            Err((wrong, why)) => self.add(layout::RECORD, wrong, why),
        }
    }

    /// The pipeline of the run, if it can be loaded.
    fn read_pipeline(&mut self) -> Option<Pipeline> {
        let name = layout::PIPELINE;
        let bytes = match self.store.read(name) {
            Ok(bytes) => bytes,
            Err(error) => {
                let (wrong, why) = unread(&error);
                self.add(name, wrong, why);
                if self.record.is_none() {
                    let note = "without run.json and pipeline.yml `aqlens run` refuses this \
                                folder: run the pipeline into another one";
                    self.found.notes.push(note.to_owned());
                }
                return None;
            }
        };
        let record = self.record.as_ref()?;
        let version = record.judge().to_owned();
        if hex_sha256(&bytes) != record.lineage.pipeline_sha256 {
            self.add(name, Wrong::Altered, "it is not the pipeline that run.json records");
            return None;
        }
        let encoding = record.lineage.table_encoding;
        self.sound(bytes.len() as u64);
        let unchecked = "whether each receipt belongs to this run was not checked";
        if version != THIS_VERSION {
            let note =
                format!("{unchecked}: aqlens {version} last worked on it, this is {THIS_VERSION}");
            self.found.notes.push(note);
            return None;
        }
        if encoding != ENCODING {
            let note = format!("{unchecked}: an earlier aqlens wrote the tables");
            self.found.notes.push(note);
            return None;
        }
        let path = self.store.path(name);
        let pipeline = config::load(&path, &[]).ok();
        if pipeline.is_none() {
            let path = path.display();
            self.found.notes.push(format!(
                "{unchecked}: the pipeline's model or input files have changed (`aqlens check \
                 {path}` names them)"
            ));
        }
        pipeline
    }

    fn read_receipts(&mut self, steps: Option<&Steps<'_>>) -> Result<(), StoreError> {
        for file in self.run.receipts()? {
            let key = key_of(&file);
            let planned = key.filter(|key| steps.is_none_or(|steps| steps.keys.contains(key)));
            let read = read_whole::<Receipt>(self.store, &file);
            let fault = |receipt: &Receipt| {
                key.map_or_else(
                    || Some(String::new()),
                    |(kind, part)| claims::fault(receipt, kind, part),
                )
            };
            let Some(key) = planned else {
                let is_link = self.store.is_link(&file);
                let why = if is_link { LINK } else { "this run has no such stage and shard" };
                self.add(&file, Wrong::Foreign, why);
                let receipt = read.ok().map(|(receipt, _)| receipt);
                self.set_aside.extend(receipt.filter(|receipt| fault(receipt).is_none()));
                continue;
            };
            match read.map(|(receipt, bytes)| (fault(&receipt), receipt, bytes)) {
                Ok((None, receipt, bytes)) => {
                    self.sound(bytes);
                    self.receipts.insert(key, receipt);
                }
                Ok((Some(why), ..)) => {
                    self.add(&file, Wrong::Foreign, why);
                    self.unproved.insert(key);
                }
                Err((wrong, why)) => {
                    self.add(&file, wrong, why);
                    self.unproved.insert(key);
                }
            }
        }
        Ok(())
    }

    /// Compares the receipts with the plan: which there must be, and with what fingerprint.
    fn check_receipts(&mut self, steps: &Steps<'_>, record: &RunRecord) -> Result<(), PlanError> {
        let is_finished = record.state == State::Finished;
        let fractions = steps.fractions.clone();
        let ground = Ground::new(&record.lineage, steps.pipeline, &steps.specials, fractions);
        let mut ledger = Ledger::new(self.store, ground, &record.retain)
            .with_unnamed_by(record.maker_of_unnamed());
        steps.each(|stage, part, prompts| {
            let key = (stage.kind(), part);
            let file = Receipt::file(stage.kind(), part);
            match self.receipts.remove(&key) {
                Some(receipt) => {
                    // What reads unproved tables cannot be checked before they are made again.
                    let holds = self.reads_unproved(steps, stage, part)
                        || receipt.fingerprint == ledger.fingerprint(stage, part, prompts);
                    if holds {
                        ledger.remember(stage, receipt.clone());
                        self.receipts.insert(key, receipt);
                        return;
                    }
                    self.found.sound_files -= 1;
                    self.found.sound_bytes -= self.store.bytes(&file).unwrap_or(0);
                    self.set_aside.push(receipt);
                    if is_finished {
                        let why = "it is the receipt of other work than this run's: another \
                                   pipeline, model or input";
                        self.add(&file, Wrong::Foreign, why);
                    }
                }
                None if is_finished && !self.unproved.contains(&key) => {
                    let why = "nothing proves that this stage is done on this shard";
                    self.add(&file, Wrong::Missing, why);
                }
                None => {}
            }
            self.found.open += usize::from(!is_finished);
            self.unproved.insert(key);
        })
    }

    fn reads_unproved(&self, steps: &Steps<'_>, stage: &dyn Stage, part: u32) -> bool {
        let reads: Vec<&Table> = stage.description().may_read().collect();
        self.unproved.iter().any(|(kind, at)| {
            let writer = steps.stages[kind];
            (stage.scope() == Scope::Run || writer.scope() == Scope::Before || *at == part)
                && reads.iter().any(|table| writer.description().writes(table))
        })
    }

    /// Hashes every file that one of these receipts names.
    fn hash_files(
        &mut self,
        receipts: &[&Receipt],
        monitor: &dyn Monitor,
    ) -> Result<(), VerifyError> {
        let store = self.store;
        let retain = self.record.as_ref().map(|record| &record.retain);
        let may_be_gone = |file: &str| {
            // Without a record it is not known what should be retained.
            !store.exists(file)
                && retain.map_or_else(
                    || is_released(&BTreeSet::new(), file),
                    |retain| is_released(retain, file),
                )
        };
        let named: Vec<(&Receipt, &FileStats)> = receipts
            .iter()
            .copied()
            .flat_map(|receipt| receipt.parts.iter().map(move |part| (receipt, &part.file)))
            .filter(|(_, file)| !may_be_gone(&file.path))
            .collect();
        let inspected: Result<Vec<_>, VerifyError> = named
            .par_iter()
            .map(|(receipt, file)| {
                if monitor.is_interrupted() {
                    return Err(VerifyError::Interrupted);
                }
                Ok((Receipt::file(&receipt.stage, receipt.part), *file, inspect(store, file)))
            })
            .collect();
        let inspected: Vec<_> =
            inspected?.into_iter().map(|(r, file, f)| (r, file.clone(), f)).collect();
        for (receipt, file, finding) in inspected {
            match finding {
                None => self.sound(file.bytes),
                Some((wrong, why)) => {
                    self.add(&file.path, wrong, why);
                    let added = self.found.findings.last_mut().expect("one was added");
                    added.receipt = Some(receipt);
                }
            }
        }
        Ok(())
    }

    /// Finds what was made from the files that are not what was written.
    fn find_doubtful(&mut self) -> Result<(), StoreError> {
        let of_stages = self.found.findings.iter().filter(|finding| finding.receipt.is_some());
        let damaged: BTreeSet<String> = of_stages.map(|finding| finding.file.clone()).collect();
        self.found.doubts = doubts(&damaged, &keys_of(self.store)?, &self.receipts);
        // What nobody can vouch for was counted as sound when its hash was found to be right.
        let unchecked = self.found.doubts.iter().filter(|doubt| !doubt.was_checked);
        for (stage, shards) in unchecked.map(|doubt| (doubt.stage, &doubt.shards)) {
            let receipts = self.receipts.iter().filter(|((kind, part), receipt)| {
                *kind == stage
                    && (shards.is_empty() || shards.binary_search(part).is_ok())
                    && !receipt.checked_what_it_read()
            });
            for file in receipts.flat_map(|(_, receipt)| &receipt.parts).map(|part| &part.file) {
                if !damaged.contains(&file.path) && self.store.exists(&file.path) {
                    self.found.sound_files -= 1;
                    self.found.sound_bytes -= file.bytes;
                }
            }
        }
        Ok(())
    }

    /// Finds files in the run's folders that no receipt names.
    fn find_foreign(&mut self) -> Result<(), StoreError> {
        let parts = self.receipts.values().flat_map(|receipt| &receipt.parts);
        let named: BTreeSet<&str> = parts.map(|part| part.file.path.as_str()).collect();
        let is_unproved = |file: &str| writer_of(file).is_some_and(|k| self.unproved.contains(&k));
        let files = made_files(self.store)?;
        let foreign = files.into_iter().filter(|file| {
            !layout::is_receipt(file) && !named.contains(file.as_str()) && !is_unproved(file)
        });
        for file in foreign.collect::<Vec<_>>() {
            let why =
                if self.store.is_link(&file) { LINK } else { "no receipt of this run names it" };
            self.add(&file, Wrong::Foreign, why);
        }
        Ok(())
    }

    /// Finds links where aqlens has a folder or a lock.
    fn find_links(&mut self) {
        for name in [layout::PENDING, layout::LOCKS, layout::LOCK] {
            if self.store.is_link(name) {
                self.add(name, Wrong::Foreign, LINK);
            }
        }
    }
}

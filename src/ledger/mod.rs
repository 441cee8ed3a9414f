//! What is done: receipts compared with the fingerprints of the present plan.

pub(crate) mod claims;
pub(crate) mod closing;
pub(crate) mod descent;
pub(crate) mod fingerprint;
pub(crate) mod found;
pub(crate) mod lineage;
pub mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::closing::Closing;
use self::fingerprint::{Ground, fingerprint};
use self::found::Found;
use crate::prompt::Prompt;
use crate::run_dir::layout::{self, Place};
use crate::run_dir::made_by::{MadeBy, THIS_VERSION, UNKNOWN};
use crate::run_dir::receipt::{Effort, PartStats, Receipt, SelfProof};
use crate::stage::{Outcome, Scope, Stage};
use crate::store::{PieceLock, Store, StoreError, hex_sha256};
use crate::table::schema::{ALL, RAW};
use crate::table::{Table, TableError};

/// The receipts of a run directory as this process found and made them.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    store: &'a Store,
    ground: Arc<Ground>,
    retain: &'a BTreeSet<String>,
    /// Parts by table, from receipts that hold.
    parts: BTreeMap<(&'static str, u32), Vec<PartStats>>,
    /// Files that belong to the present plan.
    known: BTreeSet<String>,
    /// Fingerprints of the receipts that hold, by their files.
    held: BTreeMap<String, String>,
    /// Tables that were written before all shards: every shard reads their one part.
    whole: BTreeSet<&'static str>,
    /// The version that made receipts which name none.
    unnamed_by: String,
    /// Which versions made the receipts that hold.
    made_by: MadeBy,
    /// Receipts that name raw tables which will be deleted; they are written when those are gone.
    held_back: Vec<Receipt>,
    /// Of all receipts that hold.
    total: Total,
    /// Of those that this process wrote.
    done: Total,
}

/// The sums over some receipts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Total {
    pub(crate) skipped: u64,
    pub(crate) repeats: u64,
    pub(crate) self_proof: Option<SelfProof>,
    pub(crate) model_calls: u64,
    pub(crate) head_calls: u64,
    pub(crate) model_threads: BTreeSet<usize>,
    pub(crate) parts: u64,
    pub(crate) seconds: f64,
}

impl Total {
    fn add(&mut self, receipt: &Receipt) {
        // A receipt may say any number.
        self.skipped = self.skipped.saturating_add(receipt.skipped);
        self.repeats = self.repeats.saturating_add(receipt.repeats);
        self.self_proof = match (self.self_proof, receipt.self_proof) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.or(b),
        };
        self.model_calls = self.model_calls.saturating_add(receipt.effort.model_calls);
        self.head_calls = self.head_calls.saturating_add(receipt.effort.head_calls);
        self.model_threads.extend(receipt.effort.model_threads);
        self.parts += receipt.parts.len() as u64;
        self.seconds = (self.seconds + receipt.effort.seconds).clamp(f64::MIN, f64::MAX);
    }
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(store: &'a Store, ground: Ground, retain: &'a BTreeSet<String>) -> Self {
        Self {
            store,
            ground: Arc::new(ground),
            retain,
            parts: BTreeMap::new(),
            known: BTreeSet::new(),
            held: BTreeMap::new(),
            whole: BTreeSet::new(),
            unnamed_by: UNKNOWN.to_owned(),
            made_by: MadeBy::default(),
            held_back: Vec::new(),
            total: Total::default(),
            done: Total::default(),
        }
    }

    /// Takes receipts that name no version as made by that one.
    #[must_use]
    pub(crate) fn with_unnamed_by(self, version: &str) -> Self {
        Self { unnamed_by: version.to_owned(), ..self }
    }

    /// A ledger that knows what was made before all shards, and nothing of any shard.
    pub(crate) fn look(&self) -> Self {
        let is_whole = |(key, _): &(&(&'static str, u32), _)| self.whole.contains(key.0);
        let whole = self.parts.iter().filter(is_whole);
        Self {
            store: self.store,
            ground: Arc::clone(&self.ground),
            retain: self.retain,
            parts: whole.map(|(key, parts)| (*key, parts.clone())).collect(),
            known: BTreeSet::new(),
            held: BTreeMap::new(),
            whole: self.whole.clone(),
            unnamed_by: self.unnamed_by.clone(),
            made_by: MadeBy::default(),
            held_back: Vec::new(),
            total: Total::default(),
            done: Total::default(),
        }
    }

    /// Forgets what looking at the receipts gathered, before the work begins.
    pub(crate) fn begin(&mut self) {
        self.parts.clear();
        self.known.clear();
        self.held.clear();
        self.whole.clear();
        self.made_by = MadeBy::default();
        self.total = Total::default();
    }

    /// The sums over all receipts that hold.
    pub(crate) fn total(&self) -> &Total {
        &self.total
    }

    /// The sums over the receipts that this process wrote.
    pub(crate) fn done(&self) -> &Total {
        &self.done
    }

    /// Which versions of aqlens made what all receipts that hold say.
    pub(crate) fn made_by(&self) -> &MadeBy {
        &self.made_by
    }

    /// SHA-256 over names and fingerprints of all receipts that hold.
    pub(crate) fn receipts_sha256(&self) -> String {
        receipts_sha256(&self.held)
    }

    /// The fraction of each scenario's inputs that the stage uses.
    pub(crate) fn fractions_of(&self, stage: &dyn Stage) -> &BTreeMap<String, f64> {
        self.ground.fractions_of(stage)
    }

    /// Numbers of the parts of a table with one part a shard that hold rows, ascending.
    pub(crate) fn parts_with_rows(&self, table: &Table) -> Vec<u32> {
        let of_table = self.parts.iter().filter(|((name, _), _)| *name == table.name);
        let with_rows = of_table.filter(|(_, parts)| parts.iter().any(|part| part.rows > 0));
        with_rows.map(|((_, part), _)| *part).collect()
    }

    /// The stage's fingerprint, from the parts that earlier stages are known to have written.
    pub(crate) fn fingerprint(&self, stage: &dyn Stage, part: u32, prompts: &[Prompt]) -> String {
        // Only what is taken from the plan itself enters by prompt; the rest enters by table.
        let prompts = if stage.description().reads.is_empty() { prompts } else { &[] };
        let shows_lineage = stage.description().depends_on.lineage;
        let made_by = if shows_lineage { self.made_by.words() } else { String::new() };
        fingerprint(stage, &self.ground, &made_by, prompts, &self.reads(stage, part))
    }

    fn reads(&self, stage: &dyn Stage, part: u32) -> Vec<&PartStats> {
        let tables = stage.description().may_read();
        let names: BTreeSet<&'static str> = tables.map(|table| table.name).collect();
        // Only these, not all parts: there are as many as shards, and this is asked for each.
        let of_table = |name: &'static str| {
            let all = stage.scope() == Scope::Run || self.whole.contains(name);
            let parts =
                if all { (name, 0)..=(name, u32::MAX) } else { (name, part)..=(name, part) };
            self.parts.range(parts).flat_map(|(_, parts)| parts)
        };
        names.into_iter().flat_map(of_table).collect()
    }

    /// Whether every stage's receipt holds; remembers their parts.
    pub(crate) fn all_hold(
        &mut self,
        stages: &[&dyn Stage],
        part: u32,
        prompts: &[Prompt],
    ) -> bool {
        stages.iter().all(|stage| {
            let fingerprint = self.fingerprint(*stage, part, prompts);
            // One after the other: the first that does not hold is the last that is read.
            self.reuse(*stage, &Found::read(self.store, &[*stage], part), &fingerprint)
        })
    }

    /// Takes over the receipt of a stage on the part that `found` is of, if it holds; released raw tables
    /// may be missing.
    pub(crate) fn reuse(&mut self, stage: &dyn Stage, found: &Found, fingerprint: &str) -> bool {
        let part = found.part();
        let Some(receipt) = found.receipt(stage) else { return false };
        let required = |p: &PartStats| !self.is_released(&p.file.path);
        if receipt.fingerprint != fingerprint
            || !receipt.parts.iter().filter(|p| required(p)).all(|p| p.is_there(self.store))
        {
            return false;
        }
        self.total.add(receipt);
        self.held.insert(Receipt::file(stage.kind(), part), receipt.fingerprint.clone());
        self.remember(stage, receipt.clone());
        true
    }

    /// Takes the parts of a receipt that holds as those of the present plan.
    pub(crate) fn remember(&mut self, stage: &dyn Stage, receipt: Receipt) {
        let Receipt { part, parts, aqlens, .. } = receipt;
        self.made_by.add(aqlens.as_ref().unwrap_or(&self.unnamed_by), stage.kind());
        self.known.insert(Receipt::file(stage.kind(), part));
        for stats in parts {
            // What is read of them is compared with this.
            self.store.expect(&stats.file);
            self.known.insert(stats.file.path.clone());
            let name = layout::table_of(&stats.file.path);
            let table = stage.description().writes.iter().find(|table| Some(table.name) == name);
            if let Some(table) = table {
                if stage.scope() == Scope::Before {
                    self.whole.insert(table.name);
                }
                self.parts.entry((table.name, part)).or_default().push(stats);
            }
        }
    }

    /// The stages that hold by receipt but whose released tables some other stage needs again.
    pub(crate) fn needs_released_tables(
        &self,
        stages: &[&dyn Stage],
        found: &Found,
        prompts: &[Prompt],
    ) -> BTreeSet<&'static str> {
        let part = found.part();
        if found.is_empty() {
            return BTreeSet::new();
        }
        let mut look = self.look();
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        for stage in stages {
            let fingerprint = look.fingerprint(*stage, part, prompts);
            if !look.reuse(*stage, found, &fingerprint) {
                needed.extend(stage.description().may_read().map(|table| table.name));
            }
        }
        let gone = |table: &&Table| {
            let parts = look.parts.get(&(table.name, part));
            needed.contains(table.name)
                && parts.is_some_and(|parts| !parts.iter().all(|p| p.is_there(self.store)))
        };
        let redo = stages.iter().filter(|stage| stage.description().writes.iter().any(&gone));
        redo.map(|stage| stage.kind()).collect()
    }

    /// Removes a stage's receipt before its parts are written again, so that a crash in between
    /// leaves no receipt beside parts that it does not describe.
    pub(crate) fn withdraw(&self, stage: &dyn Stage, part: u32) -> Result<(), StoreError> {
        self.store.remove(&Receipt::file(stage.kind(), part))
    }

    /// Writes the receipt of finished work, or holds it back until [`Self::closing`] when it names raw
    /// tables that will be deleted.
    pub(crate) fn record(
        &mut self,
        stage: &dyn Stage,
        part: u32,
        fingerprint: String,
        outcome: Outcome,
        effort: Effort,
    ) -> Result<(), TableError> {
        let receipt = Receipt {
            stage: stage.kind().to_owned(),
            version: stage.description().version,
            part,
            fingerprint,
            aqlens: Some(THIS_VERSION.to_owned()),
            skipped: outcome.skipped,
            repeats: outcome.repeats,
            self_proof: outcome.self_proof,
            effort,
            parts: outcome.parts,
        };
        let is_held_back = receipt.parts.iter().any(|p| self.is_released(&p.file.path));
        if !is_held_back {
            receipt.write(self.store)?;
        }
        self.total.add(&receipt);
        self.done.add(&receipt);
        self.held.insert(Receipt::file(stage.kind(), part), receipt.fingerprint.clone());
        self.remember(stage, receipt.clone());
        if is_held_back {
            self.held_back.push(receipt);
        }
        Ok(())
    }

    /// What is left to do for a shard whose stages are done: its raw tables that the pipeline does not
    /// retain are deleted, and the system forgets the others.
    pub(crate) fn closing(&mut self, part: u32, piece: Option<PieceLock>) -> Closing {
        let parts_of =
            |table: &Table| self.parts.get(&(table.name, part)).map_or(&[][..], Vec::as_slice);
        let paths = RAW.iter().flat_map(|table| parts_of(table)).map(|part| part.file.path.clone());
        let (released, retained) = paths.partition(|path| self.is_released(path));
        let held_back = std::mem::take(&mut self.held_back);
        Closing { store: self.store.clone(), released, retained, held_back, piece }
    }

    /// Keeps what a shard has so far, its raw tables included, when it is not finished now.
    pub(crate) fn keep(&mut self) {
        for receipt in self.held_back.drain(..) {
            // The run has already failed, and that is reported; without the receipt the stage is done
            // again.
            let _ = receipt.write(self.store);
        }
        let _ = Receipt::settle(self.store);
    }

    /// Deletes parts and receipts that an earlier plan of this pipeline left and this one does not
    /// make: tables never mix two plans. Leaves alone what `later` stages, which have not run yet, are
    /// going to compare with their receipts.
    pub(crate) fn remove_stale(&self, later: &[&dyn Stage]) -> Result<(), StoreError> {
        let is_later = |name: &str| {
            later
                .iter()
                .any(|s| s.kind() == name || s.description().writes.iter().any(|t| t.name == name))
        };
        for file in made_files(self.store)? {
            let stale = maker(&file).is_some_and(|name| !is_later(name));
            if stale && !self.known.contains(&file) {
                self.store.remove(&file)?;
            }
        }
        Ok(())
    }

    /// Removes folders of tables that are empty; for a process that has the run directory alone, since
    /// others may be about to write there.
    pub(crate) fn remove_empty_folders(&self) -> Result<(), StoreError> {
        ALL.iter().try_for_each(|table| self.store.remove_empty_folders(&table.folder()))
    }

    fn is_released(&self, path: &str) -> bool {
        is_released(self.retain, path)
    }
}

/// SHA-256 over names and fingerprints of receipts.
pub(crate) fn receipts_sha256(held: &BTreeMap<String, String>) -> String {
    let line = |(name, fingerprint): (&String, &String)| format!("{fingerprint}  {name}\n");
    hex_sha256(held.iter().map(line).collect::<String>().as_bytes())
}

/// Whether the file is of a raw table that is deleted once it is read.
pub(crate) fn is_released(retain: &BTreeSet<String>, path: &str) -> bool {
    layout::table_of(path)
        .is_some_and(|name| RAW.iter().any(|table| table.name == name) && !retain.contains(name))
}

/// The files of a run directory that stages make, and whatever else is in their folders.
pub(crate) fn made_files(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut files = store.walk(layout::TABLES)?;
    files.extend(store.walk(layout::RECEIPTS)?);
    let single = [layout::SUMMARY, layout::REPORT].into_iter().filter(|name| store.exists(name));
    files.extend(single.map(str::to_owned));
    Ok(files)
}

/// The table or stage that a file belongs to by its name, which is a name that only this program
/// gives; `None` for anything else, which is never deleted.
pub(crate) fn maker(file: &str) -> Option<&str> {
    match layout::place_of(file)? {
        Place::Summary => Some("summary"),
        Place::Report => Some("report"),
        Place::Receipt(stage, _) => Some(stage),
        Place::Table(name, layer, _) => {
            let table = Table::named(name).filter(|table| table.by_layer == layer.is_some());
            table.map(|table| table.name)
        }
    }
}

//! A run that is compared: finished, whole as far as receipts and sizes say, with all its files by table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::CompareError;
use crate::ledger::descent::{believe_receipts, is_by_shard, key_of};
use crate::ledger::{claims, is_released};
use crate::run_dir::receipt::{PartStats, Receipt};
use crate::run_dir::record::{RunRecord, State};
use crate::run_dir::{RunDir, layout};
use crate::stages::described;
use crate::store::{Store, read_sealed};
use crate::table::Table;

/// The one format of `run.json` that is known.
const RECORD_FORMAT: u32 = 1;

/// A finished run.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) label: String,
    pub(super) path: String,
    pub(super) run: RunDir,
    pub(super) record: RunRecord,
    /// What the receipts say of each table's files, also of those that were deleted once they were read.
    pub(super) tables: BTreeMap<String, Vec<PartStats>>,
    /// Versions of the stages' code, by kind.
    pub(super) stages: BTreeMap<String, BTreeSet<u32>>,
}

impl Opened {
    /// Opens a run and sees that it is finished and that every file that a receipt names is there.
    ///
    /// # Errors
    /// When it is no run, not finished, in use, damaged, or of a later format.
    pub(super) fn open(root: &Path, label: String) -> Result<Self, CompareError> {
        let run = RunDir::open(root)?;
        let path = root.to_owned();
        if !run.store().exists(layout::RECORD) {
            return Err(damaged(&path, layout::RECORD, "is missing"));
        }
        let record = run
            .record()
            .ok_or_else(|| damaged(&path, layout::RECORD, "is not what aqlens wrote there"))?;
        if record.format != RECORD_FORMAT {
            return Err(CompareError::Later { path, format: record.format });
        }
        if record.state == State::Running {
            return Err(CompareError::Unfinished { path });
        }
        run.store().check_unlocked()?;
        believe_receipts(run.store());
        let path = root.display().to_string();
        let (tables, stages) = (BTreeMap::new(), BTreeMap::new());
        let mut opened = Self { label, path, run, record, tables, stages };
        opened.read_receipts(root)?;
        Ok(opened)
    }

    fn read_receipts(&mut self, root: &Path) -> Result<(), CompareError> {
        let mut done: BTreeMap<&str, u32> = BTreeMap::new();
        for file in self.run.receipts()? {
            // What no stage of this version is called belongs to none of its tables.
            let Some((kind, part)) = key_of(&file) else { continue };
            let receipt: Receipt = read_sealed(&self.run.store().read(&file)?)
                .map_err(|_broken| damaged(root, &file, "is not what aqlens wrote there"))?;
            if let Some(why) = claims::fault(&receipt, kind, part) {
                return Err(damaged(root, &file, &why));
            }
            *done.entry(kind).or_default() += 1;
            self.stages.entry(kind.to_owned()).or_default().insert(receipt.version);
            for part in receipt.parts {
                self.check_size(root, &part)?;
                if let Some(table) = layout::table_of(&part.file.path) {
                    self.tables.entry(table.to_owned()).or_default().push(part);
                }
            }
        }
        self.check_all_there(root, &done)?;
        for parts in self.tables.values_mut() {
            // Layer by layer, so that runs in other shards have their rows in one order too.
            let place = |part: &PartStats| {
                (layout::layer_of(&part.file.path), layout::part_of(&part.file.path))
            };
            parts.sort_by_key(place);
        }
        Ok(())
    }

    fn check_size(&self, root: &Path, part: &PartStats) -> Result<(), CompareError> {
        let PartStats { file, .. } = part;
        match self.run.store().bytes(&file.path) {
            _ if is_released(&self.record.retain, &file.path) => Ok(()),
            Some(bytes) if bytes == file.bytes => Ok(()),
            Some(bytes) => {
                let problem = format!("has {bytes} bytes, and {} were written", file.bytes);
                Err(damaged(root, &file.path, &problem))
            }
            None => Err(damaged(root, &file.path, "is missing")),
        }
    }

    /// Every stage that the record says was done has all its receipts.
    fn check_all_there(&self, root: &Path, done: &BTreeMap<&str, u32>) -> Result<(), CompareError> {
        // A later version may have made others too.
        let made = self.record.made_by.stages().filter(|kind| described(kind).is_some());
        let kinds: BTreeSet<&str> = made.chain(done.keys().copied()).collect();
        for kind in kinds {
            let wanted = if is_by_shard(kind) { self.record.counts.shards } else { 1 };
            let there = done.get(kind).copied().unwrap_or(0);
            if there < wanted {
                let place = format!("{}/{kind}", layout::RECEIPTS);
                let problem = format!("holds {there} of {wanted} receipts");
                return Err(damaged(root, &place, &problem));
            }
        }
        Ok(())
    }

    pub(super) fn store(&self) -> &Store {
        self.run.store()
    }

    /// What the receipts say of a table's files.
    pub(super) fn parts(&self, table: &Table) -> &[PartStats] {
        self.tables.get(table.name).map_or(&[], Vec::as_slice)
    }

    /// The files of a table that are there, in the order of layers and shards.
    pub(super) fn files(&self, table: &Table) -> Vec<&str> {
        let parts = self.parts(table).iter().map(|part| part.file.path.as_str());
        parts.filter(|path| !is_released(&self.record.retain, path)).collect()
    }

    /// Layers of its model, where that is recorded.
    pub(super) fn n_layer(&self) -> Option<i16> {
        self.record.model_shape.map(|shape| shape.n_layer)
    }

    /// A layer over the last one, 0..1; `None` for the model's output, or where the depth is not known.
    pub(super) fn depth(&self, layer: i16) -> Option<f64> {
        let last = self.n_layer()? - 1;
        let is_layer = layer >= 0 && layer <= last;
        is_layer.then(|| if last == 0 { 1.0 } else { f64::from(layer) / f64::from(last) })
    }
}

fn damaged(root: &Path, file: &str, problem: &str) -> CompareError {
    CompareError::Damaged {
        root: root.to_owned(),
        file: file.to_owned(),
        problem: problem.to_owned(),
    }
}

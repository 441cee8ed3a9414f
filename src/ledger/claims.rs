//! Whether a receipt claims only what its stage can have written.
//!
//! A receipt may come from somebody else, and anybody can compute its seal. Files that it names are
//! compared, hashed and deleted, so it counts only if each is a file that its stage writes on its part.

use std::collections::BTreeSet;

use crate::run_dir::layout::{self, Place};
use crate::run_dir::receipt::Receipt;
use crate::stage::Description;
use crate::stages::described;
use crate::store::Store;

/// The receipt of a stage on a part; `None` when there is none, or it is not one: the work is then
/// done again.
pub(crate) fn read(store: &Store, stage: &Description, part: u32) -> Option<Receipt> {
    let receipt = Receipt::read(store, stage.kind, part)?;
    fault(&receipt, stage.kind, part).is_none().then_some(receipt)
}

/// Why that is no receipt of stage `kind` on `part`, in words that follow the receipt's name; `None`
/// when it is one.
pub(crate) fn fault(receipt: &Receipt, kind: &str, part: u32) -> Option<String> {
    if (receipt.stage.as_str(), receipt.part) != (kind, part) {
        let Receipt { stage, part, .. } = receipt;
        return Some(format!("it is the receipt of stage '{stage}' on part {part}"));
    }
    let Some(stage) = described(kind) else {
        return Some(format!("there is no stage '{kind}'"));
    };
    let mut seen = BTreeSet::new();
    receipt.parts.iter().find_map(|named| {
        let file = &named.file.path;
        if !writes(stage, part, file) {
            return Some(format!("it names '{file}', which its stage does not write there"));
        }
        (!seen.insert(file)).then(|| format!("it names '{file}' twice"))
    })
}

/// Whether a file of that name can come from the stage's work on the part.
fn writes(stage: &Description, part: u32, file: &str) -> bool {
    match layout::place_of(file) {
        Some(Place::Summary | Place::Report) => stage.file == Some(file) && part == 0,
        Some(Place::Table(name, layer, of)) => {
            let table = stage.writes.iter().find(|table| table.name == name);
            of == part && table.is_some_and(|table| table.by_layer == layer.is_some())
        }
        Some(Place::Receipt(..)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::receipt::{Effort, PartStats};
    use crate::store::FileStats;

    fn fault_of(stage: &str, part: u32, paths: &[&str]) -> Option<String> {
        let part_stats = |path: &&str| {
            let (path, sha256) = ((*path).to_owned(), String::new());
            let file = FileStats { path, bytes: 1, sha256, xxh3: None };
            PartStats { file, rows: u64::MAX }
        };
        let receipt = Receipt {
            stage: stage.to_owned(),
            version: 1,
            part,
            fingerprint: String::new(),
            aqlens: None,
            skipped: 0,
            repeats: 0,
            self_proof: None,
            effort: Effort::default(),
            parts: paths.iter().map(part_stats).collect(),
        };
        fault(&receipt, stage, part)
    }

    #[test]
    fn a_receipt_names_what_its_stage_writes_on_its_part() {
        let activations = "tables/activations/part-00002-layer-004.parquet";
        let older = "tables/activations/layer=4/part-00002.parquet";
        assert_eq!(fault_of("extract", 2, &[activations]), None);
        assert_eq!(fault_of("extract", 2, &[older]), None);
        assert_eq!(fault_of("similarity", 7, &["tables/similarity/part-00007.parquet"]), None);
        assert_eq!(fault_of("report", 0, &["report.html"]), None);
        let wrong: [(&str, u32, &[&str]); 14] = [
            ("extract", 2, &["tables/activations/../../../../victim.txt"]),
            ("extract", 2, &["/etc/passwd"]),
            ("extract", 2, &["tables/activations/layer=4/part-00003.parquet"]),
            ("extract", 2, &["tables/activations/part-00002.parquet"]),
            ("extract", 2, &["tables/activations/part-00003-layer-004.parquet"]),
            ("similarity", 2, &["tables/similarity/part-00002-layer-004.parquet"]),
            ("extract", 2, &["tables/activations/layer=4/../part-00002.parquet"]),
            ("extract", 2, &["tables/similarity/part-00002.parquet"]),
            ("extract", 2, &["receipts/extract/part-00002.json"]),
            ("extract", 2, &["run.json"]),
            ("extract", 2, &[activations, activations]),
            ("similarity", 1, &["tables/similarity/layer=1/part-00001.parquet"]),
            ("report", 0, &["summary.json"]),
            ("stranger", 0, &[]),
        ];
        for (stage, part, paths) in wrong {
            assert!(fault_of(stage, part, paths).is_some(), "{stage} {paths:?}");
        }
    }
}

//! What was made from what, by the descriptions of the stages: on the same shard, or over the whole
//! run.

use std::collections::{BTreeMap, BTreeSet};

use super::made_files;
use crate::run_dir::layout::{self, Place};
use crate::run_dir::receipt::Receipt;
use crate::stage::{Description, Scope};
use crate::stages::{self, DESCRIPTIONS, KINDS, described};
use crate::store::{Store, StoreError};
use crate::table::Table;

/// A stage and the shard it worked on; shard 0 for one that runs once.
pub(crate) type Key = (&'static str, u32);

/// The stage and shard of a receipt; `None` for a name that no receipt has.
pub(crate) fn key_of(receipt: &str) -> Option<Key> {
    let part = layout::part_of(receipt)?;
    KINDS.iter().find(|kind| Receipt::file(kind, part) == receipt).map(|kind| (*kind, part))
}

/// The stage that writes the file of that name, and on which shard; `None` for a file of no stage.
pub(crate) fn writer_of(file: &str) -> Option<Key> {
    let place = layout::place_of(file)?;
    let is_its = |stage: &&&Description| match place {
        Place::Summary | Place::Report => stage.file == Some(file),
        Place::Table(name, ..) => stage.writes.iter().any(|table| table.name == name),
        Place::Receipt(..) => false,
    };
    let stage = DESCRIPTIONS.iter().find(is_its)?;
    let part = if stage.scope == Scope::Shard { layout::part_of(file)? } else { 0 };
    Some((stage.kind, part))
}

/// Whether a kind of stage works shard by shard.
pub(crate) fn is_by_shard(kind: &str) -> bool {
    described(kind).is_some_and(|stage| stage.scope == Scope::Shard)
}

/// All work that the run directory has receipts or files of.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn keys_of(store: &Store) -> Result<Vec<Key>, StoreError> {
    let files = made_files(store)?;
    let keys = files.iter().filter_map(|file| key_of(file).or_else(|| writer_of(file)));
    Ok(keys.collect::<BTreeSet<Key>>().into_iter().collect())
}

/// From now on what is read of the run directory is compared with the receipt of the stage that wrote
/// it, as far as that receipt is there and whole.
pub(crate) fn believe_receipts(store: &Store) {
    store.ask_of_strangers(|store, file| {
        let receipt = writer_of(file).and_then(|(kind, part)| Receipt::read(store, kind, part));
        receipt.into_iter().flat_map(|receipt| receipt.parts).map(|part| part.file).collect()
    });
}

/// Files of tables, by table and shard.
type Roots<'f> = BTreeMap<Key, BTreeSet<&'f str>>;

/// Those of `keys` whose numbers were made from one of `files`, directly or by way of other tables:
/// each with the files.
pub(crate) fn made_from<'f>(
    files: impl IntoIterator<Item = &'f str>,
    keys: &[Key],
) -> BTreeMap<Key, BTreeSet<&'f str>> {
    let mut tables = Roots::new();
    for file in files {
        for table in tables_of(file) {
            tables.entry(table).or_default().insert(file);
        }
    }
    let mut made = BTreeMap::<Key, BTreeSet<&str>>::new();
    let described: Vec<(&Key, &Description)> =
        keys.iter().filter_map(|key| Some((key, described(key.0)?))).collect();
    // Ends when a round finds nothing new: after as many as stages follow one another.
    let mut has_grown = !tables.is_empty();
    while has_grown {
        has_grown = false;
        for (key, stage) in &described {
            let roots = roots_of(stage, key.1, &tables);
            if roots.len() > made.get(key).map_or(0, BTreeSet::len) {
                for table in stage.writes {
                    tables.entry((table.name, key.1)).or_default().extend(&roots);
                }
                made.insert(**key, roots);
                has_grown = true;
            }
        }
    }
    made
}

/// The tables whose readers read a file: its own, or for a document those beside it, as whoever
/// reads the one reads the others.
fn tables_of(file: &str) -> Vec<Key> {
    let part = layout::part_of(file).unwrap_or(0);
    let table = layout::table_of(file).and_then(Table::named);
    let tables = match (table, writer_of(file)) {
        (Some(table), _) => vec![table.name],
        (None, Some((kind, _))) => {
            let writers = DESCRIPTIONS.iter().filter(|stage| stage.kind == kind);
            writers.flat_map(|stage| stage.writes).map(|table| table.name).collect()
        }
        (None, None) => Vec::new(),
    };
    tables.into_iter().map(|name| (name, part)).collect()
}

/// What a stage on a shard was made from, of these.
fn roots_of<'f>(stage: &Description, part: u32, tables: &Roots<'f>) -> BTreeSet<&'f str> {
    let mut roots = BTreeSet::new();
    for table in stage.may_read() {
        let writer = stages::writer_of(table);
        let parts = match (stage.scope, writer.map(|writer| writer.scope)) {
            (Scope::Run, _) => 0..=u32::MAX,
            (_, Some(Scope::Before)) => 0..=0,
            _ => part..=part,
        };
        let (first, last) = ((table.name, *parts.start()), (table.name, *parts.end()));
        roots.extend(tables.range(first..=last).flat_map(|(_, roots)| roots));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[Key] = &[
        ("extract", 0),
        ("extract", 1),
        ("reference", 0),
        ("similarity", 0),
        ("similarity", 1),
        ("tokens", 1),
        ("divergence", 0),
        ("summary", 0),
        ("report", 0),
    ];

    fn made(files: &[&str]) -> Vec<Key> {
        made_from(files.iter().copied(), KEYS).into_keys().collect()
    }

    #[test]
    fn what_was_made_from_a_part_of_a_shard_is_of_that_shard_or_of_the_run() {
        let file = layout::table_file("activations", Some(4), 1);
        let expected = [("divergence", 0), ("report", 0), ("similarity", 1), ("summary", 0)];
        assert_eq!(made(&[&file]), expected);
        let file = layout::table_file("logits", None, 1);
        assert_eq!(made(&[&file]), [("report", 0), ("summary", 0), ("tokens", 1)]);
    }

    #[test]
    fn what_is_made_before_all_shards_reaches_each() {
        let file = layout::table_file("reference", None, 0);
        let all = made(&[&file]);
        for key in [("similarity", 0), ("similarity", 1), ("divergence", 0), ("report", 0)] {
            assert!(all.contains(&key), "{key:?} {all:?}");
        }
        assert!(!all.contains(&("tokens", 1)) && !all.contains(&("extract", 0)), "{all:?}");
    }

    #[test]
    fn a_document_reaches_who_reads_the_tables_beside_it() {
        assert_eq!(made(&["summary.json"]), [("report", 0)]);
        assert_eq!(made(&["report.html", "notes.txt", "receipts/extract/part-00000.json"]), []);
    }

    #[test]
    fn each_has_the_files_that_it_was_made_from() {
        let files = [0, 1].map(|part| layout::table_file("activations", Some(4), part));
        let made = made_from(files.iter().map(String::as_str), KEYS);
        assert_eq!(made[&("similarity", 1)], BTreeSet::from([files[1].as_str()]));
        assert_eq!(made[&("report", 0)].len(), 2);
    }

    #[test]
    fn a_file_and_a_receipt_say_whose_they_are() {
        assert_eq!(writer_of(&layout::table_file("activations", Some(4), 7)), Some(("extract", 7)));
        assert_eq!(writer_of(&layout::table_file("verdict", None, 0)), Some(("summary", 0)));
        assert_eq!(writer_of("report.html"), Some(("report", 0)));
        assert_eq!(writer_of("receipts/extract/part-00000.json"), None);
        assert_eq!(key_of("receipts/extract/part-00007.json"), Some(("extract", 7)));
        assert_eq!(key_of("receipts/another/part-00007.json"), None);
    }
}

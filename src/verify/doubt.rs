//! Work that was made from files that are damaged now.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::descent::{Key, is_by_shard, made_from};
use crate::run_dir::layout;
use crate::run_dir::receipt::Receipt;

/// A stage that read, itself or by way of other stages' tables, a file that is damaged now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Its kind.
    pub stage: &'static str,
    /// The shards on which it did, ascending; empty for a stage that runs once.
    pub shards: Vec<u32>,
    /// What it wrote: names of tables, and of files that are none.
    pub wrote: BTreeSet<String>,
    /// The damaged files.
    pub from: BTreeSet<String>,
    /// Whether the version that made it compared what it read with what had been written: then the
    /// damage came later, and its numbers are those of the files as they were. Otherwise nobody can
    /// tell.
    pub was_checked: bool,
}

/// Whatever of these receipts' work was made from one of `files`; `keys` names all work.
pub(super) fn doubts(
    files: &BTreeSet<String>,
    keys: &[Key],
    receipts: &BTreeMap<Key, Receipt>,
) -> Vec<Doubt> {
    let made = made_from(files.iter().map(String::as_str), keys);
    let mut doubts = BTreeMap::<(&'static str, bool), Doubt>::new();
    for ((stage, part), from) in made {
        let Some(receipt) = receipts.get(&(stage, part)) else { continue };
        let was_checked = receipt.checked_what_it_read();
        let doubt = doubts.entry((stage, was_checked)).or_insert_with(|| Doubt {
            stage,
            shards: Vec::new(),
            wrote: BTreeSet::new(),
            from: BTreeSet::new(),
            was_checked,
        });
        doubt.shards.extend(is_by_shard(stage).then_some(part));
        let names = receipt.parts.iter().map(|part| part.file.path.as_str());
        doubt.wrote.extend(names.map(|n| layout::table_of(n).unwrap_or(n).to_owned()));
        doubt.from.extend(from.into_iter().map(str::to_owned));
    }
    doubts.into_values().collect()
}

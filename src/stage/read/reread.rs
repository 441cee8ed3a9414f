//! Parts of raw tables that several stages of a shard read one after the other: read and decoded
//! once.
//!
//! Measured on 200 inputs x 30 prompts of the demo model, reading was two thirds of what each further
//! stage cost. The last shard's parts are kept, at most [`LIMIT`] bytes of them; where a shard has
//! more, its stages read what does not fit from the disk again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::store::Store;
use crate::table::declare::names;
use crate::table::reader::{Part, read_part};
use crate::table::schema::ACTIVATIONS;
use crate::table::writer::PartAddress;
use crate::table::{ReadRow, Table, TableError};

/// Most bytes that are kept.
const LIMIT: usize = 64 << 20;

/// Distinguishes one file under a name from the next: files of a run are replaced whole, never changed in
/// place. `store::FileStamp`, which must outlive the process, trusts no file this young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

/// What is kept, all of one shard of one run.
#[derive(Debug)]
struct Kept {
    shard: Option<(PathBuf, u32)>,
    /// By file and columns.
    parts: BTreeMap<(String, String), (Stamp, Arc<Part>)>,
    bytes: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { shard: None, parts: BTreeMap::new(), bytes: 0 });

/// As [`read_part`], or what it returned before.
///
/// # Errors
/// When the part is missing or cannot be read.
pub(crate) fn part(
    store: &Store,
    address: PartAddress,
    columns: &[&str],
) -> Result<Arc<Part>, TableError> {
    let key = (address.file(), columns.join(" "));
    let shard = Some((store.root().to_owned(), address.part));
    let stamp = Stamp::of(&store.path(&key.0));
    {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, part)) = kept.parts.get(&key)
            && kept.shard == shard
            && Some(*of) == stamp
        {
            return Ok(Arc::clone(part));
        }
    }
    let part = Arc::new(read_part(store, address, columns)?);
    let bytes = part.bytes();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.shard != shard {
        *kept = Kept { shard, parts: BTreeMap::new(), bytes: 0 };
    }
    if let Some(stamp) = stamp
        && kept.bytes + bytes <= LIMIT
    {
        let before = kept.parts.insert(key, (stamp, Arc::clone(&part)));
        // One that was replaced was of the same prompts, and about as large.
        kept.bytes += if before.is_none() { bytes } else { 0 };
    }
    Ok(part)
}

/// The columns of a table that rows `R` are read from.
///
/// # Errors
/// As [`part`].
pub(crate) fn rows<R: ReadRow>(
    store: &Store,
    table: &'static Table,
    part: u32,
) -> Result<Arc<Part>, TableError> {
    self::part(store, PartAddress::new(table, part), &names(R::FIELDS))
}

/// Tokens and vectors of a layer of a shard: columns `token_id` and `values`.
///
/// # Errors
/// As [`part`].
pub(crate) fn activations(store: &Store, part: u32, layer: i16) -> Result<Arc<Part>, TableError> {
    let address = PartAddress { table: &ACTIVATIONS, layer: Some(layer), part };
    self::part(store, address, &["token_id", "values"])
}

impl Stamp {
    /// `None` when the file cannot be looked at: reading it then says why.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&file);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: file.modified().ok()?, bytes: file.len(), inode })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int16Array, Int32Array};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::table::Dims;
    use crate::table::writer::write_part;

    fn write(store: &Store, part: u32, value: f32) {
        let text = || -> ArrayRef { Arc::new(StringArray::from(vec!["x"])) };
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = Arc::new(Float32Array::from(vec![value]));
        let columns = vec![
            text(),
            text(),
            text(),
            Arc::new(Int16Array::from(vec![0])) as ArrayRef,
            Arc::new(Int16Array::from(vec![3])),
            Arc::new(Int32Array::from(vec![0])),
            Arc::new(Int32Array::from(vec![7])),
            Arc::new(FixedSizeListArray::new(item, 1, values, None)),
        ];
        let address = PartAddress { table: &ACTIVATIONS, layer: Some(3), part };
        write_part(store, address, Dims { d_model: 1, vocab_size: 1 }, columns).unwrap();
    }

    fn holds(part: &Part, value: f32) -> bool {
        part.vectors("values").unwrap().0 == [value]
    }

    #[test]
    fn a_part_is_decoded_once_until_it_is_replaced_or_the_next_shard_comes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        write(&store, 0, 1.0);
        write(&store, 1, 2.0);
        let first = activations(&store, 0, 3).unwrap();
        assert!(Arc::ptr_eq(&first, &activations(&store, 0, 3).unwrap()));
        let address = PartAddress { table: &ACTIVATIONS, layer: Some(3), part: 0 };
        let others = part(&store, address, &["values"]).unwrap();
        assert!(others.int32s("token_id").is_err(), "other columns are another part");
        write(&store, 0, 5.0);
        assert!(holds(&activations(&store, 0, 3).unwrap(), 5.0));
        assert!(holds(&activations(&store, 1, 3).unwrap(), 2.0));
        assert!(holds(&first, 1.0), "who has it keeps it");
        store.remove(&ACTIVATIONS.file(Some(3), 1)).unwrap();
        assert!(activations(&store, 1, 3).is_err(), "what is gone is not answered from memory");
    }
}

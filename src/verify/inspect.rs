//! What is wrong with one file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::Wrong;
use crate::store::{BrokenSeal, FileStats, Store, StoreError, read_sealed, sha256_of_file};

/// Reads a sealed file: what it holds and its size, or what is wrong with it.
pub(super) fn read_whole<T: DeserializeOwned>(
    store: &Store,
    name: &str,
) -> Result<(T, u64), (Wrong, String)> {
    let bytes = store.read(name).map_err(|error| unread(&error))?;
    let value = read_sealed(&bytes).map_err(|broken| match broken {
        BrokenSeal::Truncated => (Wrong::Truncated, "its end is missing".to_owned()),
        BrokenSeal::Altered => {
            (Wrong::Altered, "it does not have the hash that it carries".to_owned())
        }
    })?;
    Ok((value, bytes.len() as u64))
}

/// What to call a file that could not be read.
pub(super) fn unread(error: &StoreError) -> (Wrong, String) {
    match error {
        StoreError::Io { source, .. } => unreadable(source),
        other => (Wrong::Unreadable, other.to_string()),
    }
}

fn unreadable(error: &io::Error) -> (Wrong, String) {
    if error.kind() == io::ErrorKind::NotFound {
        (Wrong::Missing, "every run has one".to_owned())
    } else {
        (Wrong::Unreadable, error.to_string())
    }
}

/// What is wrong with a file that should be as `stats` says; `None` when nothing is.
pub(super) fn inspect(store: &Store, stats: &FileStats) -> Option<(Wrong, String)> {
    let path = store.path(&stats.path);
    let Some(bytes) = store.bytes(&stats.path) else {
        return Some((Wrong::Missing, format!("{} bytes were written", stats.bytes)));
    };
    if bytes != stats.bytes {
        let cut = bytes < stats.bytes && !ends_whole(&path).unwrap_or(false);
        let wrong = if cut { Wrong::Truncated } else { Wrong::Altered };
        return Some((wrong, format!("it has {bytes} bytes, {} were written", stats.bytes)));
    }
    match sha256_of_file(&path) {
        Ok(sha256) if sha256 == stats.sha256 => None,
        Ok(_) => Some((Wrong::Altered, "its SHA-256 is not that of what was written".to_owned())),
        Err(error) => Some(unreadable(&error)),
    }
}

/// Whether a file ends as files of its kind do: a shorter one that does is another file, not the
/// beginning of the one that was written.
fn ends_whole(path: &Path) -> io::Result<bool> {
    let endings: [(&str, &[u8]); 3] =
        [("parquet", b"PAR1"), ("json", b"\n}\n"), ("html", b"</html>\n")];
    let kind = path.extension().unwrap_or_default();
    let Some((_, ending)) = endings.iter().find(|(name, _)| *name == kind) else {
        return Ok(false);
    };
    let mut file = File::open(path)?;
    let Some(start) = file.metadata()?.len().checked_sub(ending.len() as u64) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(start))?;
    let mut last = Vec::new();
    file.read_to_end(&mut last)?;
    Ok(last == *ending)
}

//! Files that have their final name and are put on the disk later, together.
//!
//! A file system puts what waits at the same time on the disk at once: a stage that writes one file
//! after the other and waits for each spends most of its time waiting.

#[cfg(test)]
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::StoreError;

#[cfg(test)]
thread_local! {
    /// The folders that this thread put on the disk, for tests, which cannot cut the power.
    pub(super) static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// Puts on the disk what happened to names in the folder of `path`.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().expect("names lie below the root");
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| StoreError::io("write", parent, e))?;
    #[cfg(test)]
    SYNCED.with_borrow_mut(|synced| synced.push(parent.to_owned()));
    Ok(())
}

/// How many files wait at the same time, each in its own thread.
const AT_ONCE: usize = 16;

/// A file that may not be on the disk yet.
#[derive(Debug)]
pub(super) struct Unsynced {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// The files of a run directory that are to be put on the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Later(Arc<Mutex<Vec<Unsynced>>>);

impl Later {
    pub(super) fn push(&self, file: Unsynced) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|file| file.name.clone()).collect()
    }

    /// Forgets files that need not be put on the disk any more.
    pub(super) fn forget(&self, is_gone: impl Fn(&str) -> bool) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Unsynced> = files.extract_if(.., |file| is_gone(&file.name)).collect();
        // Closed after the lock is released, so that others do not wait for it.
        drop(files);
        drop(gone);
    }

    /// Puts those of the wanted names on the disk, and their folders; one that is not known is there
    /// already.
    pub(super) fn sync(&self, is_wanted: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted: Vec<Unsynced> = files.extract_if(.., |file| is_wanted(&file.name)).collect();
        drop(files);
        each(&wanted, |Unsynced { path, file, .. }| {
            file.sync_all().map_err(|e| StoreError::io("write", path, e))
        })?;
        sync_folders_of(wanted.iter().map(|file| &*file.path))
    }
}

/// Puts on the disk that these files were removed from their folders. A folder that is gone too took
/// them along for good: it was empty, and whoever removed it had to see that.
pub(super) fn sync_removals_of<'p>(
    paths: impl Iterator<Item = &'p Path>,
) -> Result<(), StoreError> {
    each_folder(paths, |path| match sync_folder_of(path) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    })
}

/// Puts on the disk what happened to names in the folders of these files.
fn sync_folders_of<'p>(paths: impl Iterator<Item = &'p Path>) -> Result<(), StoreError> {
    each_folder(paths, sync_folder_of)
}

/// Calls `sync` with one file of each folder.
fn each_folder<'p>(
    paths: impl Iterator<Item = &'p Path>,
    sync: impl Fn(&Path) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    let mut folders = BTreeSet::new();
    let firsts: Vec<&Path> = paths.filter(|path| folders.insert(path.parent())).collect();
    each(&firsts, |path| sync(path))
}

/// Does the work on all items, some at once, and gives the first error in their order.
fn each<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    if let [item] = items {
        return work(item);
    }
    for items in items.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let begun: Vec<_> = items.iter().map(|item| scope.spawn(|| work(item))).collect();
            let ended = begun
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|reason| panic::resume_unwind(reason)));
            ended.collect::<Vec<_>>().into_iter().collect::<Result<(), StoreError>>()
        })?;
    }
    Ok(())
}

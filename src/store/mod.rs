//! The files of a run directory: written whole or not at all, listed in a fixed order, locked.
//!
//! A file appears under its final name only once it is whole (temporary file, rename), and lasts from
//! then on (fsync of file and folder). The parts of tables and their receipts get their names first
//! and are put on the disk together: a receipt is written only when the parts that it names last, or
//! are gone for good where they are not to stay.
//! Names are relative, with `/`, below the root; one that leads elsewhere, or over a symbolic link in
//! place of a folder, is refused.

mod cached;
mod checksum;
mod error;
mod hash;
mod known;
mod later;
mod lock;
mod new_file;
mod pending;
mod place;
mod seal;
mod signed;
mod single;
mod sound;
mod stamp;
mod stats;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

pub use checksum::Checksum;
pub use error::StoreError;
pub use hash::{Digest, HashingReader, hashed_number, hex_sha256, sha256_of_file};
pub use lock::{FOLDER as LOCKS, Holder, NAME as LOCK, PieceLock, Presence, RunLock};
pub use new_file::write_new;
pub use pending::PendingFile;
pub use place::{open_file, open_given};
pub use seal::{BrokenSeal, read_sealed, sealed_json};
pub use single::write_file;
pub use stamp::FileStamp;
pub use stats::FileStats;

/// Folder below the root where files wait for their final name.
pub const PENDING: &str = ".pending";

/// Most bytes of a file that is read in one piece: records, receipts, the summary.
const LARGEST: u64 = 1 << 28;

/// A run directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    shared: pending::Shared,
}

impl Store {
    /// Opens `root`, making it and its parents when they are missing.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(|e| StoreError::io("create", root, e))?;
        place::make(&root.join(PENDING))?;
        Ok(Self::open(root))
    }

    /// Opens an existing `root` for reading; creates nothing.
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned(), shared: pending::Shared::default() }
    }

    /// The run directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of that name is: always below the root, whatever the name says.
    pub fn path(&self, name: &str) -> PathBuf {
        place::shown(&self.root, name)
    }

    /// Whether a file of that name is there; a hint, never a proof that a stage is done.
    pub fn exists(&self, name: &str) -> bool {
        place::named(&self.root, name).is_ok_and(|path| path.exists())
    }

    /// Size of a file in bytes; `None` when it is not there.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        let found = fs::metadata(place::named(&self.root, name).ok()?).ok()?;
        found.is_file().then_some(found.len())
    }

    /// Whether a symbolic link stands there.
    pub fn is_link(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok_and(|found| found.is_symlink())
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// When it is missing, no file, or larger than the files that are read in one piece ever are.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = place::named(&self.root, name)?;
        let error = |e| StoreError::io("read", &path, e);
        let file = open_file(&path).map_err(error)?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(error)?;
        if bytes.len() as u64 > LARGEST {
            let problem = format!("it has more than {LARGEST} bytes, so aqlens did not write it");
            return Err(error(io::Error::other(problem)));
        }
        Ok(bytes)
    }

    /// Begins a file that appears under `name` only when it is committed.
    pub fn begin(&self, name: &str) -> Result<PendingFile, StoreError> {
        PendingFile::create(&self.root, name, self.shared.clone())
    }

    /// Writes a whole small file at once.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<FileStats, StoreError> {
        let mut file = self.begin(name)?;
        let path = self.path(name);
        file.write_all(bytes).map_err(|e| StoreError::io("write", &path, e))?;
        file.commit()
    }

    /// Writes a whole small file at once; [`Self::sync`] makes it last.
    pub fn write_later(&self, name: &str, bytes: &[u8]) -> Result<FileStats, StoreError> {
        let mut file = self.begin(name)?;
        let path = self.path(name);
        file.write_all(bytes).map_err(|e| StoreError::io("write", &path, e))?;
        file.commit_later()
    }

    /// Puts those files of the wanted names on the disk that [`PendingFile::commit_later`] gave their
    /// names to: no power cut takes them away then. Only files of this process.
    pub fn sync(&self, is_wanted: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        self.shared.later.sync(is_wanted)
    }

    /// Names of the files that are still to be put on the disk.
    #[cfg(test)]
    pub(crate) fn unsynced(&self) -> Vec<String> {
        self.shared.later.names()
    }

    /// Lets the system forget what it keeps of these files in its memory: for large ones that nobody
    /// reads soon, which would push out what others need. Only what is on the disk is forgotten.
    pub fn let_go<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            cached::let_go(&self.path(name));
        }
    }

    /// Removes a file for good: it does not come back after a power cut. One that is not there is
    /// no error.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.remove_all([name])
    }

    /// [`Self::remove`] of several files.
    pub fn remove_all<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), StoreError> {
        let names: Vec<&str> = names.into_iter().collect();
        // What is removed need not reach the disk first, and an open file keeps its memory.
        self.shared.later.forget(|name| names.contains(&name));
        self.shared.known.forget(&names);
        let mut removed = Vec::new();
        for name in names {
            let path = place::below(&self.root, name)?;
            match fs::remove_file(&path) {
                Ok(()) => removed.push(path),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::io("remove", &path, e)),
            }
        }
        later::sync_removals_of(removed.iter().map(PathBuf::as_path))
    }

    /// Removes the folder `name` and those below it as far as they hold no file. Another process
    /// may write there meanwhile: a folder that it uses stays, and [`PendingFile::commit`] makes
    /// again one that it was about to use.
    pub fn remove_empty_folders(&self, name: &str) -> Result<(), StoreError> {
        let dir = place::below(&self.root, name)?;
        let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
        if !is_folder(&dir) {
            return Ok(());
        }
        for entry in self.list(name)? {
            let entry = format!("{name}/{entry}");
            if is_folder(&self.path(&entry)) {
                self.remove_empty_folders(&entry)?;
            }
        }
        match fs::remove_dir(&dir).map_err(|e| (e.kind(), e)) {
            Ok(()) | Err((io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound, _)) => Ok(()),
            Err((_, e)) => Err(StoreError::io("remove", &dir, e)),
        }
    }

    /// Names of the files directly in the folder `name`, sorted; empty when it is not there. The root
    /// has no name.
    ///
    /// # Errors
    /// When it cannot be listed, or is a link.
    pub fn list(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let dir = match name {
            "" => self.root.clone(),
            name => place::below(&self.root, name)?,
        };
        if !name.is_empty() && self.is_link(name) {
            return Err(StoreError::Link { path: dir });
        }
        let entries = match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| StoreError::io("list", &dir, e))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| StoreError::io("list", &dir, e))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Names, relative to the root and sorted, of all files below the folder `name`; empty when it
    /// is not there. A symbolic link counts as a file, wherever it leads, the folder itself included.
    pub fn walk(&self, name: &str) -> Result<Vec<String>, StoreError> {
        if self.is_link(name) {
            return Ok(vec![name.to_owned()]);
        }
        let mut files = Vec::new();
        for entry in self.list(name)? {
            let entry = format!("{name}/{entry}");
            if fs::symlink_metadata(self.path(&entry)).is_ok_and(|found| found.is_dir()) {
                files.extend(self.walk(&entry)?);
            } else {
                files.push(entry);
            }
        }
        Ok(files)
    }

    /// Names of the files that a process left before it could give them their final name. What is no
    /// file there is not ours: it is left alone.
    pub fn pending(&self) -> Result<Vec<String>, StoreError> {
        let names = self.list(PENDING)?.into_iter().map(|name| format!("{PENDING}/{name}"));
        let is_file = |name: &String| {
            fs::symlink_metadata(self.path(name)).is_ok_and(|found| found.is_file())
        };
        Ok(names.filter(is_file).collect())
    }

    /// Succeeds when no process holds the run directory. Writes nothing, unlike [`Self::lock`].
    pub fn check_unlocked(&self) -> Result<(), StoreError> {
        lock::check_free(&self.root)
    }

    /// Takes the run directory for this process alone, and clears what killed processes left.
    pub fn lock(&self) -> Result<RunLock, StoreError> {
        let lock = RunLock::take(&self.root)?;
        for name in self.pending()? {
            self.remove(&name)?;
        }
        lock::clear(&self.root)?;
        Ok(lock)
    }

    /// Takes the run directory beside other processes that take it so; each then takes the pieces
    /// that it works on with [`Self::try_lock_piece`].
    pub fn lock_shared(&self) -> Result<RunLock, StoreError> {
        RunLock::share(&self.root)
    }

    /// Takes a piece of the work on a shared run, for a process that does `what`; `None` when another
    /// process has it.
    pub fn try_lock_piece(&self, piece: &str, what: &str) -> Result<Option<PieceLock>, StoreError> {
        PieceLock::try_take(&self.root, piece, what)
    }

    /// Who has a piece of the work, as that process wrote it down.
    pub fn holder_of_piece(&self, piece: &str) -> Holder {
        lock::holder_of_piece(&self.root, piece)
    }

    /// Shows other processes that this one shares the run and `what` it does.
    pub fn announce_presence(&self, what: &str) -> Result<Presence, StoreError> {
        Presence::announce(&self.root, what)
    }

    /// The processes that share the run, as they describe themselves.
    pub fn present(&self) -> Vec<String> {
        lock::present(&self.root)
    }

    /// The pieces of the work that processes hold now, by name, and who does.
    pub fn held_pieces(&self) -> Vec<(String, Holder)> {
        lock::held_pieces(&self.root)
    }

    /// The processes at work on the run now, and for how long: those that share it, or the one that has it
    /// alone.
    pub fn at_work(&self) -> Vec<Holder> {
        lock::at_work(&self.root)
    }
}

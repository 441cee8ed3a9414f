//! A file that is written beside its final place and hashed on the way.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::checksum::Summing;
use super::hash::to_hex;
use super::known::Known;
use super::later::{Later, Unsynced, sync_folder_of};
use super::stats::FileStats;
use super::{PENDING, StoreError, place};

/// How often a folder that others remove while it is empty is made again for a file.
const AGAIN: u32 = 100;

/// A file that is being written: dropped, it leaves nothing; committed, it is there whole.
#[derive(Debug)]
pub struct PendingFile {
    temp: NamedTempFile,
    root: PathBuf,
    target: PathBuf,
    name: String,
    hash: Sha256,
    sum: Summing,
    bytes: u64,
    shared: Shared,
}

/// What all files of a run directory share.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// Those that are to be put on the disk.
    pub(super) later: Later,
    /// What they must hold.
    pub(super) known: Known,
}

impl PendingFile {
    pub(super) fn create(root: &Path, name: &str, shared: Shared) -> Result<Self, StoreError> {
        let target = place::with_folders(root, name)?;
        let pending = root.join(PENDING);
        place::make(&pending)?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            // Temporary files are private by default; tables are for everybody, as umask allows.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let temp =
            builder.tempfile_in(&pending).map_err(|e| StoreError::io("write", &target, e))?;
        let (root, name) = (root.to_owned(), name.to_owned());
        let (hash, sum) = (Sha256::new(), Summing::default());
        Ok(Self { temp, root, target, name, hash, sum, bytes: 0, shared })
    }

    /// Puts the file in its final place, on the disk.
    pub fn commit(self) -> Result<FileStats, StoreError> {
        self.temp.as_file().sync_all().map_err(|e| StoreError::io("write", &self.target, e))?;
        let target = self.target.clone();
        let (_, stats) = self.rename()?;
        sync_folder_of(&target)?;
        Ok(stats)
    }

    /// Puts the file in its final place; what makes it last is [`Store::sync`](super::Store::sync).
    pub fn commit_later(self) -> Result<FileStats, StoreError> {
        let (later, path) = (self.shared.later.clone(), self.target.clone());
        let (file, stats) = self.rename()?;
        later.push(Unsynced { name: stats.path.clone(), path, file });
        Ok(stats)
    }

    fn rename(self) -> Result<(File, FileStats), StoreError> {
        let Self { mut temp, root, target, name, hash, sum, bytes, shared } = self;
        let mut again = 0..AGAIN;
        let file = loop {
            match temp.persist(&target) {
                Ok(file) => break file,
                // Another process removed the folder, which was empty.
                Err(e) if e.error.kind() == io::ErrorKind::NotFound && again.next().is_some() => {
                    temp = e.file;
                    place::with_folders(&root, &name)?;
                }
                Err(e) => return Err(StoreError::io("write", &target, e.error)),
            }
        };
        let (sha256, xxh3) = (to_hex(&hash.finalize()), Some(sum.checksum()));
        let stats = FileStats { path: name, bytes, sha256, xxh3 };
        // Only now: the renaming is a change of the file, too.
        shared.known.written(&stats, &file);
        Ok((file, stats))
    }

    /// Leaves the temporary file behind, as a killed process would.
    #[cfg(test)]
    pub(super) fn leak_for_test(self) {
        let _kept = self.temp.keep().unwrap();
    }
}

impl Write for PendingFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.temp.write(buf)?;
        self.hash.update(&buf[..n]);
        self.sum.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

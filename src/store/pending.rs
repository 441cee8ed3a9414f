//! A file that is written beside its final place and hashed on the way.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::StoreError;
use super::checksum::Summing;
use super::hash::to_hex;
use super::known::Known;
use super::later::{Later, Unsynced, sync_folder_of};
use super::stats::FileStats;

/// A file that is being written: dropped, it leaves nothing; committed, it is there whole.
#[derive(Debug)]
pub struct PendingFile {
    temp: NamedTempFile,
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
    pub(super) fn create(
        pending: &Path,
        target: PathBuf,
        name: &str,
        shared: Shared,
    ) -> Result<Self, StoreError> {
        let parent = target.parent().expect("names lie below the root");
        fs::create_dir_all(parent).map_err(|e| StoreError::io("create", parent, e))?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            // Temporary files are private by default; tables are for everybody, as umask allows.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temp = builder.tempfile_in(pending).map_err(|e| StoreError::io("write", &target, e))?;
        let (hash, sum) = (Sha256::new(), Summing::default());
        Ok(Self { temp, target, name: name.to_owned(), hash, sum, bytes: 0, shared })
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
        let Self { temp, target, name, hash, sum, bytes, shared } = self;
        let parent = target.parent().expect("names lie below the root");
        let renamed = temp.persist(&target).or_else(|e| match e.error.kind() {
            // Another process removed the folder, which was empty.
            io::ErrorKind::NotFound => {
                fs::create_dir_all(parent)?;
                e.file.persist(&target).map_err(|e| e.error)
            }
            _ => Err(e.error),
        });
        let file = renamed.map_err(|e| StoreError::io("write", &target, e))?;
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

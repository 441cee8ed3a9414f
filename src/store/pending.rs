//! A file that is written beside its final place and hashed on the way.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::later::{Later, Unsynced, sync_folder_of};
use super::{PENDING, StoreError, place};

/// How often a folder that others remove while it is empty is made again for a file.
const AGAIN: u32 = 100;

/// What a finished file is: enough to see later whether it was altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStats {
    /// Name relative to the run directory.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
}

/// SHA-256 of some bytes, lower-case hex.
pub fn hex_sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's content, read in blocks, lower-case hex.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = place::open_file(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut block)?;
        if n == 0 {
            return Ok(to_hex(&hash.finalize()));
        }
        hash.update(&block[..n]);
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// A file that is being written: dropped, it leaves nothing; committed, it is there whole.
#[derive(Debug)]
pub struct PendingFile {
    temp: NamedTempFile,
    root: PathBuf,
    target: PathBuf,
    name: String,
    hash: Sha256,
    bytes: u64,
    later: Later,
}

impl PendingFile {
    pub(super) fn create(root: &Path, name: &str, later: Later) -> Result<Self, StoreError> {
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
        Ok(Self { temp, root, target, name, hash: Sha256::new(), bytes: 0, later })
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
        let (later, path) = (self.later.clone(), self.target.clone());
        let (file, stats) = self.rename()?;
        later.push(Unsynced { name: stats.path.clone(), path, file });
        Ok(stats)
    }

    fn rename(self) -> Result<(File, FileStats), StoreError> {
        let Self { mut temp, root, target, name, hash, bytes, later: _ } = self;
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
        Ok((file, FileStats { path: name, bytes, sha256: to_hex(&hash.finalize()) }))
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
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

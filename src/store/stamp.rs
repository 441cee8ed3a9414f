//! What the system says about a file without reading it.

use std::fs::{File, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Seconds that a file must have been left alone before its stamp is believed: two changes within
/// one tick of the file system's clock have the same times.
const QUIET: i64 = 2;

/// Distinguishes a changed file from an unchanged one as far as that is possible without reading it.
///
/// The system sets the time of the last change whenever a file's content, name or times are touched,
/// and no program can set it back; so what escapes is a clock that was set back, or a disk that was
/// written to beside the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    bytes: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Likewise.
    changed: (i64, i64),
}

impl FileStamp {
    /// The file's stamp; `None` when it is not there, was touched a moment ago, or the system says
    /// too little about files.
    pub fn of(path: &Path) -> Option<Self> {
        Self::from(&std::fs::metadata(path).ok()?).filter(Self::is_quiet)
    }

    /// That of an open file, however young it is: see [`Self::is_quiet`].
    pub(super) fn of_open(file: &File) -> Option<Self> {
        Self::from(&file.metadata().ok()?)
    }

    /// Whether the file had been left alone for a while, so that a later change gives another stamp.
    pub(super) fn is_quiet(&self) -> bool {
        use std::time::{SystemTime, UNIX_EPOCH};

        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        i64::try_from(now).is_ok_and(|now| now - self.changed.0 >= QUIET)
    }

    #[cfg(unix)]
    #[expect(clippy::unnecessary_wraps, reason = "other systems say too little about files")]
    fn from(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;

        Some(Self {
            bytes: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// None: the time of the last change is not available here.
    #[cfg(not(unix))]
    fn from(_metadata: &Metadata) -> Option<Self> {
        None
    }
}

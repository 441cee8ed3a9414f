//! Why a file of a run directory could not be used.

use std::io;
use std::path::{Path, PathBuf};

/// A file of the run directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An operation on one path failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, ...
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what was written.
    #[error(
        "{} is not the file that was written: it has changed since; no numbers are made from it; \
         `aqlens run PIPELINE --recheck` makes it again, and what was made from it", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file is there that no receipt names.
    #[error(
        "{} belongs to no stage that is done: no numbers are made from it; `aqlens verify` says \
         what the folder holds", path.display()
    )]
    Stranger {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the run directory.
    #[error(
        "{} is in use by {holder}; wait for it, end it, or choose another folder with --run-dir",
        path.display()
    )]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// Who holds it, as that process wrote it down.
        holder: String,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

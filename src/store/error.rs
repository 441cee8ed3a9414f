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
    /// A name leads out of the run directory.
    #[error(
        "{name:?} is no name of a file in the run directory {}: names are relative and lead down; \
         nothing was touched", root.display()
    )]
    Name {
        /// The name.
        name: String,
        /// The run directory.
        root: PathBuf,
    },
    /// A symbolic link stands in a run directory where aqlens needs a folder or a lock.
    #[error(
        "{} is a symbolic link, and aqlens follows none inside a run directory: put what it leads to \
         in its place, or delete the link (the run directory itself may be a link)", path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Something else stands where aqlens needs a file or a folder.
    #[error("{} is {is}, and aqlens needs a {wanted} of that name: move it away", path.display())]
    Odd {
        /// Where.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What is needed: `file` or `folder`.
        wanted: &'static str,
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

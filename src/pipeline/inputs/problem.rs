//! What is wrong with a file, in words.

use std::io;
use std::path::Path;

/// What is wrong with a file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileProblem {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl FileProblem {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }

    /// Bytes that cannot be read, with what the system says about them.
    pub(super) fn unreadable(error: &io::Error) -> Self {
        Self::new(format!("it cannot be read: {error}"), "look at the file and its disk")
    }

    /// The problem with the file's name in front.
    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.message = format!("{}: {}", name(path), self.message);
        self
    }
}

/// The file's name, for messages.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string())
}

/// A size in whole MiB, for messages.
pub(super) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

//! One input, and the file that inputs or tasks come from.

use std::path::PathBuf;

/// A file of inputs or tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its column of ids.
    pub id: String,
    /// Its column of texts.
    pub text: String,
    /// SHA-256 of its content when it was read.
    pub sha256: String,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its id within the scenario.
    pub id: String,
    /// Its text, as it goes into the template.
    pub text: String,
}

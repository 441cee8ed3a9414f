//! One input, and the files that inputs or tasks come from.

use std::path::PathBuf;

/// The files of a scenario's inputs or tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// The files, in the order in which they are read.
    pub files: Vec<HashedFile>,
    /// Whether the pipeline names them by a list or a pattern, not one by its name: then an id that is
    /// made of a row's number has the file's name in front, however many files there are.
    pub is_list: bool,
    /// Their column of ids; `row` where there is none.
    pub id: String,
    /// Their column of texts.
    pub text: String,
    /// Their column of clusters, if the pipeline names one.
    pub cluster: Option<String>,
}

/// A file, and what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// SHA-256 of its content when it was read, lower-case hex.
    pub sha256: String,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its id within the scenario.
    pub id: String,
    /// Its text, as it goes into the template.
    pub text: String,
    /// The cluster that its file says it is of: inputs of one cluster are one piece of evidence.
    pub cluster: Option<String>,
}

//! Which files are meant, and what of them is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::problem::FileProblem;
use super::rows::{Columns, ROW};

/// Most files of a scenario's inputs or tasks.
const MOST_FILES: usize = 10_000;

/// `*` stands for no hidden file and for no `/`; letters are compared with their case.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Files of inputs or tasks, and their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The files, in the order in which they are read; at least one.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether they are named by a list or a pattern.
    pub(crate) is_list: bool,
    /// Their column of ids.
    pub(crate) id: String,
    /// Their column of texts.
    pub(crate) text: String,
    /// Their column of clusters, if they have one.
    pub(crate) cluster: Option<String>,
}

impl Wanted {
    /// The columns of one of the files.
    pub(super) fn columns(&self, path: &Path) -> Columns {
        columns([&self.id, &self.text], self.cluster.as_deref(), self.is_list, path)
    }

    /// Two files whose rows would have the same ids, where these are made of the rows' numbers.
    pub(crate) fn same_stems(&self) -> Option<[&Path; 2]> {
        if !self.is_list || self.id != ROW {
            return None;
        }
        let mut seen = BTreeMap::new();
        self.paths.iter().find_map(|path| Some([seen.insert(stem(path), path)?.as_path(), path]))
    }
}

/// The columns of a file that is named as one of a list, or alone.
pub(super) fn columns(
    [id, text]: [&str; 2],
    cluster: Option<&str>,
    is_list: bool,
    path: &Path,
) -> Columns {
    let prefix = if is_list { format!("{}-", stem(path)) } else { String::new() };
    let cluster = cluster.map(str::to_owned);
    Columns { id: id.to_owned(), text: text.to_owned(), cluster, prefix }
}

/// A file's own name, not that of a link to it, up to its first dot: the same however it is reached.
fn stem(path: &Path) -> String {
    let name = super::problem::name(&super::absolute(path.to_owned()));
    name.split_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned()
}

/// Whether a path is a pattern: it holds `*`, `?` or `[`, and no file has this very name.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '[']) && path.symlink_metadata().is_err()
}

/// The files that match a pattern below a folder, sorted by their whole name.
pub(crate) fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, FileProblem> {
    if pattern.contains("**") {
        return Err(FileProblem::new(
            format!("the pattern `{pattern}` has ** in it, which is not read"),
            "write a `*` for each folder on the way, as in `data/*/*.jsonl`",
        ));
    }
    let folder = Pattern::escape(&folder.to_string_lossy());
    let whole = Path::new(&folder).join(pattern).to_string_lossy().into_owned();
    let found = glob::glob_with(&whole, MATCHING).map_err(|error| {
        let help = "`*` stands for any part of a name, `?` for one letter, `[ab]` for one of two";
        FileProblem::new(format!("the pattern `{pattern}` cannot be read: {}", error.msg), help)
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            let message = format!("cannot look into {}: {}", error.path().display(), error.error());
            FileProblem::new(message, "allow the folder to be read, or change the pattern")
        })?;
        if paths.len() == MOST_FILES {
            let message = format!("more than {MOST_FILES} files match `{pattern}`");
            return Err(FileProblem::new(message, "join them into fewer files"));
        }
        paths.push(path);
    }
    if paths.is_empty() {
        return Err(FileProblem::new(
            format!("no file matches the pattern `{pattern}`"),
            "patterns are relative to the folder of the pipeline file; `*` stands for any part of a \
             name, but for no `/` and not for a dot in front",
        ));
    }
    paths.sort();
    Ok(paths)
}

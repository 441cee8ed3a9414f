//! Files that inputs or tasks come from.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Loader;
use super::wire::{FileConfig, OneOrMany};
use crate::pipeline::FileSource;
use crate::pipeline::inputs::{FileProblem, Wanted, absolute, is_pattern, matching};
use crate::yaml::{Node, Path, Problems, quote, read};

impl Loader<'_> {
    /// Reads the files that a node names, and compares their hashes with those that the node gives.
    pub(super) fn files<T>(
        self,
        node: &Node,
        at: &Path,
        problems: &mut Problems,
        read_files: impl FnOnce(Wanted) -> Result<(T, FileSource), Vec<FileProblem>>,
    ) -> Option<(T, FileSource)> {
        let config: FileConfig = read(node, at, problems)?;
        self.files_of(config, at, problems, read_files)
    }

    /// Likewise of a configuration that was read.
    pub(super) fn files_of<T>(
        self,
        config: FileConfig,
        at: &Path,
        problems: &mut Problems,
        read_files: impl FnOnce(Wanted) -> Result<(T, FileSource), Vec<FileProblem>>,
    ) -> Option<(T, FileSource)> {
        let at_file = at.key("file");
        let wanted = self.wanted(&config, &at_file, problems)?;
        let paths = wanted.paths.clone();
        let (content, source) = match read_files(wanted) {
            Ok(read) => read,
            Err(list) => {
                for problem in list {
                    problems.push(&at_file, problem.message, problem.help);
                }
                return None;
            }
        };
        if let Some(expected) = config.sha256 {
            compare(&source, &paths, &expected, &at.key("sha256"), problems);
        }
        Some((content, source))
    }

    /// The files that a configuration means; `None` when something is wrong with that.
    fn wanted(self, config: &FileConfig, at: &Path, problems: &mut Problems) -> Option<Wanted> {
        let before = problems.len();
        let mut is_list = config.file.is_many();
        let mut paths: Vec<PathBuf> = Vec::new();
        for (i, name) in config.file.iter().enumerate() {
            let at_name = if config.file.is_many() { at.index(i) } else { at.clone() };
            if name.trim().is_empty() {
                problems.push(&at_name, "the name of the file is empty", "name a file");
                continue;
            }
            let path = self.path(name, at);
            if !is_pattern(&path) {
                paths.push(path);
                continue;
            }
            is_list = true;
            match matching(&self.path("", at), name) {
                Ok(found) => paths.extend(found),
                Err(problem) => problems.push(&at_name, problem.message, problem.help),
            }
        }
        if paths.is_empty() && problems.len() == before {
            problems.push(at, "no file is named", "name one, or a list of them in brackets");
        }
        let mut seen = BTreeSet::new();
        for path in &paths {
            if !seen.insert(absolute(path.clone())) {
                let message = format!("the file {} is named twice", path.display());
                problems.push(at, message, "name each file once; a pattern may match it too");
            }
        }
        let (id, text, cluster) = (config.id.clone(), config.text.clone(), config.cluster.clone());
        let wanted = Wanted { paths, is_list, id, text, cluster };
        if let Some([first, second]) = wanted.same_stems().filter(|_| problems.len() == before) {
            let message = format!(
                "the rows of {} and {} would have the same ids",
                first.display(),
                second.display()
            );
            let help = "with `id: row` an id is made of the file's name and the row's number: rename one \
                        of them, or name a column of ids";
            problems.push(at, message, help);
        }
        (problems.len() == before).then_some(wanted)
    }
}

/// Compares the files' hashes with those that the pipeline gives; messages name their paths.
fn compare(
    source: &FileSource,
    paths: &[PathBuf],
    expected: &OneOrMany,
    at: &Path,
    problems: &mut Problems,
) {
    let (n, hashes) = (source.files.len(), expected.iter().count());
    if n != hashes {
        let message = format!("`sha256` has {hashes} hashes for {n} files");
        let help = "give one hash a file, in the order of the files, those of a pattern by their names; \
                    or remove `sha256`";
        problems.push(at, message, help);
        return;
    }
    let expected_is_list = expected.is_many();
    for (i, (file, expected)) in source.files.iter().zip(expected.iter()).enumerate() {
        if file.sha256 != *expected {
            let message = format!(
                "the file {} has changed: its sha256 is {}, not {}",
                paths[i].display(),
                file.sha256,
                quote(expected)
            );
            let at = if expected_is_list { at.index(i) } else { at.clone() };
            let help = "restore the old file, or remove `sha256` to use the file as it is now";
            problems.push(&at, message, help);
        }
    }
}

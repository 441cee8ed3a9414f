//! The files of a model folder compared with its card: plain files of the size and SHA-256 listed, and
//! graphs that name no file but these.
//!
//! A link is followed: what counts is the content, and only a file whose hash the card names already
//! can be read through one.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::card::{FileFacts, GRAPH, HEAD, ModelCard, PAST, TOKENIZER, Verified};
use super::external::{self, External};
use super::{ModelError, end_of};
use crate::store::{FileStamp, hex_sha256, sha256_of_file};

/// How many files are hashed at once.
const AT_ONCE: usize = 8;

impl ModelCard {
    /// Reads every file of the folder, compares size and SHA-256 with the card's, and looks whether
    /// its graphs name files that the card does not; having succeeded once, it does not read them
    /// again.
    ///
    /// # Errors
    /// Names the first file, in the order of names, that is missing or different, or the graph.
    pub fn verify_files(&self) -> Result<(), ModelError> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.is_none() {
            let stamps = self.stamps();
            self.hash_files()?;
            *verified = Some(Verified { stamps });
        }
        Ok(())
    }

    /// After a graph was loaded: the files that it was loaded from are those that were hashed. Hashes
    /// them again where the system cannot say that nobody touched them meanwhile.
    ///
    /// # Errors
    /// As [`Self::verify_files`].
    pub(super) fn verify_loaded(&self) -> Result<(), ModelError> {
        self.verify_files()?;
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (verified.and_then(|verified| verified.stamps), self.stamps()) {
            (Some(before), Some(now)) if before == now => Ok(()),
            _ => self.hash_files(),
        }
    }

    fn stamps(&self) -> Option<Vec<FileStamp>> {
        self.files.keys().map(|name| FileStamp::of(&self.folder.join(name))).collect()
    }

    fn hash_files(&self) -> Result<(), ModelError> {
        self.verify_sizes()?;
        let files: Vec<(&String, &FileFacts)> = self.files.iter().collect();
        let next = AtomicUsize::new(0);
        let take = || {
            let mut done = Vec::new();
            while let Some((name, facts)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                done.push((*name, self.verify(name, facts)));
            }
            done
        };
        // Not by rayon's threads: those may be waiting for a model that is being opened.
        let mut checks: Vec<_> = thread::scope(|scope| {
            let begun: Vec<_> = (0..files.len().min(AT_ONCE)).map(|_| scope.spawn(take)).collect();
            begun.into_iter().flat_map(end_of).collect()
        });
        checks.sort_by_key(|(name, _)| *name);
        checks.into_iter().try_for_each(|(_, check)| check)
    }

    /// [`Self::verify_files`] without their hashes: enough to read them without a crash.
    pub(super) fn verify_sizes(&self) -> Result<(), ModelError> {
        self.files.iter().try_for_each(|(name, facts)| self.verify_size(name, facts).map(drop))?;
        [GRAPH, PAST, HEAD].into_iter().try_for_each(|graph| self.verify_named(graph))
    }

    /// The tokenizer's file, found to be the listed one.
    pub(super) fn read_tokenizer(&self) -> Result<Vec<u8>, ModelError> {
        let facts = &self.files[TOKENIZER];
        let path = self.verify_size(TOKENIZER, facts)?;
        let bytes = read_at_most(&path, facts.bytes)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        let found = hex_sha256(&bytes);
        if found == facts.sha256 { Ok(bytes) } else { Err(changed_hash(path, facts, &found)) }
    }

    /// Looks whether a graph, where the folder has it, keeps tensors in listed files only.
    fn verify_named(&self, graph: &str) -> Result<(), ModelError> {
        if !self.files.contains_key(graph) {
            return Ok(());
        }
        let path = self.folder.join(graph);
        external::walk(&path, &mut |external| self.check_external(external))
            .map_err(|problem| ModelError::Graph { path, problem })
    }

    fn check_external(&self, external: &External) -> Result<(), String> {
        let External { tensor, location, end } = external;
        let place = format!("keeps tensor '{tensor}' in file '{location}'");
        if location.contains(['/', '\\']) || [".", "..", ""].contains(&location.as_str()) {
            return Err(format!("{place}, which must be a plain name in its folder"));
        }
        // Neither counts for what the graph computes, so a changed one would go unnoticed.
        if [HEAD, TOKENIZER].contains(&location.as_str()) {
            return Err(format!("{place}, which is for something else"));
        }
        let Some(facts) = self.files.get(location) else {
            return Err(format!("{place}, which model.json does not list under files"));
        };
        if *end > facts.bytes {
            return Err(format!("{place}, up to byte {end} of {}", facts.bytes));
        }
        Ok(())
    }

    fn verify_size(&self, name: &str, facts: &FileFacts) -> Result<PathBuf, ModelError> {
        let path = self.folder.join(name);
        let metadata = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::MissingFile { path });
            }
            other => other.map_err(|source| ModelError::Read { path: path.clone(), source })?,
        };
        let expected = format!("{} bytes", facts.bytes);
        if !metadata.is_file() {
            // A pipe or a device may give bytes without end.
            let found = "a folder, a pipe or a device".to_owned();
            return Err(ModelError::Changed { path, expected, found });
        }
        if metadata.len() != facts.bytes {
            let found = format!("{} bytes", metadata.len());
            return Err(ModelError::Changed { path, expected, found });
        }
        Ok(path)
    }

    fn verify(&self, name: &str, facts: &FileFacts) -> Result<(), ModelError> {
        let path = self.verify_size(name, facts)?;
        let found = sha256_of_file(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        if found == facts.sha256 { Ok(()) } else { Err(changed_hash(path, facts, &found)) }
    }
}

fn changed_hash(path: PathBuf, facts: &FileFacts, found: &str) -> ModelError {
    let (expected, found) = (format!("sha256 {}", facts.sha256), format!("sha256 {found}"));
    ModelError::Changed { path, expected, found }
}

/// The first bytes of a file, all of them when it has no more.
fn read_at_most(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

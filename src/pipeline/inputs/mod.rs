//! Inputs and tasks, also from the user's files: JSON lines, CSV, TSV and Parquet, read as streams.
//!
//! ```text
//! paths, patterns -> Wanted -> open: format and packing by the ending
//! file -> rows (jsonl | csv | parquet) -> check_files    everything wrong with them, hashes, lengths
//!                                      -> Inputs::read   again and again, whenever the plan asks
//! ```
//!
//! Texts are taken as they are: nothing is trimmed, guessed or converted, but ids that are whole
//! numbers, which become text. No file of inputs is held in memory: what is kept of one is a digest for
//! each block of its rows, so that a later pass never gives a row which is not the one that was checked.
//! Whatever a file holds, one text of it and a small multiple of that are in memory ([`rows::LONGEST`]).

mod check;
mod csv;
mod duplicates;
mod encoding;
mod file;
mod input;
mod json;
mod jsonl;
mod magic;
mod open;
mod parquet;
mod problem;
mod records;
mod rows;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod wanted;

use std::borrow::Cow;
use std::path::PathBuf;

pub use file::{InputsChanged, InputsFile};
pub use input::{FileSource, HashedFile, Input};
pub use survey::{Odd, Survey};

pub(super) use check::read_texts;
pub(super) use problem::FileProblem;
pub(super) use survey::{has_file_ending, looks_like_file_name};
pub(super) use wanted::{Wanted, is_pattern, matching};

/// The inputs of a scenario; ids unique, neither ids nor texts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inputs {
    /// Written in the pipeline.
    Inline(Vec<Input>),
    /// In files that stay where they are.
    File(InputsFile),
}

impl Inputs {
    /// How many there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(list) => list.len() as u64,
            Self::File(file) => file.len(),
        }
    }

    /// Whether there are none; never so in a valid pipeline.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all their texts.
    pub fn text_bytes(&self) -> u64 {
        match self {
            Self::Inline(list) => list.iter().map(|input| input.text.len() as u64).sum(),
            Self::File(file) => file.text_bytes(),
        }
    }

    /// The first one.
    ///
    /// # Panics
    /// When there are none.
    pub fn first(&self) -> &Input {
        match self {
            Self::Inline(list) => &list[0],
            Self::File(file) => file.first(),
        }
    }

    /// What is odd about their texts.
    pub fn survey(&self) -> Cow<'_, Survey> {
        match self {
            Self::Inline(list) => Cow::Owned(survey::survey(list)),
            Self::File(file) => Cow::Borrowed(file.survey()),
        }
    }

    /// The files they are in, if they are in some.
    pub fn file(&self) -> Option<&FileSource> {
        match self {
            Self::Inline(_) => None,
            Self::File(file) => Some(file.source()),
        }
    }

    /// All of them in order; after an error nothing more comes.
    ///
    /// # Errors
    /// When a file is not what it was when it was checked.
    pub fn read(&self) -> Box<dyn Iterator<Item = Result<Input, InputsChanged>> + Send + '_> {
        match self {
            Self::Inline(list) => Box::new(list.iter().cloned().map(Ok)),
            Self::File(file) => Box::new(file.read()),
        }
    }
}

/// The same path from any working directory.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path)
}

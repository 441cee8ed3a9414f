//! Inputs and tasks, also from the user's files: `.jsonl`, `.csv` and `.parquet`, read as streams.
//!
//! ```text
//! file -> rows (jsonl | csv | parquet) -> check_file      everything wrong with it, its hash, its length
//!                                      -> Inputs::read    again and again, whenever the plan asks
//! ```
//!
//! Texts are taken as they are: nothing is trimmed, guessed or converted, but integer ids, which
//! become text. No file of inputs is held in memory: what is kept of one is a digest for each block
//! of its rows, so that a later pass never gives a row which is not the one that was checked.

mod check;
mod csv;
mod duplicates;
mod file;
mod input;
mod jsonl;
mod open;
mod parquet;
mod rows;
mod survey;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::PathBuf;

pub use file::{InputsChanged, InputsFile};
pub use input::{FileSource, Input};
pub use survey::{Odd, Survey};

pub(super) use check::read_texts;
pub(super) use rows::FileProblem;
pub(super) use survey::{has_file_ending, looks_like_file_name};

/// The inputs of a scenario; ids unique, neither ids nor texts empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inputs {
    /// Written in the pipeline.
    Inline(Vec<Input>),
    /// In a file that stays where it is.
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

    /// The file they are in, if they are in one.
    pub fn file(&self) -> Option<&FileSource> {
        match self {
            Self::Inline(_) => None,
            Self::File(file) => Some(file.source()),
        }
    }

    /// All of them in order; after an error nothing more comes.
    ///
    /// # Errors
    /// When the file is not what it was when it was checked.
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

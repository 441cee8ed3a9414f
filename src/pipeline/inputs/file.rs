//! Inputs that stay in their file.

use std::path::{Path, PathBuf};
use std::vec;

use super::absolute;
use super::check::check_file;
use super::input::{FileSource, Input};
use super::open::open_rows;
use super::rows::{FileProblem, Row, RowReader};
use super::survey::{Survey, Surveying};
use crate::store::Digest;

/// Rows that share a digest: they are read, compared with it, and only then given.
const BLOCK: usize = 256;

/// A file of inputs that was checked. Every pass over it gives the rows of the check or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputsFile {
    source: FileSource,
    rows: u64,
    text_bytes: u64,
    first: Input,
    survey: Box<Survey>,
    /// Digests of its rows' ids and texts, for each [`BLOCK`] of them.
    blocks: Vec<[u8; 16]>,
}

/// A file of inputs is not what it was when it was checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file {} changed after it was checked: {how}; run the same command again when nothing \
     writes to it any more",
    path.display()
)]
pub struct InputsChanged {
    /// The file.
    pub path: PathBuf,
    /// What is different.
    pub how: String,
}

impl InputsFile {
    /// Checks columns `[id, text]` of a file in one pass.
    pub(crate) fn check(path: &Path, columns: [&str; 2]) -> Result<Self, Vec<FileProblem>> {
        let mut first = None;
        let mut blocks = Vec::new();
        let mut block = Block::default();
        let mut text_bytes = 0;
        let mut surveying = Surveying::default();
        let checked = check_file(path, columns, &mut |id, text| {
            text_bytes += text.len() as u64;
            surveying.add(&id, &text);
            block.add(&id, &text);
            if block.rows == BLOCK {
                blocks.push(std::mem::take(&mut block).digest());
            }
            first.get_or_insert(Input { id, text });
        })?;
        if block.rows > 0 {
            blocks.push(block.digest());
        }
        let [id, text] = columns.map(str::to_owned);
        Ok(Self {
            source: FileSource {
                path: absolute(path.to_owned()),
                id,
                text,
                sha256: checked.sha256,
            },
            rows: checked.rows,
            text_bytes,
            first: first.expect("a file without rows is refused"),
            survey: Box::new(surveying.finish()),
            blocks,
        })
    }

    /// Where it is, and what it was.
    pub fn source(&self) -> &FileSource {
        &self.source
    }

    pub(super) fn len(&self) -> u64 {
        self.rows
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    pub(super) fn first(&self) -> &Input {
        &self.first
    }

    pub(super) fn survey(&self) -> &Survey {
        &self.survey
    }

    pub(super) fn read(&self) -> FileInputs<'_> {
        FileInputs { file: self, rows: None, block: 0, ready: Vec::new().into_iter() }
    }
}

#[derive(Default)]
struct Block {
    digest: Digest,
    rows: usize,
}

impl Block {
    fn add(&mut self, id: &str, text: &str) {
        self.digest.update_text(id);
        self.digest.update_text(text);
        self.rows += 1;
    }

    fn digest(self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.digest.bytes()[..16]);
        half
    }
}

/// One pass over a checked file.
pub(super) struct FileInputs<'f> {
    file: &'f InputsFile,
    /// Open from the first row asked for.
    rows: Option<Box<dyn RowReader>>,
    /// Blocks read.
    block: usize,
    /// What is left of the last one.
    ready: vec::IntoIter<Input>,
}

impl Iterator for FileInputs<'_> {
    type Item = Result<Input, InputsChanged>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(input) = self.ready.next() {
            return Some(Ok(input));
        }
        let expected = *self.file.blocks.get(self.block)?;
        match self.read_block(expected) {
            Ok(inputs) => {
                self.block += 1;
                self.ready = inputs.into_iter();
                self.ready.next().map(Ok)
            }
            Err(how) => {
                self.block = self.file.blocks.len();
                let path = self.file.source.path.clone();
                Some(Err(InputsChanged { path, how }))
            }
        }
    }
}

impl FileInputs<'_> {
    fn read_block(&mut self, expected: [u8; 16]) -> Result<Vec<Input>, String> {
        let FileSource { path, id, text, .. } = &self.file.source;
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => self.rows.insert(open_rows(path, [id, text]).map_err(|p| p.message)?),
        };
        let mut block = Block::default();
        let mut inputs = Vec::new();
        while block.rows < BLOCK
            && let Some(row) = rows.next_row()
        {
            let Row { place, cells } = row.map_err(|problem| problem.message)?;
            let Ok([Ok(id), Ok(text)]) = cells else {
                return Err(format!("{} is not the one that was checked", place.words(path)));
            };
            block.add(&id, &text);
            inputs.push(Input { id, text });
        }
        let first = self.block * BLOCK;
        if block.digest() != expected {
            return Err(format!(
                "its inputs from number {} on are not those that were checked",
                first + 1
            ));
        }
        if self.block + 1 == self.file.blocks.len() && rows.next_row().is_some() {
            return Err(format!("it had {} inputs and has more", self.file.rows));
        }
        Ok(inputs)
    }
}

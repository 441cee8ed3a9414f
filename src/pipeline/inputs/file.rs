//! Inputs that stay in their files.

use std::path::PathBuf;
use std::vec;

use super::check::{check_files, source};
use super::input::{FileSource, Input};
use super::open::open_rows;
use super::problem::FileProblem;
use super::rows::{Cells, Row, RowReader, Wrong};
use super::survey::{Survey, Surveying};
use super::wanted::{Wanted, columns};
use crate::store::Digest;

/// Rows that share a digest: they are read, compared with it, and only then given.
const BLOCK: u64 = 256;

/// Files of inputs that were checked. Every pass over them gives the rows of the check or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputsFile {
    source: FileSource,
    text_bytes: u64,
    first: Input,
    survey: Box<Survey>,
    /// Of each file.
    contents: Vec<Content>,
}

/// What a file was when it was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    rows: u64,
    /// Digests of its rows' ids, texts and clusters, for each [`BLOCK`] of them.
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
    /// Checks files in one pass.
    pub(crate) fn check(wanted: &Wanted) -> Result<Self, Vec<FileProblem>> {
        let mut first = None;
        let mut contents = vec![Content::default(); wanted.paths.len()];
        let (mut at, mut block) = (0, Block::default());
        let mut text_bytes = 0;
        let mut surveying = Surveying::default();
        let checked = check_files(wanted, true, &mut |row| {
            text_bytes += row.input.text.len() as u64;
            surveying.add(&row.input);
            let (file, _) = row.place;
            if file != at || block.rows == BLOCK {
                contents[at].add(std::mem::take(&mut block));
                at = file;
            }
            block.add(&row.input);
            first.get_or_insert(row.input);
        })?;
        contents[at].add(block);
        debug_assert!(contents.iter().zip(&checked).all(|(a, b)| a.rows == b.rows));
        Ok(Self {
            source: source(wanted, checked.into_iter().map(|file| file.sha256)),
            text_bytes,
            first: first.expect("a file without rows is refused"),
            survey: Box::new(surveying.finish()),
            contents,
        })
    }

    /// Where they are, and what they were.
    pub fn source(&self) -> &FileSource {
        &self.source
    }

    pub(super) fn len(&self) -> u64 {
        self.contents.iter().map(|content| content.rows).sum()
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
        FileInputs { files: self, rows: None, file: 0, block: 0, ready: Vec::new().into_iter() }
    }
}

impl Content {
    fn add(&mut self, block: Block) {
        if block.rows > 0 {
            self.rows += block.rows;
            self.blocks.push(block.digest());
        }
    }
}

#[derive(Default)]
struct Block {
    digest: Digest,
    rows: u64,
}

impl Block {
    fn add(&mut self, input: &Input) {
        // No cluster has an empty name.
        let cluster = input.cluster.as_deref().unwrap_or_default();
        for text in [&input.id, &input.text, cluster] {
            self.digest.update_text(text);
        }
        self.rows += 1;
    }

    fn digest(self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.digest.bytes()[..16]);
        half
    }
}

/// One pass over checked files.
pub(super) struct FileInputs<'f> {
    files: &'f InputsFile,
    /// Of the file that is read, open from the first row asked for.
    rows: Option<Box<dyn RowReader>>,
    /// That file.
    file: usize,
    /// Its blocks that were read.
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
        let mut content = self.files.contents.get(self.file)?;
        if self.block == content.blocks.len() {
            self.rows = None;
            self.block = 0;
            self.file += 1;
            content = self.files.contents.get(self.file)?;
        }
        match self.read_block(content) {
            Ok(inputs) => {
                self.block += 1;
                self.ready = inputs.into_iter();
                self.ready.next().map(Ok)
            }
            Err(how) => {
                let path = self.files.source.files[self.file].path.clone();
                self.file = self.files.contents.len();
                Some(Err(InputsChanged { path, how }))
            }
        }
    }
}

impl FileInputs<'_> {
    fn read_block(&mut self, content: &Content) -> Result<Vec<Input>, String> {
        let rows = if let Some(rows) = &mut self.rows {
            rows
        } else {
            let FileSource { files, is_list, id, text, cluster } = &self.files.source;
            let path = &files[self.file].path;
            let columns = columns([id, text], cluster.as_deref(), *is_list, path);
            self.rows.insert(open_rows(path, columns).map_err(|problem| problem.message)?)
        };
        let mut block = Block::default();
        let mut inputs = Vec::new();
        while block.rows < BLOCK
            && let Some(row) = rows.next_row()
        {
            let Row { place, cells } = row.map_err(|problem| problem.message)?;
            let Ok(Cells { id: Ok(id), text: Ok(text), cluster }) = cells else {
                return Err(format!("{place} is not the one that was checked"));
            };
            let cluster = match cluster {
                Ok(cluster) => cluster,
                Err(Wrong::Missing) => None,
                Err(_) => return Err(format!("{place} is not the one that was checked")),
            };
            let input = Input { id, text, cluster };
            block.add(&input);
            inputs.push(input);
        }
        let first = self.block as u64 * BLOCK;
        if block.digest() != content.blocks[self.block] {
            return Err(format!(
                "its inputs from number {} on are not those that were checked",
                first + 1
            ));
        }
        if self.block + 1 == content.blocks.len() && rows.next_row().is_some() {
            return Err(format!("it had {} inputs and has more", content.rows));
        }
        Ok(inputs)
    }
}

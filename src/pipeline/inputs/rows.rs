//! A file row by row, whatever its format.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read as _};
use std::path::Path;

use crate::store::HashingReader;
use crate::yaml::{did_you_mean, quote};

/// What to do with a file of other text.
pub(super) const UTF8: &str = "save it as UTF-8, for example with `iconv -f latin1 -t utf-8`";

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
}

/// Where a row is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The line, from 1.
    Line(u64),
    /// The row, from 1 below the names of the columns.
    Row(u64),
    /// Likewise, and the byte that it begins at, for [`line_at`]: texts may hold line breaks.
    RowAtByte(u64, u64),
}

impl Place {
    /// In words; looks into the file where it must.
    pub(super) fn words(self, path: &Path) -> String {
        match self {
            Self::Line(line) => format!("line {line}"),
            Self::Row(row) => format!("row {row}"),
            Self::RowAtByte(row, byte) => match line_at(path, byte) {
                Ok(line) => format!("row {row} (line {line})"),
                Err(_) => format!("row {row}"),
            },
        }
    }
}

/// The line, counted from 1, of the first byte at `byte` or after it that ends no line.
fn line_at(path: &Path, byte: u64) -> io::Result<u64> {
    let mut source = text_source(File::open(path)?).map_err(|p| io::Error::other(p.message))?;
    let mut line = 1;
    let mut before = BufReader::new((&mut source).take(byte));
    loop {
        let bytes = before.fill_buf()?;
        let n = bytes.len();
        if n == 0 {
            break;
        }
        line += bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        before.consume(n);
    }
    for byte in BufReader::new(source).bytes() {
        match byte? {
            b'\n' => line += 1,
            b'\r' => {}
            _ => break,
        }
    }
    Ok(line)
}

/// Why a cell holds no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The row has no such column.
    Missing,
    /// It holds bytes that are not text.
    NotUtf8,
    /// Something else, in words that follow the column's name.
    Says(String),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    /// Its id and its text, or why a cell holds none; or what makes the whole row unreadable.
    pub(super) cells: Result<[Result<String, Wrong>; 2], FileProblem>,
}

/// The rows of a file in order. An error ends them: nothing after it can be read.
pub(super) trait RowReader: Send {
    /// The next row, if there is one.
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>>;

    /// Names of the columns, as far as the rows read so far show them.
    fn names(&self) -> &[String];

    /// SHA-256 of the file; reads to its end.
    fn sha256(&mut self) -> io::Result<String>;
}

/// The problem with the file's name in front.
pub(super) fn in_file(path: &Path, mut problem: FileProblem) -> FileProblem {
    problem.message = format!("{}: {}", name(path), problem.message);
    problem
}

/// The file's name, for messages.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string())
}

/// Bytes of a text file, hashed on the way.
pub(super) type TextSource = Chain<Cursor<Vec<u8>>, HashingReader<File>>;

/// The file without the mark that some programs put before UTF-8.
pub(super) fn text_source(file: File) -> Result<TextSource, FileProblem> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut file = HashingReader::new(file);
    let mut start = Vec::new();
    let begin = (&mut file).take(MARK.len() as u64).read_to_end(&mut start);
    begin.map_err(|error| FileProblem::unreadable(&error))?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(file))
}

/// Checks that the names in a file's first line have each column that is asked for once.
pub(super) fn require(names: &[String], columns: [&str; 2]) -> Result<(), FileProblem> {
    for column in columns {
        match names.iter().filter(|name| *name == column).count() {
            0 => {
                let message = format!("it has no column {}", quote(column));
                return Err(FileProblem::new(message, nearest(names, column)));
            }
            1 => {}
            times => {
                let message = format!("it has {times} columns {}", quote(column));
                return Err(FileProblem::new(message, "give each column a different name"));
            }
        }
    }
    Ok(())
}

/// The most similar name, or all names.
pub(super) fn nearest(names: &[String], column: &str) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match did_you_mean(column, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its columns are {}", names.join(", ")),
    }
}

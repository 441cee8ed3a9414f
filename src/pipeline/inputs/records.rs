//! Records of CSV as they stand: what is quoted wrongly is a fault, never read as something near it.
//!
//! RFC 4180, with any of `\n`, `\r\n` and `\r` after a record, empty lines left out, and double quotes
//! inside a field that does not begin with one taken as they are.

use std::io::{self, BufRead as _};

use super::problem::FileProblem;
use super::rows::LONGEST;
use super::source::TextSource;

/// Most names in a first line.
const MOST_NAMES: usize = 1 << 16;

/// How much of the text behind a closing quote is shown, in bytes.
const SHOWN: usize = 40;

/// Record after record, fields unquoted; any number of fields.
pub(super) struct Records {
    source: TextSource,
    record: Record,
}

/// The present record, and what of the file the next one needs to know.
struct Record {
    delimiter: u8,
    /// The fields, one after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    n_fields: usize,
    /// Fields that are kept; others are counted.
    kept: Option<usize>,
    /// Bytes that were read of it, and of the empty lines before it.
    read: u64,
    /// The line that it begins in, and the one that is read, from 1.
    line: u64,
    here: u64,
    /// The last record ended with `\r`, to which a `\n` would belong.
    after_cr: bool,
}

/// Why a record cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot.
    Io(io::Error),
    /// A quote is still open where the file ends.
    Open,
    /// It is longer than [`LONGEST`].
    Long { open: bool },
    /// More than [`LONGEST`] bytes of empty lines stand before it.
    Blank,
    /// The first line has more than [`MOST_NAMES`] fields.
    Wide,
    /// A field, counted from 1, is quoted wrongly.
    Shape(Shape),
}

/// What is wrong with a field's quotes.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text follows the closing quote; perhaps a backslash stands before that.
    BehindQuote { field: usize, text: Vec<u8>, escaped: bool },
    /// Blanks, and then a quote.
    BeforeQuote { field: usize },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of the field is read.
    Start,
    Plain,
    Quoted,
    /// Behind a quote that closes the field or is the first of two.
    Closed,
}

/// What ends a piece of a record.
enum Step {
    Go,
    Record,
}

impl Records {
    pub(super) fn new(source: TextSource, delimiter: u8) -> Self {
        let record = Record {
            delimiter,
            text: Vec::new(),
            ends: Vec::new(),
            n_fields: 0,
            kept: None,
            read: 0,
            line: 1,
            here: 1,
            after_cr: false,
        };
        Self { source, record }
    }

    /// Keeps so many fields of each record from now on.
    pub(super) fn keep_fields(&mut self, n: usize) {
        self.record.kept = Some(n);
    }

    /// The line that the present record begins in, from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.line
    }

    pub(super) fn n_fields(&self) -> usize {
        self.record.n_fields
    }

    /// A field of the present record, from 0.
    pub(super) fn field(&self, at: usize) -> &[u8] {
        self.record.field(at)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.n_fields()).map(|at| self.field(at))
    }

    pub(super) fn problem(&self, error: &io::Error) -> FileProblem {
        self.source.problem(error)
    }

    pub(super) fn sha256(&mut self) -> io::Result<String> {
        self.source.sha256()
    }

    /// Reads a record; `false` when there is none left.
    pub(super) fn next(&mut self) -> Result<bool, Fault> {
        let record = &mut self.record;
        record.begin();
        let mut state = State::Start;
        loop {
            let bytes = self.source.fill_buf().map_err(Fault::Io)?;
            if bytes.is_empty() {
                return record.end(state);
            }
            let n = bytes.len();
            let (mut used, mut is_whole) = (0, false);
            while used < n && !is_whole {
                let (step, taken) = record.step(&bytes[used..], &mut state)?;
                used += taken;
                is_whole = matches!(step, Step::Record);
            }
            self.source.consume(used);
            if is_whole {
                return Ok(true);
            }
            record.read += used as u64;
            if record.read > LONGEST {
                return Err(record.too_long(state));
            }
        }
    }
}

impl Record {
    fn begin(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.n_fields = 0;
        self.read = 0;
        self.line = self.here;
    }

    fn field(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }

    fn too_long(&self, state: State) -> Fault {
        match state {
            State::Start if self.n_fields == 0 => Fault::Blank,
            _ => Fault::Long { open: state == State::Quoted },
        }
    }

    /// The last record has no end of line.
    fn end(&mut self, state: State) -> Result<bool, Fault> {
        match state {
            State::Quoted => Err(Fault::Open),
            State::Start if self.n_fields == 0 => Ok(false),
            _ => self.end_field(state).map(|()| true),
        }
    }

    /// Takes what is alike at the start of `bytes`, which has some, and says how much that is.
    fn step(&mut self, bytes: &[u8], state: &mut State) -> Result<(Step, usize), Fault> {
        let first = bytes[0];
        if std::mem::take(&mut self.after_cr) && first == b'\n' {
            return Ok((Step::Go, 1));
        }
        match (*state, first) {
            (State::Start, b'"') => {
                *state = State::Quoted;
                Ok((Step::Go, 1))
            }
            (State::Quoted, b'"') => {
                *state = State::Closed;
                Ok((Step::Go, 1))
            }
            (State::Quoted, _) => {
                let n = bytes.iter().position(|byte| *byte == b'"').unwrap_or(bytes.len());
                self.here += bytes[..n].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
                self.take(&bytes[..n]);
                Ok((Step::Go, n))
            }
            (State::Closed, b'"') => {
                self.take(b"\"");
                *state = State::Quoted;
                Ok((Step::Go, 1))
            }
            (_, b'\r' | b'\n') => self.end_line(first, state),
            (_, byte) if byte == self.delimiter => {
                self.end_field(*state)?;
                *state = State::Start;
                Ok((Step::Go, 1))
            }
            (State::Closed, _) => Err(self.behind_quote(bytes)),
            (State::Start | State::Plain, _) => {
                *state = State::Plain;
                let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n') || *byte == self.delimiter;
                let n = bytes.iter().position(is_end).unwrap_or(bytes.len());
                self.take(&bytes[..n]);
                Ok((Step::Go, n))
            }
        }
    }

    /// Appends to the present field, if it is kept.
    fn take(&mut self, bytes: &[u8]) {
        if self.kept.is_none_or(|kept| self.n_fields < kept) {
            self.text.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, byte: u8, state: &mut State) -> Result<(Step, usize), Fault> {
        self.after_cr = byte == b'\r';
        self.here += 1;
        if *state == State::Start && self.n_fields == 0 {
            // An empty line.
            self.line = self.here;
            return Ok((Step::Go, 1));
        }
        self.end_field(*state)?;
        Ok((Step::Record, 1))
    }

    fn end_field(&mut self, state: State) -> Result<(), Fault> {
        self.n_fields += 1;
        let is_kept = self.kept.is_none_or(|kept| self.n_fields <= kept);
        if is_kept {
            self.ends.push(self.text.len());
        }
        if self.kept.is_none() && self.n_fields > MOST_NAMES {
            return Err(Fault::Wide);
        }
        let is_bare = matches!(state, State::Start | State::Plain);
        if is_kept && is_bare {
            let field = self.field(self.n_fields - 1);
            let blanks = field.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if blanks > 0 && field.get(blanks) == Some(&b'"') {
                return Err(Fault::Shape(Shape::BeforeQuote { field: self.n_fields }));
            }
        }
        Ok(())
    }

    fn behind_quote(&self, bytes: &[u8]) -> Fault {
        let n = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        Fault::Shape(Shape::BehindQuote {
            field: self.n_fields + 1,
            text: bytes[..n.min(SHOWN)].to_vec(),
            escaped: self.text.last() == Some(&b'\\'),
        })
    }
}

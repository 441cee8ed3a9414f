//! CSV: names in the first line, commas between fields, double quotes around texts that need them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Chain, Read as _};
use std::path::{Path, PathBuf};

use csv_core::{ReadRecordResult, Reader};

use super::rows::{
    FileProblem, Place, Row, RowReader, TextSource, UTF8, Wrong, require, text_source,
};

/// Follows the last byte: it is read as one more row unless a quote is still open.
const END: &str = "\0end of the file\0";
const END_LINES: &[u8] = b"\n\0end of the file\0\n";

const QUOTING: &str = "texts with commas, quotes or line breaks go in double quotes, and a double \
                       quote inside is written twice";

struct CsvRows {
    records: Records,
    names: Vec<String>,
    /// Which fields the columns are.
    places: [usize; 2],
    path: PathBuf,
    row: u64,
}

pub(super) fn open(
    file: File,
    path: &Path,
    columns: [&str; 2],
) -> Result<Box<dyn RowReader>, FileProblem> {
    let mut records = Records::new(text_source(file)?);
    records.next().map_err(|error| FileProblem::unreadable(&error))?;
    let names: Result<Vec<String>, _> =
        records.fields().map(|name| String::from_utf8(name.to_owned())).collect();
    let names = names.map_err(|_not_text| FileProblem::new("its first line is not UTF-8", UTF8))?;
    if names.last().is_some_and(|name| name.trim_end().ends_with(END)) {
        let message = match names.as_slice() {
            [only] if only == END => "it is empty",
            _ => "a double quote in its first line is never closed",
        };
        return Err(FileProblem::new(message, "the first line must name the columns"));
    }
    require(&names, columns)?;
    let place = |column| names.iter().position(|name| name == column).unwrap_or_default();
    let places = columns.map(place);
    Ok(Box::new(CsvRows { records, names, places, path: path.to_owned(), row: 0 }))
}

impl RowReader for CsvRows {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        match self.records.next() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(FileProblem::unreadable(&error))),
        }
        self.row += 1;
        let place = Place::RowAtByte(self.row, self.records.start);
        let last = self.records.fields().next_back().unwrap_or_default().trim_ascii_end();
        if !last.ends_with(END.as_bytes()) {
            return Some(Ok(Row { place, cells: self.cells() }));
        }
        if self.records.n_fields == 1 && last == END.as_bytes() {
            return None;
        }
        let message = format!("a double quote in {} is never closed", place.words(&self.path));
        Some(Err(FileProblem::new(message, QUOTING)))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn sha256(&mut self) -> io::Result<String> {
        self.records.bytes.get_mut().get_mut().0.get_mut().1.sha256()
    }
}

impl CsvRows {
    fn cells(&self) -> Result<[Result<String, Wrong>; 2], FileProblem> {
        let (fields, names) = (self.records.n_fields, self.names.len());
        if fields != names {
            let s = if fields == 1 { "" } else { "s" };
            let message = format!("it has {fields} field{s} where the first line has {names}");
            return Err(FileProblem::new(message, QUOTING));
        }
        Ok(self.places.map(|at| match std::str::from_utf8(self.records.field(at)) {
            Ok(text) => Ok(text.to_owned()),
            Err(_not_text) => Err(Wrong::NotUtf8),
        }))
    }
}

/// Record after record, fields unquoted; any number of fields.
struct Records {
    bytes: BufReader<Chain<TextSource, &'static [u8]>>,
    core: Reader,
    /// The fields of the present record, one after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    n_fields: usize,
    /// The byte that the record begins at, and the one after it.
    start: u64,
    end: u64,
}

impl Records {
    fn new(source: TextSource) -> Self {
        Self {
            bytes: BufReader::with_capacity(1 << 16, source.chain(END_LINES)),
            core: Reader::new(),
            text: vec![0; 1 << 10],
            ends: vec![0; 16],
            n_fields: 0,
            start: 0,
            end: 0,
        }
    }

    /// Reads a record; `false` when there is none left.
    fn next(&mut self) -> io::Result<bool> {
        self.start = self.end;
        self.n_fields = 0;
        let mut filled = 0;
        loop {
            let input = self.bytes.fill_buf()?;
            let (result, n_in, n_out, n_ends) = self.core.read_record(
                input,
                &mut self.text[filled..],
                &mut self.ends[self.n_fields..],
            );
            self.bytes.consume(n_in);
            self.end += n_in as u64;
            filled += n_out;
            self.n_fields += n_ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => return Ok(true),
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn field(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }

    fn fields(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        (0..self.n_fields).map(|at| self.field(at))
    }
}

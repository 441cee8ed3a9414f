//! CSV: names in the first line, commas between fields, double quotes around texts that need them.

use std::fs::File;
use std::io::{self, Chain, Read as _};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};

use super::rows::{
    FileProblem, Place, Row, RowReader, TextSource, UTF8, Wrong, require, text_source,
};

/// Stands behind the last byte: it comes as a row of its own unless a quote is still open.
const END: &str = "\0end of the file\0";
const END_LINES: &[u8] = b"\n\0end of the file\0\n";

const QUOTING: &str = "texts with commas, quotes or line breaks go in double quotes, and a double \
                       quote inside is written twice";

struct CsvRows {
    reader: csv::Reader<Chain<TextSource, &'static [u8]>>,
    record: ByteRecord,
    names: Vec<String>,
    /// Where the columns stand.
    places: [usize; 2],
    path: PathBuf,
    row: u64,
}

pub(super) fn open(
    file: File,
    path: &Path,
    columns: [&str; 2],
) -> Result<Box<dyn RowReader>, FileProblem> {
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(text_source(file)?.chain(END_LINES));
    let head = reader.byte_headers().map_err(|error| broken(&error))?;
    let names: Result<Vec<String>, _> =
        head.iter().map(|name| String::from_utf8(name.to_owned())).collect();
    let names = names.map_err(|_not_text| FileProblem::new("its first line is not UTF-8", UTF8))?;
    if names.last().is_some_and(|name| name.trim_end_matches('\n').ends_with(END)) {
        let message = match names.as_slice() {
            [only] if only == END => "it is empty",
            _ => "a double quote in its first line is never closed",
        };
        return Err(FileProblem::new(message, "the first line must name the columns"));
    }
    require(&names, columns)?;
    let place = |column| names.iter().position(|name| name == column).unwrap_or_default();
    let places = columns.map(place);
    let path = path.to_owned();
    Ok(Box::new(CsvRows { path, reader, record: ByteRecord::new(), names, places, row: 0 }))
}

impl RowReader for CsvRows {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(broken(&error))),
        }
        self.row += 1;
        let byte = self.record.position().map_or(0, csv::Position::byte);
        let place = Place::RowAtByte(self.row, byte);
        let last = self.record.iter().next_back().unwrap_or_default().trim_ascii_end();
        if !last.ends_with(END.as_bytes()) {
            return Some(Ok(Row { place, cells: self.cells() }));
        }
        if self.record.len() == 1 && last == END.as_bytes() {
            return None;
        }
        let message = format!("a double quote in {} is never closed", place.words(&self.path));
        Some(Err(FileProblem::new(message, QUOTING)))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn sha256(&mut self) -> io::Result<String> {
        self.reader.get_mut().get_mut().0.get_mut().1.sha256()
    }
}

impl CsvRows {
    fn cells(&self) -> Result<[Result<String, Wrong>; 2], FileProblem> {
        let (fields, names) = (self.record.len(), self.names.len());
        if fields != names {
            let s = if fields == 1 { "" } else { "s" };
            let message = format!("it has {fields} field{s} where the first line has {names}");
            return Err(FileProblem::new(message, QUOTING));
        }
        Ok(self.places.map(|at| match std::str::from_utf8(&self.record[at]) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Wrong::NotUtf8),
        }))
    }
}

fn broken(error: &csv::Error) -> FileProblem {
    match error.kind() {
        csv::ErrorKind::Io(error) => FileProblem::unreadable(error),
        _ => FileProblem::new(format!("it cannot be read as CSV: {error}"), QUOTING),
    }
}

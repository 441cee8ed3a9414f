//! CSV and TSV: names in the first line, commas or tabs between fields, double quotes around texts that
//! need them.

use std::io;

use super::encoding::text;
use super::problem::{FileProblem, mib};
use super::records::{Fault, Records, Shape};
use super::rows::{Cells, Columns, LONGEST, Place, Places, Row, RowReader, Wrong, cluster, places};
use super::source::TextSource;
use crate::yaml::quote;

const QUOTING: &str = "texts with commas, tabs, quotes or line breaks go in double quotes, and a double \
                       quote inside is written twice";

const BACKSLASH: &str = "write a double quote inside a text twice (`\"\"`), not as `\\\"`: programs that \
                         write CSV do so unless they are told otherwise";

struct CsvRows {
    records: Records,
    columns: Columns,
    names: Vec<String>,
    places: Places,
    row: u64,
    /// Set by a row whose quoting cannot be told: nothing after it can.
    ended: bool,
}

/// Begins to read a file whose fields are separated by `delimiter`.
pub(super) fn open(
    source: TextSource,
    delimiter: u8,
    columns: Columns,
) -> Result<Box<dyn RowReader>, FileProblem> {
    let mut records = Records::new(source, delimiter);
    let first = records.next();
    match first {
        Ok(true) => {}
        Ok(false) => {
            let help =
                "the first line must name the columns, and a row is needed for each input or task";
            return Err(FileProblem::new("it holds nothing but empty lines", help));
        }
        Err(fault) => {
            return Err(fault_in(&records, fault, "its first line", |n| format!("name {n}")));
        }
    }
    let named = records.fields().map(text).collect::<Result<Vec<String>, _>>();
    let names = named.map_err(|wrong| match wrong {
        Wrong::Says(what, Some(help)) => FileProblem::new(format!("its first line {what}"), help),
        _ => FileProblem::new("its first line is not UTF-8", "save the file as UTF-8"),
    })?;
    let places = places(&names, &columns).map_err(|problem| other_delimiter(&names, problem))?;
    records.keep_fields(names.len());
    Ok(Box::new(CsvRows { records, columns, names, places, row: 0, ended: false }))
}

/// The problem, unless the one name in the first line shows that something else is between the fields.
fn other_delimiter(names: &[String], problem: FileProblem) -> FileProblem {
    let [only] = names else { return problem };
    let between = [(';', "a semicolon"), ('\t', "a tab"), ('|', "a bar"), (',', "a comma")];
    let Some((_, words)) = between.into_iter().find(|(mark, _)| only.contains(*mark)) else {
        return problem;
    };
    FileProblem::new(
        format!("it has {words} between its columns: its first line is {}", quote(only)),
        "write commas between them, or tabs and let the file's name end in .tsv",
    )
}

impl RowReader for CsvRows {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        if self.ended {
            return None;
        }
        let read = self.records.next();
        self.row += 1;
        let place = Place::RowInLine(self.row, self.records.line());
        match read {
            Ok(false) => None,
            Ok(true) => {
                let cells = self.cells();
                Some(Ok(Row { place, cells }))
            }
            Err(Fault::Shape(shape)) => {
                self.ended = true;
                let cells = Err(self.misquoted(&shape));
                Some(Ok(Row { place, cells }))
            }
            Err(fault) => {
                let name = |n: usize| format!("field {n}");
                Some(Err(fault_in(&self.records, fault, &place.to_string(), name)))
            }
        }
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn numbers(&self) -> bool {
        self.places.id.is_none()
    }

    fn sha256(&mut self) -> io::Result<String> {
        self.records.sha256()
    }
}

impl CsvRows {
    fn cells(&self) -> Result<Cells, FileProblem> {
        let (fields, names) = (self.records.n_fields(), self.names.len());
        if fields != names {
            let s = if fields == 1 { "" } else { "s" };
            let message = format!("it has {fields} field{s} where the first line has {names}");
            return Err(FileProblem::new(message, QUOTING));
        }
        let cell = |at: usize| text(self.records.field(at));
        let id = match self.places.id {
            Some(at) => cell(at),
            None => Ok(self.columns.numbered(self.row)),
        };
        let cluster = self.places.cluster.map_or(Ok(None), |at| cluster(cell(at), false));
        Ok(Cells { id, text: cell(self.places.text), cluster })
    }

    fn misquoted(&self, shape: &Shape) -> FileProblem {
        let name = |n: usize| match self.names.get(n - 1) {
            Some(name) => format!("column {}", quote(name)),
            None => format!("field {n}"),
        };
        misquoted(shape, name)
    }
}

/// What is wrong with a field, named by `name` with its number from 1.
fn misquoted(shape: &Shape, name: impl Fn(usize) -> String) -> FileProblem {
    match shape {
        Shape::BehindQuote { field, escaped: true, .. } => FileProblem::new(
            format!("{} has a double quote behind a backslash", name(*field)),
            BACKSLASH,
        ),
        Shape::BehindQuote { field, text, escaped: false } => FileProblem::new(
            format!(
                "{} has text behind its closing quote: {}",
                name(*field),
                quote(&String::from_utf8_lossy(text))
            ),
            QUOTING,
        ),
        Shape::BeforeQuote { field } => FileProblem::new(
            format!("{} has a blank before its opening quote", name(*field)),
            "remove the blank; a text that begins with one goes into the quotes whole",
        ),
    }
}

/// A fault as a problem of the whole file.
fn fault_in(
    records: &Records,
    fault: Fault,
    place: &str,
    name: impl Fn(usize) -> String,
) -> FileProblem {
    match fault {
        Fault::Io(error) => records.problem(&error),
        Fault::Open => {
            FileProblem::new(format!("a double quote in {place} is never closed"), QUOTING)
        }
        Fault::Long { open } => {
            let why = if open { ", as a double quote in it is not closed" } else { "" };
            FileProblem::new(format!("{place} is longer than {}{why}", mib(LONGEST)), QUOTING)
        }
        Fault::Blank => {
            let message = format!("more than {} of empty lines stand before {place}", mib(LONGEST));
            FileProblem::new(message, "remove them")
        }
        Fault::Wide => {
            let help = "the first line must name the columns";
            FileProblem::new(format!("{place} has more than 65536 fields"), help)
        }
        Fault::Shape(shape) => {
            let problem = misquoted(&shape, name);
            FileProblem::new(format!("{place}: {}", problem.message), problem.help)
        }
    }
}

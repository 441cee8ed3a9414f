//! JSON lines: one object a line.

use std::io::{self, BufRead as _, Read as _};

use super::encoding::text;
use super::json::{find, string};
use super::problem::{FileProblem, mib};
use super::rows::{
    Cell, Cells, Columns, LONGEST, Place, Row, RowReader, Wrong, cluster, no_whole, whole,
};
use super::source::TextSource;
use crate::yaml::quote;

/// Most keys of the first object that are remembered for messages.
const KEYS: usize = 1000;

struct JsonLines {
    source: TextSource,
    line: Vec<u8>,
    number: u64,
    row: u64,
    columns: Columns,
    /// Keys of the first object.
    names: Vec<String>,
    /// Whether ids are made of the rows' numbers: the first object says.
    numbers: bool,
}

/// Begins to read a file.
pub(super) fn open(source: TextSource, columns: Columns) -> Box<dyn RowReader> {
    let (line, names) = (Vec::new(), Vec::new());
    Box::new(JsonLines { source, line, number: 0, row: 0, columns, names, numbers: false })
}

impl RowReader for JsonLines {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        let mut blank = 0;
        loop {
            self.line.clear();
            let read = (&mut self.source).take(LONGEST).read_until(b'\n', &mut self.line);
            self.number += 1;
            let place = Place::Line(self.number);
            match read {
                Ok(0) => return None,
                Ok(n) if n as u64 == LONGEST => return Some(Err(self.too_long())),
                Ok(n) if self.line.trim_ascii().is_empty() => {
                    blank += n as u64;
                    if blank > LONGEST {
                        let words =
                            format!("more than {} of empty lines stand before", mib(LONGEST));
                        let message = format!("{words} line {}", self.number);
                        return Some(Err(FileProblem::new(message, "remove them")));
                    }
                }
                Ok(_) if self.row == 0 && self.line.trim_ascii_start().starts_with(b"[") => {
                    return Some(Err(FileProblem::new(
                        "it begins with [: a JSON list is not JSON lines",
                        "write one object a line: `jq -c '.[]' OLD > NEW.jsonl`",
                    )));
                }
                Ok(_) => {
                    self.row += 1;
                    return Some(Ok(Row { place, cells: self.cells() }));
                }
                Err(error) => return Some(Err(self.source.problem(&error))),
            }
        }
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn numbers(&self) -> bool {
        self.numbers
    }

    fn sha256(&mut self) -> io::Result<String> {
        self.source.sha256()
    }
}

impl JsonLines {
    fn cells(&mut self) -> Result<Cells, FileProblem> {
        let (names, is_first) = (&mut self.names, self.row == 1);
        let mut see = |key: &[u8]| {
            if is_first && names.len() < KEYS {
                let plain = String::from_utf8_lossy(&key[1..key.len() - 1]).into_owned();
                names.push(string(key).unwrap_or(plain));
            }
        };
        let keys = self.columns.names();
        let found = find(&self.line, keys, &mut see).map_err(|wrong| {
            let [id, text, _] = keys.map(Option::unwrap_or_default);
            FileProblem::new(
                format!("not a JSON object (column {}): {}", wrong.column, wrong.why),
                format!("write one object a line: {{\"{id}\": \"...\", \"{text}\": \"...\"}}"),
            )
        })?;
        if is_first {
            self.numbers = self.columns.may_number() && found.values[0].is_none();
        }
        let cell = |i: usize| match found.values[i] {
            _ if found.twice[i] => Err(Wrong::Says(
                "is given twice".to_owned(),
                Some("remove one of them: readers of JSON differ in which they take".to_owned()),
            )),
            Some(raw) => value(raw, i != 1),
            None => Err(Wrong::Missing),
        };
        let id = match found.values[0] {
            None if self.numbers => Ok(self.columns.numbered(self.row)),
            Some(_) if self.numbers => Err(Wrong::Says(
                "is there, and was not in the first line".to_owned(),
                Some(
                    "with `id: row` a key `row` gives the ids of all lines, or no line has it and the \
                     lines are numbered"
                        .to_owned(),
                ),
            )),
            _ => cell(0),
        };
        let cluster = match self.columns.cluster {
            None => Ok(None),
            Some(_) => cluster(cell(2), found.values[2].is_some_and(is_null)),
        };
        Ok(Cells { id, text: cell(1), cluster })
    }

    fn too_long(&self) -> FileProblem {
        FileProblem::new(
            format!("line {} is longer than {}", self.number, mib(LONGEST)),
            "write one object a line; a JSON list in one line is not JSON lines",
        )
    }
}

/// Whether a value says that there is none: `NaN` is what Python writes for a missing number.
fn is_null(raw: &[u8]) -> bool {
    matches!(raw, b"null" | b"NaN")
}

/// The text that a value is; whole numbers too where they are ids.
fn value(raw: &[u8], is_id: bool) -> Cell {
    let shown = text(raw)?;
    match raw[0] {
        b'"' => string(raw).map_err(|why| {
            let help = "escape control characters, and write no half of a surrogate pair";
            Wrong::Says(format!("is no JSON text: {why}"), Some(help.to_owned()))
        }),
        _ if raw == b"null" => Err(Wrong::says("is null")),
        _ if is_id => number(&shown).ok_or_else(|| no_whole(&shown)),
        _ => Err(Wrong::says(format!("must be text, found {}", quote(&shown)))),
    }
}

/// A whole number as text, however large: only those with a point or an exponent are computed.
fn number(shown: &str) -> Option<String> {
    let number: f64 = serde_json::from_str(shown).ok()?;
    let is_plain = shown.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_plain && number != 0.0 { Some(shown.to_owned()) } else { whole(number) }
}

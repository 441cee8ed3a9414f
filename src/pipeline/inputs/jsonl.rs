//! JSON lines: one object a line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};

use serde_json::Value;

use super::rows::{FileProblem, Place, Row, RowReader, TextSource, Wrong, text_source};
use crate::yaml::quote;

/// Longest line that is read, in bytes: a file that is one long line is not JSON lines.
const LONGEST: u64 = 64 << 20;

type Object = serde_json::Map<String, Value>;

struct JsonLines {
    lines: BufReader<TextSource>,
    line: Vec<u8>,
    number: u64,
    columns: [String; 2],
    /// Keys of the first object.
    names: Vec<String>,
}

pub(super) fn open(file: File, columns: [&str; 2]) -> Result<Box<dyn RowReader>, FileProblem> {
    Ok(Box::new(JsonLines {
        lines: BufReader::with_capacity(1 << 16, text_source(file)?),
        line: Vec::new(),
        number: 0,
        columns: columns.map(str::to_owned),
        names: Vec::new(),
    }))
}

impl RowReader for JsonLines {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        loop {
            self.line.clear();
            let read = (&mut self.lines).take(LONGEST).read_until(b'\n', &mut self.line);
            self.number += 1;
            let place = Place::Line(self.number);
            match read {
                Ok(0) => return None,
                Ok(n) if n as u64 == LONGEST => return Some(Err(too_long(self.number))),
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok(Row { place, cells: self.cells() })),
                Err(error) => return Some(Err(FileProblem::unreadable(&error))),
            }
        }
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn sha256(&mut self) -> io::Result<String> {
        self.lines.get_mut().get_mut().1.sha256()
    }
}

impl JsonLines {
    fn cells(&mut self) -> Result<[Result<String, Wrong>; 2], FileProblem> {
        let Ok(line) = std::str::from_utf8(&self.line) else {
            return Ok([Err(Wrong::NotUtf8), Err(Wrong::NotUtf8)]);
        };
        let [id, text] = &self.columns;
        let object: Object = serde_json::from_str(line).map_err(|error| {
            // The line that it names is always the first.
            let words = error.to_string();
            let why = words.split(" at line ").next().unwrap_or(&words);
            FileProblem::new(
                format!("not a JSON object (column {}): {why}", error.column()),
                format!("write one object a line: {{\"{id}\": \"...\", \"{text}\": \"...\"}}"),
            )
        })?;
        if self.names.is_empty() {
            self.names = object.keys().cloned().collect();
        }
        let cell = |key: &str, numbers: bool| match object.get(key) {
            Some(Value::String(value)) => Ok(value.clone()),
            Some(Value::Number(n)) if numbers && !n.is_f64() => Ok(n.to_string()),
            Some(Value::Null) => Err(Wrong::Says("is null".to_owned())),
            Some(other) => {
                Err(Wrong::Says(format!("must be text, found {}", quote(&other.to_string()))))
            }
            None => Err(Wrong::Missing),
        };
        Ok([cell(id, true), cell(text, false)])
    }
}

fn too_long(line: u64) -> FileProblem {
    FileProblem::new(
        format!("line {line} is longer than {} MiB", LONGEST >> 20),
        "write one object a line; a JSON array in one line is not JSON lines",
    )
}

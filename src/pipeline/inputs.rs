//! Inputs and tasks from the user's files: `.jsonl`, `.csv` and `.parquet`.
//!
//! Texts are taken as they stand: nothing is trimmed, guessed or converted, but integer ids, which
//! become text. CSV and Parquet are read by polars; JSON lines are read line by line, so that a
//! wrong one is named by its number.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;

use crate::spec::{did_you_mean, line_of, quote};
use crate::store::hex_sha256;

/// Wrong rows that are told of one file.
const TOLD: usize = 5;

/// Which kinds of file there are, by their ending.
const FORMATS: &str = ".jsonl, .csv or .parquet";

/// The texts of a file, by id, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileTexts {
    /// `(id, text)`: ids unique and neither blank.
    pub(super) texts: Vec<(String, String)>,
    /// SHA-256 of the file.
    pub(super) sha256: String,
}

/// What is wrong with a file, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileProblem {
    pub(super) message: String,
    pub(super) help: String,
}

impl FileProblem {
    fn one(message: impl Into<String>, help: impl Into<String>) -> Vec<Self> {
        vec![Self { message: message.into(), help: help.into() }]
    }
}

/// Reads columns `id` and `text` of a file.
pub(super) fn read_texts(path: &Path, id: &str, text: &str) -> Result<FileTexts, Vec<FileProblem>> {
    let shown = path.display();
    let read = match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl") => read_jsonl,
        Some("csv") => read_csv,
        Some("parquet") => read_parquet,
        _ => {
            return Err(FileProblem::one(
                format!("the file {shown} must end in {FORMATS}"),
                "a mapping with the keys file, id and text names a file; inputs or tasks with \
                 these ids go into a file themselves",
            ));
        }
    };
    let bytes = fs::read(path).map_err(|error| {
        let help = "paths are relative to the folder of the pipeline file";
        FileProblem::one(format!("cannot read the file {shown}: {error}"), help)
    })?;
    let sha256 = hex_sha256(&bytes);
    let name = path.file_name().map_or_else(|| shown.to_string(), |n| n.display().to_string());
    let rows = read(&bytes, [id, text]).map_err(|mut problem| {
        problem.message = format!("{name}: {}", problem.message);
        vec![problem]
    })?;
    if rows.is_empty() {
        let help = "it needs one row at least for each input or task";
        return Err(FileProblem::one(format!("{name} has no rows"), help));
    }
    Ok(FileTexts { texts: check(rows, &name, [id, text])?, sha256 })
}

/// One row: where it is (`row 3`), its id and its text, each or why it is none.
struct Row {
    place: String,
    id: Result<String, String>,
    text: Result<String, String>,
}

type Rows = Result<Vec<Row>, FileProblem>;

fn check(
    rows: Vec<Row>,
    name: &str,
    [id_column, text_column]: [&str; 2],
) -> Result<Vec<(String, String)>, Vec<FileProblem>> {
    let mut problems = Vec::new();
    let mut tell = |message: String, help: &str| {
        problems.push(FileProblem { message, help: help.to_owned() });
    };
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut texts = Vec::with_capacity(rows.len());
    for Row { place, id, text } in rows {
        let here = format!("{name}, {place}");
        let id = good(id, "name each row by an id", &here, id_column, &mut tell);
        let text = good(text, "write a text or remove the row", &here, text_column, &mut tell);
        if let Some(id) = &id {
            if let Some(first) = seen.get(id) {
                let message = format!("{here}: the id {} is that of {first} already", quote(id));
                tell(message, "give each row an id of its own");
            } else {
                seen.insert(id.clone(), place);
            }
        }
        texts.extend(id.zip(text));
    }
    if problems.is_empty() {
        return Ok(texts);
    }
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    if more > 0
        && let Some(last) = problems.last_mut()
    {
        last.help = format!("{} ({more} more rows of {name} are wrong)", last.help);
    }
    Err(problems)
}

fn good(
    value: Result<String, String>,
    help: &str,
    here: &str,
    column: &str,
    tell: &mut impl FnMut(String, &str),
) -> Option<String> {
    match value {
        Ok(value) if value.trim().is_empty() => tell(format!("{here}: `{column}` is empty"), help),
        Ok(value) => return Some(value),
        Err(why) => tell(format!("{here}: `{column}` {why}"), help),
    }
    None
}

fn text_of(bytes: &[u8]) -> Result<&str, FileProblem> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = line_of(bytes, offset);
        FileProblem {
            message: format!("it is not UTF-8: offset {offset} (line {line})"),
            help: "save it as UTF-8, for example with `iconv -f latin1 -t utf-8`".to_owned(),
        }
    })
}

fn read_jsonl(bytes: &[u8], [id, text]: [&str; 2]) -> Rows {
    type Object = serde_json::Map<String, serde_json::Value>;
    let mut rows = Vec::new();
    for (i, line) in text_of(bytes)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("line {}", i + 1);
        let object: Object = serde_json::from_str(line).map_err(|error| FileProblem {
            message: format!("{place} is not a JSON object: {error}"),
            help: format!("write one object a line: {{\"{id}\": \"...\", \"{text}\": \"...\"}}"),
        })?;
        let get = |key: &str, numbers: bool| match object.get(key) {
            Some(serde_json::Value::String(value)) => Ok(value.clone()),
            Some(serde_json::Value::Number(n)) if numbers && !n.is_f64() => Ok(n.to_string()),
            Some(serde_json::Value::Null) => Err("is null".to_owned()),
            Some(other) => Err(format!("must be text, found {}", quote(&other.to_string()))),
            None => Err("is missing".to_owned()),
        };
        rows.push(Row { place, id: get(id, true), text: get(text, false) });
    }
    Ok(rows)
}

fn read_csv(bytes: &[u8], columns: [&str; 2]) -> Rows {
    text_of(bytes)?;
    // Nothing to infer: every column is text.
    let frame = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
        .map_err(|error| FileProblem {
            message: format!("it cannot be read as CSV: {error}"),
            help: "the first line must name the columns, separated by commas, and every row must \
                   have as many fields; texts with commas, quotes or line breaks go in double quotes"
                .to_owned(),
        })?;
    let names: Vec<&str> = frame.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    require(&names, columns)?;
    rows_of(&frame, columns)
}

fn read_parquet(bytes: &[u8], columns: [&str; 2]) -> Rows {
    let broken = |error: PolarsError| FileProblem {
        message: format!("it cannot be read as Parquet: {error}"),
        help: "write it again, for example with polars' `write_parquet`".to_owned(),
    };
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = reader.schema().map_err(broken)?;
    let names: Vec<&str> = schema.iter_names().map(PlSmallStr::as_str).collect();
    require(&names, columns)?;
    for (i, column) in columns.into_iter().enumerate() {
        let kind = schema.get(column).map(|field| field.dtype().clone());
        // Without polars' features for other types, reading such a column would panic.
        let is_text = matches!(
            kind,
            Some(ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View)
        );
        let is_integer = matches!(
            kind,
            Some(
                ArrowDataType::Int8
                    | ArrowDataType::Int16
                    | ArrowDataType::Int32
                    | ArrowDataType::Int64
                    | ArrowDataType::UInt32
                    | ArrowDataType::UInt64
            )
        );
        let is_good = is_text || (i == 0 && is_integer);
        if !is_good {
            let rule = if i == 0 { "text or a 64-bit integer" } else { "text" };
            return Err(FileProblem {
                message: format!("column `{column}` must be {rule}"),
                help: format!(
                    "cast it before writing the file: `pl.col(\"{column}\").cast(pl.String)`"
                ),
            });
        }
    }
    let mut wanted: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    wanted.dedup();
    let frame = reader.with_columns(Some(wanted)).finish().map_err(broken)?;
    rows_of(&frame, columns)
}

fn require(names: &[&str], columns: [&str; 2]) -> Result<(), FileProblem> {
    let Some(missing) = columns.into_iter().find(|column| !names.contains(column)) else {
        return Ok(());
    };
    let help = match did_you_mean(missing, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("its columns are {}", names.join(", ")),
    };
    Err(FileProblem { message: format!("it has no column {}", quote(missing)), help })
}

fn rows_of(frame: &DataFrame, columns: [&str; 2]) -> Rows {
    let texts = |column: &str| -> PolarsResult<Vec<Option<String>>> {
        let column = frame.column(column)?.cast(&DataType::String)?;
        Ok(column.str()?.iter().map(|value| value.map(str::to_owned)).collect())
    };
    let [ids, texts] = columns.map(texts);
    let broken = |error: PolarsError| FileProblem {
        message: format!("its columns cannot be read as text: {error}"),
        help: "write ids and texts as text columns".to_owned(),
    };
    let (ids, texts) = (ids.map_err(broken)?, texts.map_err(broken)?);
    let there = |value: Option<String>| value.ok_or_else(|| "is null or empty".to_owned());
    Ok(ids
        .into_iter()
        .zip(texts)
        .enumerate()
        .map(|(i, (id, text))| Row {
            place: format!("row {}", i + 1),
            id: there(id),
            text: there(text),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;

    use super::*;

    fn texts(ending: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, Vec<String>> {
        let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        match read_texts(file.path(), "id", "text") {
            Ok(read) => Ok(read.texts),
            Err(problems) => {
                Err(problems.iter().map(|p| p.message.replace(&name, "FILE")).collect())
            }
        }
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn csv_texts_are_kept_as_they_stand() {
        let csv = "other,id,text\r\n1,007,\"a, \"\"b\"\"\nc\"\r\n2,null,  two  \r\n3,1e5,NaN\r\n";
        let read = texts(".csv", csv.as_bytes()).unwrap();
        assert_eq!(read, pairs(&[("007", "a, \"b\"\nc"), ("null", "  two  "), ("1e5", "NaN")]));
    }

    #[test]
    fn csv_numbers_stay_the_text_they_are() {
        let read = texts(".csv", b"id,text\n007,1e5\n0x1,1.50\n").unwrap();
        assert_eq!(read, pairs(&[("007", "1e5"), ("0x1", "1.50")]));
        let read = texts(".csv", b"id,text\n007,01\n010,true\n").unwrap();
        assert_eq!(read, pairs(&[("007", "01"), ("010", "true")]));
    }

    #[test]
    fn many_csv_rows_with_line_breaks_keep_their_order() {
        let mut csv = "id,text\n".to_owned();
        let mut expected = Vec::new();
        for i in 0..20_000 {
            let text = if i % 3 == 0 { "\n".repeat(1 + i % 7) } else { String::new() };
            writeln!(csv, "{i},\"x{text}, {i}\"").unwrap();
            expected.push((i.to_string(), format!("x{text}, {i}")));
        }
        assert_eq!(texts(".csv", csv.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn wrong_csv_rows_are_named() {
        let wrong = texts(".csv", b"id,text\na,one\na,two\nb,\n ,three\n").unwrap_err();
        assert_eq!(
            wrong,
            [
                "FILE, row 2: the id \"a\" is that of row 1 already",
                "FILE, row 3: `text` is null or empty",
                "FILE, row 4: `id` is empty",
            ]
        );
        let wrong = texts(".csv", b"id,txt\na,one\n").unwrap_err();
        assert_eq!(wrong, ["FILE: it has no column \"text\""]);
        assert_eq!(texts(".csv", b"id,text\n").unwrap_err(), ["FILE has no rows"]);
        let wrong = texts(".csv", b"id,text\na,b\xff\n").unwrap_err();
        assert_eq!(wrong, ["FILE: it is not UTF-8: offset 11 (line 2)"]);
        assert_eq!(texts(".csv", b"id,text\na,one,two\n").unwrap_err().len(), 1);
        assert_eq!(texts(".csv", b"").unwrap_err().len(), 1);
    }

    #[test]
    fn json_lines_are_read_and_wrong_ones_named() {
        let read = texts(
            ".jsonl",
            b"{\"id\": 7, \"text\": \"one\\n\"}\r\n\n{\"text\": \"two\", \"id\": \"b\"}",
        );
        assert_eq!(read.unwrap(), pairs(&[("7", "one\n"), ("b", "two")]));
        let wrong = texts(
            ".jsonl",
            b"{\"id\": 1.5, \"text\": \"x\"}\n{\"id\": \"a\"}\n{\"id\": null, \"text\": 3}\n",
        );
        assert_eq!(
            wrong.unwrap_err(),
            [
                "FILE, line 1: `id` must be text, found \"1.5\"",
                "FILE, line 2: `text` is missing",
                "FILE, line 3: `id` is null",
                "FILE, line 3: `text` must be text, found \"3\"",
            ]
        );
        let wrong = texts(".jsonl", b"{\"id\": 1, \"text\": \"x\"}\n[1, 2]\n").unwrap_err();
        assert!(wrong[0].starts_with("FILE: line 2 is not a JSON object"), "{wrong:?}");
    }

    #[test]
    fn parquet_ids_may_be_integers_and_texts_may_not() {
        let write = |frame: &mut DataFrame| {
            let mut bytes = Vec::new();
            ParquetWriter::new(&mut bytes).finish(frame).unwrap();
            bytes
        };
        let ids = Column::new("id".into(), &[3_i64, 1]);
        let some = Column::new("text".into(), &[Some("c"), None]);
        let mut frame = DataFrame::new(2, vec![ids.clone(), some]).unwrap();
        let wrong = texts(".parquet", &write(&mut frame)).unwrap_err();
        assert_eq!(wrong, ["FILE, row 2: `text` is null or empty"]);
        let all = Column::new("text".into(), &["c", " a "]);
        let mut frame = DataFrame::new(2, vec![all, ids.clone()]).unwrap();
        let read = texts(".parquet", &write(&mut frame)).unwrap();
        assert_eq!(read, pairs(&[("3", "c"), ("1", " a ")]));
        let numbers = Column::new("text".into(), &[1.0, 2.0]);
        let mut frame = DataFrame::new(2, vec![numbers, ids]).unwrap();
        let wrong = texts(".parquet", &write(&mut frame)).unwrap_err();
        assert_eq!(wrong, ["FILE: column `text` must be text"]);
        assert_eq!(texts(".parquet", b"PAR1 no").unwrap_err().len(), 1);
    }
}

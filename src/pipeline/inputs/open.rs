//! Opens a file of rows in the format that its name ends in.

use std::fs::File;
use std::io;
use std::path::Path;

use super::rows::{FileProblem, RowReader, in_file};
use super::{csv, jsonl, parquet};

/// Which kinds of file there are, by their ending.
const FORMATS: &str = ".jsonl, .csv or .parquet";

/// Opens a file to read its columns `[id, text]`.
pub(super) fn open_rows(
    path: &Path,
    columns: [&str; 2],
) -> Result<Box<dyn RowReader>, FileProblem> {
    let shown = path.display();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if !["jsonl", "csv", "parquet"].contains(&ending) {
        return Err(FileProblem::new(
            format!("the file {shown} must end in {FORMATS}"),
            "a mapping with the keys file, id and text names a file; inputs or tasks with these \
             ids go into a file themselves",
        ));
    }
    let is_file = |file: File| {
        let is_folder = file.metadata()?.is_dir();
        if is_folder { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    };
    let file = File::open(path).and_then(is_file).map_err(|error| {
        let help = "paths are relative to the folder of the pipeline file";
        FileProblem::new(format!("cannot read the file {shown}: {error}"), help)
    })?;
    let opened: Result<Box<dyn RowReader>, FileProblem> = match ending {
        "jsonl" => jsonl::open(file, columns),
        "csv" => csv::open(file, path, columns),
        _ => parquet::open(file, path, columns),
    };
    opened.map_err(|problem| in_file(path, problem))
}

//! Parquet: text columns of any Arrow kind, and integer ids.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::rows::{FileProblem, Place, Row, RowReader, Wrong, require};
use crate::store::sha256_of_file;

/// Rows that are decoded at a time.
const BATCH: usize = 1024;

struct ParquetRows {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    columns: [String; 2],
    names: Vec<String>,
    /// The columns of the present batch, as text.
    batch: Option<[ArrayRef; 2]>,
    /// How many of its rows were given.
    given: usize,
    row: u64,
}

pub(super) fn open(
    file: File,
    path: &Path,
    columns: [&str; 2],
) -> Result<Box<dyn RowReader>, FileProblem> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| broken(&error))?;
    let fields = builder.schema().fields();
    let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    require(&names, columns)?;
    for (i, column) in columns.into_iter().enumerate() {
        let kind = fields.find(column).map(|(_, field)| field.data_type());
        let is_good = kind.is_some_and(|kind| is_text(kind) || (i == 0 && is_integer(kind)));
        if !is_good {
            let rule = if i == 0 { "text or integers" } else { "text" };
            let cast = format!("`pl.col(\"{column}\").cast(pl.String)`");
            return Err(FileProblem::new(
                format!("column `{column}` must be {rule}"),
                format!("cast it before writing the file: {cast}"),
            ));
        }
    }
    let roots = columns.map(|column| names.iter().position(|name| name == column));
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.into_iter().flatten());
    let reader = builder.with_projection(mask).with_batch_size(BATCH).build();
    Ok(Box::new(ParquetRows {
        reader: reader.map_err(|error| broken(&error))?,
        path: path.to_owned(),
        columns: columns.map(str::to_owned),
        names,
        batch: None,
        given: 0,
        row: 0,
    }))
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn is_integer(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_integer(values),
        _ => kind.is_integer(),
    }
}

fn broken(error: &dyn std::error::Error) -> FileProblem {
    FileProblem::new(
        format!("it cannot be read as Parquet: {error}"),
        "write it again, for example with polars' `write_parquet`",
    )
}

impl RowReader for ParquetRows {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        let [ids, texts] = loop {
            match &self.batch {
                Some(batch) if self.given < batch[0].len() => break batch,
                _ => match self.read_batch()? {
                    Ok(batch) => self.batch = Some(batch),
                    Err(problem) => return Some(Err(problem)),
                },
            }
        };
        let cell = |column: &ArrayRef| {
            let there = column.is_valid(self.given);
            let text = || column.as_string::<i32>().value(self.given).to_owned();
            there.then(text).ok_or_else(|| Wrong::Says("is null".to_owned()))
        };
        let cells = Ok([cell(ids), cell(texts)]);
        self.given += 1;
        self.row += 1;
        Some(Ok(Row { place: Place::Row(self.row), cells }))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn sha256(&mut self) -> io::Result<String> {
        // Its end is read first and much of it never: there is no pass to hash on the way.
        sha256_of_file(&self.path)
    }
}

impl ParquetRows {
    fn read_batch(&mut self) -> Option<Result<[ArrayRef; 2], FileProblem>> {
        self.batch = None;
        self.given = 0;
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(broken(&error))),
        };
        let column = |name: &String| {
            let column = batch.column_by_name(name).expect("both columns were asked for");
            cast(column, &DataType::Utf8).map_err(|error| broken(&error))
        };
        let [id, text] = &self.columns;
        Some(column(id).and_then(|ids| Ok([ids, column(text)?])))
    }
}

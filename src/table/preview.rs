//! The first rows of a table as text, for a terminal.

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::TableError;
use super::column::{LAYER, Table};
use super::guard::guarded;
use crate::prompt::visible;
use crate::run_dir::layout::{is_older, layer_of, part_of};
use crate::store::{Store, StoreError};

/// Longest text of a cell, in characters: vectors and prompts are cut.
const WIDEST: usize = 48;

/// Rows read at a time.
const BLOCK: usize = 256;

/// Some rows of a table.
#[derive(Debug)]
pub struct Preview {
    /// Names of the columns.
    pub columns: Vec<&'static str>,
    /// A cell for each column, row by row.
    pub rows: Vec<Vec<String>>,
    /// Whether the table has more rows than were asked for.
    pub has_more: bool,
}

/// Reads at most `limit` rows of a table, part after part. Measures have four digits, nulls are
/// empty.
///
/// # Errors
/// When a part cannot be listed or read.
pub fn preview(store: &Store, table: &Table, limit: usize) -> Result<Preview, TableError> {
    let columns = table.columns.iter().map(|column| column.name).collect();
    let mut found = Preview { columns, rows: Vec::new(), has_more: false };
    for file in files(store, table)? {
        guarded(&store.path(&file), || read(store, &file, limit, &mut found))?;
        if found.has_more {
            break;
        }
    }
    Ok(found)
}

/// The files of a table, part after part; of one that is split by layer, each part layer by layer.
///
/// # Errors
/// When a folder cannot be listed.
pub fn files(store: &Store, table: &Table) -> Result<Vec<String>, StoreError> {
    let parts = |folder: &str| -> Result<Vec<String>, StoreError> {
        let names = store.list(folder)?.into_iter().filter(|name| name.ends_with(".parquet"));
        Ok(names.map(|name| format!("{folder}/{name}")).collect())
    };
    let folder = table.folder();
    let files = parts(&folder)?;
    if !table.by_layer || !files.is_empty() {
        return Ok(files);
    }
    // A run directory of an older version: a folder for each layer.
    let mut older = Vec::new();
    for name in store.list(&folder)? {
        older.extend(parts(&format!("{folder}/{name}"))?.into_iter().filter(|f| is_older(f)));
    }
    older.sort_by_key(|file| (part_of(file), layer_of(file)));
    Ok(older)
}

/// Adds the rows of one file, until there are `limit`.
fn read(store: &Store, name: &str, limit: usize, found: &mut Preview) -> Result<(), TableError> {
    let path = store.path(name);
    let error =
        |source: ParquetError| TableError::Parquet { action: "read", path: path.clone(), source };
    let file = store.open_sound(name)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(error)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), found.columns.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(BLOCK).build().map_err(error)?;
    for batch in reader {
        let arrow_error = |source| TableError::Arrow { action: "read", path: path.clone(), source };
        let batch = batch.map_err(arrow_error)?;
        let cells = cells(&batch, &found.columns, layer_of(name)).map_err(arrow_error)?;
        for row in 0..batch.num_rows() {
            if found.rows.len() == limit {
                found.has_more = true;
                return Ok(());
            }
            found.rows.push(cells.iter().map(|column| column[row].clone()).collect());
        }
    }
    Ok(())
}

/// The cells of each column; `layer` is the one in the file's name, for a file without such a column.
fn cells(
    batch: &RecordBatch,
    columns: &[&str],
    layer: Option<i16>,
) -> Result<Vec<Vec<String>>, arrow::error::ArrowError> {
    let options = FormatOptions::default();
    let text = |name: &&str| {
        let Some(array) = batch.column_by_name(name) else {
            let layer = layer.filter(|_| *name == LAYER).map(|layer| layer.to_string());
            return Ok(vec![layer.unwrap_or_default(); batch.num_rows()]);
        };
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options)?;
        let measure = array.data_type() == &DataType::Float64;
        Ok((0..batch.num_rows())
            .map(|row| match (array.is_null(row), measure) {
                (true, _) => String::new(),
                (false, true) => four_digits(&formatter.value(row).to_string()),
                (false, false) => cell(&formatter.value(row).to_string()),
            })
            .collect())
    };
    columns.iter().map(text).collect()
}

fn four_digits(number: &str) -> String {
    number.parse::<f64>().map_or_else(|_| number.to_owned(), |value| format!("{value:.4}"))
}

/// A text as a cell shows it.
pub fn cell(text: &str) -> String {
    let clean = visible(text);
    if clean.chars().count() <= WIDEST {
        return clean;
    }
    let mut head: String = clean.chars().take(WIDEST - 1).collect();
    head.push('…');
    head
}

//! Rows of a table as text, for a terminal.

use std::ops::ControlFlow;

use arrow_array::{Array as _, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::ArrowError;
use arrow_schema::DataType;

use super::TableError;
use super::blocks::Blocks;
use super::column::Table;
use crate::prompt::visible;
use crate::run_dir::layout::{is_older, layer_of, part_of};
use crate::store::{Store, StoreError};

/// Longest text of a cell, in characters: vectors and prompts are cut.
const WIDEST: usize = 48;

/// Rows read at a time.
const BLOCK: usize = 256;

/// Names of a table's columns.
pub fn columns(table: &Table) -> Vec<&'static str> {
    table.columns.iter().map(|column| column.name).collect()
}

/// Hands the rows of a table to `take`, part after part: a cell for each column. Measures have four
/// digits, nulls are empty. Ends early when `take` says `Break`. Only a few hundred rows are in memory
/// at once.
///
/// # Errors
/// When a part cannot be listed or read, or `take` fails.
pub fn rows<E: From<TableError>>(
    store: &Store,
    table: &Table,
    mut take: impl FnMut(Vec<String>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let columns = columns(table);
    for file in files(store, table).map_err(TableError::from)? {
        let path = store.path(&file);
        let mut blocks = Blocks::open(store, &file, &columns, BLOCK)?;
        while let Some(batch) = blocks.next()? {
            let block = cells(&batch, &columns).map_err(|source| TableError::Arrow {
                action: "read",
                path: path.clone(),
                source,
            })?;
            let n = block.first().map_or(0, Vec::len);
            let mut block: Vec<_> = block.into_iter().map(Vec::into_iter).collect();
            for _ in 0..n {
                let row = block.iter_mut().map(|column| column.next().unwrap_or_default());
                if take(row.collect())?.is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
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

/// The cells of each column; empty where the file has no such column.
fn cells(batch: &RecordBatch, columns: &[&str]) -> Result<Vec<Vec<String>>, ArrowError> {
    let options = FormatOptions::default();
    let text = |name: &&str| {
        let Some(array) = batch.column_by_name(name) else {
            return Ok(vec![String::new(); batch.num_rows()]);
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

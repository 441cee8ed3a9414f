//! Rows of made-up tables, by the names of their columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqlens::store::Store;
use aqlens::table::{Kind, Table};
use arrow_array::{ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array};

use super::fake::{FakeRun, texts};

/// One cell: a text or a number.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
}

/// One row: its cells by column. A column that is left out is null, empty or 0, `status` is `ok`.
pub(crate) type Row = BTreeMap<&'static str, Cell>;

/// Row from texts and numbers.
pub(crate) fn row(texts: &[(&'static str, &str)], numbers: &[(&'static str, f64)]) -> Row {
    let texts = texts.iter().map(|(name, text)| (*name, Cell::Text((*text).to_owned())));
    texts.chain(numbers.iter().map(|(name, n)| (*name, Cell::Number(*n)))).collect()
}

/// Writes rows as one part of a table.
pub(crate) fn put(run: &FakeRun, store: &Store, table: &'static Table, part: u32, rows: &[Row]) {
    let column = |column: &aqlens::table::Column| -> ArrayRef {
        let text = |row: &Row| match row.get(column.name) {
            Some(Cell::Text(text)) => text.clone(),
            _ if column.name == "status" => "ok".to_owned(),
            _ => String::new(),
        };
        let number = |row: &Row| match row.get(column.name) {
            Some(Cell::Number(number)) => Some(*number),
            _ => None,
        };
        let whole = |row: &Row| number(row).or((!column.nullable).then_some(0.0));
        match column.kind {
            Kind::Utf8 => texts(&rows.iter().map(text).collect::<Vec<_>>()),
            Kind::Int16 => {
                Arc::new(rows.iter().map(|r| whole(r).map(|n| n as i16)).collect::<Int16Array>())
            }
            Kind::Int32 => {
                Arc::new(rows.iter().map(|r| whole(r).map(|n| n as i32)).collect::<Int32Array>())
            }
            Kind::Int64 => {
                Arc::new(rows.iter().map(|r| whole(r).map(|n| n as i64)).collect::<Int64Array>())
            }
            Kind::Float64 if column.nullable => {
                Arc::new(rows.iter().map(number).collect::<Float64Array>())
            }
            Kind::Float64 => Arc::new(rows.iter().map(whole).collect::<Float64Array>()),
            other => panic!("no fake column of {other:?}"),
        }
    };
    run.put(store, table, part, table.columns.iter().map(column).collect());
}

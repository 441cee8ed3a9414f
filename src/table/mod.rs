//! The tables of a run directory: the public contract, read with polars, DuckDB or pyarrow.
//!
//! [`schema`] holds every table's columns; [`writer`] and [`reader`] move them to and from Parquet,
//! [`preview`] shows their first rows.

pub(crate) mod blocks;
pub(crate) mod cell;
pub(crate) mod column;
pub(crate) mod declare;
mod frame;
pub(crate) mod groups;
mod guard;
pub mod preview;
pub(crate) mod raw;
pub mod reader;
mod row_groups;
pub mod schema;
pub(crate) mod source;
pub mod status;
mod vectors;
pub mod writer;

pub use column::{Column, Dims, Kind, Meaning, Table};
pub(crate) use declare::{ReadRow, WriteRow, view};

use std::path::PathBuf;

use crate::store::StoreError;

fn way_out(action: &str) -> &'static str {
    match action {
        "read" => "; `aqlens run PIPELINE --recheck` makes damaged files again",
        _ => "",
    }
}

/// A table could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Parquet refused.
    #[error("cannot {action} table file {}{}", path.display(), way_out(action))]
    Parquet {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The library's own words.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Columns do not fit the table.
    #[error("cannot {action} table file {}", path.display())]
    Arrow {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The library's own words.
        #[source]
        source: arrow_schema::ArrowError,
    },
    /// A file holds something else than its table's columns.
    #[error("table file {} {problem}; delete it and run again", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

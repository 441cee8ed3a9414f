//! Reads a table's files some rows at a time, whatever columns they have.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::TableError;
use super::column::{LAYER, Table};
use super::guard::guarded;
use super::reader::with_layer;
use crate::run_dir::layout::layer_of;
use crate::store::Store;

/// In a file's metadata: the version of its table.
const VERSION: &str = "aqlens.table_version";

/// What a file says of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// The table's version, where the file names one.
    pub(crate) version: Option<u32>,
    /// Its columns and what they hold, in order; `layer` too where only the file's path says it.
    pub(crate) columns: Vec<(String, DataType)>,
}

impl Header {
    /// What a column holds.
    pub(crate) fn kind(&self, column: &str) -> Option<&DataType> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, kind)| kind)
    }
}

/// One file, read some rows at a time.
pub(crate) struct Blocks {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// The one in the file's name, for a file without such a column.
    layer: Option<i16>,
}

impl Blocks {
    /// Opens a file of a table to read those of `columns` that it has, `rows` rows at a time.
    ///
    /// # Errors
    /// When the file is missing, has changed since it was written, or is no Parquet.
    pub(crate) fn open(
        store: &Store,
        name: &str,
        columns: &[&str],
        rows: usize,
    ) -> Result<Self, TableError> {
        let path = store.path(name);
        let builder = builder(store, name)?;
        let reader = guarded(&path, || {
            let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
            let reader = builder.with_projection(mask).with_batch_size(rows.max(1)).build();
            reader.map_err(|source| TableError::Parquet {
                action: "read",
                path: path.clone(),
                source,
            })
        })?;
        let layer = layer_of(name).filter(|_| columns.contains(&LAYER));
        Ok(Self { path, reader, layer })
    }

    /// The next rows; `None` behind the last one.
    ///
    /// # Errors
    /// When they cannot be decoded.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, TableError> {
        let (path, layer) = (self.path.clone(), self.layer);
        guarded(&path, || {
            let batch: Option<Result<RecordBatch, ArrowError>> = self.reader.next();
            let batch = batch.map(|batch| batch.and_then(|batch| with_layer(batch, layer)));
            batch.transpose().map_err(|source| TableError::Arrow {
                action: "read",
                path: path.clone(),
                source,
            })
        })
    }
}

/// What a file says of its table.
///
/// # Errors
/// As [`Blocks::open`].
pub(crate) fn header(store: &Store, table: &Table, name: &str) -> Result<Header, TableError> {
    let builder = builder(store, name)?;
    let schema: &SchemaRef = builder.schema();
    let fields = schema.fields().iter();
    let mut columns: Vec<(String, DataType)> =
        fields.map(|field| (field.name().clone(), field.data_type().clone())).collect();
    let has_layer = columns.iter().any(|(name, _)| name == LAYER);
    if table.by_layer && !has_layer && layer_of(name).is_some() {
        columns.push((LAYER.to_owned(), DataType::Int16));
    }
    let metadata = builder.metadata().file_metadata().key_value_metadata();
    let version = metadata.into_iter().flatten().find(|entry| entry.key == VERSION);
    let version = version.and_then(|entry| entry.value.as_ref()?.parse().ok());
    Ok(Header { version, columns })
}

fn builder(
    store: &Store,
    name: &str,
) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>, TableError> {
    let path = store.path(name);
    let file = store.open_sound(name)?;
    guarded(&path, || {
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|source| TableError::Parquet {
            action: "read",
            path: path.clone(),
            source,
        })
    })
}

//! Reads parts of tables back, as Arrow (vectors, for the analyses) or polars (small tables, for
//! reducing).

use std::fs::File;
use std::path::Path;

use arrow::array::{
    Array, FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use polars::prelude::{DataFrame, ParquetReader, SerReader as _};

use super::TableError;
use super::writer::PartAddress;
use crate::store::{Store, StoreError};

/// Rows of one part, as one Arrow batch.
#[derive(Debug)]
pub struct Part {
    batch: RecordBatch,
    path: std::path::PathBuf,
}

/// Reads the named columns of one part.
///
/// # Errors
/// When the file is missing, is no Parquet, or lacks a column.
pub fn read_part(
    store: &Store,
    address: PartAddress,
    columns: &[&str],
) -> Result<Part, TableError> {
    let path = store.path(&address.file());
    let error =
        |source: ParquetError| TableError::Parquet { action: "read", path: path.clone(), source };
    let file = open(&path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(error)?;
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let schema = builder.schema().project(&projected(builder.schema(), columns));
    // One batch for the whole part: vectors then lie in one buffer, without a copy to join them.
    let reader =
        builder.with_projection(mask).with_batch_size(rows.max(1)).build().map_err(error)?;
    let arrow_error = |source| TableError::Arrow { action: "read", path: path.clone(), source };
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(arrow_error)?;
    let schema = std::sync::Arc::new(schema.map_err(arrow_error)?);
    let batch = match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => batch,
        Err(batches) => arrow::compute::concat_batches(&schema, &batches).map_err(arrow_error)?,
    };
    let part = Part { batch, path };
    for name in columns {
        part.column(name)?;
    }
    Ok(part)
}

/// Reads the named columns of a small table's part into polars.
pub fn read_frame(
    store: &Store,
    address: PartAddress,
    columns: &[&str],
) -> Result<DataFrame, TableError> {
    let path = store.path(&address.file());
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    ParquetReader::new(open(&path)?)
        .with_columns(Some(columns))
        .set_rechunk(true)
        .finish()
        .map_err(|e| TableError::Content { path, problem: format!("cannot be read: {e}") })
}

fn open(path: &Path) -> Result<File, TableError> {
    File::open(path).map_err(|e| StoreError::io("read", path, e).into())
}

fn projected(schema: &arrow::datatypes::Schema, columns: &[&str]) -> Vec<usize> {
    let wanted = |(i, f): (usize, &std::sync::Arc<arrow::datatypes::Field>)| {
        columns.contains(&f.name().as_str()).then_some(i)
    };
    schema.fields().iter().enumerate().filter_map(wanted).collect()
}

impl Part {
    /// How many rows the part has.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// A text column.
    pub fn texts(&self, name: &str) -> Result<&StringArray, TableError> {
        self.typed(name)
    }

    /// A column of layers, heads, wordings or ranks.
    pub fn int16s(&self, name: &str) -> Result<&Int16Array, TableError> {
        self.typed(name)
    }

    /// A column of positions, ids or counts.
    pub fn int32s(&self, name: &str) -> Result<&Int32Array, TableError> {
        self.typed(name)
    }

    /// A column of counts over a whole run.
    pub fn int64s(&self, name: &str) -> Result<&Int64Array, TableError> {
        self.typed(name)
    }

    /// A column of measures.
    pub fn float64s(&self, name: &str) -> Result<&Float64Array, TableError> {
        self.typed(name)
    }

    /// A column of lists.
    pub fn lists(&self, name: &str) -> Result<&ListArray, TableError> {
        self.typed(name)
    }

    /// A column of equally long vectors: all their numbers in one slice, row after row, and how
    /// many each row has.
    pub fn vectors(&self, name: &str) -> Result<(&[f32], usize), TableError> {
        let lists: &FixedSizeListArray = self.typed(name)?;
        let width = lists.value_length() as usize;
        let values = lists.values().as_any().downcast_ref::<Float32Array>();
        let values = values.ok_or_else(|| self.wrong(name))?.values();
        Ok((&values[lists.offset() * width..(lists.offset() + lists.len()) * width], width))
    }

    /// An error about this part's content.
    pub fn problem(&self, problem: impl Into<String>) -> TableError {
        TableError::Content { path: self.path.clone(), problem: problem.into() }
    }

    fn column(&self, name: &str) -> Result<&dyn Array, TableError> {
        let column = self.batch.column_by_name(name);
        Ok(column.ok_or_else(|| self.problem(format!("has no column '{name}'")))?.as_ref())
    }

    fn typed<T: Array + 'static>(&self, name: &str) -> Result<&T, TableError> {
        self.column(name)?.as_any().downcast_ref().ok_or_else(|| self.wrong(name))
    }

    fn wrong(&self, name: &str) -> TableError {
        self.problem(format!("has another type in column '{name}' than this version writes"))
    }
}

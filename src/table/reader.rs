//! Reads parts of tables back, as Arrow (vectors, for the analyses) or polars (small tables, for
//! reducing).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, ListArray, RecordBatch, RecordBatchReader as _, StringArray,
};
use arrow_schema::ArrowError;
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::TableError;
use super::cell::{Cell, Unfit};
use super::column::{Column, Kind, LAYER};
use super::guard::{guarded, refuse_rows};
use super::raw::layers;
use super::source::Source;
use super::vectors::read_vectors;
use super::writer::PartAddress;
use crate::store::{Store, StoreError};

/// Rows of one part, as one Arrow batch.
#[derive(Debug)]
pub struct Part {
    batch: RecordBatch,
    path: std::path::PathBuf,
    /// Columns of vectors that are known to hold nothing that is not finite.
    finite: BTreeSet<String>,
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
    let name = address.file_there(store);
    let path = store.path(&name);
    let file = store.open_sound(&name)?;
    guarded(&path, || decode(&file, &path, address, columns))
}

fn decode(
    file: &File,
    path: &Path,
    address: PartAddress,
    columns: &[&str],
) -> Result<Part, TableError> {
    let error = |source| TableError::Parquet { action: "read", path: path.to_owned(), source };
    let arrow_error = |source| TableError::Arrow { action: "read", path: path.to_owned(), source };
    let is_vector = |column: &Column| {
        matches!(column.kind, Kind::ModelVector | Kind::VocabVector)
            && columns.contains(&column.name)
    };
    let mut options = ArrowReaderOptions::new();
    if address.table.columns.iter().any(is_vector) {
        options = options.with_offset_index_policy(PageIndexPolicy::Optional);
    }
    let metadata = ArrowReaderMetadata::load(file, options).map_err(error)?;
    let known = Arc::clone(metadata.metadata());
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
        file.try_clone().map_err(|e| StoreError::io("read", path, e))?,
        metadata,
    );
    let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
    let groups = builder.metadata().row_groups().iter();
    let most = groups.fold(rows, |most, group| most.max(group.num_rows() as usize));
    let bytes = file.metadata().map_err(|e| StoreError::io("read", path, e))?.len();
    refuse_rows(path, bytes, most)?;
    let schema = builder.schema().project(&projected(builder.schema(), columns));
    let schema = Arc::new(schema.map_err(arrow_error)?);
    let (vectors, finite) = vectors(path, file, &known, &schema)?;
    let others = columns.iter().copied().filter(|name| !vectors.contains_key(*name));
    let mask = ProjectionMask::columns(builder.parquet_schema(), others);
    // One batch for the whole part, so that all rows are in one piece.
    let reader =
        builder.with_projection(mask).with_batch_size(rows.max(1)).build().map_err(error)?;
    let others = reader.schema();
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(arrow_error)?;
    let others = concat_batches(&others, &batches).map_err(arrow_error)?;
    let arrays = schema.fields().iter().filter_map(|field| {
        vectors.get(field.name()).or_else(|| others.column_by_name(field.name())).cloned()
    });
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).map_err(arrow_error)?;
    let layer = address.layer.filter(|_| columns.contains(&LAYER));
    let batch = with_layer(batch, layer).map_err(arrow_error)?;
    let part = Part { batch, path: path.to_owned(), finite };
    for name in columns {
        part.column(name)?;
    }
    Ok(part)
}

/// Adds column `layer` where a file has none: in older run directories only its path says which layer it
/// is.
pub(super) fn with_layer(
    batch: RecordBatch,
    layer: Option<i16>,
) -> Result<RecordBatch, ArrowError> {
    let (Some(layer), false) = (layer, batch.column_by_name(LAYER).is_some()) else {
        return Ok(batch);
    };
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(LAYER, DataType::Int16, false)));
    let arrays = [batch.columns(), &[layers(layer, batch.num_rows())]].concat();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// Those columns of vectors whose numbers can be taken from their pages as they lie there, and the
/// names of those where all are finite.
fn vectors(
    path: &Path,
    file: &File,
    metadata: &ParquetMetaData,
    schema: &Schema,
) -> Result<(BTreeMap<String, ArrayRef>, BTreeSet<String>), TableError> {
    let (mut vectors, mut finite) = (BTreeMap::new(), BTreeSet::new());
    for field in schema.fields() {
        let DataType::FixedSizeList(item, width) = field.data_type() else { continue };
        if *item.data_type() != DataType::Float32 {
            continue;
        }
        let read = read_vectors(file, metadata, field.name(), *width as usize);
        let read = read.map_err(|source| {
            let path = path.to_owned();
            TableError::Parquet { action: "read", path, source }
        })?;
        let Some(read) = read else { continue };
        let values = Arc::new(Float32Array::from(read.values));
        let lists = FixedSizeListArray::try_new(Arc::clone(item), *width, values, None);
        let lists: ArrayRef = Arc::new(lists.map_err(|source| {
            let path = path.to_owned();
            TableError::Arrow { action: "read", path, source }
        })?);
        vectors.insert(field.name().clone(), lists);
        if read.are_finite {
            finite.insert(field.name().clone());
        }
    }
    Ok((vectors, finite))
}

fn projected(schema: &Schema, columns: &[&str]) -> Vec<usize> {
    let wanted = |(i, f): (usize, &Arc<Field>)| columns.contains(&f.name().as_str()).then_some(i);
    schema.fields().iter().enumerate().filter_map(wanted).collect()
}

impl Source for Part {
    fn len(&self) -> usize {
        self.rows()
    }

    fn cells<'a, C: Cell<'a>>(&'a self, name: &str) -> Result<Vec<C>, TableError> {
        C::of_arrow(self.column(name)?).map_err(|unfit| self.problem(unfit.words(name)))
    }
}

impl Part {
    /// Rows that were read, which must have these columns.
    ///
    /// # Errors
    /// When one is missing.
    pub(super) fn of(
        batch: RecordBatch,
        path: &Path,
        columns: &[&str],
    ) -> Result<Self, TableError> {
        let part = Self { batch, path: path.to_owned(), finite: BTreeSet::new() };
        columns.iter().try_for_each(|name| part.column(name).map(drop))?;
        Ok(part)
    }

    /// How many rows the part has.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.batch.get_array_memory_size()
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

    /// Whether a column of vectors is known to hold finite numbers only; `false` also when nobody
    /// looked.
    pub fn is_known_finite(&self, name: &str) -> bool {
        self.finite.contains(name)
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
        self.problem(Unfit::Type.words(name))
    }
}

//! Writes rows as the row groups of a Parquet file, byte for byte as [`ArrowWriter`] does.
//!
//! That one makes all levels of a column at once and keeps its pages until the row group is full: of
//! vectors, several times their own size in memory that nobody has touched yet, which costs more time
//! than their copying. Here a column of vectors goes into its pages some rows at a time, with levels
//! that are the same for all of them, and every page goes to the file when it is full.

use std::io::Write;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::FloatType;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

/// A Parquet file under way.
pub(super) struct RowGroups<W: Write> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    most_rows: usize,
    numbers_at_once: usize,
    /// How many row groups it has.
    written: usize,
}

impl<W: Write + Send> RowGroups<W> {
    /// Begins a file of rows with that schema.
    pub(super) fn begin(
        file: W,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, ParquetError> {
        let most_rows = properties.max_row_group_row_count().unwrap_or(usize::MAX);
        let numbers_at_once = properties.write_batch_size();
        let options = ArrowWriterOptions::new().with_properties(properties);
        // It knows the Parquet schema and what readers are to know of the Arrow one.
        let writer = ArrowWriter::try_new_with_options(file, schema, options)?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self { file, factory, most_rows, numbers_at_once, written: 0 })
    }

    /// Writes rows as a row group, or as several when they are too many for one.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        for start in (0..rows.num_rows()).step_by(self.most_rows) {
            let part = rows.slice(start, self.most_rows.min(rows.num_rows() - start));
            self.write_group(&part)?;
        }
        Ok(())
    }

    fn write_group(&mut self, part: &RecordBatch) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        let mut writers = self.factory.create_column_writers(self.written)?.into_iter();
        for (field, column) in part.schema_ref().fields().iter().zip(part.columns()) {
            if let Some((numbers, width)) = vectors(column) {
                // Its place among the writers.
                writers.next();
                let none_left = || ParquetError::General("more columns than leaves".to_owned());
                let mut writer = group.next_column()?.ok_or_else(none_left)?;
                write_vectors(numbers, width, self.numbers_at_once, writer.typed())?;
                writer.close()?;
                continue;
            }
            for (leaf, mut writer) in compute_leaves(field, column)?.iter().zip(&mut writers) {
                writer.write(leaf)?;
                writer.close()?.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        self.written += 1;
        Ok(())
    }

    /// Writes what a Parquet file has after its rows.
    pub(super) fn finish(self) -> Result<W, ParquetError> {
        self.file.into_inner()
    }
}

/// All numbers of a column of vectors, row after row, and how many each row has. `None` when it
/// holds something else or something is null.
fn vectors(column: &ArrayRef) -> Option<(&[f32], usize)> {
    let lists = column.as_fixed_size_list_opt()?;
    let numbers = lists.values().as_primitive_opt::<Float32Type>()?;
    let width = usize::try_from(lists.value_length()).ok().filter(|width| *width > 0)?;
    (lists.null_count() + numbers.null_count() == 0).then(|| (&numbers.values()[..], width))
}

/// Hands over as many rows at once as the column writer would take of all of them: it looks whether
/// a page is full after every such number of rows.
fn write_vectors(
    numbers: &[f32],
    width: usize,
    at_once: usize,
    writer: &mut ColumnWriterImpl<'_, FloatType>,
) -> Result<(), ParquetError> {
    let at_once = (at_once.div_ceil(width) * width).min(numbers.len());
    // Nothing is null, and every `width` numbers a row begins.
    let defined = vec![writer.get_descriptor().max_def_level(); at_once];
    let repeated: Vec<i16> = (0..at_once).map(|i| i16::from(i % width > 0)).collect();
    for numbers in numbers.chunks(at_once) {
        let levels = ..numbers.len();
        writer.write_batch(numbers, Some(&defined[levels]), Some(&repeated[levels]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, Float32Array, Int32Array, ListArray, StringArray};
    use arrow_buffer::{NullBuffer, OffsetBuffer};
    use arrow_schema::{DataType, Field};

    use super::*;

    fn write_rows(
        file: Vec<u8>,
        rows: &RecordBatch,
        properties: WriterProperties,
    ) -> Result<Vec<u8>, ParquetError> {
        let mut groups = RowGroups::begin(file, rows.schema(), properties)?;
        groups.write(rows)?;
        groups.finish()
    }

    fn as_arrow_writes(rows: &RecordBatch, properties: WriterProperties) -> Vec<u8> {
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(rows).unwrap();
        writer.into_inner().unwrap()
    }

    fn properties() -> WriterProperties {
        WriterProperties::builder()
            .set_max_row_group_row_count(Some(1_500))
            .set_data_page_size_limit(10_000)
            .build()
    }

    fn lists(width: usize, rows: usize, nulls: Option<NullBuffer>) -> ArrayRef {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = (0..rows * width).map(|i| (i as f32).sin()).collect::<Float32Array>();
        let lists = FixedSizeListArray::try_new(item, width as i32, Arc::new(values), nulls);
        Arc::new(lists.unwrap())
    }

    /// Names beside two columns of vectors and one of lists that are not equally long.
    fn rows(count: usize, width: usize) -> RecordBatch {
        let names: ArrayRef =
            Arc::new((0..count).map(|i| Some(format!("name {}", i / 7))).collect::<StringArray>());
        let item = Arc::new(Field::new("item", DataType::Int32, false));
        let offsets = OffsetBuffer::<i32>::from_lengths((0..count).map(|i| i % 3));
        let last = offsets.last().copied().unwrap_or(0);
        let others = Int32Array::from_iter_values(0..last);
        let others: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(others), None));
        let columns = [
            ("vectors", lists(width, count, None), false),
            ("name", names, true),
            ("others", others, false),
            ("more", lists(3, count, None), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    #[test]
    fn the_file_is_the_one_that_arrow_writes() {
        for (count, width) in [(0, 4), (1, 4), (4_000, 1), (4_000, 4), (3_000, 40), (7, 3_000)] {
            let rows = rows(count, width);
            for properties in [properties(), WriterProperties::default()] {
                let ours = write_rows(Vec::new(), &rows, properties.clone()).unwrap();
                assert!(ours == as_arrow_writes(&rows, properties), "{count} rows of {width}");
            }
        }
    }

    #[test]
    fn rows_of_a_larger_batch_are_written_as_their_own() {
        let rows = rows(4_000, 5).slice(999, 2_000);
        let ours = write_rows(Vec::new(), &rows, properties()).unwrap();
        assert!(ours == as_arrow_writes(&rows, properties()));
    }

    #[test]
    fn vectors_of_which_some_are_null_are_written_as_arrow_does() {
        let nulls: NullBuffer = (0..300).map(|i| i % 9 > 0).collect();
        let rows = RecordBatch::try_from_iter([("vectors", lists(4, 300, Some(nulls)))]).unwrap();
        let ours = write_rows(Vec::new(), &rows, properties()).unwrap();
        assert!(ours == as_arrow_writes(&rows, properties()));
    }
}

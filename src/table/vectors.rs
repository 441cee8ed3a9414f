//! Reads a column of equally long vectors straight from its pages.
//!
//! The Arrow reader decodes two levels for every number, which say where lists begin and what is
//! null. In a column where nothing is null and every list has the same length these say nothing,
//! and the numbers of a page lie there as they go into memory.

use std::fs::File;

use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

/// All numbers of a column of float32 lists of `width` each, row after row. `None` when the file
/// holds them in another way than this version writes them, or not all of them: the Arrow reader
/// can tell.
pub(super) fn read_vectors(
    file: File,
    column: &str,
    width: usize,
) -> Result<Option<Vec<f32>>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata().file_metadata();
    let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
    let columns = metadata.schema_descr().columns();
    let is_it = |found: &ColumnDescriptor| {
        found.physical_type() == Type::FLOAT && *found.path().parts() == [column, "list", "item"]
    };
    let Some(index) = columns.iter().position(|found| is_it(found)) else { return Ok(None) };
    let mut values = Vec::with_capacity(rows * width);
    for group in 0..reader.num_row_groups() {
        let mut pages = reader.get_row_group(group)?.get_column_page_reader(index)?;
        while let Some(page) = pages.get_next_page()? {
            let Some(numbers) = numbers(&page, &columns[index]) else { return Ok(None) };
            values.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
    }
    Ok((values.len() == rows * width).then_some(values))
}

/// The numbers of a page that has one for each of its levels: nothing is null, no list is empty.
fn numbers<'p>(page: &'p Page, column: &ColumnDescriptor) -> Option<&'p [[u8; 4]]> {
    let Page::DataPage {
        buf,
        num_values,
        encoding: Encoding::PLAIN,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: _,
    } = page
    else {
        return None;
    };
    let mut bytes = &buf[..];
    for most in [column.max_rep_level(), column.max_def_level()] {
        if most > 0 {
            let (length, rest) = bytes.split_first_chunk()?;
            bytes = rest.get(u32::from_le_bytes(*length) as usize..)?;
        }
    }
    let (numbers, rest) = bytes.as_chunks();
    (rest.is_empty() && numbers.len() == *num_values as usize).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};
    use std::sync::Arc;

    use arrow::array::{Array as _, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
    use arrow::datatypes::{DataType, Field};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;

    use super::*;

    /// A file of rows of four numbers, several pages and row groups long.
    fn written(values: Float32Array, dictionary: bool) -> File {
        let may_be_null = values.null_count() > 0;
        let item = Arc::new(Field::new("item", DataType::Float32, may_be_null));
        let lists = FixedSizeListArray::try_new(item, 4, Arc::new(values), None).unwrap();
        let lists: ArrayRef = Arc::new(lists);
        let batch = RecordBatch::try_from_iter([("values", lists)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_dictionary_enabled(dictionary)
            .set_max_row_group_row_count(Some(3_000))
            .set_data_page_size_limit(4_096)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn numbers_come_back_bit_for_bit() {
        let values: Vec<f32> = (0..40_000).map(|i| (i as f32).sin() / 3.0).collect();
        let read = read_vectors(written(values.clone().into(), false), "values", 4).unwrap();
        assert_eq!(read, Some(values));
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_the_arrow_reader() {
        let values: Vec<f32> = (0..400).map(|i| (i % 7) as f32).collect();
        let with_null = values.iter().map(|v| (*v > 0.0).then_some(*v)).collect::<Float32Array>();
        assert_eq!(read_vectors(written(with_null, false), "values", 4).unwrap(), None);
        let plain = || written(values.clone().into(), false);
        assert_eq!(read_vectors(written(values.clone().into(), true), "values", 4).unwrap(), None);
        assert_eq!(read_vectors(plain(), "values", 5).unwrap(), None);
        assert_eq!(read_vectors(plain(), "others", 4).unwrap(), None);
    }
}

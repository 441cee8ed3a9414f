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

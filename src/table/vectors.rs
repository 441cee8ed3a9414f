//! Reads a column of equally long vectors straight from its pages.
//!
//! The Arrow reader decodes two levels for every number, which say where lists begin and what is
//! null. In a column where nothing is null and every list has the same length these say nothing,
//! and the numbers of a page lie there as they go into memory. Where a page is not compressed, they
//! are read from the file without the page around them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

/// How many bytes are read at once: they are still in the fastest cache when they become numbers.
const PIECE: usize = 1 << 16;

/// All numbers of a column of lists.
#[derive(Debug, PartialEq)]
pub(super) struct Vectors {
    /// Row after row.
    pub(super) values: Vec<f32>,
    /// Whether none of them is NaN or infinite.
    pub(super) are_finite: bool,
}

/// All numbers of a column of float32 lists of `width` each. `None` when the file holds them in
/// another way than this version writes them, or not all of them: the Arrow reader handles those.
/// `metadata` is that of the file, best with its offset index.
pub(super) fn read_vectors(
    file: &File,
    metadata: &ParquetMetaData,
    column: &str,
    width: usize,
) -> Result<Option<Vectors>, ParquetError> {
    let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let columns = metadata.file_metadata().schema_descr().columns();
    let is_it = |found: &ColumnDescriptor| {
        found.physical_type() == Type::FLOAT && *found.path().parts() == [column, "list", "item"]
    };
    let Some(index) = columns.iter().position(|found| is_it(found)) else { return Ok(None) };
    let mut numbers =
        Numbers { column: &columns[index], width, found: Vec::new(), are_finite: true };
    // A damaged file may say that it has any number of rows.
    let count = rows.saturating_mul(width);
    if numbers.found.try_reserve_exact(count).is_err() {
        return Err(ParquetError::General(format!("{rows} rows do not fit into memory")));
    }
    for group in 0..metadata.num_row_groups() {
        let before = numbers.found.len();
        if numbers.take_as_they_lie(file, metadata, (group, index))? {
            continue;
        }
        numbers.found.truncate(before);
        if !numbers.take_by_page(file, metadata, (group, index))? {
            return Ok(None);
        }
    }
    let Numbers { found: values, are_finite, .. } = numbers;
    Ok((values.len() == count).then_some(Vectors { values, are_finite }))
}

/// The numbers found so far.
struct Numbers<'c> {
    column: &'c ColumnDescriptor,
    width: usize,
    found: Vec<f32>,
    are_finite: bool,
}

impl Numbers<'_> {
    /// Takes a column of a row group in whose pages every row has `width` numbers, not compressed.
    /// `false` when that is not so; some of its numbers may then have been taken.
    fn take_as_they_lie(
        &mut self,
        mut file: &File,
        metadata: &ParquetMetaData,
        (group, index): (usize, usize),
    ) -> Result<bool, ParquetError> {
        let (rows, chunk) =
            (metadata.row_group(group).num_rows(), metadata.row_group(group).column(index));
        let is_plain = |encoding| matches!(encoding, Encoding::PLAIN | Encoding::RLE);
        if chunk.compression() != Compression::UNCOMPRESSED || !chunk.encodings().all(is_plain) {
            return Ok(false);
        }
        let pages = metadata.offset_index().and_then(|groups| groups.get(group)?.get(index));
        let Some(pages) = pages.map(OffsetIndexMetaData::page_locations) else { return Ok(false) };
        let first_row = |page: &PageLocation| page.first_row_index;
        let mut piece = vec![0; PIECE];
        for (number, page) in pages.iter().enumerate() {
            let end = pages.get(number + 1).map_or(rows, first_row);
            let rows = usize::try_from(end - page.first_row_index).unwrap_or(0);
            let levels = self.full_levels(rows * self.width);
            let (bytes, size) = (rows * self.width * 4, page.compressed_page_size as usize);
            // The numbers are what a page ends with. In front of them it says which are there.
            let Some(others) = size.checked_sub(bytes + levels.len()) else { return Ok(false) };
            file.seek(SeekFrom::Start(page.offset as u64 + others as u64))?;
            file.read_exact(&mut piece[..levels.len()])?;
            if piece[..levels.len()] != levels {
                return Ok(false);
            }
            let mut left = bytes;
            while left > 0 {
                let piece = &mut piece[..left.min(PIECE)];
                file.read_exact(piece)?;
                self.push(piece.as_chunks().0);
                left -= piece.len();
            }
        }
        Ok(true)
    }

    /// What a page has in front of `n` numbers of which none is missing: their definition levels,
    /// one run of the highest one, with its length in bytes.
    fn full_levels(&self, n: usize) -> Vec<u8> {
        let level = self.column.max_def_level();
        if level == 0 {
            return Vec::new();
        }
        let mut run = Vec::new();
        let mut count = n << 1;
        while count > 0x7f {
            run.push(0x80 | (count & 0x7f) as u8);
            count >>= 7;
        }
        run.extend([count as u8, level as u8]);
        [&(run.len() as u32).to_le_bytes()[..], &run].concat()
    }

    /// Takes a column of a row group through its pages, which may be compressed. `false` when they
    /// hold its numbers in another way.
    fn take_by_page(
        &mut self,
        file: &File,
        metadata: &ParquetMetaData,
        (group, index): (usize, usize),
    ) -> Result<bool, ParquetError> {
        let group = metadata.row_group(group);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let file = Arc::new(file.try_clone()?);
        let mut pages = SerializedPageReader::new(file, group.column(index), rows, None)?;
        while let Some(page) = pages.get_next_page()? {
            let Some(numbers) = numbers(&page, self.column) else { return Ok(false) };
            self.push(numbers);
        }
        Ok(true)
    }

    fn push(&mut self, numbers: &[[u8; 4]]) {
        let before = self.found.len();
        self.found.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        let is_finite = |finite: bool, value: &f32| finite & value.is_finite();
        self.are_finite &= self.found[before..].iter().fold(true, is_finite);
    }
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

    use arrow_array::{Array as _, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
    use arrow_schema::{DataType, Field};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    use parquet::file::metadata::PageIndexPolicy;
    use parquet::file::properties::WriterProperties;

    use super::*;

    /// A file of rows of four numbers, several pages and row groups long.
    fn written(values: Float32Array, dictionary: bool, compression: Compression) -> File {
        let may_be_null = values.null_count() > 0;
        let item = Arc::new(Field::new("item", DataType::Float32, may_be_null));
        let lists = FixedSizeListArray::try_new(item, 4, Arc::new(values), None).unwrap();
        let lists: ArrayRef = Arc::new(lists);
        let batch = RecordBatch::try_from_iter([("values", lists)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
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

    fn read(file: &File, column: &str, width: usize) -> Option<Vectors> {
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(file, options).unwrap();
        read_vectors(file, metadata.metadata(), column, width).unwrap()
    }

    #[test]
    fn numbers_come_back_bit_for_bit() {
        let values: Vec<f32> = (0..40_000).map(|i| (i as f32).sin() / 3.0).collect();
        for compression in [Compression::LZ4_RAW, Compression::UNCOMPRESSED] {
            let file = written(values.clone().into(), false, compression);
            let expected = Vectors { values: values.clone(), are_finite: true };
            assert_eq!(read(&file, "values", 4), Some(expected));
        }
    }

    #[test]
    fn numbers_that_are_not_compressed_are_read_without_their_pages() {
        let values: Vec<f32> = (0..40_000).map(|i| i as f32).collect();
        for (compression, expected) in
            [(Compression::LZ4_RAW, false), (Compression::UNCOMPRESSED, true)]
        {
            let file = written(values.clone().into(), false, compression);
            let options =
                ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
            let metadata = ArrowReaderMetadata::load(&file, options).unwrap();
            let column = &metadata.parquet_schema().columns()[0];
            let mut numbers = Numbers { column, width: 4, found: Vec::new(), are_finite: true };
            let taken = numbers.take_as_they_lie(&file, metadata.metadata(), (0, 0)).unwrap();
            assert_eq!((taken, numbers.found.len()), (expected, if expected { 12_000 } else { 0 }));
        }
    }

    #[test]
    fn a_number_that_is_none_is_told_of() {
        for wrong in [f32::NAN, f32::NEG_INFINITY] {
            let mut values = vec![1.0; 4_000];
            values[3_001] = wrong;
            for compression in [Compression::LZ4_RAW, Compression::UNCOMPRESSED] {
                let file = written(values.clone().into(), false, compression);
                assert!(!read(&file, "values", 4).unwrap().are_finite);
            }
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_the_arrow_reader() {
        let values: Vec<f32> = (0..400).map(|i| (i % 7) as f32).collect();
        let with_null = values.iter().map(|v| (*v > 0.0).then_some(*v)).collect::<Float32Array>();
        for compression in [Compression::LZ4_RAW, Compression::UNCOMPRESSED] {
            assert_eq!(read(&written(with_null.clone(), false, compression), "values", 4), None);
            // A page that is short of one number still has room for all in its levels.
            let but_one = values.iter().enumerate().map(|(i, v)| (i != 77).then_some(*v));
            assert_eq!(read(&written(but_one.collect(), false, compression), "values", 4), None);
            let coded = written(values.clone().into(), true, compression);
            assert_eq!(read(&coded, "values", 4), None);
            let plain = written(values.clone().into(), false, compression);
            assert_eq!(read(&plain, "values", 5), None);
            assert_eq!(read(&plain, "others", 4), None);
        }
    }
}

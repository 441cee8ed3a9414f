//! Texts whose lengths are packed as differences: how many there are, before the library makes room.
//!
//! Such a page begins with a list of lengths (with prefixes: two of them) that says how many it holds.
//! The library makes room for that many, whatever is said.
//! <https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-encoding-delta_binary_packed--5>

use std::fs::File;
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

/// Compares the lists of lengths in the pages of a column with the numbers of values in their headers.
pub(super) fn check(
    file: &Arc<File>,
    chunk: &ColumnChunkMetaData,
    rows: i64,
) -> Result<(), String> {
    let rows = usize::try_from(rows).unwrap_or_default();
    let pages = SerializedPageReader::new(Arc::clone(file), chunk, rows, None);
    let mut pages = pages.map_err(|error| error.to_string())?;
    let has_nulls = chunk.column_descr().max_def_level() > 0;
    while let Some(page) = pages.get_next_page().map_err(|error| error.to_string())? {
        let (levels, encoding, values) = match &page {
            Page::DataPage { buf, encoding, num_values, .. } => {
                let levels = if has_nulls { levels(buf).unwrap_or(usize::MAX) } else { 0 };
                (levels, *encoding, *num_values)
            }
            Page::DataPageV2 { encoding, num_values, def_levels_byte_len: definition, .. } => {
                // No column of one value a row has levels of repetition.
                (*definition as usize, *encoding, *num_values)
            }
            Page::DictionaryPage { .. } => continue,
        };
        let lists = match encoding {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => continue,
        };
        let mut left = page.buffer().get(levels..);
        for _ in 0..lists {
            left = left.and_then(|bytes| pass_list(bytes, values.into()));
        }
        if left.is_none() {
            return Err("a page has another number of lengths than of values".to_owned());
        }
    }
    Ok(())
}

/// Bytes of the levels in front of a page's values, with their length.
fn levels(page: &[u8]) -> Option<usize> {
    let length = page.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*length)).ok()?.checked_add(4)
}

/// What follows a list of at most `most` numbers; `None` when it is longer or ends too early.
fn pass_list(bytes: &[u8], most: u64) -> Option<&[u8]> {
    let (block, bytes) = varint(bytes)?;
    let (pieces, bytes) = varint(bytes)?;
    let (total, bytes) = varint(bytes)?;
    let (_first, mut bytes) = varint(bytes)?;
    if total > most || pieces == 0 || !block.is_multiple_of(pieces) {
        return None;
    }
    let in_piece = block / pieces;
    // The first number stands in front.
    let mut left = total.saturating_sub(1);
    while left > 0 {
        let (_least, rest) = varint(bytes)?;
        let (widths, rest) = rest.split_at_checked(usize::try_from(pieces).ok()?)?;
        bytes = rest;
        for width in widths {
            if left == 0 {
                break;
            }
            let size = u64::from(*width).checked_mul(in_piece)?.div_ceil(8);
            bytes = bytes.get(usize::try_from(size).ok()?..)?;
            left = left.saturating_sub(in_piece);
        }
        if in_piece == 0 {
            return None;
        }
    }
    Some(bytes)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if *byte < 0x80 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

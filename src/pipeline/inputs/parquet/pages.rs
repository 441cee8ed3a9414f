//! The pages of a column, looked through before the library makes room for what they say they hold.
//!
//! A column is stored in pages, each packed for itself, and a page of some bytes can say that it
//! unpacks to any size: 31 kB are a text of 1 GB. So the headers of all pages are read first.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::super::problem::{FileProblem, mib};
use super::super::rows::{LONGEST, MOST_ROWS};
use super::thrift::{Compact, STRUCT};

/// Most bytes that a page may unpack to. Writers cut pages at about 1 MiB, but some only after each
/// thousand rows.
pub(super) const MOST_PAGE: u64 = 256 << 20;

/// What looking at pages found.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Bytes that the largest unpacks to: no value is longer, and many rows may be the same value.
    pub(super) largest: u64,
    /// Whether the lengths of values are packed as differences (`DELTA_LENGTH_BYTE_ARRAY`,
    /// `DELTA_BYTE_ARRAY`).
    pub(super) has_delta: bool,
}

/// What a page's header says.
#[derive(Debug, Default)]
struct Header {
    kind: i64,
    unpacked: u64,
    packed: u64,
    values: u64,
    encoding: i64,
    /// Bytes in front of a page of version 2 that are never packed.
    levels: u64,
    is_packed: bool,
    /// Bytes of the header itself.
    bytes: u64,
}

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_2: i64 = 3;

/// Looks at the pages of one column in one group of rows. Row `first`, from 1, is the group's first.
pub(super) fn look(
    file: &File,
    chunk: &ColumnChunkMetaData,
    column: &str,
    first: u64,
) -> Result<Pages, FileProblem> {
    let broken =
        |error: &dyn std::fmt::Display| super::broken(&format!("column `{column}`: {error}"));
    let (mut at, mut left) = chunk.byte_range();
    let end = file.metadata().map_err(|error| FileProblem::unreadable(&error))?.len();
    if at.checked_add(left).is_none_or(|last| last > end) {
        return Err(broken(&"it ends before its pages do: it may be cut off"));
    }
    let (mut pages, mut row) = (Pages::default(), first);
    while left > 0 {
        let header = header(file, at, left).map_err(|error| broken(&error))?;
        at += header.bytes;
        left -= header.bytes;
        if header.packed > left {
            return Err(broken(&"a page is longer than the column"));
        }
        if header.unpacked > MOST_PAGE {
            return Err(too_large(&header, column, row));
        }
        let least = if header.kind == DICTIONARY { header.unpacked } else { MOST_ROWS };
        if header.values > least {
            return Err(broken(&"a page says that it has more values than fit"));
        }
        if header.is_packed {
            unpacks_to(file, at, &header, chunk.compression()).map_err(|error| broken(&error))?;
        }
        pages.largest = pages.largest.max(header.unpacked);
        pages.has_delta |= header.kind != DICTIONARY && matches!(header.encoding, 6 | 7);
        at += header.packed;
        left -= header.packed;
        if header.kind != DICTIONARY {
            row += header.values;
        }
    }
    Ok(pages)
}

/// A page that would take too much memory; row `row` is its first.
fn too_large(header: &Header, column: &str, row: u64) -> FileProblem {
    let size = mib(header.unpacked);
    match (header.kind, header.values) {
        (DICTIONARY, 1) => FileProblem::new(
            format!(
                "a text of column `{column}` is {size} long, and at most {} are read",
                mib(LONGEST)
            ),
            "cut the text: no model takes so long a prompt",
        ),
        (DICTIONARY, _) => FileProblem::new(
            format!("the different values of column `{column}` are {size} in one piece"),
            format!("at most {} are read: write it without a dictionary", mib(MOST_PAGE)),
        ),
        (_, 1) => FileProblem::new(
            format!("row {row}: `{column}` is {size} long, and at most {} are read", mib(LONGEST)),
            "cut the text: no model takes so long a prompt",
        ),
        (_, values) => FileProblem::new(
            format!(
                "column `{column}` has {values} values from row {row} on in one page of {size}, and at \
                 most {} are read",
                mib(MOST_PAGE)
            ),
            "cut the texts, or write smaller pages (`data_page_size` of most writers)",
        ),
    }
}

/// Reads the header that begins at a byte, at most `left` bytes long.
fn header(file: &File, at: u64, left: u64) -> io::Result<Header> {
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    let mut thrift = Compact::new(BufReader::with_capacity(512, file.take(left)));
    let mut header = Header { is_packed: true, ..Header::default() };
    let mut last = 0;
    while let Some(field) = thrift.field(last)? {
        last = field.id;
        match field.id {
            1 => header.kind = thrift.int()?,
            2 => header.unpacked = size(thrift.int()?)?,
            3 => header.packed = size(thrift.int()?)?,
            5 | 7 | 8 if field.kind == STRUCT => part(&mut thrift, &mut header, field.id)?,
            _ => thrift.skip(field.kind)?,
        }
    }
    header.bytes = thrift.read;
    if header.levels > header.unpacked || header.levels > header.packed {
        return Err(io::Error::other("a page's header contradicts itself"));
    }
    Ok(header)
}

/// Reads what the header says of its kind of page: of data (5), a dictionary (7), or data of version 2
/// (8), in whose structures the numbers of values and the encodings have other places.
fn part<R: Read>(thrift: &mut Compact<R>, header: &mut Header, id: i16) -> io::Result<()> {
    let mut last = 0;
    while let Some(field) = thrift.field(last)? {
        last = field.id;
        match (id, field.id) {
            (_, 1) => header.values = size(thrift.int()?)?,
            (5 | 7, 2) | (8, 4) => header.encoding = thrift.int()?,
            (8, 5 | 6) => header.levels += size(thrift.int()?)?,
            (8, 7) => header.is_packed = field.kind == 1,
            _ => thrift.skip(field.kind)?,
        }
    }
    Ok(())
}

fn size(value: i64) -> io::Result<u64> {
    u64::try_from(value).map_err(|_negative| io::Error::other("a page has a size below 0"))
}

/// Unpacks a page piece by piece, where the library would unpack whatever comes, and compares its size
/// with what the header says.
fn unpacks_to(file: &File, at: u64, header: &Header, compression: Compression) -> io::Result<()> {
    // A page of nulls alone has no values to unpack, and the library does not try.
    let is_empty = header.unpacked == header.levels;
    if is_empty || !matches!(header.kind, DATA | DICTIONARY | DATA_2) {
        return Ok(());
    }
    let mut file = file;
    file.seek(SeekFrom::Start(at + header.levels))?;
    let packed = BufReader::with_capacity(1 << 16, file.take(header.packed - header.levels));
    let expected = header.unpacked - header.levels;
    let unpacked = match compression {
        Compression::GZIP(_) => length(flate2::bufread::MultiGzDecoder::new(packed), expected)?,
        Compression::BROTLI(_) => length(brotli::Decompressor::new(packed, 1 << 16), expected)?,
        // These unpack into room of the size that the header says.
        _ => return Ok(()),
    };
    if unpacked == expected {
        return Ok(());
    }
    Err(io::Error::other("a page unpacks to another size than its header says"))
}

/// How many bytes come, counted to one more than expected.
fn length(bytes: impl Read, expected: u64) -> io::Result<u64> {
    io::copy(&mut bytes.take(expected + 1), &mut io::sink())
}

//! Decoding of files that may hold anything.

use std::path::Path;

use super::TableError;
use crate::guard::caught;

/// More rows than this do not fit into a byte: a million equal rows take some hundreds of bytes. Memory
/// is taken for as many as the file says that it has.
const ROWS_A_BYTE: u64 = 1 << 13;

/// Refuses a file of `bytes` bytes that says of itself or of a row group that it has `rows` rows, if that
/// is more than can be in it: memory that the system cannot give ends the process, and is no panic.
///
/// # Errors
/// When it does.
pub(super) fn refuse_rows(path: &Path, bytes: u64, rows: usize) -> Result<(), TableError> {
    if rows as u64 / ROWS_A_BYTE <= bytes {
        return Ok(());
    }
    let problem = format!("cannot be read: it says that it has {rows} rows in {bytes} bytes");
    Err(TableError::Content { path: path.to_owned(), problem })
}

/// Decodes a table's file. The libraries that do it take for granted much of what a file says of
/// itself and panic where it is not so: here that is an error like any other, without their message
/// on the terminal.
///
/// # Errors
/// As `decode`, and when it panics.
pub(super) fn guarded<T>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, TableError>,
) -> Result<T, TableError> {
    caught(decode).unwrap_or_else(|_words| {
        let problem = "cannot be read: it is no Parquet, or a damaged one".to_owned();
        Err(TableError::Content { path: path.to_owned(), problem })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_file() {
        let path = Path::new("tables/t/part-00000.parquet");
        let found = guarded::<()>(path, || panic!("index out of bounds"));
        let message = found.unwrap_err().to_string();
        assert!(message.contains("tables/t/part-00000.parquet cannot be read"), "{message}");
        assert_eq!(guarded(path, || Ok(7)).unwrap(), 7);
    }
}

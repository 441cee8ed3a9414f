//! Decoding of files that may hold anything.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use super::TableError;

thread_local! {
    /// Whether this thread is decoding.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

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
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_DECODING.get() {
                others(info);
            }
        }));
    });
    // Decoding may decode: what holds outside holds again afterwards.
    let outside = IS_DECODING.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(outside);
    decoded.unwrap_or_else(|_reason| {
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
        assert!(!IS_DECODING.get());
        assert_eq!(guarded(path, || Ok(7)).unwrap(), 7);
    }
}

//! The Parquet library's panics as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught here, and therefore none to print.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Carries `work` out; what it says when it panics instead of giving a value.
///
/// The library takes many lengths and offsets of a file on trust and asserts on them where it uses
/// them, which ends in a panic for a damaged file: a fault of the file, to be told as such. Whatever
/// `work` holds by reference must not be used again after an error.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CAUGHT.get() {
                print(info);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "it holds impossible values".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_words() {
        assert_eq!(caught(|| 5), Ok(5));
        assert_eq!(caught(|| panic!("at {}", 7)).map(|(): ()| ()), Err("at 7".to_owned()));
        assert!(!CAUGHT.get());
    }
}

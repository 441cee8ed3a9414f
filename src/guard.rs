//! Other people's code on other people's data: where it panics it is an error, where it does not end
//! it is given up.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of stack of a thread that is watched: parsers of other people's files recurse.
const STACK: usize = 64 << 20;

/// How often somebody who waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);

thread_local! {
    /// Whether a panic of this thread is caught and becomes an error: then it is not printed.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Why work that was watched gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// It panicked, with these words.
    Panicked(String),
    /// It was not done in time. Its thread goes on until the process ends: nothing can stop it.
    TooSlow(Duration),
    /// Whoever waited was asked to stop.
    Stopped,
    /// The system has no thread for it.
    NoThread(String),
}

/// What `work` gives; where it panics, the words of the panic, which nobody prints.
///
/// # Errors
/// When it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CAUGHT.get() {
                before(info);
            }
        }));
    });
    let outer = IS_CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CAUGHT.set(outer);
    result.map_err(|reason| words(reason.as_ref()))
}

/// What `work` gives on a thread of its own, which is waited for so long and until `stop` says so.
///
/// # Errors
/// When it panics, takes longer, or is to stop.
pub fn watched<T: Send + 'static>(
    patience: Duration,
    stop: &dyn Fn() -> bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GivenUp> {
    let (tell, hear) = mpsc::channel();
    let work = move || {
        // Nobody listens any more when it was given up.
        let _ = tell.send(caught(work));
    };
    let thread = thread::Builder::new().name("watched".to_owned()).stack_size(STACK);
    thread.spawn(work).map_err(|e| GivenUp::NoThread(e.to_string()))?;
    let begun = Instant::now();
    loop {
        match hear.recv_timeout(LOOK) {
            Ok(result) => return result.map_err(GivenUp::Panicked),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(GivenUp::Panicked("its thread ended".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if stop() => return Err(GivenUp::Stopped),
            Err(RecvTimeoutError::Timeout) if begun.elapsed() >= patience => {
                return Err(GivenUp::TooSlow(patience));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The words of a panic, on one line.
fn words(reason: &(dyn Any + Send)) -> String {
    let text = reason.downcast_ref::<&str>().copied();
    let text = text.or_else(|| reason.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a word");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| -> u8 { panic!("of  {}\nlines", 2) }), Err("of 2 lines".to_owned()));
        assert!(!IS_CAUGHT.get());
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        let long = Duration::from_hours(1);
        let sleeps = move || thread::sleep(long);
        let short = Duration::from_millis(60);
        assert_eq!(watched(short, &|| false, sleeps), Err(GivenUp::TooSlow(short)));
        assert_eq!(watched(long, &|| true, sleeps), Err(GivenUp::Stopped));
        assert_eq!(watched(long, &|| false, || 5), Ok(5));
        let panics = || -> u8 { panic!("as planned") };
        assert_eq!(
            watched(long, &|| false, panics),
            Err(GivenUp::Panicked("as planned".to_owned()))
        );
    }
}

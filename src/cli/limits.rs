//! What to say when the machine gives no more, and when aqlens itself is wrong.
//!
//! | what | how it is noticed | exit code |
//! |---|---|---|
//! | a file may not grow (`ulimit -f`) | the signal is caught, so that writing fails | 1 |
//! | no thread is to be had (`ulimit -u`, a container's limit on processes) | a panic of that kind | 1 |
//! | no memory is to be had (`ulimit -v`) | the allocator, in the program | 1 |
//! | a mistake in aqlens | any other panic | 101 |

use std::any::Any;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::exit::Exit;
use crate::run_dir::made_by::THIS_VERSION;

/// Panics that are remembered, the last ones: libraries' panics that are caught and told otherwise are
/// among them.
const REMEMBERED: usize = 16;

/// What was said at the last panics, and where.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Whether standard error takes one JSON object a line.
static IS_JSON: AtomicBool = AtomicBool::new(false);

const NO_THREADS: &str = "the system gives no more threads. Use fewer with --threads N, end other programs, or \
     raise the limit on processes (`ulimit -u`, or the container's). Then run the same command again";

const NO_MEMORY: &str = "the system gives no more memory. Use a machine or a limit with more (`ulimit -v`, or the \
     container's), smaller shards (`shard_inputs` in the pipeline), fewer threads (--threads N), or \
     fewer tasks a scenario. What is done stays done: the same command goes on from there";

/// Has a file that may not grow fail to be written, instead of ending the process without a word.
pub(super) fn survive_large_files() {
    #[cfg(unix)]
    {
        // Nobody reads the flag: the write that the signal comes with fails, and says why.
        let flag = std::sync::Arc::default();
        let _as_before = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, flag);
    }
}

/// Says from now on in JSON what [`out_of_memory`] says.
pub(super) fn speak_json() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Does the work; a panic in it is told in words that somebody who uses aqlens can act on.
pub(super) fn guard<T>(work: impl FnOnce() -> T) -> Result<T, (Exit, String)> {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        if panics.len() == REMEMBERED {
            panics.remove(0);
        }
        panics.push((words(panic.payload()).to_owned(), place));
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| told(words(&*panic)))
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

fn told(words: &str) -> (Exit, String) {
    // The standard library, rayon and polars each say it in their way, and quote the system's error.
    let is_of_threads = words.contains("spawn") || words.contains("ThreadPool");
    if is_of_threads && (words.contains("WouldBlock") || words.contains("os error 11")) {
        return (Exit::Failed, format!("error: {NO_THREADS}"));
    }
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = panics.iter().rev().find(|(said, _)| said == words);
    let place = place.map_or("an unknown place", |(_, place)| place);
    let text = format!(
        "error: aqlens {THIS_VERSION} has a mistake and stopped: {words} ({place})\nNo file is half-written, and \
         what is done stays done. Please report it with this message, the command and the pipeline"
    );
    (Exit::Broken, text)
}

/// Says that there is no memory, without asking for any, and ends the process.
pub fn out_of_memory() -> ! {
    let mut stderr = std::io::stderr();
    let pieces = if IS_JSON.load(Ordering::Relaxed) {
        ["{\"event\":\"end\",\"exit_code\":1,\"error\":\"", NO_MEMORY, "\",\"retry\":false}\n"]
    } else {
        ["error: ", NO_MEMORY, "\n"]
    };
    for piece in pieces {
        let _closed = stderr.write_all(piece.as_bytes());
    }
    signal_hook::low_level::exit(i32::from(Exit::Failed.code()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_panic_for_want_of_threads_is_no_mistake() {
        let std = "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"x\" }";
        let rayon = "ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: WouldBlock }) }";
        for words in [std, rayon] {
            assert_eq!(told(words), (Exit::Failed, format!("error: {NO_THREADS}")));
        }
        let (exit, text) = told("index out of bounds");
        assert_eq!(exit, Exit::Broken);
        assert!(text.contains("has a mistake and stopped: index out of bounds"), "{text}");
    }

    #[test]
    fn what_is_said_without_memory_is_json_as_it_stands() {
        assert_eq!(json!(NO_MEMORY).to_string(), format!("\"{NO_MEMORY}\""));
    }
}

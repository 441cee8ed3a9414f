//! The signals that ask a process to end: SIGINT, SIGTERM and, on Linux, SIGHUP.
//!
//! At first such a signal ends the process, with a word about it: nothing is written yet, or only files
//! that appear whole. Once the work asks [`is_asked`], it stops itself where nothing is half done, and
//! only a second signal ends the process at once (which is safe too).
//!
//! A signal that was ignored when the process started stays ignored: so `nohup` has it of SIGHUP, and
//! a shell without job control of SIGINT for what it puts in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::exit::Exit;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether the work asks now and then, and so needs no end from outside.
static LISTENS: AtomicBool = AtomicBool::new(false);

/// Begins to listen; `say` tells that the process ends, where the work does not stop by itself.
pub(super) fn listen(say: impl Fn() + Send + 'static) {
    let signals: Vec<i32> = SIGNALS.iter().copied().filter(|signal| !is_ignored(*signal)).collect();
    let code = i32::from(Exit::Interrupted.code());
    for signal in &signals {
        // In this order, so that the first one only asks. What cannot be registered does as before.
        let _second = flag::register_conditional_shutdown(*signal, code, Arc::clone(&ASKED));
        let _first = flag::register(*signal, Arc::clone(&ASKED));
    }
    watch(&signals, say);
}

/// Whether somebody asked to stop.
pub(super) fn is_asked() -> bool {
    LISTENS.store(true, Ordering::SeqCst);
    ASKED.load(Ordering::SeqCst)
}

#[cfg(target_os = "linux")]
const SIGNALS: &[i32] = &[SIGINT, SIGTERM, signal_hook::consts::SIGHUP];

/// Whether it is ignored cannot be known here: a hangup ends the process or is ignored, as it was.
#[cfg(not(target_os = "linux"))]
const SIGNALS: &[i32] = &[SIGINT, SIGTERM];

/// Whether the process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// Ends the process at a signal that comes before the work listens. Without a thread to be had, a second
/// signal does.
#[cfg(unix)]
fn watch(signals: &[i32], say: impl Fn() + Send + 'static) {
    let Ok(mut signals) = signal_hook::iterator::Signals::new(signals) else { return };
    let wait = move || {
        for _signal in signals.forever() {
            if !LISTENS.load(Ordering::SeqCst) {
                say();
                signal_hook::low_level::exit(i32::from(Exit::Interrupted.code()));
            }
        }
    };
    let _no_thread = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
}

#[cfg(not(unix))]
fn watch(_signals: &[i32], _say: impl Fn() + Send + 'static) {}

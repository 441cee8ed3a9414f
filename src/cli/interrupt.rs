//! SIGINT and SIGTERM: the first asks the run to stop where nothing is half done, the second ends
//! the process at once (which is safe too: files appear whole or not at all).

use std::sync::atomic::{AtomicBool, Ordering};

use super::exit::Exit;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Begins to listen.
pub(super) fn listen() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            end_now();
        }
    };
    // A handler that is set already (a second call in one process) does the same.
    let _already_set = ctrlc::set_handler(handler);
}

/// Whether somebody asked to stop.
pub(super) fn is_asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

#[expect(clippy::exit, reason = "a second signal means now; the run directory is sound anyway")]
fn end_now() {
    std::process::exit(i32::from(Exit::Interrupted.code()));
}

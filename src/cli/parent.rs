//! `--with-parent`: a process that ends when the one that started it is gone.
//!
//! A worker of an engine may be killed with SIGKILL, which it cannot pass on: what it started would work on
//! as an orphan, with its locks. The system itself then sends SIGTERM, after which a run stops as after any.

use super::error::CliError;

/// Asks for SIGTERM at the end of the parent, whose number may be given (0: it is not).
///
/// # Errors
/// [`CliError::Interrupted`] when the parent is gone already; the signal would never come.
#[cfg(target_os = "linux")]
pub(super) fn end_with(parent: u32) -> Result<(), CliError> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    let number = || getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    let before = if parent == 0 { number() } else { parent };
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| {
        CliError::Failed(format!("the system does not do --with-parent: {error}; leave it out"))
    })?;
    // It may have ended before that was asked for: an orphan has another parent.
    if number() == before {
        return Ok(());
    }
    Err(CliError::Interrupted(format!(
        "the process that started this one (process {before}) is gone, so it ends, as --with-parent asks"
    )))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end_with(_parent: u32) -> Result<(), CliError> {
    let text = "--with-parent is for Linux alone: leave it out, and end the process yourself";
    Err(CliError::Wrong(format!("error: {text}")))
}

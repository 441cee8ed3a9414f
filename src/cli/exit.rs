//! How the process ends, for schedulers.

use std::process::{ExitCode, Termination};

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all is done.
    Done,
    /// 1: the work failed; the message says why.
    Failed,
    /// 2: the pipeline or the command is wrong; nothing was run.
    Wrong,
    /// 3: done, but some prompts were skipped.
    Skipped,
    /// 4: compared, and not the same in what `--fail-on` names.
    Differs,
    /// 75: not now: the folder is in use, or the system has no room or no connection; the same command may
    /// do it later, or on another machine.
    Later,
    /// 101: a mistake in aqlens itself; the message says where.
    Broken,
    /// 130: stopped on request; run the same command again to continue.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Wrong => 2,
            Self::Skipped => 3,
            Self::Differs => 4,
            Self::Later => 75,
            Self::Broken => 101,
            Self::Interrupted => 130,
        }
    }

    /// Whether the same command, given again, may go further without anything being corrected first.
    pub fn may_retry(self) -> bool {
        matches!(self, Self::Later | Self::Interrupted)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

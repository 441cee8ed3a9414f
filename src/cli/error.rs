//! Why a command ended early, in words and as an exit code.

use std::fmt;
use std::io;

use super::exit::Exit;
use crate::pipeline::chosen::ShardList;
use crate::prompt::visible_lines;
use crate::run_dir::OpenError;
use crate::table::TableError;

/// Why a command ended early, ready to be printed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The pipeline or the command is wrong: all problems, rendered.
    Wrong(String),
    /// The work failed.
    Failed(String),
    /// It failed for a reason that passes: the same command may do it later.
    Later(String),
    /// A run failed, and a program that started it may want to know where.
    At(Box<Self>, Place),
    /// Stopped on request.
    Interrupted(String),
    /// The reader of standard output went away (`aqlens show RUN | head`): there is nothing
    /// to report.
    OutputClosed,
}

impl CliError {
    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Wrong(_) => Exit::Wrong,
            Self::Failed(_) => Exit::Failed,
            Self::Later(_) => Exit::Later,
            Self::At(error, _) => error.exit(),
            Self::Interrupted(_) => Exit::Interrupted,
            Self::OutputClosed => Exit::Done,
        }
    }

    /// A failure with everything that caused it.
    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        let text = chain(error);
        let passes = PASSING.iter().any(|code| text.contains(&format!("(os error {code})")));
        if passes { Self::Later(text) } else { Self::Failed(text) }
    }

    /// What a program that started a run may want to know beside the words.
    pub(crate) fn place(&self) -> Option<&Place> {
        if let Self::At(_, place) = self { Some(place) } else { None }
    }
}

/// Where a run failed.
#[derive(Debug)]
pub(crate) enum Place {
    /// On this shard.
    Shard(u32),
    /// These shards are not done.
    Missing(ShardList),
}

/// The system's numbers of errors that pass: room, connections and locks come and go, also between machines.
#[cfg(target_os = "linux")]
const PASSING: &[i32] = &[
    5,   // input or output failed
    11,  // try again: threads, locks
    12,  // no memory
    28,  // no room
    37,  // no lock
    107, // not connected
    110, // timed out
    112, // the host is down
    113, // no way to the host
    116, // a file of a network file system that is gone
    121, // remote input or output
    122, // no room within the quota
];

/// Elsewhere: room alone.
#[cfg(not(target_os = "linux"))]
const PASSING: &[i32] = &[28];

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Later(text) => write!(f, "error: {text}"),
            Self::At(error, _) => error.fmt(f),
            Self::Wrong(text) | Self::Interrupted(text) => f.write_str(text),
            Self::OutputClosed => Ok(()),
        }
    }
}

impl From<OpenError> for CliError {
    /// A folder without a run is the command's fault, everything else a failure.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoRun { .. } => Self::Wrong(format!("error: {error}")),
            _ => Self::failed(&error),
        }
    }
}

impl From<TableError> for CliError {
    fn from(error: TableError) -> Self {
        Self::failed(&error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

/// The error's own words and those of its causes, a line each.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str("\n  because: ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    // Causes quote names and files, whatever characters they hold.
    text = visible_lines(&text);
    let help: Vec<&str> =
        HELP.iter().filter(|(code, _)| text.contains(code)).map(|(_, help)| *help).collect();
    text + &help.concat()
}

/// What to do about errors of the system, whatever file they came with.
const HELP: [(&str, &str); 4] = [
    (
        "os error 28)",
        "\n  free some space, then run the same command again: it continues from here",
    ),
    (
        "os error 27)",
        "\n  files may not grow that large here: raise the limit (`ulimit -f`), then run the same \
         command again",
    ),
    (
        "os error 24)",
        "\n  no more files may be open here: raise the limit (`ulimit -n`), then run the same command \
         again",
    ),
    (
        "os error 12)",
        "\n  there is not enough memory: see `ulimit -v` and the container's limit, then run the same \
         command again",
    ),
];

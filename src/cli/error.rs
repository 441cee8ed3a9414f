//! Why a command ended early, in words and as an exit code.

use std::fmt;
use std::io;

use super::exit::Exit;
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
            Self::Interrupted(_) => Exit::Interrupted,
            Self::OutputClosed => Exit::Done,
        }
    }

    /// A failure with everything that caused it.
    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        Self::Failed(chain(error))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) => write!(f, "error: {text}"),
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

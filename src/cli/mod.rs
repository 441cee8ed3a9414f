//! The command line: one file a command, and the only place that prints.

mod args;
mod check;
mod doctor;
mod estimate;
mod evidence;
mod exit;
mod interrupt;
mod progress;
mod run;
mod schema;
mod show;
mod term;
mod verify;

pub use exit::Exit;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};

use clap::Parser as _;

use crate::prompt::visible_lines;
use args::{Cli, Command, LogArg};

/// Why a command ended early, ready to be told.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The pipeline or the command is wrong: all problems, rendered.
    Wrong(String),
    /// The work failed.
    Failed(String),
    /// Stopped on request.
    Interrupted(String),
    /// The reader of standard output went away (`aqlens show RUN | head`): nothing to tell.
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

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failed(format!("cannot write to standard output: {error}")),
        }
    }
}

/// The error's own words and those of its causes, a line each.
fn chain(error: &dyn std::error::Error) -> String {
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
    // Causes quote names and files as they are.
    text = visible_lines(&text);
    if text.contains("os error 28") {
        text.push_str("\n  free some space, then run the same command again: it goes on from here");
    }
    text
}

/// Runs the command line `args` (the program's name first) and tells how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            let _closed = error.print();
            return if wrong { Exit::Wrong } else { Exit::Done };
        }
    };
    let mut summary = None;
    let result = match &cli.command {
        Command::Run(args) => run::main(args, &mut summary),
        Command::Check(args) => check::main(args),
        Command::Show(args) => show::main(args),
        Command::Verify(args) => verify::main(args),
        Command::Schema(args) => schema::main(args),
        Command::Doctor(args) => doctor::main(args),
    };
    let (exit, text) = match result {
        Ok(exit) => (exit, None),
        Err(CliError::OutputClosed) => (Exit::Done, None),
        Err(error) => (error.exit(), Some(error.to_string())),
    };
    if matches!(&cli.command, Command::Run(args) if args.log == LogArg::Json) {
        term::say_end(exit, text.as_deref(), summary.as_ref());
    } else if let Some(text) = text {
        // Standard error is the last place to complain: when it is closed too, the exit code
        // remains.
        let _closed = writeln!(io::stderr(), "{text}");
    }
    exit
}

//! The command line: one file or folder a command, and the only place that prints.

mod args;
mod check;
mod compare;
mod completions;
mod demo;
mod design;
mod doctor;
mod error;
mod estimate;
mod exit;
mod first;
mod grid;
mod init;
mod interrupt;
mod lengths;
mod limits;
mod memory;
mod parent;
mod plan;
mod progress;
mod run;
mod schema;
mod setup;
mod shipped;
mod show;
mod specials;
mod status;
mod term;
mod units;
mod uses;
mod verify;

pub use exit::Exit;
pub use limits::out_of_memory;

use std::ffi::OsString;
use std::io::{self, Write as _};

use clap::Parser as _;

use args::{Cli, Command, LogArg};
use error::CliError;
use term::Done;

/// Runs the command line `args` (the program's name first) and returns how it ended.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            let _closed = error.print();
            return if wrong { Exit::Wrong } else { Exit::Done };
        }
    };
    let is_json = matches!(&cli.command, Command::Run(args) if args.log == LogArg::Json);
    if is_json {
        limits::speak_json();
    }
    limits::survive_large_files();
    let mut done = None;
    let ended = limits::guard(|| carry_out(&cli.command, &mut done));
    let place = ended.as_ref().ok().and_then(|ended| ended.as_ref().err()?.place());
    let (exit, text) = match &ended {
        Ok(Ok(exit)) => (*exit, None),
        Ok(Err(CliError::OutputClosed)) => (Exit::Done, None),
        Ok(Err(error)) => (error.exit(), Some(error.to_string())),
        Err((exit, text)) => (*exit, Some(text.clone())),
    };
    if is_json {
        term::say_end(exit, text.as_deref(), place, done.as_ref());
    } else if let Some(text) = text {
        // Standard error is the last place to complain: when it is closed too, the exit code
        // remains.
        let _closed = writeln!(io::stderr(), "{text}");
    }
    exit
}

fn carry_out(command: &Command, done: &mut Option<Done>) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => run::main(args, done),
        Command::Check(args) => check::main(args),
        Command::Show(args) => show::main(args),
        Command::Plan(args) => plan::main(args),
        Command::Status(args) => status::main(args),
        Command::Verify(args) => verify::main(args),
        Command::Compare(args) => compare::main(args),
        Command::Schema(args) => schema::main(args),
        Command::Doctor(args) => doctor::main(args),
        Command::Demo(args) => demo::main(args, done),
        Command::Init(args) => init::main(args),
        Command::Completions(args) => completions::main(args),
    }
}

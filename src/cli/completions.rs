//! `aqlens completions`: the script with which a shell completes commands and options.

use std::io::{self, Write as _};

use clap_complete::Shell;

use super::args::{Cli, CompletionsArgs, ShellArg};
use super::error::CliError;
use super::exit::Exit;

pub(super) fn main(args: &CompletionsArgs) -> Result<Exit, CliError> {
    let shell = match args.shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Zsh => Shell::Zsh,
        ShellArg::Fish => Shell::Fish,
    };
    // Made in memory first: written directly, a closed reader would be a panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::words(), "aqlens", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}

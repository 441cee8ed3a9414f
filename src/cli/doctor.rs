//! `aqlens doctor`: what this machine offers, and what to do when something is missing.

use std::io::{self, Write as _};

use super::args::RuntimeArgs;
use super::error::{CliError, chain};
use super::exit::Exit;
use crate::model::EngineOptions;
use crate::model::locate::{Surroundings, places};
use crate::model::{ProviderChoice, onnx};
use crate::run_dir::made_by::THIS_VERSION;

pub(super) fn main(args: &RuntimeArgs) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(out, "aqlens        {THIS_VERSION}")?;
    writeln!(out, "cores         {cores}")?;
    let around = Surroundings::of_process();
    let places = places(args.onnxruntime.as_deref(), &around);
    let taken = places.iter().position(|place| !place.libraries.is_empty());
    for (i, place) in places.iter().enumerate() {
        let word = if Some(i) == taken { "takes" } else { "looked at" };
        writeln!(out, "{word:<13} {place}")?;
        for other in place.libraries.iter().skip(1) {
            writeln!(out, "{:<13} {}", "not", other.display())?;
        }
    }
    let options = |provider| EngineOptions {
        provider,
        threads: args.threads.map(usize::from),
        library: args.onnxruntime.clone(),
        ..EngineOptions::default()
    };
    let facts =
        onnx::facts(&options(ProviderChoice::Cpu)).map_err(|error| CliError::failed(&error))?;
    writeln!(out, "ONNX Runtime  {} at {}", facts.runtime_version, facts.library.display())?;
    writeln!(out, "cpu           can be had, {} threads", facts.threads)?;
    match onnx::facts(&options(ProviderChoice::Cuda)) {
        Ok(_) => writeln!(out, "cuda          can be had")?,
        Err(error) => {
            let text = chain(&error).replace('\n', "\n              ");
            writeln!(out, "cuda          {text}")?;
        }
    }
    Ok(Exit::Done)
}

//! `aqlens run`

use super::args::{LogArg, RunArgs};
use super::error::CliError;
use super::exit::Exit;
use super::term::Done;
use super::{interrupt, setup, show, term};
use crate::run;
use crate::run::{Portion, RunError, RunOptions};

/// Runs the pipeline; leaves what was done in `done`, when all went well.
pub(super) fn main(args: &RunArgs, done: &mut Option<Done>) -> Result<Exit, CliError> {
    interrupt::listen(say_interrupted(args.log));
    let pipeline = setup::load(&args.pipeline).map_err(|error| setup::wrong(&error))?;
    let threads = args.runtime.threads.map(usize::from);
    setup::use_threads(threads)?;
    let options = RunOptions {
        run_dir: args.run_dir.clone().unwrap_or_else(|| setup::default_dir(&pipeline)),
        engine: setup::engine_options(&pipeline, args.runtime.onnxruntime.as_deref(), threads),
        recheck: args.recheck,
        portion: match args.shard {
            Some(share) => Portion::Share(share),
            None if args.finish => Portion::Finish,
            None => Portion::Whole,
        },
    };
    let monitor = term::monitor(args.log);
    let summary = run::run(&pipeline, &options, monitor.as_ref()).map_err(|error| match error {
        RunError::Interrupted => CliError::Interrupted(error.to_string()),
        RunError::ForeignFolder { .. } => CliError::Wrong(format!("error: {error}")),
        _ => CliError::failed(&error),
    })?;
    let Done { summary, run_dir } = done.insert(Done { run_dir: options.run_dir, summary });
    // A share has nothing to show until the run is finished.
    if !args.quiet && (args.shard.is_none() || summary.was_finished) {
        show::overview(run_dir)?;
    }
    Ok(if summary.counts.skipped > 0 { Exit::Skipped } else { Exit::Done })
}

/// Says that the run ends before it has begun.
fn say_interrupted(log: LogArg) -> impl Fn() {
    move || {
        let text = RunError::Interrupted.to_string();
        if log == LogArg::Json {
            term::say_end(Exit::Interrupted, Some(&text), None);
        } else {
            term::say(&text);
        }
    }
}

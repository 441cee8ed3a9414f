//! `aqlens run`

use super::args::{LogArg, RunArgs};
use super::error::{CliError, Place};
use super::exit::Exit;
use super::term::Done;
use super::{interrupt, parent, setup, show, term};
use crate::pipeline::chosen::{Chosen, Shards};
use crate::run;
use crate::run::{Portion, RunError, RunOptions};
use crate::stage::Scope;
use crate::store::StoreError;

/// Runs the pipeline; leaves what was done in `done`, when all went well.
pub(super) fn main(args: &RunArgs, done: &mut Option<Done>) -> Result<Exit, CliError> {
    interrupt::listen(say_interrupted(args.log));
    if let Some(parent) = args.with_parent {
        parent::end_with(parent)?;
    }
    let pipeline = setup::load(&args.pipeline).map_err(|error| setup::wrong(&error))?;
    let threads = args.runtime.threads.map(usize::from);
    setup::use_threads(threads)?;
    let options = RunOptions {
        run_dir: args.run_dir.clone().unwrap_or_else(|| setup::default_dir(&pipeline)),
        engine: setup::engine_options(&pipeline, args.runtime.onnxruntime.as_deref(), threads),
        recheck: args.recheck,
        portion: portion(args),
    };
    let monitor = term::monitor(args.log);
    let summary = run::run(&pipeline, &options, monitor.as_ref()).map_err(why)?;
    let Done { summary, run_dir } = done.insert(Done { run_dir: options.run_dir, summary });
    // A share has nothing to show until the run is finished.
    let is_share = matches!(options.portion, Portion::Share(_));
    if !args.quiet && (!is_share || summary.was_finished) {
        show::overview(run_dir)?;
    }
    Ok(if summary.counts.skipped > 0 { Exit::Skipped } else { Exit::Done })
}

/// How much of the run is asked for.
fn portion(args: &RunArgs) -> Portion {
    let of = match (args.shard, &args.shards) {
        (Some(share), _) => Shards::Share(share),
        (None, Some(list)) => Shards::Listed(list.clone()),
        (None, None) if args.join => Shards::All,
        (None, None) if args.finish => return Portion::Finish,
        (None, None) => return Portion::Whole,
    };
    Portion::Share(Chosen { of, joins: args.join })
}

fn why(error: RunError) -> CliError {
    let failed = match &error {
        RunError::Interrupted => CliError::Interrupted(error.to_string()),
        RunError::ForeignFolder { .. } | RunError::NoSuchShard { .. } => {
            CliError::Wrong(format!("error: {error}"))
        }
        // Whoever holds it ends some time.
        RunError::Store(StoreError::Locked { .. }) => CliError::Later(error.to_string()),
        _ => CliError::failed(&error),
    };
    match error {
        RunError::Stage { scope: Scope::Shard, part, .. } => {
            CliError::At(Box::new(failed), Place::Shard(part))
        }
        RunError::Unfinished { missing, .. } => {
            CliError::At(Box::new(failed), Place::Missing(missing))
        }
        _ => failed,
    }
}

/// Says that the run ends before it has begun.
fn say_interrupted(log: LogArg) -> impl Fn() {
    move || {
        let text = RunError::Interrupted.to_string();
        if log == LogArg::Json {
            term::say_end(Exit::Interrupted, Some(&text), None, None);
        } else {
            term::say(&text);
        }
    }
}

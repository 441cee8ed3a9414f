//! `aqlens run`

use std::path::{Path, PathBuf};

use super::args::RunArgs;
use super::check::load;
use super::{CliError, Exit, interrupt, show, term};
use crate::model::EngineOptions;
use crate::pipeline::Pipeline;
use crate::run;
use crate::run::{Portion, RunError, RunOptions, RunSummary};

/// Runs the pipeline; leaves what was done in `done`, when all went well.
pub(super) fn main(args: &RunArgs, done: &mut Option<RunSummary>) -> Result<Exit, CliError> {
    let pipeline = load(&args.pipeline)?;
    interrupt::listen();
    let threads = args.runtime.threads.map(usize::from);
    use_threads(threads)?;
    let options = RunOptions {
        run_dir: args.run_dir.clone().unwrap_or_else(|| default_dir(&pipeline)),
        engine: engine_options(&pipeline, args.runtime.onnxruntime.as_deref(), threads),
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
    let summary = done.insert(summary);
    // A share has nothing to show until the run is finished.
    if !args.quiet && (args.shard.is_none() || summary.was_finished) {
        show::summary(&options.run_dir, show::DEFAULT_ROWS)?;
    }
    Ok(if summary.counts.skipped > 0 { Exit::Skipped } else { Exit::Done })
}

fn default_dir(pipeline: &Pipeline) -> PathBuf {
    Path::new("runs").join(&pipeline.name)
}

/// The model's options: the pipeline's provider and precision, this machine's library and threads.
pub(super) fn engine_options(
    pipeline: &Pipeline,
    library: Option<&Path>,
    threads: Option<usize>,
) -> EngineOptions {
    EngineOptions {
        provider: pipeline.provider,
        tf32: pipeline.tf32,
        threads,
        library: library.map(Path::to_owned),
        whole_prompts: !pipeline.extract().share_prefixes,
    }
}

/// Gives rayon the threads asked for; results do not depend on how many they are.
pub(super) fn use_threads(threads: Option<usize>) -> Result<(), CliError> {
    let Some(threads) = threads else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| CliError::Failed(format!("cannot start {threads} threads: {error}")))
}

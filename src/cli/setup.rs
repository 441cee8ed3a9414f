//! What the commands that run a model have in common: the pipeline, the model's options, threads.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::args::PipelineArgs;
use super::error::CliError;
use crate::model::EngineOptions;
use crate::pipeline::Pipeline;
use crate::pipeline::config::{self, ConfigError};

/// Columns of the list of problems.
const WIDTH: usize = 100;

/// Reads and validates a pipeline.
pub(super) fn load(args: &PipelineArgs) -> Result<Pipeline, ConfigError> {
    config::load(&args.pipeline, &args.all_overrides())
}

/// All problems of a pipeline as one error, for standard error.
pub(super) fn wrong(error: &ConfigError) -> CliError {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    CliError::Wrong(error.render(WIDTH, colour))
}

/// Where a run goes unless `--run-dir` says otherwise.
pub(super) fn default_dir(pipeline: &Pipeline) -> PathBuf {
    Path::new("runs").join(&pipeline.name)
}

/// The model's options: the pipeline's provider and precision, this machine's library and threads.
pub(super) fn engine_options(
    pipeline: &Pipeline,
    library: Option<&Path>,
    threads: Option<usize>,
) -> EngineOptions {
    let needs_past = pipeline.stages.iter().any(|stage| stage.needs_past());
    EngineOptions {
        provider: pipeline.provider,
        tf32: pipeline.tf32,
        threads,
        library: library.map(Path::to_owned),
        whole_prompts: !pipeline.extract().share_prefixes && !needs_past,
    }
}

/// Starts rayon's threads, as many as asked for, else one a core; results do not depend on it.
pub(super) fn use_threads(threads: Option<usize>) -> Result<(), CliError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    pool.build_global().map_err(|error| {
        let n = threads.map_or_else(|| "one thread a core".to_owned(), |n| format!("{n} threads"));
        CliError::Failed(format!(
            "cannot start {n}: {error}; use fewer with --threads N, end other programs, or raise the \
             limit on processes (`ulimit -u`, or the container's)"
        ))
    })
}

//! `aqlens demo`: the notebook's experiment on the demo model, in a folder of its own.

use std::io::{self, Write as _};

use super::args::{DemoArgs, LogArg, PipelineArgs, RunArgs, RuntimeArgs};
use super::error::CliError;
use super::exit::Exit;
use super::term::Done;
use super::{grid, run, shipped};
use crate::prompt::visible;

/// Folder of the model below the demo's, as the pipelines name it.
const MODEL: &str = "data/demo";

pub(super) fn main(args: &DemoArgs, done: &mut Option<Done>) -> Result<Exit, CliError> {
    let dir = &args.dir;
    let n_model = shipped::unpack(shipped::MODEL, &dir.join(MODEL))?;
    let n_studies = shipped::unpack(shipped::STUDIES, dir)?;
    let shown = visible(&dir.display().to_string());
    let what = match n_model + n_studies {
        0 => format!("the demo is in {shown} already"),
        n => format!("wrote the demo model, its scenes and two pipelines to {shown} ({n} files)"),
    };
    writeln!(io::stdout(), "{what}")?;
    let exit = run::main(&run_args(args), done)?;
    let next = format!(
        "the same with evidence (300 scenes, half a minute): `aqlens run {shown}/pipelines/scenes.yml`; \
         a study of your own: `aqlens init`"
    );
    grid::write_sentence(&mut io::stdout().lock(), 0, &next)?;
    Ok(exit)
}

/// The command that runs the demo's first pipeline, into the demo's folder.
fn run_args(args: &DemoArgs) -> RunArgs {
    let RuntimeArgs { onnxruntime, threads } = &args.runtime;
    RunArgs {
        pipeline: PipelineArgs {
            pipeline: args.dir.join(shipped::FIRST_STUDY),
            overrides: Vec::new(),
            provider: None,
        },
        run_dir: Some(args.dir.join("runs/experiment-037")),
        runtime: RuntimeArgs { onnxruntime: onnxruntime.clone(), threads: *threads },
        log: LogArg::Auto,
        shard: None,
        shards: None,
        join: false,
        with_parent: None,
        finish: false,
        recheck: false,
        quiet: false,
    }
}

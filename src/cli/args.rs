//! The command line's words: the only place that names clap.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::pipeline::chosen::ShardList;
use crate::pipeline::share::Share;

/// Does the same input become something else inside a language model when the task around it
/// changes?
#[derive(Debug, Parser)]
#[command(name = "aqlens", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 the pipeline or the command is wrong, \
    3 done with skipped prompts, 4 `compare --fail-on` found a difference, 75 not now (in use, no room: the \
    same command may do it later), 101 a mistake in aqlens, 130 interrupted (run the same command again to \
    continue).")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a pipeline: its tables, verdict and report land in the run directory
    Run(RunArgs),
    /// Show every problem of a pipeline, then its plan: prompts, tokens, shards, bytes, time
    Check(CheckArgs),
    /// Print the verdict and the main results of a run
    Show(ShowArgs),
    /// Tabulate which differences more inputs or more wordings than a run's would find
    Plan(PlanArgs),
    /// Say how far a run is: shards that are done, missing and being worked on; writes nothing
    Status(StatusArgs),
    /// Hash every file of a run and name what is missing, truncated, altered or foreign; writes
    /// nothing
    Verify(VerifyArgs),
    /// Compare finished runs, each with the first: where they come from, what was asked, values, verdicts;
    /// writes nothing into them
    Compare(CompareArgs),
    /// Print what each table's columns mean, or the JSON Schema of a pipeline file
    Schema(SchemaArgs),
    /// Print where ONNX Runtime was looked for, which one is taken, its providers, and the machine's cores
    Doctor(RuntimeArgs),
    /// Write the demo model and its pipelines into a folder and run the first one: needs nothing else
    Demo(DemoArgs),
    /// Write a commented pipeline to start from
    Init(InitArgs),
    /// Print what a shell needs to complete commands and options
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(super) struct PipelineArgs {
    /// The pipeline file (YAML)
    pub(super) pipeline: PathBuf,

    /// Set a field of the pipeline, as in --set model=path or --set stages.extract.layers=[0,11]
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) overrides: Vec<String>,

    /// What to run the model on (same as --set provider=...)
    #[arg(long)]
    pub(super) provider: Option<ProviderArg>,
}

#[derive(Debug, Args)]
pub(super) struct RuntimeArgs {
    /// The ONNX Runtime library to use, its folder or a Python environment that has it, instead of the
    /// one found (or set `ORT_DYLIB_PATH`)
    #[arg(long, value_name = "PATH")]
    pub(super) onnxruntime: Option<PathBuf>,

    /// Threads for the model and for the analyses (default: one a core)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: Option<u16>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,

    /// Where the run goes (default: runs/NAME in the current folder)
    #[arg(long, value_name = "DIR")]
    pub(super) run_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,

    /// How progress is reported on standard error
    #[arg(long, value_enum, default_value_t = LogArg::Auto)]
    pub(super) log: LogArg,

    /// Do only a share of the shards, those whose number leaves K when divided by N (K from 0 to
    /// N-1), and no stage over the whole run: N processes, also on several machines with one run
    /// directory, then do the run together, and --finish ends it
    #[arg(long, value_name = "K/N", conflicts_with_all = ["finish", "recheck"])]
    pub(super) shard: Option<Share>,

    /// Likewise, the shards of these numbers
    #[arg(long, value_name = "3,7,12-20", conflicts_with_all = ["shard", "finish", "recheck"])]
    pub(super) shards: Option<ShardList>,

    /// Likewise, whatever shard nobody else is working on, and end when there is none: any number of
    /// processes may begin and end at any time. With --shard or --shards, only of those
    #[arg(long, conflicts_with_all = ["finish", "recheck"])]
    pub(super) join: bool,

    /// End when the process that started this one is gone, as after SIGTERM (Linux). With its number the
    /// process also ends when that was so before it could begin
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    pub(super) with_parent: Option<u32>,

    /// Do only the stages over the whole run; fails when a shard is not done
    #[arg(long)]
    pub(super) finish: bool,

    /// Hash every file of the run first and make again what was altered; without this, a file of
    /// the right size is compared only when a stage reads it
    #[arg(long)]
    pub(super) recheck: bool,

    /// Do not print the results at the end
    #[arg(long)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) pipeline: PipelineArgs,

    /// Print the plan, or what is wrong, as one JSON object for a scheduler
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run directory
    pub(super) run: PathBuf,

    /// Print this table instead of the overview
    #[arg(long, value_name = "NAME")]
    pub(super) table: Option<String>,

    /// How many rows of that table to print at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 40, requires = "table")]
    pub(super) rows: usize,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The run directory; its pipeline has the stage `effect`
    pub(super) run: PathBuf,

    /// Only this scenario
    #[arg(long, value_name = "NAME")]
    pub(super) scenario: Option<String>,

    /// Only this measure of table `effect` (default: those that the verdict rests on)
    #[arg(long, value_name = "NAME")]
    pub(super) measure: Option<String>,

    /// This layer (default: the last one that the verdict rests on)
    #[arg(long, value_name = "N")]
    pub(super) layer: Option<i16>,

    /// Print all of it as one JSON object, for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The run directory
    pub(super) run: PathBuf,

    /// Print all of it as one JSON object, for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The run directory
    pub(super) run: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The run directories, two or more; the first is the base that the others are compared with
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub(super) runs: Vec<PathBuf>,

    /// What a run is called, once for each in their order (default: the names of the directories)
    #[arg(long = "label", value_name = "NAME")]
    pub(super) labels: Vec<String>,

    /// How far two floats may lie apart: a share of the larger one, and after a comma a difference in
    /// the column's unit (default: 1e-4,1e-5); of one column with `value=1e-3` or
    /// `similarity.value=1e-3`. Other columns are compared exactly
    #[arg(long = "tolerance", value_name = "[COLUMN=]RELATIVE[,ABSOLUTE]")]
    pub(super) tolerances: Vec<String>,

    /// Also compare activations, attention, logits and vectors number by number; without this, the
    /// checksums of their files
    #[arg(long)]
    pub(super) raw: bool,

    /// Print all of it as one JSON object, for programs
    #[arg(long)]
    pub(super) json: bool,

    /// Also write one HTML page with the measures of all runs over each other
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// End with exit code 4 when this is not the same
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) fail_on: Option<FailOnArg>,
}

/// `--fail-on`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOnArg {
    /// A verdict has another word, or stands in one run only
    Verdict,
    /// A value that both have lies further apart than its tolerance
    Value,
    /// Anything: also where the numbers come from, what was asked, and rows of one run only
    Any,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Print the JSON Schema of a pipeline file instead, for editors
    #[arg(long)]
    pub(super) pipeline: bool,

    /// Print all tables, status words and stages as one JSON document, for programs
    #[arg(long, conflicts_with = "pipeline")]
    pub(super) json: bool,

    /// Only this table
    #[arg(long, value_name = "NAME", conflicts_with = "pipeline")]
    pub(super) table: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The folder to write; what is there already is never replaced
    #[arg(default_value = "aqlens-demo")]
    pub(super) dir: PathBuf,

    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The pipeline's name: NAME.yml is written in the current folder
    #[arg(default_value = "study")]
    pub(super) name: String,

    /// The model folder that it runs on (default: the demo model, written beside it as demo-model)
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "bash: aqlens completions bash > ~/.local/share/bash-completion/completions/aqlens\n\
    zsh:  aqlens completions zsh > FOLDER/_aqlens, where FOLDER is in $fpath\n\
    fish: aqlens completions fish > ~/.config/fish/completions/aqlens.fish"
)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: ShellArg,
}

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ShellArg {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// `--provider`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProviderArg {
    /// The processor
    Cpu,
    /// An NVIDIA GPU, or an error
    Cuda,
    /// The GPU when it can be had, else the processor
    Auto,
}

impl ProviderArg {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Auto => "auto",
        }
    }
}

/// `--log`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogArg {
    /// Progress bars on a terminal, plain lines elsewhere
    Auto,
    /// Plain lines
    Plain,
    /// One JSON object a line, for schedulers
    Json,
}

impl Cli {
    /// All commands and options, for completions.
    pub(super) fn words() -> clap::Command {
        Self::command()
    }
}

impl PipelineArgs {
    /// All overrides, `--provider` among them.
    pub(super) fn all_overrides(&self) -> Vec<String> {
        let mut all = self.overrides.clone();
        all.extend(self.provider.map(|provider| format!("provider={}", provider.name())));
        all
    }
}

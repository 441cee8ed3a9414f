//! What a run will take, printed for people or as one object for schedulers.

use std::io::{self, Write};

use indicatif::BinaryBytes;
use serde::Serialize;
use serde_json::json;

use super::design::Designs;
use super::error::CliError;
use super::first::FirstPrompts;
use super::grid::MOST_LISTED;
use super::memory::Memory;
use super::units::Units;
use crate::prompt::visible;
use crate::yaml::{Problem, Warning};

/// What a run will take. Its fields are those of `check --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) pipeline: String,
    pub(super) model: String,
    pub(super) n_layer: i16,
    pub(super) n_head: i16,
    pub(super) d_model: usize,
    pub(super) n_positions: usize,
    pub(super) dtype: &'static str,
    pub(super) onnxruntime: String,
    /// Where that was loaded from.
    pub(super) library: String,
    pub(super) provider: String,
    pub(super) threads: usize,
    /// What to know of the special tokens around every prompt, in sentences.
    pub(super) special_tokens: Vec<String>,
    /// What the inputs are, as evidence.
    pub(super) units: Units,
    pub(super) prompts: u64,
    /// Prompts with the tokens of another one of their shard, which runs for them.
    pub(super) repeats: u64,
    /// Of the prompts that fit the model.
    pub(super) tokens: u64,
    /// Tokens of the longest prompt.
    pub(super) longest: usize,
    /// Prompts that the run will skip.
    pub(super) too_long: u64,
    pub(super) shards: u32,
    /// Of activations, attention and logits, before compression.
    pub(super) raw_bytes: u64,
    /// Those of them that the pipeline retains.
    pub(super) kept_bytes: u64,
    /// About what a process takes at most.
    pub(super) memory_bytes: u64,
    /// What for.
    pub(super) memory: Memory,
    /// What this machine, or the process's limit, has of it now; `None` where the system does not say.
    pub(super) free_bytes: Option<u64>,
    /// Measured on one batch; `None` when no prompt fits the model.
    pub(super) tokens_per_second: Option<f64>,
    /// Of the model alone, for the whole run by one process.
    pub(super) seconds: Option<f64>,
    /// The first prompt of each scenario.
    pub(super) first_prompts: FirstPrompts,
    /// What each scenario's design can decide; empty without a stage that decides.
    pub(super) designs: Designs,
    /// What was perhaps not meant.
    pub(super) warnings: Vec<Warning>,
}

/// Something that keeps a pipeline from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Obstacle {
    /// The field of the pipeline file, as in `stages[0].layers`, when the obstacle is in one.
    pub(super) at: Option<String>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Obstacle {
    /// An error beyond the pipeline's file.
    pub(super) fn of(error: &CliError) -> Self {
        let text = error.to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        Self { at: None, message, help: None }
    }
}

impl From<&Problem> for Obstacle {
    fn from(problem: &Problem) -> Self {
        Self {
            at: Some(problem.at.to_string()).filter(|at| !at.is_empty()),
            message: problem.message.clone(),
            help: Some(problem.help.clone()),
        }
    }
}

impl Estimate {
    /// For people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let warnings = match self.warnings.len() {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            n => format!(", {n} warnings"),
        };
        writeln!(out, "pipeline  {}: no problems{warnings}", visible(&self.pipeline))?;
        writeln!(
            out,
            "model     {}: {} layers, {} heads, width {}, {} positions, {}; its probe holds",
            visible(&self.model),
            self.n_layer,
            self.n_head,
            self.d_model,
            self.n_positions,
            self.dtype
        )?;
        let Self { onnxruntime, library, provider, threads, .. } = self;
        writeln!(
            out,
            "runtime   ONNX Runtime {onnxruntime}, {}, {provider}, {threads} threads",
            visible(library)
        )?;
        for sentence in &self.special_tokens {
            writeln!(out, "special   {sentence}")?;
        }
        self.units.write(out)?;
        match self.repeats {
            0 => writeln!(out, "prompts   {}", self.prompts)?,
            repeats => writeln!(
                out,
                "prompts   {}; {repeats} of them have the same tokens as another one, which runs for them",
                self.prompts
            )?,
        }
        writeln!(out, "tokens    {} (longest prompt {})", self.tokens, self.longest)?;
        if self.too_long > 0 {
            writeln!(out, "too long  {} prompts", self.too_long)?;
        }
        writeln!(out, "shards    {}", self.shards)?;
        writeln!(
            out,
            "bytes     about {} of raw tables (activations, attention, logits), {} kept",
            BinaryBytes(self.raw_bytes),
            BinaryBytes(self.kept_bytes)
        )?;
        self.write_memory(out)?;
        match (self.seconds, self.tokens_per_second) {
            (Some(seconds), Some(speed)) => writeln!(
                out,
                "time      about {seconds:.1} s for the model alone at {speed:.0} tokens/s; \
                 writing tables adds to it"
            )?,
            _ => writeln!(out, "time      none: no prompt fits the model")?,
        }
        self.first_prompts.write(out)?;
        self.designs.write(out)?;
        self.warnings.iter().try_for_each(|warning| writeln!(out, "warning   {warning}"))
    }

    fn write_memory(&self, out: &mut impl Write) -> io::Result<()> {
        let all = BinaryBytes(self.memory_bytes);
        let parts = self.memory.words();
        let parts = if parts.is_empty() { parts } else { format!(": {parts}") };
        match self.free_bytes {
            Some(free) if free < self.memory_bytes => writeln!(
                out,
                "memory    warning: about {all} a process, and there are {} here{parts}; {}",
                BinaryBytes(free),
                self.memory.way_out()
            )?,
            Some(free) => {
                writeln!(
                    out,
                    "memory    about {all} a process, of {} here{parts}",
                    BinaryBytes(free)
                )?;
            }
            None => writeln!(out, "memory    about {all} a process{parts}")?,
        }
        if self.provider != "cuda" {
            return Ok(());
        }
        let on_card = BinaryBytes(self.memory.on_card());
        writeln!(
            out,
            "          about {on_card} of it on the GPU, whose own memory is not known here"
        )
    }

    /// For schedulers: one object.
    pub(super) fn write_json(&self, exit_code: u8, out: &mut impl Write) -> io::Result<()> {
        let mut object = json!(self);
        object["exit_code"] = exit_code.into();
        object["problems"] = json!([]);
        writeln!(out, "{object}")
    }
}

/// The object of a pipeline that cannot be run.
pub(super) fn write_obstacles(
    obstacles: &[Obstacle],
    exit_code: u8,
    out: &mut impl Write,
) -> io::Result<()> {
    let listed = &obstacles[..obstacles.len().min(MOST_LISTED)];
    let mut object = json!({ "exit_code": exit_code, "problems": listed });
    if listed.len() < obstacles.len() {
        object["more_problems"] = (obstacles.len() - listed.len()).into();
    }
    writeln!(out, "{object}")
}

//! What a model should run on, and what it was found to run on.

use std::fmt;
use std::path::PathBuf;

/// What the pipeline or the command line asks for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ProviderChoice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, or an error.
    Cuda,
    /// The GPU when one can be used, else the processor; which one is reported and recorded.
    #[default]
    Auto,
}

/// What the graph runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

/// How to run the graph.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// What to run on.
    pub provider: ProviderChoice,
    /// Whether CUDA may round matrix products to TF32 (10 of 23 bits of each factor).
    pub tf32: bool,
    /// Threads inside one operation on the processor; `None` = as many as there are cores.
    pub threads: Option<usize>,
    /// The ONNX Runtime library or a folder that holds it; `None` = search, see [`super::locate`].
    pub library: Option<PathBuf>,
    /// Whether to open the graph that takes whole prompts only, even where there is another.
    pub whole_prompts: bool,
}

/// What the graph runs with: everything about the runtime that a run records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Version of ONNX Runtime, such as `1.32.0`.
    pub runtime_version: String,
    /// The library that was loaded.
    pub library: PathBuf,
    /// What the graph runs on.
    pub provider: Provider,
    /// Why `auto` took the processor; `None` when there was nothing to decide.
    pub fallback: Option<String>,
    /// Threads inside one operation on the processor.
    pub threads: usize,
    /// Whether matrix products are rounded to TF32; only ever on CUDA.
    pub tf32: bool,
}

//! Opens the graph when it is first needed: a resumed run that only analyses never loads it.

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
    /// The GPU when it can be had, else the processor; which one is told and recorded.
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

/// The model ready to run.
#[derive(Debug)]
pub struct Engine {}

//! What kind of numbers a model computes with, and where positions enter.

use serde::Deserialize;

/// Where the model learns a token's position from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// From an embedding of its own, which the residual stream holds from the start, as in GPT-2.
    Learned,
    /// From distances between queries and keys alone, or not at all: a prompt that is moved as a whole
    /// gives the same.
    Relative,
}

/// How weights are stored and matrix products computed. Everything else, and every input and output, is
/// float32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// float32.
    F32,
    /// float16.
    F16,
    /// bfloat16.
    Bf16,
}

impl Dtype {
    /// Its name, such as `float32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

/// What a type other than float32 costs: largest distances from float64 with the weights as they were
/// before they were rounded, as the exporter measured them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// How many prompts were measured.
    pub prompts: u32,
    /// PyTorch's, in the same type on a processor.
    pub pytorch: Distances,
    /// The graph's, every value rounded as the type does.
    pub graph: Distances,
}

/// Largest distances of one kind of numbers each.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distances {
    /// Of block outputs, as a fraction of the vector's norm.
    pub hidden: f64,
    /// Of attention weights.
    pub attention: f64,
    /// Of scores of the next token, as a fraction of their norm.
    pub logits: f64,
}

//! What can go wrong with a model, in words for a reader who has never seen this code.

use std::io;
use std::path::PathBuf;

/// The source of an error that came out of a library.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no such folder.
    #[error(
        "model folder {} does not exist; make one with `python export/export.py MODEL --out {}`, \
         or correct `model:` in the pipeline",
        path.display(), path.display()
    )]
    NoFolder {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// The folder is there, but was not made by the exporter.
    #[error(
        "{} is not a model folder: it has no model.json; make one with `python export/export.py \
         MODEL --out DIR`",
        path.display()
    )]
    NoCard {
        /// The folder.
        path: PathBuf,
    },
    /// `model.json` says something impossible.
    #[error("{} {problem}; re-export with `python export/export.py`", path.display())]
    Card {
        /// The `model.json`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that `model.json` lists is not there.
    #[error(
        "{} is missing, though model.json lists it; copy the whole model folder, or re-export with \
         `python export/export.py`",
        path.display()
    )]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is not the one that was exported.
    #[error(
        "{} is not the file that model.json describes: expected {expected}, found {found}; \
         re-export with `python export/export.py`",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Size or hash in `model.json`.
        expected: String,
        /// Size or hash on the disk.
        found: String,
    },
    /// A file of the model folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer {} {problem}; re-export with `python export/export.py`", path.display())]
    Tokenizer {
        /// The `tokenizer.json`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No ONNX Runtime was found.
    #[error(
        "no ONNX Runtime library was found; install it with\n  python3 -m venv .venv && \
         .venv/bin/pip install onnxruntime\nor name one with --onnxruntime PATH; looked at:\n  {}",
        tried.join("\n  ")
    )]
    NoRuntime {
        /// Every place that was looked at, in order, and what was there.
        tried: Vec<String>,
    },
    /// A library was found, but cannot be used.
    #[error(
        "{} cannot be used as ONNX Runtime: {problem}; install it afresh with `python3 -m venv \
         .venv && .venv/bin/pip install --upgrade onnxruntime`, or name another with \
         --onnxruntime PATH",
        path.display()
    )]
    BadRuntime {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The pipeline asks for a GPU that is not available.
    #[error("provider 'cuda' is not available: {problem}; {help}, or set `provider: cpu`")]
    NoCuda {
        /// What is missing.
        problem: String,
        /// What to install or do.
        help: &'static str,
    },
    /// ONNX Runtime cannot open the graph.
    #[error("ONNX Runtime cannot open {}; re-export with `python export/export.py`", path.display())]
    Open {
        /// The graph.
        path: PathBuf,
        /// What ONNX Runtime says.
        #[source]
        source: Cause,
    },
    /// The graph does not have the inputs and outputs that a model folder's graph has.
    #[error("graph {} {problem}; re-export with `python export/export.py`", path.display())]
    Graph {
        /// The graph.
        path: PathBuf,
        /// What it lacks.
        problem: String,
    },
    /// The graph computes something different from what PyTorch did.
    #[error(
        "graph {} fails its probe: {problem}; it does not compute what PyTorch computed when it \
         was exported: re-export with `python export/export.py`",
        path.display()
    )]
    Probe {
        /// The graph.
        path: PathBuf,
        /// Which output, where, by how much, and what was allowed.
        problem: String,
    },
    /// The model folder was exported without a head.
    #[error(
        "model folder {} has no head.onnx, which stages `surprisal` and `lens` need; re-export with \
         `python export/export.py`",
        path.display()
    )]
    NoHead {
        /// The model folder.
        path: PathBuf,
    },
    /// The head failed while it ran.
    #[error("the model's head failed on {rows} rows")]
    Head {
        /// Block outputs that it was given.
        rows: usize,
        /// What ONNX Runtime says.
        #[source]
        source: Cause,
    },
    /// The graph failed while it ran.
    #[error("the model failed on a batch of {batch} prompts of up to {seq} tokens")]
    Run {
        /// Prompts in the batch.
        batch: usize,
        /// Padded length in tokens.
        seq: usize,
        /// What ONNX Runtime says.
        #[source]
        source: Cause,
    },
}

//! What can go wrong with a model, in words for a reader who has never seen this code.

use std::io;
use std::path::PathBuf;

use crate::prompt::visible;

/// The source of an error that came out of a library.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What to do about a file of a model folder that is not what was exported.
const EXPORT_AGAIN: &str = "re-export with `aqlens-export`";

/// What to do about a file in a model folder's place.
const NAME_FOLDER: &str = "name the folder that `aqlens-export` made";

/// Bytes in words.
fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no such folder.
    #[error(
        "model folder {} does not exist; make one with `aqlens-export MODEL --out {}`, \
         or correct `model:` in the pipeline",
        path.display(), path.display()
    )]
    NoFolder {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// There is a file in the folder's place.
    #[error("{} is a file and not a model folder; {NAME_FOLDER}", path.display())]
    NotAFolder {
        /// What was asked for.
        path: PathBuf,
    },
    /// A checkpoint that was not exported: a folder in Hugging Face layout, or a GGUF file.
    #[error(
        "{} is a checkpoint and not a model folder; make one of it with `aqlens-export {} --out DIR` and \
         name that folder",
        path.display(), path.display()
    )]
    Checkpoint {
        /// What was asked for.
        path: PathBuf,
    },
    /// The folder is there, but was not made by the exporter.
    #[error(
        "{} is not a model folder: it has no model.json; make one with `aqlens-export \
         MODEL --out DIR`",
        path.display()
    )]
    NoCard {
        /// The folder.
        path: PathBuf,
    },
    /// `model.json` says something impossible.
    #[error("{} {problem}; {EXPORT_AGAIN}", path.display())]
    Card {
        /// The `model.json`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that `model.json` lists is not there.
    #[error(
        "{} is missing, though model.json lists it; copy the whole model folder, or {EXPORT_AGAIN}",
        path.display()
    )]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is not the one that was exported.
    #[error(
        "{} is not the file that model.json describes: expected {expected}, found {found}; \
         {EXPORT_AGAIN}",
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
    /// The chat template cannot be used.
    #[error("{} {problem}; write `prompt:` instead of `chat:`, or {EXPORT_AGAIN}", path.display())]
    ChatTemplate {
        /// The `model.json`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer {} {problem}; {EXPORT_AGAIN}", path.display())]
    Tokenizer {
        /// The `tokenizer.json`.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A text is too long for the model by its bytes alone, and was not tokenised.
    #[error("{text} {reason}; shorten it")]
    TextTooLong {
        /// Its beginning.
        text: String,
        /// How that is known.
        reason: String,
    },
    /// No ONNX Runtime was found.
    #[error(
        "no ONNX Runtime library was found; install it with\n  python3 -m venv .venv && \
         .venv/bin/pip install onnxruntime\nand activate that environment (`. .venv/bin/activate`), or \
         name it with --onnxruntime .venv; looked at:\n  {}",
        tried.join("\n  ")
    )]
    NoRuntime {
        /// Every place that was looked at, in order, and what was there.
        tried: Vec<String>,
    },
    /// A library was found, but cannot be used.
    #[error(
        "{} cannot be used as ONNX Runtime: {problem}; install it afresh with `pip install --upgrade \
         --force-reinstall onnxruntime` in its Python environment, or name another with \
         --onnxruntime PATH",
        path.display()
    )]
    BadRuntime {
        /// The library.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The model's numbers are of a type that a processor does not compute.
    #[error(
        "model folder {} is {dtype}, which runs with `provider: cuda` only; export it again with \
         `--dtype f32` to run it on the processor",
        path.display()
    )]
    NeedsCuda {
        /// The model folder.
        path: PathBuf,
        /// The type's name.
        dtype: &'static str,
    },
    /// The model's weights alone are larger than what the process can have.
    #[error(
        "the weights of {} take about {} in memory as float32, and this process can have {}: nothing was \
         opened; use a machine with more memory, a higher limit of the container or `ulimit -v`, a GPU that \
         holds them (`provider: cuda`), or a smaller model",
        visible(model), gib(*weights), gib(*free)
    )]
    TooLarge {
        /// The model's name.
        model: String,
        /// Bytes of its weights.
        weights: u64,
        /// Bytes that the process can have.
        free: u64,
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
    #[error("ONNX Runtime cannot open {}; re-export with `aqlens-export`", path.display())]
    Open {
        /// The graph.
        path: PathBuf,
        /// What ONNX Runtime says.
        #[source]
        source: Cause,
    },
    /// The graph does not have the inputs and outputs that a model folder's graph has.
    #[error("graph {} {problem}; re-export with `aqlens-export`", path.display())]
    Graph {
        /// The graph.
        path: PathBuf,
        /// What it lacks.
        problem: String,
    },
    /// The graph computes something different from what PyTorch did.
    #[error(
        "graph {} fails its probe: {problem}; it does not compute what PyTorch computed when it \
         was exported: re-export with `aqlens-export`",
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
         `aqlens-export`",
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
    /// The folder has no graph that goes on from a residual stream.
    #[error(
        "model folder {} has no patch.onnx: it was made by an older exporter; export the model again with \
         `aqlens-export`",
        path.display()
    )]
    NoPatch {
        /// The model folder.
        path: PathBuf,
    },
    /// The patch graph failed while it ran.
    #[error("the model failed on {rows} residual streams")]
    Patch {
        /// Streams that it was given.
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

impl ModelError {
    /// What to do, where the error's text ends with it behind a semicolon: for a caller that shows
    /// the advice apart from what is wrong.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoFolder { path } => format!(
                "make one with `aqlens-export MODEL --out {}`, or correct `model:` in the \
                 pipeline",
                path.display()
            ),
            Self::NotAFolder { .. } => NAME_FOLDER.to_owned(),
            Self::Checkpoint { path } => format!(
                "make one of it with `aqlens-export {} --out DIR` and name that folder",
                path.display()
            ),
            Self::NoCard { .. } => "make one with `aqlens-export MODEL --out DIR`".to_owned(),
            Self::MissingFile { .. } => format!("copy the whole model folder, or {EXPORT_AGAIN}"),
            Self::Card { .. } | Self::Changed { .. } | Self::Tokenizer { .. } => {
                EXPORT_AGAIN.to_owned()
            }
            Self::ChatTemplate { .. } => {
                format!("write `prompt:` instead of `chat:`, or {EXPORT_AGAIN}")
            }
            _ => return None,
        })
    }

    /// What is wrong: the error's text without its [`help`](Self::help).
    pub fn problem(&self) -> String {
        let text = self.to_string();
        let own = self.help().and_then(|help| text.strip_suffix(&format!("; {help}")));
        own.unwrap_or(&text).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_apart_from_what_is_wrong_whatever_it_quotes() {
        let path = || PathBuf::from("a; b");
        let problem = || "says c; d".to_owned();
        let errors = [
            ModelError::NoFolder { path: path() },
            ModelError::NotAFolder { path: path() },
            ModelError::Checkpoint { path: path() },
            ModelError::NoCard { path: path() },
            ModelError::Card { path: path(), problem: problem() },
            ModelError::MissingFile { path: path() },
            ModelError::Changed { path: path(), expected: problem(), found: problem() },
            ModelError::Tokenizer { path: path(), problem: problem() },
        ];
        for error in errors {
            let (problem, help) = (error.problem(), error.help().unwrap());
            assert_eq!(error.to_string(), format!("{problem}; {help}"));
            assert!(problem.contains("a; b") && !problem.contains("export.py"), "{problem}");
        }
        let error = ModelError::NoHead { path: path() };
        assert_eq!((error.problem(), error.help()), (error.to_string(), None));
    }
}

//! `model.json`: what a model folder says about itself.
//!
//! The exporter writes it beside the graph: the model's shape, the hash of every file, and a probe,
//! reference values from PyTorch that the graph must reproduce before it is used.

mod check;
mod kinds;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use self::kinds::{Accuracy, Distances, Dtype, Positions};
pub use self::wire::{CARD, CardTokens, FileFacts, FileRole, NamedToken, Source};

use super::ModelError;
use super::reference::{Conversation, Probe, TextProbe};
use crate::store::{FileStamp, hex_sha256};

pub(super) use self::wire::{GRAPH, HEAD, PAST, PATCH, TOKENIZER};

/// Bytes of the largest `model.json` that is read: hundreds of layers take a few.
const LARGEST: u64 = 64 << 20;

/// The parsed and validated `model.json` of a model folder.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// The folder it was read from.
    pub folder: PathBuf,
    /// What kind of model it is, such as `gpt2` or `llama`: the name that transformers gives it.
    pub family: String,
    /// How many transformer blocks.
    pub n_layer: i16,
    /// Attention heads a block.
    pub n_head: i16,
    /// Of them, how many have keys and values of their own; the others share.
    pub n_kv_head: i16,
    /// Width of a head.
    pub d_head: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width inside a block's MLP.
    pub d_ff: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Longest prompt in tokens.
    pub n_positions: usize,
    /// For each block how many of the last tokens, itself included, a query sees; `None` for all.
    pub windows: Vec<Option<usize>>,
    /// Where positions enter; `None` in format 2, which does not say it.
    pub positions: Option<Positions>,
    /// How weights are stored and matrix products computed; always float32 in format 1.
    pub dtype: Dtype,
    /// What a type other than float32 costs.
    pub accuracy: Option<Accuracy>,
    /// Special tokens around texts; `None` in format 1, where the tokenizer's file alone says it.
    pub special_tokens: Option<CardTokens>,
    /// The template of conversations, for chat models.
    pub chat_template: Option<String>,
    /// What the weights may be used for, as their folder says it.
    pub licence: Option<String>,
    /// Where the weights came from.
    pub source: Source,
    /// Every file of the folder but `model.json`, by name.
    pub files: BTreeMap<String, FileFacts>,
    /// Versions of the exporter and its libraries, for the lineage.
    pub exporter: BTreeMap<String, serde_json::Value>,
    /// What the graph must compute.
    pub probe: Probe,
    /// What the tokenizer must make of texts, special tokens counted; empty in format 1.
    pub texts: Vec<TextProbe>,
    /// Conversations as text and as tokens; none without a chat template.
    pub conversations: Vec<Conversation>,
    /// `None` until the files were found to be the exported ones; locked while they are hashed, shared
    /// by clones.
    pub(super) verified: Arc<Mutex<Option<Verified>>>,
}

/// Files that were found to be the exported ones.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    /// Their stamps from before they were hashed; `None` where the system says too little.
    pub(super) stamps: Option<Vec<FileStamp>>,
}

/// Why no model folder is at a path: a checkpoint is named where a folder that was made of it is wanted.
fn without_card(path: &Path) -> ModelError {
    let is_gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    let path = path.to_owned();
    if path.is_dir() {
        let is_checkpoint = path.join("config.json").is_file();
        return if is_checkpoint {
            ModelError::Checkpoint { path }
        } else {
            ModelError::NoCard { path }
        };
    }
    match path.is_file() {
        true if is_gguf => ModelError::Checkpoint { path },
        true => ModelError::NotAFolder { path },
        false => ModelError::NoFolder { path },
    }
}

impl ModelCard {
    /// Reads and validates `folder/model.json`; opens no other file.
    ///
    /// # Errors
    /// When the folder or its `model.json` is missing, or says something impossible.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        if !folder.is_dir() {
            return Err(without_card(folder));
        }
        let path = folder.join(CARD);
        let read = |source| ModelError::Read { path: path.clone(), source };
        let metadata = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(without_card(folder));
            }
            other => other.map_err(read)?,
        };
        if !metadata.is_file() || metadata.len() > LARGEST {
            let problem = format!("is no plain file of at most {} MiB", LARGEST >> 20);
            return Err(ModelError::Card { path, problem });
        }
        let text = fs::read(&path).map_err(read)?;
        let wire = check::parse(&text).map_err(|problem| ModelError::Card { path, problem })?;
        Ok(Self {
            folder: folder.to_owned(),
            family: wire.family,
            n_layer: wire.n_layer,
            n_head: wire.n_head,
            n_kv_head: wire.n_kv_head,
            d_head: wire.d_head,
            d_model: wire.d_model,
            d_ff: wire.d_ff,
            vocab_size: wire.vocab_size,
            n_positions: wire.n_positions,
            windows: wire.windows,
            positions: wire.positions,
            dtype: wire.dtype,
            accuracy: wire.accuracy,
            special_tokens: wire.special_tokens,
            chat_template: wire.chat_template,
            licence: wire.licence,
            source: wire.source,
            files: wire.files,
            exporter: wire.exporter,
            probe: wire.probe,
            texts: wire.texts,
            conversations: wire.conversations,
            verified: Arc::default(),
        })
    }

    /// `model.json` itself.
    pub fn path(&self) -> PathBuf {
        self.folder.join(CARD)
    }

    /// Whether a processor can run the graph: ONNX Runtime computes float16 and bfloat16 on a GPU only.
    ///
    /// # Errors
    /// When it cannot.
    pub fn runs_on_cpu(&self) -> Result<(), ModelError> {
        match self.dtype {
            Dtype::F32 => Ok(()),
            dtype => Err(ModelError::NeedsCuda { path: self.folder.clone(), dtype: dtype.name() }),
        }
    }

    /// The graph's file.
    pub fn graph_path(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    /// About how many bytes of weights an open graph has: those in the graph's file, and those in the
    /// files beside it that its weights may lie in.
    pub fn weights_bytes(&self) -> u64 {
        let holds_weights = |name: &str| ![HEAD, PAST, PATCH, TOKENIZER].contains(&name);
        let files = self.files.iter().filter(|(name, _)| holds_weights(name));
        files.map(|(_, facts)| facts.bytes).sum()
    }

    /// The file of the graph that also takes keys and values of tokens before a prompt's own; `None`
    /// when the folder was exported without one.
    pub fn past_path(&self) -> Option<PathBuf> {
        self.files.contains_key(PAST).then(|| self.folder.join(PAST))
    }

    /// The file of the graph that computes from a given residual stream on; `None` when the folder was
    /// exported without one.
    pub fn patch_path(&self) -> Option<PathBuf> {
        self.files.contains_key(PATCH).then(|| self.folder.join(PATCH))
    }

    /// The tokenizer's file.
    pub fn tokenizer_path(&self) -> PathBuf {
        self.folder.join(TOKENIZER)
    }

    /// The head's file; `None` when the folder was exported without one.
    pub fn head_path(&self) -> Option<PathBuf> {
        self.files.contains_key(HEAD).then(|| self.folder.join(HEAD))
    }

    /// SHA-256 of `head.onnx`; weights that it shares with the graph are the graph's.
    pub fn head_sha256(&self) -> Option<String> {
        self.files.get(HEAD).map(|facts| facts.sha256.clone())
    }

    /// SHA-256 over everything that decides what the graph computes: that of `model.onnx`, or,
    /// where the weights lie in files beside it, over the hashes of all of them.
    pub fn graph_sha256(&self) -> String {
        let graph: Vec<(&String, &FileFacts)> =
            self.files.iter().filter(|(name, _)| *name != TOKENIZER && *name != HEAD).collect();
        match graph.as_slice() {
            [(_, only)] => only.sha256.clone(),
            many => {
                let line =
                    |(name, facts): &(&String, &FileFacts)| format!("{}  {name}", facts.sha256);
                let lines: Vec<String> = many.iter().map(line).collect();
                hex_sha256(lines.join("\n").as_bytes())
            }
        }
    }

    /// SHA-256 of `tokenizer.json`.
    pub fn tokenizer_sha256(&self) -> String {
        self.files[TOKENIZER].sha256.clone()
    }
}

//! `model.json`: what a model folder says about itself.
//!
//! The exporter writes it beside the graph: the model's shape, the hash of every file, and a probe,
//! reference values from PyTorch that the graph must reproduce before it is used.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use super::reference::{Probe, Shape};
use super::{ModelError, end_of};
use crate::store::{hex_sha256, sha256_of_file};

/// Name of the file in a model folder that says what the model is.
pub const CARD: &str = "model.json";
const GRAPH: &str = "model.onnx";
const PAST: &str = "past.onnx";
const HEAD: &str = "head.onnx";
const TOKENIZER: &str = "tokenizer.json";
const FORMAT: u32 = 1;
const FAMILY: &str = "gpt2";

/// The parsed and validated `model.json` of a model folder.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// The folder it was read from.
    pub folder: PathBuf,
    /// How many transformer blocks.
    pub n_layer: i16,
    /// Attention heads a block.
    pub n_head: i16,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Longest prompt in tokens.
    pub n_positions: usize,
    /// Where the weights came from.
    pub source: Source,
    /// Every file of the folder but `model.json`, by name.
    pub files: BTreeMap<String, FileFacts>,
    /// Versions of the exporter and its libraries, for the lineage.
    pub exporter: BTreeMap<String, serde_json::Value>,
    /// What the graph must compute.
    pub probe: Probe,
    /// Whether the files were found to be the exported ones; locked while they are hashed, shared by
    /// clones.
    verified: Arc<Mutex<bool>>,
}

/// Where a model's weights came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Hub name, folder, or `random-weights`.
    pub name: String,
    /// Revision on the hub, when it came from there.
    pub revision: Option<String>,
    /// Seed of the weights, when they are random.
    pub random_seed: Option<u64>,
}

/// A file as it was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCard {
    /// Checked by [`Kind`] first, so that a newer card is not reported as a broken one.
    #[serde(rename = "format")]
    _format: u32,
    #[serde(rename = "family")]
    _family: String,
    n_layer: i16,
    n_head: i16,
    d_model: usize,
    vocab_size: usize,
    n_positions: usize,
    source: Source,
    files: BTreeMap<String, FileFacts>,
    exporter: BTreeMap<String, serde_json::Value>,
    probe: Probe,
}

/// The two fields that say whether the rest can be understood.
#[derive(Debug, Deserialize)]
struct Kind {
    format: u32,
    family: String,
}

impl ModelCard {
    /// Reads and validates `folder/model.json`; opens no other file.
    ///
    /// # Errors
    /// When the folder or its `model.json` is missing, or says something impossible.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        if !folder.is_dir() {
            return Err(ModelError::NoFolder { path: folder.to_owned() });
        }
        let path = folder.join(CARD);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::NoCard { path: folder.to_owned() });
            }
            other => other.map_err(|source| ModelError::Read { path: path.clone(), source })?,
        };
        let wire = parse(&text).map_err(|problem| ModelError::Card { path, problem })?;
        Ok(Self {
            folder: folder.to_owned(),
            n_layer: wire.n_layer,
            n_head: wire.n_head,
            d_model: wire.d_model,
            vocab_size: wire.vocab_size,
            n_positions: wire.n_positions,
            source: wire.source,
            files: wire.files,
            exporter: wire.exporter,
            probe: wire.probe,
            verified: Arc::default(),
        })
    }

    /// Reads every file of the folder and compares size and SHA-256 with the card's; having
    /// succeeded once, it does not read them again.
    ///
    /// # Errors
    /// Names the first file, in the order of names, that is missing or different.
    pub fn verify_files(&self) -> Result<(), ModelError> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if *verified {
            return Ok(());
        }
        // Not by rayon's threads: those may be waiting for a model that is being opened.
        let checks: Vec<Result<(), ModelError>> = thread::scope(|scope| {
            let files = self.files.iter();
            let begun: Vec<_> =
                files.map(|(name, facts)| scope.spawn(|| self.verify(name, facts))).collect();
            begun.into_iter().map(end_of).collect()
        });
        checks.into_iter().collect::<Result<(), _>>()?;
        *verified = true;
        Ok(())
    }

    /// [`Self::verify_files`] without their content: enough to read them without a crash.
    pub(super) fn verify_sizes(&self) -> Result<(), ModelError> {
        self.files.iter().try_for_each(|(name, facts)| self.verify_size(name, facts).map(drop))
    }

    fn verify_size(&self, name: &str, facts: &FileFacts) -> Result<PathBuf, ModelError> {
        let path = self.folder.join(name);
        let bytes = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::MissingFile { path });
            }
            other => other.map_err(|source| ModelError::Read { path: path.clone(), source })?.len(),
        };
        if bytes != facts.bytes {
            let (expected, found) = (format!("{} bytes", facts.bytes), format!("{bytes} bytes"));
            return Err(ModelError::Changed { path, expected, found });
        }
        Ok(path)
    }

    fn verify(&self, name: &str, facts: &FileFacts) -> Result<(), ModelError> {
        let path = self.verify_size(name, facts)?;
        let found = sha256_of_file(&path)
            .map_err(|source| ModelError::Read { path: path.clone(), source })?;
        if found != facts.sha256 {
            let (expected, found) = (format!("sha256 {}", facts.sha256), format!("sha256 {found}"));
            return Err(ModelError::Changed { path, expected, found });
        }
        Ok(())
    }

    /// The graph's file.
    pub fn graph_path(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    /// About how many bytes of weights an open graph has: those in the graph's file, and those in the
    /// files beside it that its weights may lie in.
    pub fn weights_bytes(&self) -> u64 {
        let holds_weights = |name: &str| ![HEAD, PAST, TOKENIZER].contains(&name);
        let files = self.files.iter().filter(|(name, _)| holds_weights(name));
        files.map(|(_, facts)| facts.bytes).sum()
    }

    /// The file of the graph that also takes keys and values of tokens before a prompt's own; `None`
    /// when the folder was exported without one.
    pub fn past_path(&self) -> Option<PathBuf> {
        self.files.contains_key(PAST).then(|| self.folder.join(PAST))
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

fn parse(text: &[u8]) -> Result<WireCard, String> {
    let kind: Kind = serde_json::from_slice(text).map_err(|e| format!("is not valid: {e}"))?;
    if kind.format != FORMAT {
        return Err(format!(
            "has format {}, and this aqlens reads format {FORMAT} only",
            kind.format
        ));
    }
    if kind.family != FAMILY {
        return Err(format!(
            "is of family '{}', and this aqlens reads family '{FAMILY}' only",
            kind.family
        ));
    }
    let wire: WireCard = serde_json::from_slice(text).map_err(|e| format!("is not valid: {e}"))?;
    check_shape(&wire)?;
    check_files(&wire.files)?;
    let shape = Shape {
        n_layer: wire.n_layer,
        n_head: wire.n_head,
        d_model: wire.d_model,
        vocab_size: wire.vocab_size,
        n_positions: wire.n_positions,
    };
    wire.probe.check(shape)?;
    check_head(&wire)?;
    Ok(wire)
}

fn check_shape(wire: &WireCard) -> Result<(), String> {
    let sizes = [
        ("n_layer", i64::from(wire.n_layer)),
        ("n_head", i64::from(wire.n_head)),
        ("d_model", wire.d_model as i64),
        ("vocab_size", wire.vocab_size as i64),
        ("n_positions", wire.n_positions as i64),
    ];
    for (name, size) in sizes {
        // Arrow counts the numbers of a vector in 32 bits.
        if !(1..=i64::from(i32::MAX)).contains(&size) {
            return Err(format!("says {name} = {size}, which must be 1 or more"));
        }
    }
    Ok(())
}

fn check_files(files: &BTreeMap<String, FileFacts>) -> Result<(), String> {
    for name in [GRAPH, TOKENIZER] {
        if !files.contains_key(name) {
            return Err(format!("does not list '{name}' under files"));
        }
    }
    for (name, facts) in files {
        let plain = !name.is_empty() && name != "." && name != ".." && name != CARD;
        if !plain || name.contains(['/', '\\', '\0']) {
            return Err(format!("lists file '{name}', which must be a plain name in its folder"));
        }
        let hex = facts.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if facts.sha256.len() != 64 || !hex {
            return Err(format!(
                "gives '{}' as sha256 of '{name}', which must be 64 lower-case hex digits",
                facts.sha256
            ));
        }
    }
    Ok(())
}

/// A head comes with its probe, or not at all: one that cannot be checked is not used.
fn check_head(wire: &WireCard) -> Result<(), String> {
    match (wire.files.contains_key(HEAD), wire.probe.head.is_empty()) {
        (true, true) => Err(format!("lists '{HEAD}' and has no head values in its probe")),
        (false, false) => Err(format!("has head values in its probe and does not list '{HEAD}'")),
        _ => Ok(()),
    }
}

//! `model.json`: what a model folder says about itself.
//!
//! The exporter writes it beside the graph: the model's shape, the hash of every file, and a probe,
//! reference values from PyTorch that the graph must reproduce before it is used.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ModelError;
use super::reference::{Probe, Shape};
use crate::store::{FileStamp, hex_sha256};

/// Name of the file in a model folder that says what the model is.
pub const CARD: &str = "model.json";
pub(super) const GRAPH: &str = "model.onnx";
pub(super) const PAST: &str = "past.onnx";
pub(super) const HEAD: &str = "head.onnx";
pub(super) const TOKENIZER: &str = "tokenizer.json";
const FORMAT: u32 = 1;
const FAMILY: &str = "gpt2";

/// Bytes of the largest `model.json` that is read: hundreds of layers take a few.
const LARGEST: u64 = 64 << 20;

/// Files of the largest folder.
const MOST_FILES: usize = 1000;

/// What a size may be at most: more than any model has, and little enough that no product of some of
/// them is too large for 64 bits.
const MOST: [(&str, i64); 5] = [
    ("n_layer", 1000),
    ("n_head", 10_000),
    ("d_model", 1 << 17),
    ("vocab_size", 1 << 24),
    ("n_positions", 1 << 24),
];

/// Bytes of what the folder says about its origin, which a run records: a page of text.
const LONGEST_ORIGIN: usize = 4096;

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
    #[serde(deserialize_with = "each_once")]
    files: BTreeMap<String, FileFacts>,
    #[serde(deserialize_with = "each_once")]
    exporter: BTreeMap<String, serde_json::Value>,
    probe: Probe,
}

/// A map that names nothing twice: readers differ in which one counts.
fn each_once<'d, D: Deserializer<'d>, T: Deserialize<'d>>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Once<T>(PhantomData<T>);
    impl<'d, T: Deserialize<'d>> Visitor<'d> for Once<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'d>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = from.next_entry::<String, T>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!(
                        "'{}' is there twice",
                        key.escape_debug()
                    )));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }
    from.deserialize_map(Once(PhantomData))
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
        let read = |source| ModelError::Read { path: path.clone(), source };
        let metadata = match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ModelError::NoCard { path: folder.to_owned() });
            }
            other => other.map_err(read)?,
        };
        if !metadata.is_file() || metadata.len() > LARGEST {
            let problem = format!("is no plain file of at most {} MiB", LARGEST >> 20);
            return Err(ModelError::Card { path, problem });
        }
        let text = fs::read(&path).map_err(read)?;
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
            kind.family.escape_debug()
        ));
    }
    let wire: WireCard = serde_json::from_slice(text).map_err(|e| format!("is not valid: {e}"))?;
    check_shape(&wire)?;
    check_origin(&wire)?;
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
        i64::from(wire.n_layer),
        i64::from(wire.n_head),
        wire.d_model as i64,
        wire.vocab_size as i64,
        wire.n_positions as i64,
    ];
    for ((name, most), size) in MOST.into_iter().zip(sizes) {
        if !(1..=most).contains(&size) {
            return Err(format!("says {name} = {size}, which must be 1 to {most}"));
        }
    }
    if !wire.d_model.is_multiple_of(wire.n_head as usize) {
        let (width, heads) = (wire.d_model, wire.n_head);
        return Err(format!("says d_model = {width}, which n_head = {heads} does not divide"));
    }
    Ok(())
}

/// What the folder says about its origin is recorded and shown: it must be short and plain.
fn check_origin(wire: &WireCard) -> Result<(), String> {
    let Source { name, revision, .. } = &wire.source;
    let exporter = serde_json::to_string(&wire.exporter).expect("it came from JSON");
    let revision = revision.as_deref().unwrap_or_default();
    // JSON writes control characters as escapes.
    for (what, text) in [("source.name", name.as_str()), ("source.revision", revision)] {
        if text.chars().any(char::is_control) {
            return Err(format!("has control characters in {what}"));
        }
    }
    if name.len() + revision.len() + exporter.len() > LONGEST_ORIGIN {
        return Err(format!("says more than {LONGEST_ORIGIN} bytes about source and exporter"));
    }
    Ok(())
}

fn check_files(files: &BTreeMap<String, FileFacts>) -> Result<(), String> {
    for name in [GRAPH, TOKENIZER] {
        if !files.contains_key(name) {
            return Err(format!("does not list '{name}' under files"));
        }
    }
    if files.len() > MOST_FILES {
        return Err(format!("lists {} files, and a folder has {MOST_FILES} at most", files.len()));
    }
    for (name, facts) in files {
        let plain = !name.is_empty() && name != "." && name != ".." && name != CARD;
        if !plain || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            let name = name.escape_debug();
            return Err(format!("lists file '{name}', which must be a plain name in its folder"));
        }
        let hex = facts.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if facts.sha256.len() != 64 || !hex {
            return Err(format!(
                "gives '{}' as sha256 of '{name}', which must be 64 lower-case hex digits",
                facts.sha256.escape_debug()
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

//! `model.json` as it is written, in all formats.
//!
//! Format 1 is GPT-2's: as many heads of keys as of queries, each `d_model / n_head` wide, no windows, and
//! special tokens as the tokenizer's file has them. Format 2 says all of that, and format 3 also where
//! positions enter.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::kinds::{Accuracy, Dtype, Positions};
use crate::model::reference::{
    AttentionProbe, Conversation, HeadProbe, HiddenProbe, LogitsProbe, Probe, TextProbe,
};

/// Name of the file in a model folder that says what the model is.
pub const CARD: &str = "model.json";
pub(in crate::model) const GRAPH: &str = "model.onnx";
pub(in crate::model) const PAST: &str = "past.onnx";
pub(in crate::model) const HEAD: &str = "head.onnx";
pub(in crate::model) const PATCH: &str = "patch.onnx";
pub(in crate::model) const TOKENIZER: &str = "tokenizer.json";

/// The family of every card of format 1.
const GPT2: &str = "gpt2";

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

/// What a file of a model folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileRole {
    /// `model.onnx`.
    Graph,
    /// `past.onnx`.
    Past,
    /// `head.onnx`.
    Head,
    /// `patch.onnx`.
    Patch,
    /// Weights beside the graphs.
    Weights,
    /// `tokenizer.json`.
    Tokenizer,
}

/// A special token that has a name, such as `bos`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedToken {
    /// Its id.
    pub id: i32,
    /// Its text in the tokenizer's vocabulary.
    pub text: String,
}

/// The special tokens of a card of format 2 or 3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardTokens {
    /// What the model's own tokenizer puts in front of a text.
    pub prefix_ids: Vec<i32>,
    /// What it puts behind it.
    pub suffix_ids: Vec<i32>,
    /// Those that have a name.
    #[serde(deserialize_with = "each_once")]
    pub named: BTreeMap<String, NamedToken>,
}

/// A card of any format.
pub(super) struct Wire {
    pub(super) family: String,
    pub(super) n_layer: i16,
    pub(super) n_head: i16,
    pub(super) n_kv_head: i16,
    pub(super) d_head: usize,
    pub(super) d_model: usize,
    pub(super) d_ff: usize,
    pub(super) vocab_size: usize,
    pub(super) n_positions: usize,
    pub(super) windows: Vec<Option<usize>>,
    /// `None` in format 2, which does not say it.
    pub(super) positions: Option<Positions>,
    pub(super) dtype: Dtype,
    pub(super) accuracy: Option<Accuracy>,
    pub(super) special_tokens: Option<CardTokens>,
    pub(super) chat_template: Option<String>,
    pub(super) licence: Option<String>,
    pub(super) source: Source,
    pub(super) files: BTreeMap<String, FileFacts>,
    pub(super) exporter: BTreeMap<String, serde_json::Value>,
    pub(super) probe: Probe,
    /// Texts and their tokens.
    pub(super) texts: Vec<TextProbe>,
    /// Conversations, as text and as tokens.
    pub(super) conversations: Vec<Conversation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format1 {
    /// Checked by [`Kind`] first, so that a newer card is not reported as a broken one.
    #[serde(rename = "format")]
    _format: u32,
    family: String,
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

/// Formats 2 and 3: `positions` is format 3's alone, and must be there in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format2 {
    #[serde(rename = "format")]
    _format: u32,
    family: String,
    n_layer: i16,
    n_head: i16,
    n_kv_head: i16,
    d_head: usize,
    d_model: usize,
    d_ff: usize,
    vocab_size: usize,
    n_positions: usize,
    windows: Vec<Option<usize>>,
    positions: Option<Positions>,
    dtype: Dtype,
    accuracy: Option<Accuracy>,
    special_tokens: CardTokens,
    chat_template: Option<String>,
    licence: Option<String>,
    source: Source,
    #[serde(deserialize_with = "each_once")]
    files: BTreeMap<String, FileWithRole>,
    #[serde(deserialize_with = "each_once")]
    exporter: BTreeMap<String, serde_json::Value>,
    probe: Probe2,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWithRole {
    sha256: String,
    bytes: u64,
    role: FileRole,
}

/// A probe with tokens of texts. Its fields are those of [`Probe`] and two more: serde cannot flatten a
/// struct that refuses unknown fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe2 {
    prompts: Vec<Vec<i32>>,
    relative_tolerance: f64,
    attention_tolerance: f64,
    hidden: Vec<HiddenProbe>,
    attention: Vec<AttentionProbe>,
    logits: Vec<LogitsProbe>,
    #[serde(default)]
    head: Vec<HeadProbe>,
    texts: Vec<TextProbe>,
    #[serde(default)]
    conversations: Vec<Conversation>,
}

impl From<Format1> for Wire {
    fn from(card: Format1) -> Self {
        Self {
            family: card.family,
            n_layer: card.n_layer,
            n_head: card.n_head,
            n_kv_head: card.n_head,
            // Checked to divide before anything is made of it.
            d_head: card.d_model / usize::try_from(card.n_head.max(1)).unwrap_or(1),
            d_model: card.d_model,
            d_ff: 4 * card.d_model,
            vocab_size: card.vocab_size,
            n_positions: card.n_positions,
            // A negative number is refused soon.
            windows: vec![None; usize::try_from(card.n_layer).unwrap_or(0)],
            positions: Some(Positions::Learned),
            dtype: Dtype::F32,
            accuracy: None,
            special_tokens: None,
            chat_template: None,
            licence: None,
            source: card.source,
            files: card.files,
            exporter: card.exporter,
            probe: card.probe,
            texts: Vec::new(),
            conversations: Vec::new(),
        }
    }
}

impl TryFrom<Format2> for Wire {
    type Error = String;

    fn try_from(card: Format2) -> Result<Self, String> {
        for (name, facts) in &card.files {
            let expected = role_of(name);
            if facts.role != expected {
                return Err(format!(
                    "gives file '{}' the role {:?}, and by its name it is {expected:?}",
                    name.escape_debug(),
                    facts.role
                ));
            }
        }
        let plain = |facts: FileWithRole| FileFacts { sha256: facts.sha256, bytes: facts.bytes };
        let probe = card.probe;
        Ok(Self {
            family: card.family,
            n_layer: card.n_layer,
            n_head: card.n_head,
            n_kv_head: card.n_kv_head,
            d_head: card.d_head,
            d_model: card.d_model,
            d_ff: card.d_ff,
            vocab_size: card.vocab_size,
            n_positions: card.n_positions,
            windows: card.windows,
            positions: card.positions,
            dtype: card.dtype,
            accuracy: card.accuracy,
            special_tokens: Some(card.special_tokens),
            chat_template: card.chat_template,
            licence: card.licence,
            source: card.source,
            files: card.files.into_iter().map(|(name, facts)| (name, plain(facts))).collect(),
            exporter: card.exporter,
            probe: Probe {
                prompts: probe.prompts,
                relative_tolerance: probe.relative_tolerance,
                attention_tolerance: probe.attention_tolerance,
                hidden: probe.hidden,
                attention: probe.attention,
                logits: probe.logits,
                head: probe.head,
            },
            texts: probe.texts,
            conversations: probe.conversations,
        })
    }
}

/// What a file of that name is for.
fn role_of(name: &str) -> FileRole {
    match name {
        GRAPH => FileRole::Graph,
        PAST => FileRole::Past,
        HEAD => FileRole::Head,
        PATCH => FileRole::Patch,
        TOKENIZER => FileRole::Tokenizer,
        _ => FileRole::Weights,
    }
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

impl Wire {
    /// Reads a card, unchecked; the error follows the file's name.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let invalid = |error| format!("is not valid: {error}");
        let kind: Kind = serde_json::from_slice(text).map_err(invalid)?;
        match kind.format {
            1 if kind.family != GPT2 => Err(format!(
                "is of format 1 and family '{}', and format 1 is for family '{GPT2}' only",
                kind.family.escape_debug()
            )),
            1 => Ok(serde_json::from_slice::<Format1>(text).map_err(invalid)?.into()),
            2 | 3 => {
                let card: Format2 = serde_json::from_slice(text).map_err(invalid)?;
                if card.positions.is_some() != (kind.format == 3) {
                    return Err(
                        "has `positions`, which cards of format 3 have and no others, or is of \
                                format 3 and lacks them"
                            .to_owned(),
                    );
                }
                card.try_into()
            }
            other => Err(format!("has format {other}, and this aqlens reads formats 1 to 3 only")),
        }
    }
}

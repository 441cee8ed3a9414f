//! The pipeline file as it is written: every key, its type and its meaning. The JSON Schema is made
//! from these types.

mod forms;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

pub use self::forms::{ChatConfig, FormConfig, MessageConfig};

use crate::model::{ProviderChoice, SpecialTokens};
use crate::stages::StageConfig;
use crate::table::schema::RAW;

/// A pipeline of aqlens: which inputs are put under which tasks, which model runs them, and what is
/// measured.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "aqlens pipeline")]
pub struct PipelineConfig {
    /// Name of the pipeline and of its default run directory, `runs/<name>`: letters, digits, `.`,
    /// `_` and `-`, not starting with `.`.
    #[schemars(required)]
    pub name: Option<String>,
    /// The model folder that `aqlens-export` made; relative to this file.
    #[schemars(required)]
    pub model: Option<String>,
    /// The prompt: a text with `{task}` and, once, `{input}` in it. The notebook's when left out.
    pub prompt: Option<String>,
    /// Instead of `prompt`: messages that the model's own chat template turns into one.
    pub chat: Option<ChatConfig>,
    /// Short for `chat: { messages: ... }`.
    pub messages: Option<Vec<MessageConfig>>,
    /// Instead of all three: several ways of putting a task to an input, by name. Each scenario is run in
    /// all of them, as scenario `NAME@FORM`.
    #[schemars(with = "Option<BTreeMap<String, FormConfig>>")]
    pub forms: Option<IndexMap<String, FormConfig>>,
    /// Special tokens around every prompt: `auto` for those that the model's tokenizer adds, or `none`.
    #[serde(default)]
    pub special_tokens: SpecialTokens,
    /// Groups of inputs and the tasks that all of them are put under.
    #[schemars(with = "Vec<ScenarioConfig>")]
    pub scenarios: Option<IgnoredAny>,
    /// What to do with the prompts, in this order.
    #[schemars(with = "Vec<StageConfig>")]
    pub stages: Option<IgnoredAny>,
    /// What to run the model on; `auto` takes the GPU when one can be used.
    #[serde(default)]
    pub provider: ProviderChoice,
    /// Whether the GPU may round matrix products to TF32: faster, and about three digits less.
    #[serde(default)]
    pub tf32: bool,
    /// Raw tables that stay on the disk once the stages that read them are done; all of them when
    /// left out.
    pub retain: Option<Vec<RawTable>>,
    /// Inputs that are run, measured and recorded together; when left out, as many as make 512 prompts
    /// or about 256 MiB of raw tables.
    pub shard_inputs: Option<NonZeroU32>,
    /// Share of all prompts, 0 to 1, that may be skipped before the run stops; 0.01 when left out.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_skipped: Option<f64>,
    /// Seed of everything that is drawn at random; 37 when left out.
    pub seed: Option<u64>,
}

/// Inputs, and the tasks that all of them are put under.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioConfig {
    /// Name of the scenario, in column `scenario` of every table.
    #[schemars(required)]
    pub name: Option<String>,
    /// The inputs: texts by id, or files of them.
    #[schemars(with = "InputsConfig")]
    pub inputs: Option<IgnoredAny>,
    /// The tasks: questions or instructions by id, or files of them.
    #[schemars(with = "TasksConfig")]
    pub tasks: Option<IgnoredAny>,
    /// Prompts that show how much of a difference is there without another task; none when left
    /// out.
    #[serde(default)]
    pub controls: ControlsConfig,
}

/// Controls of every task, made from its first wording but for `other_input`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControlsConfig {
    /// Prefixes that ask for nothing: `auto` makes two as long as the task, `{ auto: N }` as many as
    /// that says; any other text, or list of texts, is taken as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neutral: Option<NeutralConfig>,
    /// The task's own words in an order drawn by the seed.
    pub scrambled: bool,
    /// The task, put to another input of the scenario: the next one that is of another cluster. One
    /// cluster of inputs after the other has another wording.
    pub other_input: bool,
}

/// The texts of the neutral control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum NeutralConfig {
    /// `auto`, or the text of every task.
    Text(String),
    /// Several texts of every task.
    Texts(Vec<String>),
    /// Made to the length of each task.
    Made(MadeConfig),
}

/// Texts that are made to the length of each task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeConfig {
    /// How many, 1 to 4.
    #[schemars(range(min = 1, max = 4))]
    pub auto: i64,
}

/// By hand, for the messages, as below.
impl<'de> Deserialize<'de> for NeutralConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = NeutralConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`auto`, `{ auto: 2 }`, text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NeutralConfig, E> {
                Ok(NeutralConfig::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<NeutralConfig, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(NeutralConfig::Texts(texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NeutralConfig, A::Error> {
                MadeConfig::deserialize(MapAccessDeserializer::new(map)).map(NeutralConfig::Made)
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// Inputs: `id: text`, or files.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum InputsConfig {
    /// Files with a column of ids and a column of texts.
    File(FileConfig),
    /// Texts by id.
    Inline(BTreeMap<String, String>),
}

/// Tasks: `id: text`, `id: { wordings: [...] }`, or files, where rows with one id are one task's
/// wordings.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum TasksConfig {
    /// Files with a column of ids and a column of texts.
    File(FileConfig),
    /// Tasks by id.
    Inline(BTreeMap<String, TaskConfig>),
}

/// One task.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum TaskConfig {
    /// Its only wording.
    Text(String),
    /// Several phrasings of the same question.
    Wordings(WordingsConfig),
    /// Inputs with their answers, in place of a question or behind it.
    Examples(ExamplesConfig),
}

/// Several phrasings of one task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WordingsConfig {
    /// The phrasings; the notebook's measures use the first.
    pub wordings: Vec<String>,
}

/// A task by example (few-shot): demonstrations stand where `{task}` does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExamplesConfig {
    /// A list, a file, or the name of a file with columns `input` and `answer`.
    #[schemars(with = "ExamplesListConfig")]
    pub examples: Option<IgnoredAny>,
    /// An instruction in front of them.
    pub wording: Option<String>,
    /// How many examples a wording of the task has: the first ones make its first wording, the next ones
    /// the next. All make one when left out.
    pub shots: Option<NonZeroU32>,
    /// How an example is written, with `{input}` and `{answer}`; as the prompt has its input when left out.
    pub format: Option<String>,
}

/// Examples: written here, or in a file.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum ExamplesListConfig {
    /// A file with columns `input` and `answer`.
    Path(String),
    /// A file.
    File(ExamplesFileConfig),
    /// Here.
    List(Vec<ExampleConfig>),
}

/// An input and its answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExampleConfig {
    /// The input's text.
    pub input: String,
    /// The right answer.
    pub answer: String,
}

/// Files of examples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExamplesFileConfig {
    /// As for inputs.
    pub file: OneOrMany,
    /// Their column of inputs.
    pub input: String,
    /// Their column of answers.
    pub answer: String,
    /// SHA-256 that the file must have, when it is given.
    pub sha256: Option<OneOrMany>,
}

/// Files of inputs or tasks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// A file, a pattern as `data/*.jsonl`, or a list of both: `.jsonl`, `.ndjson`, `.csv`, `.tsv`, each
    /// also with `.gz` or `.zst` behind, or `.parquet`; relative to this file.
    pub file: OneOrMany,
    /// Their column of ids; `row` numbers the rows of files that have no column of this name.
    pub id: String,
    /// Their column of texts.
    pub text: String,
    /// Of inputs: their column of clusters, text or whole numbers. Rows with one value are one piece of
    /// evidence, as are rows with one text; a row without a value is its own cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// SHA-256 that the file must have, when it is given; of several files a list, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<OneOrMany>,
}

/// A text, or a list of texts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(list) => list.iter(),
        }
    }

    /// Whether it is written as a list.
    pub fn is_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }
}

/// By hand, for the messages: serde's own says only that no variant fits.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany::Many(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl FileConfig {
    /// Its keys.
    pub(super) const KEYS: [&str; 5] = ["file", "id", "text", "cluster", "sha256"];
}

/// A table that can go once the measures are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawTable {
    /// The residual stream at every token.
    Activations,
    /// Attention of the last token.
    Attention,
    /// Scores of every next token.
    Logits,
}

impl RawTable {
    /// All of them, in the order of [`RAW`].
    pub const ALL: [Self; 3] = [Self::Activations, Self::Attention, Self::Logits];

    /// The table's name.
    pub fn name(self) -> &'static str {
        RAW[self as usize].name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_raw_table_can_be_retained_by_its_name() {
        for (table, raw) in RawTable::ALL.iter().zip(RAW) {
            let read: RawTable = serde_json::from_value(raw.name.into()).unwrap();
            assert_eq!((read, table.name()), (*table, raw.name));
        }
    }
}

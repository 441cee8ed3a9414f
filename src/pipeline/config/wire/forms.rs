//! How prompts are made, as it is written.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ChatValue, SpecialTokens};

/// One way of putting a task to an input: one of `prompt`, `chat` and `messages`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FormConfig {
    /// A text with `{task}` and, once, `{input}` in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Messages that the model's own chat template turns into a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatConfig>,
    /// Short for `chat: { messages: ... }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<MessageConfig>>,
    /// Special tokens around a `prompt`; the pipeline's when left out. A chat has those of its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_tokens: Option<SpecialTokens>,
}

/// A chat: `{task}` and, once, `{input}` stand in its messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatConfig {
    /// The system message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The user's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How the answer begins: the model goes on behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant: Option<String>,
    /// Instead of the three: any messages; where the last is an assistant's, the model goes on behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<MessageConfig>>,
    /// Variables of the template, such as `enable_thinking: false`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub variables: IndexMap<String, ChatValue>,
    /// The day that it is, as in `2026-01-31`, for templates that ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Whether tasks and inputs may have the texts of special tokens in them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_special_tokens: bool,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageConfig {
    /// Who says it: `system`, `user`, `assistant` or what else the template knows.
    pub role: String,
    /// The text.
    pub content: String,
}

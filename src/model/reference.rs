//! The probe of a model folder: prompts, and what PyTorch computed on them when it was exported.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Tokens of the largest probe, padding counted: it runs as one batch.
const MOST_TOKENS: usize = 1 << 16;

/// Prompts and what PyTorch computed on them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Token ids, of different lengths, so that padding is probed too.
    pub prompts: Vec<Vec<i32>>,
    /// How far a number may be from PyTorch's, as a fraction of its vector's norm.
    pub relative_tolerance: f64,
    /// How far an attention weight may be from PyTorch's.
    pub attention_tolerance: f64,
    /// Block outputs.
    pub hidden: Vec<HiddenProbe>,
    /// Attention rows.
    pub attention: Vec<AttentionProbe>,
    /// Scores of the next token.
    pub logits: Vec<LogitsProbe>,
    /// What the head makes of block outputs; empty in folders without one.
    #[serde(default)]
    pub head: Vec<HeadProbe>,
}

/// Some numbers of one block output at one position.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenProbe {
    /// The block.
    pub layer: i16,
    /// Index into the probe's prompts.
    pub prompt: usize,
    /// The token's position.
    pub position: usize,
    /// Euclidean norm of the whole vector.
    pub norm: f64,
    /// Which of its numbers.
    pub index: Vec<usize>,
    /// Their values.
    pub value: Vec<f64>,
}

/// One attention row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionProbe {
    /// The block.
    pub layer: i16,
    /// Index into the probe's prompts.
    pub prompt: usize,
    /// The head.
    pub head: usize,
    /// The attending token's position.
    pub query: usize,
    /// Its weights on the keys `0..=query`.
    pub value: Vec<f64>,
}

/// Some of one prompt's logits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogitsProbe {
    /// Index into the probe's prompts.
    pub prompt: usize,
    /// Euclidean norm of all logits.
    pub norm: f64,
    /// Which of them.
    pub index: Vec<usize>,
    /// Their values.
    pub value: Vec<f64>,
}

/// Some of the logits that the head makes of one block output at one position.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadProbe {
    /// The block.
    pub layer: i16,
    /// Index into the probe's prompts.
    pub prompt: usize,
    /// The token's position.
    pub position: usize,
    /// Euclidean norm of all logits.
    pub norm: f64,
    /// Which of them.
    pub index: Vec<usize>,
    /// Their values.
    pub value: Vec<f64>,
}

/// A text and its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextProbe {
    /// The text.
    pub text: String,
    /// Its tokens as the model's own tokenizer makes them, special ones among them.
    pub ids: Vec<i32>,
}

/// A conversation, and what the chat template makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// What was said.
    pub messages: Vec<Message>,
    /// Whether the template's own beginning of an answer follows.
    pub add_generation_prompt: bool,
    /// Whether the last message, an assistant's, is the beginning of what the model goes on with: the text
    /// ends with it.
    #[serde(default)]
    pub continue_final: bool,
    /// The day that the template was given for today, as `2026-01-02`, when it asks for it.
    #[serde(default)]
    pub date: Option<String>,
    /// The rendered text.
    pub text: String,
    /// Its tokens.
    pub ids: Vec<i32>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// The shape that a probe must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) n_layer: i16,
    pub(super) n_head: i16,
    pub(super) d_model: usize,
    pub(super) vocab_size: usize,
    pub(super) n_positions: usize,
}

impl Probe {
    /// Checks that every row lies inside the model's shape. The error says what does not, in words that
    /// follow the name of the file.
    pub(super) fn check(&self, shape: Shape) -> Result<(), String> {
        if self.prompts.is_empty() || self.hidden.is_empty() || self.logits.is_empty() {
            return Err("has a probe without prompts, hidden or logits values".to_owned());
        }
        for tolerance in [self.relative_tolerance, self.attention_tolerance] {
            if !(tolerance > 0.0 && tolerance < 0.1) {
                return Err(format!(
                    "has a probe tolerance of {tolerance}, which must be in 0..0.1"
                ));
            }
        }
        let longest = self.prompts.iter().map(Vec::len).max().unwrap_or(0);
        if self.prompts.len().saturating_mul(longest) > MOST_TOKENS {
            return Err(format!(
                "has a probe of {} prompts of up to {longest} tokens, which is more than \
                 {MOST_TOKENS} tokens",
                self.prompts.len()
            ));
        }
        for (i, prompt) in self.prompts.iter().enumerate() {
            let known = |id: &i32| usize::try_from(*id).is_ok_and(|id| id < shape.vocab_size);
            if prompt.is_empty() || prompt.len() > shape.n_positions || !prompt.iter().all(known) {
                return Err(format!(
                    "has probe prompt {i} of {} tokens, which must be 1 to {} ids below {}",
                    prompt.len(),
                    shape.n_positions,
                    shape.vocab_size
                ));
            }
        }
        let good = [
            ("hidden", self.hidden.iter().all(|row| self.holds_hidden(row, shape))),
            ("attention", self.attention.iter().all(|row| self.holds_attention(row, shape))),
            ("logits", self.logits.iter().all(|row| self.holds_logits(row, shape))),
            ("head", self.head.iter().all(|row| self.holds_head(row, shape))),
        ];
        if let Some((name, _)) = good.iter().find(|(_, good)| !good) {
            return Err(format!("has a probe whose {name} values lie outside the model's shape"));
        }
        self.check_layers(shape.n_layer)
    }

    fn check_layers(&self, n_layer: i16) -> Result<(), String> {
        let hidden: BTreeSet<i16> = self.hidden.iter().map(|row| row.layer).collect();
        let attention: BTreeSet<i16> = self.attention.iter().map(|row| row.layer).collect();
        for (name, probed) in [("hidden", hidden), ("attention", attention)] {
            if let Some(layer) = (0..n_layer).find(|layer| !probed.contains(layer)) {
                return Err(format!(
                    "has a probe without {name} values of layer {layer}: every layer must have \
                     some, or a graph with wrong numbers there would pass"
                ));
            }
        }
        Ok(())
    }

    fn length(&self, prompt: usize) -> usize {
        self.prompts.get(prompt).map_or(0, Vec::len)
    }

    fn holds_hidden(&self, row: &HiddenProbe, shape: Shape) -> bool {
        (0..shape.n_layer).contains(&row.layer)
            && row.position < self.length(row.prompt)
            && pairs(&row.index, &row.value, shape.d_model)
    }

    fn holds_attention(&self, row: &AttentionProbe, shape: Shape) -> bool {
        (0..shape.n_layer).contains(&row.layer)
            && row.query < self.length(row.prompt)
            && row.head < shape.n_head as usize
            && row.value.len() == row.query + 1
    }

    fn holds_logits(&self, row: &LogitsProbe, shape: Shape) -> bool {
        self.length(row.prompt) > 0 && pairs(&row.index, &row.value, shape.vocab_size)
    }

    fn holds_head(&self, row: &HeadProbe, shape: Shape) -> bool {
        (0..shape.n_layer).contains(&row.layer)
            && row.position < self.length(row.prompt)
            && pairs(&row.index, &row.value, shape.vocab_size)
    }
}

fn pairs(index: &[usize], value: &[f64], width: usize) -> bool {
    index.len() == value.len() && index.iter().all(|i| *i < width)
}

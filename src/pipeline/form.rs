//! How a task and an input become a prompt: a template of text, or a chat that the model's own chat
//! template renders.

use super::chat::Chat;
use super::config::wire::FormConfig;
use super::template::{Filled, Template};

/// One way of putting a task to an input.
#[derive(Debug)]
pub struct Form {
    /// Its name, where the pipeline has several: a scenario's prompts of this form are those of scenario
    /// `NAME@FORM`. Empty for the only one.
    pub name: String,
    /// As the pipeline file has it.
    pub config: FormConfig,
    /// Whether prompts have the special tokens that the model's tokenizer puts around texts.
    pub adds_special_tokens: bool,
    /// What makes the text.
    pub body: Body,
}

/// What makes a prompt's text.
#[derive(Debug)]
pub enum Body {
    /// A text with task and input put in.
    Plain(Template),
    /// Messages with task and input put in.
    Chat(Chat),
}

impl Form {
    /// The prompt of a task and an input.
    ///
    /// # Errors
    /// When the chat template fails on it, in words that follow the prompt's name.
    pub fn fill(&self, task: &str, input: &str) -> Result<Filled, String> {
        match &self.body {
            Body::Plain(template) => Ok(template.fill(task, input)),
            Body::Chat(chat) => chat.fill(task, input),
        }
    }

    /// The chat, if it is one.
    pub fn chat(&self) -> Option<&Chat> {
        match &self.body {
            Body::Plain(_) => None,
            Body::Chat(chat) => Some(chat),
        }
    }

    /// The word for it in tables and reports: its name, else `plain` or `chat`.
    pub fn label(&self) -> &str {
        match (self.name.as_str(), &self.body) {
            ("", Body::Plain(_)) => "plain",
            ("", Body::Chat(_)) => "chat",
            (name, _) => name,
        }
    }

    /// Bytes of text around task and input, about.
    pub(super) fn text_bytes(&self) -> u64 {
        match &self.config.prompt {
            Some(prompt) => prompt.len() as u64,
            None => self.fill("x", "x").map_or(0, |filled| filled.text.len() as u64),
        }
    }
}

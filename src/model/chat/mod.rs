//! The model's chat template: messages to the text that the model was trained on.
//!
//! Templates are Jinja programs that transformers runs in its own environment; here minijinja runs them
//! in one that is set up alike (`environment.rs`). Whether that gives the same text is not assumed: the
//! card has conversations as transformers rendered them, and a template is used only when each comes
//! out the same. A template may come from anybody: it has no files, no clock, and a bounded number of
//! steps.

mod environment;
mod python;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use indexmap::IndexMap;
use minijinja::Environment;
pub use minijinja::Value as ChatValue;

use super::reference::{Conversation, Message};
use super::{ModelCard, ModelError};
use crate::guard;

/// What is written behind the last message to find its end, as transformers does it.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Characters around the first difference that an error shows.
const SHOWN: usize = 40;

/// A chat template that renders what the model's own tokenizer does.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Texts of special tokens by the names that templates know: `bos_token`, ...
    named: BTreeMap<String, String>,
}

/// What a rendering depends on beside its messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatOptions {
    /// Whether the last message is the beginning of an answer, which the model goes on with; else the
    /// template's own beginning of an answer follows.
    pub continues: bool,
    /// Variables of the template, such as `enable_thinking`.
    pub variables: IndexMap<String, ChatValue>,
    /// The day that it is for templates that ask.
    pub date: Option<NaiveDate>,
}

impl ChatTemplate {
    /// The template of a model, proven on the conversations of its card.
    ///
    /// # Errors
    /// When the card has no template, the template is not valid, or it renders a conversation of the
    /// card otherwise than transformers did.
    pub fn of(card: &ModelCard) -> Result<Self, ModelError> {
        let fail = |problem: String| ModelError::ChatTemplate { path: card.path(), problem };
        let Some(source) = &card.chat_template else {
            return Err(fail("has no chat template: the model was not made for chats".to_owned()));
        };
        let named = card.special_tokens.iter().flat_map(|tokens| &tokens.named);
        let named = named.map(|(name, token)| (format!("{name}_token"), token.text.clone()));
        let template = Self::new(source, named.collect())
            .map_err(|why| fail(format!("has a chat template that is not valid: {why}")))?;
        if card.conversations.is_empty() {
            let why = "has no conversation that its chat template could be proven on";
            return Err(fail(why.to_owned()));
        }
        for conversation in &card.conversations {
            template.prove(conversation).map_err(fail)?;
        }
        Ok(template)
    }

    /// Compiles a template; the error says what is wrong with it.
    fn new(source: &str, named: BTreeMap<String, String>) -> Result<Self, String> {
        let compiled = guard::caught(|| environment::environment(source));
        let environment = compiled.map_err(|words| format!("minijinja panics ({words})"))??;
        Ok(Self { environment, named })
    }

    /// The text of a chat. Nothing is put around it: templates have their special tokens in them.
    ///
    /// # Errors
    /// In the template's own words, or minijinja's: a role that it does not take, a date that it asks
    /// for, a last message that it leaves out.
    pub fn render(&self, messages: &[Message], options: &ChatOptions) -> Result<String, String> {
        let Some(last) = messages.last() else { return Err("there is no message".to_owned()) };
        let mut messages = messages.to_vec();
        if let Some(message) = messages.last_mut().filter(|_| options.continues) {
            message.content.push_str(TAG);
        }
        let text = self.run(&messages, options, !options.continues)?;
        if options.continues { cut(text, last.content.trim()) } else { Ok(text) }
    }

    /// The text of these messages, and the beginning of an answer behind them if that is wanted.
    fn run(
        &self,
        messages: &[Message],
        options: &ChatOptions,
        begins_answer: bool,
    ) -> Result<String, String> {
        let mut context: BTreeMap<&str, ChatValue> = BTreeMap::new();
        for (name, text) in &self.named {
            context.insert(name, text.as_str().into());
        }
        for (name, value) in &options.variables {
            context.insert(name, value.clone());
        }
        context.insert("messages", messages.iter().map(fields).collect::<Vec<_>>().into());
        context.insert("add_generation_prompt", begins_answer.into());
        for missing in ["tools", "documents"] {
            context.entry(missing).or_insert_with(|| ().into());
        }
        let date = options.date;
        let now = move |format: &str| python::strftime(date, format);
        context.insert("strftime_now", ChatValue::from_function(now));
        let render = || {
            let template = self.environment.get_template(environment::NAME)?;
            template.render(ChatValue::from_pairs(context))
        };
        match guard::caught(render) {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(environment::words(&error)),
            Err(words) => Err(format!("minijinja panics ({words})")),
        }
    }

    /// Compares a conversation with what transformers made of it; the error follows the card's name.
    fn prove(&self, of: &Conversation) -> Result<(), String> {
        let date = of.date.as_deref().map(str::parse).transpose();
        let date = date.map_err(|error| format!("has a conversation of no known day: {error}"))?;
        let options = ChatOptions { continues: of.continue_final, date, ..ChatOptions::default() };
        let found = if options.continues {
            self.render(&of.messages, &options)
        } else {
            self.run(&of.messages, &options, of.add_generation_prompt)
        };
        let found = found.map_err(|why| {
            format!("has a chat template that fails on one of its own conversations: {why}")
        })?;
        if found == of.text {
            return Ok(());
        }
        let same = found.chars().zip(of.text.chars()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| -> String {
            text.chars().skip(same.saturating_sub(SHOWN / 2)).take(SHOWN).collect()
        };
        Err(format!(
            "has a chat template that renders {:?} here and {:?} in transformers, at character {same} of \
             a conversation of {} messages",
            part(&found),
            part(&of.text),
            of.messages.len()
        ))
    }
}

fn fields(message: &Message) -> ChatValue {
    ChatValue::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())])
}

/// The text up to the end of the last message, whose content, trimmed, is given.
fn cut(mut text: String, content: &str) -> Result<String, String> {
    let tag = TAG.trim_end();
    let at = text.rfind(tag).filter(|_| text.contains(content));
    let Some(at) = at else {
        return Err(
            "it leaves out or changes the last message, which the answer goes on from".into()
        );
    };
    let keeps_blanks = text[at..].starts_with(TAG);
    text.truncate(at);
    if !keeps_blanks {
        text.truncate(text.trim_end().len());
    }
    Ok(text)
}

#[cfg(test)]
mod tests;

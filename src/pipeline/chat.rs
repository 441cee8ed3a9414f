//! A chat with task and input in its messages.
//!
//! Templates trim and wrap what they are given, so where task and input are in the rendered text is found
//! by rendering twice: as it is, and with marks around both. Taken out again, the marks must leave the
//! first text; then their places are those of task and input, and else there is an error.

use std::ops::Range;
use std::sync::Arc;

use super::template::{Filled, Slot, Template};
use crate::model::{ChatOptions, ChatTemplate, Message};
use crate::prompt::exact;

/// Characters that nobody's text means anything by.
const PRIVATE: std::ops::RangeInclusive<char> = '\u{e000}'..='\u{f8ff}';

/// Messages with `{task}` and `{input}` in them.
#[derive(Debug, Clone)]
pub struct Chat {
    pub(super) template: Arc<ChatTemplate>,
    pub(super) turns: Vec<Turn>,
    pub(super) options: ChatOptions,
    /// Whether task and input may have the texts of special tokens in them.
    pub(super) allows_special_tokens: bool,
}

/// A message before task and input are put in.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) content: Template,
}

/// A message's text without blanks at its ends, and where task and input are in it.
struct Content {
    text: String,
    spans: Vec<(Slot, Range<usize>)>,
}

impl Chat {
    /// Whether the model goes on with a message that the pipeline begins.
    pub fn continues(&self) -> bool {
        self.options.continues
    }

    /// The roles of its messages, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().map(|turn| turn.role.as_str())
    }

    /// The rendered chat, and where task and input are in it. Blanks at the ends of messages are left
    /// out, as most templates do by themselves.
    pub(super) fn fill(&self, task: &str, input: &str) -> Result<Filled, String> {
        let contents: Vec<Content> =
            self.turns.iter().map(|turn| Content::of(&turn.content, task, input)).collect();
        let render = |text: &dyn Fn(&Content) -> String| {
            let message = |(turn, content): (&Turn, &Content)| Message {
                role: turn.role.clone(),
                content: text(content),
            };
            let messages: Vec<Message> = self.turns.iter().zip(&contents).map(message).collect();
            let rendered = self.template.render(&messages, &self.options);
            rendered
                .map_err(|why| format!("cannot be rendered by the model's chat template: {why}"))
        };
        let plain = render(&|content| content.text.clone())?;
        let marks = Marks::not_in(&plain)?;
        let (text, spans) = marks.take_out(&render(&|content| content.marked(&marks))?);
        if text != plain {
            let same = text.chars().zip(plain.chars()).take_while(|(a, b)| a == b).count();
            let from: String = plain.chars().skip(same.saturating_sub(20)).take(40).collect();
            return Err(format!(
                "changes under the model's chat template, so that task and input cannot be found in it: \
                 near {}",
                exact(&from)
            ));
        }
        let of = |wanted: Slot| spans.iter().filter(move |(slot, _)| *slot == wanted);
        let task_spans: Vec<Range<usize>> = of(Slot::Task).map(|(_, span)| span.clone()).collect();
        let inputs: Vec<Range<usize>> = of(Slot::Input).map(|(_, span)| span.clone()).collect();
        match (inputs.as_slice(), task_spans.is_empty()) {
            ([input_span], false) => {
                Ok(Filled { text: plain, input_span: input_span.clone(), task_spans })
            }
            ([_], true) => Err("has no task: the chat template leaves its message out".to_owned()),
            (inputs, _) => Err(format!(
                "has its input {} times, once is needed: the chat template leaves its message out or \
                 repeats it",
                inputs.len()
            )),
        }
    }
}

impl Content {
    fn of(template: &Template, task: &str, input: &str) -> Self {
        let (text, spans) = template.put(task, input);
        let start = text.len() - text.trim_start().len();
        let text = text.trim();
        let inside = |at: usize| at.saturating_sub(start).min(text.len());
        let spans =
            spans.into_iter().map(|(slot, span)| (slot, inside(span.start)..inside(span.end)));
        Self { text: text.to_owned(), spans: spans.collect() }
    }

    fn marked(&self, marks: &Marks) -> String {
        let mut text = String::new();
        let mut done = 0;
        for (slot, span) in &self.spans {
            let [open, close] = marks.of(*slot);
            text.push_str(&self.text[done..span.start]);
            text.push(open);
            text.push_str(&self.text[span.clone()]);
            text.push(close);
            done = span.end;
        }
        text.push_str(&self.text[done..]);
        text
    }
}

/// Characters that are written around task and input.
struct Marks([char; 4]);

impl Marks {
    fn not_in(text: &str) -> Result<Self, String> {
        let mut free = PRIVATE.filter(|mark| !text.contains(*mark));
        let mut next = || free.next();
        let marks = [next(), next(), next(), next()];
        let [Some(a), Some(b), Some(c), Some(d)] = marks else {
            return Err(
                "has nearly every character for private use in it: take some out".to_owned()
            );
        };
        Ok(Self([a, b, c, d]))
    }

    fn of(&self, slot: Slot) -> [char; 2] {
        let [a, b, c, d] = self.0;
        match slot {
            Slot::Task => [a, b],
            Slot::Input => [c, d],
        }
    }

    /// The text without marks, and what was between them.
    fn take_out(&self, marked: &str) -> (String, Vec<(Slot, Range<usize>)>) {
        let (mut text, mut spans) = (String::with_capacity(marked.len()), Vec::new());
        let mut open = [0; 2];
        for c in marked.chars() {
            match self.0.iter().position(|mark| *mark == c) {
                None => text.push(c),
                Some(0) => open[0] = text.len(),
                Some(1) => spans.push((Slot::Task, open[0]..text.len())),
                Some(2) => open[1] = text.len(),
                Some(_) => spans.push((Slot::Input, open[1]..text.len())),
            }
        }
        (text, spans)
    }
}

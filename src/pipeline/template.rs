//! The prompt template: text with `{task}` and `{input}` in it.

use std::ops::Range;

/// The notebook's prompt.
pub const NOTEBOOK_PROMPT: &str = "{task}\n\nContext: {input}\n\nAnswer:";

/// A template cut into its pieces; it, or those of one prompt together, hold `{input}` once and `{task}` at
/// least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Slot),
}

/// A template with task and input put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The prompt.
    pub text: String,
    /// Bytes of the input in it.
    pub input_span: Range<usize>,
    /// Bytes of the task in it, for each time it appears.
    pub task_spans: Vec<Range<usize>>,
}

/// What is wrong with a template, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateProblem {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// One of the two texts that go into a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Task,
    Input,
}

impl Template {
    /// Cuts `text`. A word of lower-case letters and `_` in braces is a placeholder; any other
    /// brace is text.
    ///
    /// # Errors
    /// All that is wrong with it: another placeholder than the two, or one of them missing, or
    /// `{input}` twice (the tables say where *the* input is).
    pub fn parse(text: &str) -> Result<Self, Vec<TemplateProblem>> {
        match Self::parse_all(&[text], "the template") {
            Ok(mut templates) => Ok(templates.remove(0)),
            Err(problems) => Err(problems.into_iter().map(|(_, problem)| problem).collect()),
        }
    }

    /// Likewise several texts that make one prompt; `all` names them together.
    ///
    /// # Errors
    /// As [`Template::parse`], each with the text that it is in; what is missing is missing in the last.
    pub(super) fn parse_all(
        texts: &[&str],
        all: &str,
    ) -> Result<Vec<Self>, Vec<(usize, TemplateProblem)>> {
        let mut problems = Vec::new();
        let mut templates = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            templates.push(Self::cut(text, &mut |problem| problems.push((i, problem))));
        }
        let last = texts.len().saturating_sub(1);
        let mut report = |message: String, help: &str| {
            problems.push((last, TemplateProblem { message, help: help.to_owned() }));
        };
        let pieces = || templates.iter().flat_map(|template: &Self| &template.pieces);
        let count = |piece: &Piece| pieces().filter(|other| *other == piece).count();
        if count(&Piece::Slot(Slot::Task)) == 0 {
            report(
                format!("{all} has no {{task}}"),
                "without it all prompts of an input are the same: write {task} where the task goes",
            );
        }
        match count(&Piece::Slot(Slot::Input)) {
            1 => {}
            0 => report(
                format!("{all} has no {{input}}"),
                "write {input} where the input's text goes",
            ),
            times => report(
                format!("{all} has {{input}} {times} times"),
                "keep one: the measures compare the input at one place in the prompt",
            ),
        }
        if problems.is_empty() { Ok(templates) } else { Err(problems) }
    }

    /// The pieces of a text; placeholders that are none go to `report`.
    fn cut(text: &str, report: &mut dyn FnMut(TemplateProblem)) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some(start) = rest.find('{') {
            let (before, after) = (&rest[..start], &rest[start + 1..]);
            plain.push_str(before);
            let Some(word) = placeholder(after) else {
                plain.push('{');
                rest = after;
                continue;
            };
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            match word {
                "task" => pieces.push(Piece::Slot(Slot::Task)),
                "input" => pieces.push(Piece::Slot(Slot::Input)),
                _ => report(TemplateProblem {
                    message: format!("unknown placeholder {{{word}}} in the template"),
                    help: "the placeholders are {task} and {input}".to_owned(),
                }),
            }
            rest = &after[word.len() + 1..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Self { pieces }
    }

    /// Puts task and input in, in one pass: braces in their texts mean nothing.
    pub fn fill(&self, task: &str, input: &str) -> Filled {
        let (text, spans) = self.put(task, input);
        let mut filled = Filled { text, input_span: 0..0, task_spans: Vec::new() };
        for (slot, span) in spans {
            match slot {
                Slot::Task => filled.task_spans.push(span),
                Slot::Input => filled.input_span = span,
            }
        }
        filled
    }

    /// The text with task and input in it, and where each of them is, in order.
    pub(super) fn put(&self, task: &str, input: &str) -> (String, Vec<(Slot, Range<usize>)>) {
        let (mut text, mut spans) = (String::new(), Vec::new());
        for piece in &self.pieces {
            let start = text.len();
            let slot = match piece {
                Piece::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                Piece::Slot(slot) => *slot,
            };
            text.push_str(if slot == Slot::Task { task } else { input });
            spans.push((slot, start..text.len()));
        }
        (text, spans)
    }

    /// What stands behind the last `{task}`, with `{input}` in it; nothing where the input stands before
    /// it or is not in this text.
    pub(super) fn behind_task(&self) -> Option<String> {
        let at = self.pieces.iter().rposition(|piece| *piece == Piece::Slot(Slot::Task))?;
        let behind = &self.pieces[at + 1..];
        behind.contains(&Piece::Slot(Slot::Input)).then(|| {
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Slot(_) => "{input}".to_owned(),
            };
            behind.iter().map(text).collect()
        })
    }
}

/// The word before the closing brace, when it is a placeholder's.
fn placeholder(after: &str) -> Option<&str> {
    // No further than the word: a text may have any number of braces, and none that closes.
    let end = after.find(|c: char| !c.is_ascii_lowercase() && c != '_')?;
    (end > 0 && after[end..].starts_with('}')).then(|| &after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_the_texts_mean_nothing() {
        let template = Template::parse(NOTEBOOK_PROMPT).unwrap();
        let filled = template.fill("what is {input}?", "é {task} {x}");
        assert_eq!(filled.text, "what is {input}?\n\nContext: é {task} {x}\n\nAnswer:");
        assert_eq!(&filled.text[filled.input_span], "é {task} {x}");
        assert_eq!(filled.task_spans.as_slice(), std::slice::from_ref(&(0..16)));
    }

    #[test]
    fn other_braces_of_the_template_are_text() {
        let template = Template::parse("{\"q\": \"{task}\", {{input}} {} {A} {").unwrap();
        assert_eq!(template.fill("T", "I").text, "{\"q\": \"T\", {I} {} {A} {");
        let template = Template::parse("{é} {a b} {task}{_}x}{input").unwrap_err();
        assert_eq!(template[0].message, "unknown placeholder {_} in the template");
    }

    #[test]
    fn every_mistake_of_a_template_is_reported() {
        let problems = Template::parse("{question} {input} {input}").unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "unknown placeholder {question} in the template",
                "the template has no {task}",
                "the template has {input} 2 times",
            ]
        );
        assert_eq!(
            Template::parse("{task}").unwrap_err()[0].message,
            "the template has no {input}"
        );
    }
}

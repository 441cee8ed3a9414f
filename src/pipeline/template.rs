//! The prompt template: text with `{task}` and `{input}` in it.

use std::ops::Range;

/// The notebook's prompt.
pub const NOTEBOOK_PROMPT: &str = "{task}\n\nContext: {input}\n\nAnswer:";

/// A template cut into its pieces; it holds `{input}` once and `{task}` at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Task,
    Input,
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

impl Template {
    /// Cuts `text`. A word of lower-case letters and `_` in braces is a placeholder; any other
    /// brace is text.
    ///
    /// # Errors
    /// All that is wrong with it: another placeholder than the two, or one of them missing, or
    /// `{input}` twice (the tables say where *the* input is).
    pub fn parse(text: &str) -> Result<Self, Vec<TemplateProblem>> {
        let mut problems = Vec::new();
        let mut report = |message: String, help: &str| {
            problems.push(TemplateProblem { message, help: help.to_owned() });
        };
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
                "task" => pieces.push(Piece::Task),
                "input" => pieces.push(Piece::Input),
                _ => report(
                    format!("unknown placeholder {{{word}}} in the template"),
                    "the placeholders are {task} and {input}",
                ),
            }
            rest = &after[word.len() + 1..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        let count = |piece: &Piece| pieces.iter().filter(|other| *other == piece).count();
        if count(&Piece::Task) == 0 {
            report(
                "the template has no {task}".to_owned(),
                "without it all prompts of an input are the same: write {task} where the task goes",
            );
        }
        match count(&Piece::Input) {
            1 => {}
            0 => report(
                "the template has no {input}".to_owned(),
                "write {input} where the input's text goes",
            ),
            times => report(
                format!("the template has {{input}} {times} times"),
                "keep one: the measures compare the input at one place in the prompt",
            ),
        }
        if problems.is_empty() { Ok(Self { pieces }) } else { Err(problems) }
    }

    /// Puts task and input in, in one pass: braces in their texts mean nothing.
    pub fn fill(&self, task: &str, input: &str) -> Filled {
        let mut filled = Filled { text: String::new(), input_span: 0..0, task_spans: Vec::new() };
        for piece in &self.pieces {
            let start = filled.text.len();
            match piece {
                Piece::Text(plain) => filled.text.push_str(plain),
                Piece::Task => {
                    filled.text.push_str(task);
                    filled.task_spans.push(start..filled.text.len());
                }
                Piece::Input => {
                    filled.text.push_str(input);
                    filled.input_span = start..filled.text.len();
                }
            }
        }
        filled
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

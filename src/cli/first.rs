//! The first prompt of each scenario as the model reads it.

use std::io::{self, Write};

use serde::Serialize;

use crate::model::{ModelError, Tokenizer};
use crate::pipeline::Pipeline;
use crate::pipeline::plan::{Plan, PlanError};
use crate::prompt::{Prompt, exact, visible};

/// Scenarios whose first prompt is shown.
const SCENARIOS: usize = 3;

/// Tasks of a scenario that are told apart.
const TASKS: usize = 6;

/// Characters of a prompt that are shown whole, and of those how many are its end.
const LONG: usize = 800;
const END: usize = 200;

/// Characters of another task that are shown.
const LONG_TASK: usize = 80;

/// Bytes of a prompt that is tokenised once more for this.
const MOST_BYTES: usize = 1 << 20;

/// The first prompts, of the first scenarios.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct FirstPrompts {
    /// A scenario each.
    pub(super) shown: Vec<FirstPrompt>,
    /// How many scenarios are not shown.
    pub(super) more_scenarios: usize,
}

/// A scenario's first prompt: its first input under its first task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FirstPrompt {
    scenario: String,
    input: String,
    task: String,
    /// The prompt; of a long one its beginning and its end.
    text: Cut,
    /// Tokens of it; `None` when it is so long that it was not tokenised for this.
    tokens: Option<usize>,
    last_token: Option<String>,
    /// What the tokenizer puts around a prompt by itself.
    special_tokens: Vec<String>,
    /// The first input under other tasks.
    others: Vec<Other>,
    /// How many tasks are not shown.
    more_tasks: usize,
}

/// The first input under another task of the same scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Other {
    task: String,
    /// The task's text.
    text: Cut,
    tokens: Option<usize>,
    last_token: Option<String>,
}

/// A text, or its beginning and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cut {
    start: String,
    left_out: usize,
    end: String,
}

impl Cut {
    fn new(text: &str, long: usize, end: usize) -> Self {
        let Some((cut, _)) = text.char_indices().nth(long) else {
            return Self { start: text.to_owned(), left_out: 0, end: String::new() };
        };
        let left_out = text[cut..].chars().count();
        let nth = |from_behind: usize| {
            let mut indices = text.char_indices().rev();
            indices.nth(from_behind.max(1) - 1).map_or(text.len(), |(at, _)| at)
        };
        let end = if end == 0 { text.len() } else { nth(end) };
        let kept = long - text[end..].chars().count();
        let start = text.char_indices().nth(kept).map_or(0, |(at, _)| at);
        Self { start: text[..start].to_owned(), left_out, end: text[end..].to_owned() }
    }
}

impl FirstPrompts {
    pub(super) fn of(
        pipeline: &Pipeline,
        plan: &Plan<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PlanError> {
        let specials = tokenizer.specials();
        let specials = specials.before.iter().chain(&specials.after);
        let special: Vec<String> = specials.map(|id| tokenizer.decode_token(*id)).collect();
        let mut shown = Vec::new();
        for (prompts, scenario) in
            plan.first_prompts(1 + TASKS).zip(&pipeline.scenarios).take(SCENARIOS)
        {
            let prompts = prompts?;
            let Some((first, others)) = prompts.split_first() else { continue };
            let (tokens, last_token) = tokens(first, tokenizer)?;
            let other = |prompt: &Prompt| -> Result<Other, ModelError> {
                let (tokens, last_token) = self::tokens(prompt, tokenizer)?;
                let task = prompt.task_spans.first().map_or("", |span| &prompt.text[span.clone()]);
                let text = Cut::new(task, LONG_TASK, 0);
                Ok(Other { task: prompt.key.task.to_string(), text, tokens, last_token })
            };
            shown.push(FirstPrompt {
                scenario: first.key.scenario.to_string(),
                input: first.key.input.to_string(),
                task: first.key.task.to_string(),
                text: Cut::new(&first.text, LONG, END),
                tokens,
                last_token,
                special_tokens: if first.is_bare { Vec::new() } else { special.clone() },
                others: others.iter().map(other).collect::<Result<_, _>>()?,
                more_tasks: scenario.tasks.len() - prompts.len(),
            });
        }
        let more_scenarios = pipeline.scenarios.len() - shown.len();
        Ok(Self { shown, more_scenarios })
    }

    /// For people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (first, label) in
            self.shown.iter().zip(std::iter::once("first").chain(std::iter::repeat("")))
        {
            first.write(label, out)?;
        }
        match self.more_scenarios {
            0 => Ok(()),
            1 => writeln!(out, "          and that of 1 more scenario"),
            n => writeln!(out, "          and those of {n} more scenarios"),
        }
    }
}

impl FirstPrompt {
    fn write(&self, label: &str, out: &mut impl Write) -> io::Result<()> {
        let [scenario, input, task] = [&self.scenario, &self.input, &self.task].map(|n| visible(n));
        let special = match self.special_tokens.as_slice() {
            [] => "none".to_owned(),
            some => some.iter().map(|token| exact(token)).collect::<Vec<_>>().join(", "),
        };
        let length = length(self.tokens, self.last_token.as_deref());
        writeln!(
            out,
            "{label:<10}{scenario}/{input}/{task}: {length}; special tokens that are added: {special}"
        )?;
        write_lines(&self.text.start, out)?;
        if self.text.left_out > 0 {
            writeln!(out, "            ... {} characters ...", self.text.left_out)?;
            write_lines(&self.text.end, out)?;
        }
        for other in &self.others {
            let last = other.last_token.as_deref().filter(|_| other.last_token != self.last_token);
            let length = self::length(other.tokens, last);
            let more = if other.text.left_out > 0 { " ..." } else { "" };
            let text = exact(&other.text.start);
            writeln!(out, "          {}: {length}: {text}{more}", visible(&other.task))?;
        }
        match self.more_tasks {
            0 => Ok(()),
            1 => writeln!(out, "          and 1 more task"),
            n => writeln!(out, "          and {n} more tasks"),
        }
    }
}

/// A line each, with its line break as an escape.
fn write_lines(text: &str, out: &mut impl Write) -> io::Result<()> {
    for line in text.split_inclusive('\n') {
        writeln!(out, "            {}", exact(line))?;
    }
    Ok(())
}

fn length(tokens: Option<usize>, last: Option<&str>) -> String {
    match (tokens, last) {
        (None, _) => "too long to be shown token by token".to_owned(),
        (Some(n), None) => format!("{n} tokens"),
        (Some(n), Some(last)) => format!("{n} tokens, the last one {}", exact(last)),
    }
}

/// How many tokens a prompt has, and the last of them.
fn tokens(
    prompt: &Prompt,
    tokenizer: &Tokenizer,
) -> Result<(Option<usize>, Option<String>), ModelError> {
    if prompt.text.len() > MOST_BYTES || tokenizer.prompt_too_long(prompt).is_some() {
        return Ok((None, None));
    }
    let ids = tokenizer.encode_prompt(prompt)?.ids;
    Ok((Some(ids.len()), ids.last().map(|id| tokenizer.decode_token(*id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let text = format!("é{}日本", "x".repeat(100));
        let cut = Cut::new(&text, 10, 3);
        assert_eq!((cut.start.as_str(), cut.end.as_str()), ("éxxxxxx", "x日本"));
        assert_eq!(cut.left_out, 93);
        let cut = Cut::new(&text, 10, 0);
        assert_eq!((cut.start.chars().count(), cut.end.as_str()), (10, ""));
        assert_eq!(Cut::new(&text, 103, 3), Cut { start: text, left_out: 0, end: String::new() });
    }
}

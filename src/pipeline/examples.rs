//! A task given by examples: inputs with their answers, in the place of an instruction or behind one.

use super::form::{Body, Form};

/// What stands between an instruction and examples where the prompt has no line break behind its task.
const BREAK: &str = "\n\n";

/// An input and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The input's text.
    pub input: String,
    /// What is right for it.
    pub answer: String,
}

/// The examples of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// All of them, in order.
    pub list: Vec<Example>,
    /// How many a wording of the task has: the first ones make the first wording, the next ones the next.
    pub shots: usize,
    /// An instruction in front of them.
    pub wording: Option<String>,
    /// How an example is written, with `{input}` and `{answer}`; else as the prompt has its input.
    pub format: Option<String>,
}

impl Examples {
    /// The task's wordings in prompts of this form; `None` when the form does not say how an example is
    /// written, and the task neither.
    pub fn wordings(&self, form: &Form) -> Option<Vec<String>> {
        let behind = behind_task(form);
        let gap =
            behind.as_deref().map_or("", |text| &text[..text.len() - text.trim_start().len()]);
        let gap = if gap.contains('\n') { gap } else { BREAK };
        let format = self.format.clone().or_else(|| behind.as_deref().map(with_answer))?;
        let wording = |shots: &[Example]| {
            let examples = shots.iter().map(|example| fill(&format, example));
            self.wording.iter().cloned().chain(examples).collect::<Vec<_>>().join(gap)
        };
        Some(self.list.chunks(self.shots.max(1)).map(wording).collect())
    }
}

/// What prompts of a form have behind the task, with `{input}` in it.
fn behind_task(form: &Form) -> Option<String> {
    match &form.body {
        Body::Plain(template) => template.behind_task(),
        Body::Chat(chat) => {
            let mut behind = chat.turns.iter().rev().find_map(|turn| turn.content.behind_task())?;
            if let Some(start) = chat.turns.last().filter(|_| chat.continues()) {
                behind.push_str(BREAK);
                behind.push_str(&start.content.put("", "").0);
            }
            Some(behind)
        }
    }
}

/// The text behind a task with an answer behind it: in the same line where something leads to it.
fn with_answer(behind: &str) -> String {
    let text = behind.trim();
    let gap = if text.ends_with("{input}") { "\n" } else { " " };
    format!("{text}{gap}{{answer}}")
}

/// Puts an example in, in one pass: braces in its texts mean nothing.
fn fill(format: &str, example: &Example) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("{input}") {
            text.push_str(&example.input);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("{answer}") {
            text.push_str(&example.answer);
            rest = behind;
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::config::wire::FormConfig;
    use crate::pipeline::template::Template;

    fn form(template: &str) -> Form {
        let body = Body::Plain(Template::parse(template).unwrap());
        let config = FormConfig::default();
        Form { name: String::new(), config, adds_special_tokens: true, body }
    }

    fn examples(shots: usize, wording: Option<&str>, format: Option<&str>) -> Examples {
        let example = |(input, answer): (&str, &str)| Example {
            input: input.to_owned(),
            answer: answer.to_owned(),
        };
        let list = [("a {answer}", "1"), ("b", "{input}")].map(example).to_vec();
        let [wording, format] = [wording, format].map(|text| text.map(str::to_owned));
        Examples { list, shots, wording, format }
    }

    #[test]
    fn examples_are_written_as_the_prompt_has_its_input() {
        let form = form("{task}\n\nContext: {input}\n\nAnswer:");
        let two = examples(2, Some("Count."), None).wordings(&form).unwrap();
        let [first, second] = ["Context: a {answer}\n\nAnswer: 1", "Context: b\n\nAnswer: {input}"];
        assert_eq!(two, [format!("Count.\n\n{first}\n\n{second}")]);
        assert_eq!(examples(1, None, None).wordings(&form).unwrap(), [first, second]);
    }

    #[test]
    fn an_answer_stands_below_an_input_that_nothing_leads_on_from() {
        let one = examples(1, None, None).wordings(&form("{task}: {input}")).unwrap();
        assert_eq!(one[0], ": a {answer}\n1");
        let given =
            examples(2, None, Some("{input} -> {answer};")).wordings(&form("{task} | {input}"));
        assert_eq!(given.unwrap(), ["a {answer} -> 1;\n\nb -> {input};"]);
    }

    #[test]
    fn a_prompt_with_its_input_before_the_task_says_nothing_of_examples() {
        let form = form("{input}\n{task}");
        assert_eq!(examples(1, None, None).wordings(&form), None);
        assert!(examples(1, None, Some("{input} {answer}")).wordings(&form).is_some());
    }
}

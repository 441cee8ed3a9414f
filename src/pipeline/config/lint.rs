//! What a pipeline holds that is used as it is written and was perhaps not meant: a warning each.

use std::collections::BTreeMap;

use super::shown;
use super::wire::FormConfig;
use crate::pipeline::{Form, Inputs, Odd, Pipeline, Scenario, Survey, Task};
use crate::prompt::alike;
use crate::yaml::{Path, Warnings, quote};

/// Everything odd in a valid pipeline.
pub(super) fn warnings(pipeline: &Pipeline) -> Warnings {
    let mut warnings = Warnings::default();
    let root = Path::default();
    for form in &pipeline.forms {
        self::form(form, &root, &mut warnings);
    }
    let at = root.key("scenarios");
    // Each is there once in every form.
    let scenarios = pipeline.scenarios.iter().filter(|scenario| scenario.form == 0);
    for (i, scenario) in scenarios.enumerate() {
        let at = at.index(i);
        inputs(scenario, &at.key("inputs"), &mut warnings);
        tasks(scenario, &at.key("tasks"), &mut warnings);
        shown::examples(scenario, &at.key("tasks"), &mut warnings);
    }
    warnings
}

fn form(form: &Form, root: &Path, warnings: &mut Warnings) {
    let at = match form.name.as_str() {
        "" => root.clone(),
        name => root.key("forms").key(name),
    };
    let FormConfig { prompt, chat, messages, .. } = &form.config;
    if let Some(text) = prompt {
        placeholders(text, &at.key("prompt"), warnings);
        end(text, &at.key("prompt"), warnings);
    }
    let chat_messages = chat.iter().flat_map(|chat| {
        let single = [&chat.system, &chat.user, &chat.assistant].into_iter().flatten();
        single.chain(chat.messages.iter().flatten().map(|message| &message.content))
    });
    for text in chat_messages.chain(messages.iter().flatten().map(|message| &message.content)) {
        let key = if chat.is_some() { "chat" } else { "messages" };
        placeholders(text, &at.key(key), warnings);
    }
}

fn placeholders(text: &str, at: &Path, warnings: &mut Warnings) {
    let mut warn = |kind, message: String| warnings.push(("prompt", kind), at, 1, || message);
    for placeholder in ["{task}", "{input}"] {
        if text.contains(&format!("{{{placeholder}}}")) {
            let says = "and its outer braces stay in the prompt: a placeholder has one pair";
            warn("braces", format!("the prompt has {{{placeholder}}}, {says}"));
        } else if text.contains(&format!("${placeholder}")) {
            warn(
                "dollar",
                format!("the prompt has ${placeholder}, and its `$` stays in the prompt"),
            );
        }
    }
    if let Some(near) = near_placeholder(text) {
        let says = "which stays as it is: the placeholders are {task} and {input}";
        warn("near", format!("the prompt has {}, {says}", quote(near)));
    }
    if ["\\n", "\\t", "\\r"].iter().any(|escape| text.contains(escape)) {
        let says = "the prompt has a backslash and a letter where a line break or a tab may be meant: \
                    `\\n` is a line break in double quotes, and two characters in single quotes or \
                    without quotes";
        warn("escape", says.to_owned());
    }
    if Odd::Hidden.is_in(text) {
        let says = "the prompt holds characters that cannot be seen, or a blank that is not the common \
                    one: `aqlens check` shows them as escapes";
        warn("hidden", says.to_owned());
    }
}

/// What a prompt ends with: blanks at the ends of a chat's messages are left out.
fn end(text: &str, at: &Path, warnings: &mut Warnings) {
    let mut warn = |kind, message: String| warnings.push(("prompt", kind), at, 1, || message);
    if text.ends_with(['\n', '\r']) {
        let says = "the prompt ends in a line break, from which the model goes on: a block text keeps \
                    it after `|`, and not after `|-`";
        warn("break", says.to_owned());
    } else if text.ends_with(char::is_whitespace) {
        let says = "the prompt ends in a blank: most tokenizers put a blank in front of the next word, \
                    so the model goes on from a token that it rarely saw there; remove the blank";
        warn("blank", says.to_owned());
    }
}

/// Braces around a placeholder's name that is spelt otherwise: `{ task }`, `{Input}`.
fn near_placeholder(text: &str) -> Option<&str> {
    text.match_indices('{').find_map(|(start, _)| {
        // No further than the word, as for a placeholder.
        let after = &text[start + 1..];
        let word = after.trim_start();
        let end = word.find(|c: char| !c.is_ascii_alphabetic())?;
        let behind = word[end..].trim_start().strip_prefix('}')?;
        let shown = &text[start..text.len() - behind.len()];
        let word = word[..end].to_lowercase();
        let is_near = ["task", "tasks", "input", "inputs"].contains(&&*word);
        (is_near && shown != format!("{{{word}}}")).then_some(shown)
    })
}

fn inputs(scenario: &Scenario, at: &Path, warnings: &mut Warnings) {
    let survey = scenario.inputs.survey();
    let Survey { odd, repeats, first_repeat, clusters, .. } = &*survey;
    let place = |id: &str| match scenario.inputs {
        Inputs::Inline(_) => at.key(id),
        Inputs::File(_) => at.key("file"),
    };
    for (odd, n, id) in odd {
        let what = || format!("input {} {}", quote(id), words(*odd));
        warnings.push(("input", name(*odd)), &place(id), *n, what);
    }
    if let Some((first, later)) = first_repeat {
        let (pair, at) = match &scenario.inputs {
            Inputs::Inline(list) => {
                let [first, later] = [first, later].map(|i| &list[*i as usize].id);
                (format!("{} and {}", quote(first), quote(later)), at.key(later))
            }
            Inputs::File(_) => {
                (format!("numbers {} and {} of the file", first + 1, later + 1), at.key("file"))
            }
        };
        let n = scenario.inputs.len();
        warnings.push(("input", "repeat"), &at, 1, || {
            format!(
                "{repeats} of the {n} inputs of scenario {} have the text of an earlier one, the first \
                 are {pair}: copies are one piece of evidence, which leaves {clusters} cluster{}",
                quote(&scenario.name),
                if *clusters == 1 { "" } else { "s" }
            )
        });
    }
    if scenario.controls.other_input && *clusters == 1 {
        let at = match scenario.inputs {
            Inputs::Inline(_) => at.clone(),
            Inputs::File(_) => at.key("file"),
        };
        warnings.push(("input", "other"), &at, 1, || {
            format!(
                "scenario {} has inputs of one cluster only: there is no other input for its control \
                 `other_input`, which is left out",
                quote(&scenario.name)
            )
        });
    }
}

fn tasks(scenario: &Scenario, at: &Path, warnings: &mut Warnings) {
    let place = |task: &Task| match scenario.tasks_file {
        None => at.key(&task.id),
        Some(_) => at.key("file"),
    };
    let mut known: BTreeMap<String, (&Task, &str)> = BTreeMap::new();
    for task in &scenario.tasks {
        for text in &task.wordings {
            for odd in Odd::ALL.into_iter().filter(|odd| odd.is_in(text)) {
                let what = || format!("task {} {}", quote(&task.id), words(odd));
                warnings.push(("task", name(odd)), &place(task), 1, what);
            }
            let Some((earlier, other)) = known.get(&alike(text)) else {
                known.insert(alike(text), (task, text));
                continue;
            };
            let [id, earlier_id] = [task, earlier].map(|task| quote(&task.id));
            let whose = if id == earlier_id {
                format!("two wordings of task {id}")
            } else {
                format!("a wording of task {id} and one of task {earlier_id}")
            };
            let name = quote(&scenario.name);
            if other == text {
                let what = || {
                    format!(
                        "{whose} of scenario {name} are the same text: what they lead to cannot differ"
                    )
                };
                warnings.push(("task", "repeat"), &place(task), 1, what);
            } else {
                let what = || format!("{whose} of scenario {name} differ in blanks or case only");
                warnings.push(("task", "alike"), &place(task), 1, what);
            }
        }
    }
}

fn name(odd: Odd) -> &'static str {
    match odd {
        Odd::Placeholder => "placeholder",
        Odd::Escape => "escape",
        Odd::LineBreak => "break",
        Odd::Blank => "blank",
        Odd::Hidden => "hidden",
        Odd::FileName => "file",
    }
}

/// What is odd, after the name of the text.
fn words(odd: Odd) -> &'static str {
    match odd {
        Odd::Placeholder => {
            "has {task} or {input} in it, which stays as it is: only the template has placeholders"
        }
        Odd::Escape => {
            "has a backslash and a letter where a line break or a tab may be meant: `\\n` is a line \
             break in double quotes only"
        }
        Odd::LineBreak => {
            "ends in a line break: a block text keeps it after `|`, and not after `|-`"
        }
        Odd::Blank => "begins or ends with a blank, which is part of the prompt",
        Odd::Hidden => {
            "holds characters that cannot be seen, or a blank that is not the common one"
        }
        Odd::FileName => {
            "looks like the name of a file: a file of texts is named by `{ file: ..., id: ..., \
             text: ... }`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_that_is_spelt_otherwise_is_found() {
        assert_eq!(near_placeholder("{task} { input }"), Some("{ input }"));
        assert_eq!(near_placeholder("{x} {Task}:"), Some("{Task}"));
        for text in ["{task} {{input}}", "{A} {} {input", "{", "{ \"task\": {task} }"] {
            assert_eq!(near_placeholder(text), None, "{text}");
        }
    }
}

//! How prompts are made: `prompt`, `chat` or `messages`, or several of them as `forms`.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::NaiveDate;
use indexmap::IndexMap;

use super::wire::{ChatConfig, FormConfig, MessageConfig};
use crate::model::{ChatOptions, ChatTemplate, ModelCard, SpecialTokens};
use crate::pipeline::chat::{Chat, Turn};
use crate::pipeline::template::{NOTEBOOK_PROMPT, Template};
use crate::pipeline::{Body, Form, Scenario, Task};
use crate::yaml::{Path, Problems, quote};

/// Most forms: every scenario is run in each.
const MOST: usize = 16;

/// Most messages of a chat.
const MOST_MESSAGES: usize = 1000;

/// What forms are read with.
pub(super) struct Forms<'a> {
    pub(super) card: Option<&'a ModelCard>,
    pub(super) special_tokens: SpecialTokens,
}

impl Forms<'_> {
    /// The pipeline's forms, at least one where nothing is wrong.
    pub(super) fn read(
        &self,
        written: FormConfig,
        forms: Option<IndexMap<String, FormConfig>>,
        problems: &mut Problems,
    ) -> Vec<Form> {
        let root = Path::default();
        let Some(forms) = forms else {
            return self.form(String::new(), written, &root, problems).into_iter().collect();
        };
        let at = root.key("forms");
        for (key, is_there) in given(&written) {
            if is_there {
                let message = format!("`{key}` stands beside `forms`");
                let help = format!("write it as a form: `forms: {{ NAME: {{ {key}: ... }} }}`");
                problems.push_key(&root.key(key), message, help);
            }
        }
        if forms.is_empty() || forms.len() > MOST {
            let message = format!("`forms` has {} forms, and needs 1 to {MOST}", forms.len());
            problems.push(
                &at,
                message,
                "write `NAME: { prompt: ... }` or `NAME: { chat: ... }` lines",
            );
        }
        let mut read = Vec::new();
        for (name, config) in forms {
            let at = at.key(&name);
            if name.trim().is_empty() || name.contains('@') {
                let message = format!("{} cannot name a form", quote(&name));
                let help = "the name stands behind the scenario's, as in `scenes@chat`: use letters and \
                            digits, and no `@`";
                problems.push_key(&at, message, help);
            }
            read.extend(self.form(name, config, &at, problems));
        }
        read
    }

    fn form(
        &self,
        name: String,
        mut config: FormConfig,
        at: &Path,
        problems: &mut Problems,
    ) -> Option<Form> {
        let given: Vec<&str> = given(&config)
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .map(|(key, _)| key)
            .collect();
        if let [first, second, ..] = given.as_slice() {
            let message = format!("`{first}` and `{second}` are both there");
            let help = "a prompt is made in one way: keep one of them, or name both below `forms:`";
            problems.push_key(&at.key(second), message, help);
            return None;
        }
        if given.is_empty() && !name.is_empty() {
            let help = "write `prompt: ...`, `chat: ...` or `messages: ...` below its name";
            problems.push(at, format!("form {} has nothing in it", quote(&name)), help);
            return None;
        }
        let chat = config.chat.clone().map(|chat| (chat, at.key("chat")));
        let messages = config.messages.clone().map(|messages| {
            let chat = ChatConfig { messages: Some(messages), ..ChatConfig::default() };
            (chat, at.clone())
        });
        let is_chat = chat.is_some() || messages.is_some();
        if is_chat && config.special_tokens == Some(SpecialTokens::Auto) {
            let help = "a chat has the special tokens of its template: leave it out";
            let message = "`special_tokens: auto` has no effect on a chat";
            problems.push(&at.key("special_tokens"), message, help);
        }
        let special_tokens = config.special_tokens.unwrap_or(self.special_tokens);
        let body = if let Some((chat, at)) = chat.or(messages) {
            Body::Chat(self.chat(chat, &at, problems)?)
        } else {
            let prompt = config.prompt.get_or_insert_with(|| NOTEBOOK_PROMPT.to_owned());
            Body::Plain(self.plain(prompt, special_tokens, &at.key("prompt"), problems)?)
        };
        let adds_special_tokens = !is_chat && special_tokens == SpecialTokens::Auto;
        Some(Form { name, config, adds_special_tokens, body })
    }

    fn plain(
        &self,
        prompt: &str,
        special_tokens: SpecialTokens,
        at: &Path,
        problems: &mut Problems,
    ) -> Option<Template> {
        let twice = self.card.and_then(|card| begins_twice(prompt, card));
        if let Some(token) = twice.filter(|_| special_tokens == SpecialTokens::Auto) {
            let message =
                format!("the prompt begins with {}, which the tokenizer adds too", quote(token));
            let help = "the model would read it twice: take it out of the prompt, or set \
                        `special_tokens: none`";
            problems.push(at, message, help);
        }
        match Template::parse(prompt) {
            Ok(template) => Some(template),
            Err(list) => {
                for problem in list {
                    problems.push(at, problem.message, problem.help);
                }
                None
            }
        }
    }

    fn chat(&self, config: ChatConfig, at: &Path, problems: &mut Problems) -> Option<Chat> {
        let before = problems.len();
        let messages = messages(&config, at, problems);
        let contents: Vec<&str> =
            messages.iter().map(|(message, _)| message.content.as_str()).collect();
        let turns = match Template::parse_all(&contents, "the chat") {
            Ok(templates) => templates,
            Err(list) => {
                for (i, problem) in list {
                    let place = messages.get(i).map_or(at, |(_, place)| place);
                    problems.push(place, problem.message, problem.help);
                }
                Vec::new()
            }
        };
        let continues = messages.last().is_some_and(|(message, _)| message.role == "assistant");
        let date = date(&config, at, problems);
        for name in config.variables.keys() {
            if ["messages", "add_generation_prompt", "strftime_now"].contains(&name.as_str()) {
                let message = format!("the variable `{name}` is set by the chat itself");
                problems.push_key(&at.key("variables").key(name), message, "leave it out");
            }
        }
        let template = match ChatTemplate::of(self.card?) {
            Ok(template) => Arc::new(template),
            Err(error) => {
                let help = error.help().unwrap_or_default();
                problems.push(at, error.problem(), help);
                return None;
            }
        };
        if problems.len() > before {
            return None;
        }
        let roles = messages.into_iter().map(|(message, _)| message.role);
        let turns = roles.zip(turns).map(|(role, content)| Turn { role, content }).collect();
        let options = ChatOptions { continues, variables: config.variables, date };
        let allows_special_tokens = config.allow_special_tokens;
        Some(Chat { template, turns, options, allows_special_tokens })
    }
}

/// The three ways of writing a prompt, and which of them are there.
fn given(config: &FormConfig) -> [(&'static str, bool); 3] {
    [
        ("prompt", config.prompt.is_some()),
        ("chat", config.chat.is_some()),
        ("messages", config.messages.is_some()),
    ]
}

/// The messages of a chat, each with its place in the file.
fn messages(config: &ChatConfig, at: &Path, problems: &mut Problems) -> Vec<(MessageConfig, Path)> {
    let single =
        [("system", &config.system), ("user", &config.user), ("assistant", &config.assistant)];
    let singles = single.iter().filter_map(|(role, content)| {
        let message = MessageConfig { role: (*role).to_owned(), content: (*content).clone()? };
        Some((message, at.key(role)))
    });
    let singles: Vec<_> = singles.collect();
    let Some(list) = &config.messages else {
        if config.user.is_none() {
            let help = "write `user: \"{task}\\n\\nContext: {input}\"` below `chat:`";
            problems.push(at, "the chat has no `user` message", help);
        }
        return singles;
    };
    let at_list = at.key("messages");
    if !singles.is_empty() {
        let help = "write all messages in the list, or none";
        problems.push_key(&at_list, "`messages` stands beside single messages", help);
    }
    if !(1..=MOST_MESSAGES).contains(&list.len()) {
        let message =
            format!("`messages` has {} messages, and needs 1 to {MOST_MESSAGES}", list.len());
        problems.push(&at_list, message, "write `- { role: user, content: ... }` lines");
    }
    for (i, message) in list.iter().enumerate() {
        if message.role.trim().is_empty() {
            let help =
                "write `system`, `user`, `assistant` or what else the model's template knows";
            problems.push(&at_list.index(i).key("role"), "the role is empty", help);
        }
    }
    let place = |i: usize| at_list.index(i).key("content");
    list.iter().enumerate().map(|(i, message)| (message.clone(), place(i))).collect()
}

/// The day that the pipeline gives.
fn date(config: &ChatConfig, at: &Path, problems: &mut Problems) -> Option<NaiveDate> {
    let text = config.date.as_deref()?;
    let date = text.parse().ok();
    if date.is_none() {
        let message = format!("{} is no date", quote(text));
        problems.push(&at.key("date"), message, "write year, month and day: `2026-01-31`");
    }
    date
}

/// The special token that a prompt begins with, where the tokenizer puts the same one in front.
fn begins_twice<'c>(prompt: &str, card: &'c ModelCard) -> Option<&'c str> {
    let tokens = card.special_tokens.as_ref()?;
    let first = tokens.prefix_ids.first()?;
    let named = tokens.named.values().find(|token| token.id == *first)?;
    (!named.text.is_empty() && prompt.starts_with(&named.text)).then_some(named.text.as_str())
}

/// Every scenario in every form.
pub(super) fn in_all_forms(
    scenarios: Vec<Scenario>,
    forms: &[Form],
    problems: &mut Problems,
) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    for (i, scenario) in scenarios.into_iter().enumerate() {
        for (place, form) in forms.iter().enumerate() {
            let name = match form.name.as_str() {
                "" => scenario.base.clone(),
                form => format!("{}@{form}", scenario.base),
            };
            // Two of one name in the file were reported there.
            if !names.insert(name.clone()) && scenario.base.contains('@') {
                let at = Path::default().key("scenarios").index(i).key("name");
                let message =
                    format!("the name {} is that of another scenario's form", quote(&name));
                problems.push(&at, message, "give the scenario another name");
            }
            let mut own = Scenario { name, form: place, ..scenario.clone() };
            let at = Path::default().key("scenarios").index(i).key("tasks");
            for task in &mut own.tasks {
                write_examples(task, form, &at.key(&task.id), problems);
            }
            all.push(own);
        }
    }
    all
}

/// Makes the wordings of a task by example.
fn write_examples(task: &mut Task, form: &Form, at: &Path, problems: &mut Problems) {
    let Some(examples) = &task.examples else { return };
    if let Some(wordings) = examples.wordings(form) {
        task.wordings = wordings;
        return;
    }
    let message = format!(
        "task {} is given by example, and the prompt ({}) has no {{input}} behind its {{task}} that shows \
         how an example is written",
        quote(&task.id),
        form.label()
    );
    let help = "add `format: \"{input} -> {answer}\"` to the task, or what fits the prompt";
    problems.push(at, message, help);
}

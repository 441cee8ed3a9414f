//! Scenarios: inputs and tasks, written in the pipeline or read from files.

use std::collections::{BTreeMap, BTreeSet};

use super::Loader;
use super::controls::controls;
use super::examples::is_by_example;
use super::near::{Noun, names_file, refuse_near_file, refuse_wordings_as_task};
use super::wire::{ScenarioConfig, WordingsConfig};
use crate::pipeline::inputs::read_texts;
use crate::pipeline::{FileSource, Input, Inputs, InputsFile, Scenario, Task};
use crate::yaml::{Node, Path, Problems, Value, quote, read};

/// Most wordings of a task: they are counted in 16 bits.
const MOST_WORDINGS: usize = i16::MAX as usize;

/// Where the texts are.
enum Texts {
    /// Here, by id and in order: one each for inputs, the wordings for tasks.
    Inline(Vec<(String, Vec<String>)>),
    /// In files.
    File,
}

impl Loader<'_> {
    /// Reads all scenarios; what is wrong with them goes to `problems`.
    pub(super) fn scenarios(self, node: &Node, problems: &mut Problems) -> Vec<Scenario> {
        let at = Path::default().key("scenarios");
        let Some(list) = node.elements().filter(|list| !list.is_empty()) else {
            let message = match node.elements() {
                Some(_) => "`scenarios` is empty".to_owned(),
                None => format!("`scenarios` must be a list, found {}", node.describe()),
            };
            problems.push(&at, message, "add `- name: ...` with `inputs:` and `tasks:` below it");
            return Vec::new();
        };
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut scenarios = Vec::new();
        for (i, node) in list.iter().enumerate() {
            let at = at.index(i);
            let Some(scenario) = self.scenario(node, &at, problems) else { continue };
            if let Some(first) = names.insert(scenario.name.clone(), i) {
                let message = format!(
                    "the name {} is already that of scenario {}",
                    quote(&scenario.name),
                    first + 1
                );
                problems.push(&at.key("name"), message, "give each scenario a different name");
            }
            scenarios.push(scenario);
        }
        scenarios
    }

    fn scenario(self, node: &Node, at: &Path, problems: &mut Problems) -> Option<Scenario> {
        if node.entries().is_none() {
            let message = format!("a scenario must be a mapping, found {}", node.describe());
            problems.push(at, message, "write `- name: ...` with `inputs:` and `tasks:` below it");
            return None;
        }
        let config: ScenarioConfig = read(&node.without(&["inputs", "tasks"]), at, problems)?;
        for key in ["name", "inputs", "tasks"] {
            if node.get(key).is_none() {
                let message = format!("the scenario has no `{key}`");
                problems.push(at, message, format!("add `{key}:` to it"));
            }
        }
        let inputs = self.inputs(node.get("inputs"), &at.key("inputs"), problems);
        let (tasks, tasks_file) = self.tasks(node.get("tasks"), &at.key("tasks"), problems);
        let name = config.name?;
        if name.trim().is_empty() {
            let help = "name it: the name is in column `scenario` of every table";
            problems.push(&at.key("name"), "the scenario's name is empty", help);
        }
        let controls = controls(config.controls, &at.key("controls"), problems);
        Some(Scenario { base: name.clone(), name, form: 0, inputs, tasks, controls, tasks_file })
    }

    fn inputs(self, node: Option<&Node>, at: &Path, problems: &mut Problems) -> Inputs {
        let list = match node.map(|node| (node, texts(node, at, Noun::Input, problems))) {
            None => Vec::new(),
            Some((_, Texts::Inline(list))) => list,
            Some((node, Texts::File)) => {
                let files = self.files(node, at, problems, |wanted| {
                    let files = InputsFile::check(&wanted)?;
                    let source = files.source().clone();
                    Ok((files, source))
                });
                if let Some((files, _)) = files {
                    return Inputs::File(files);
                }
                Vec::new()
            }
        };
        let input = |(id, texts): (String, Vec<String>)| {
            texts.into_iter().next().map(|text| Input { id, text, cluster: None })
        };
        Inputs::Inline(list.into_iter().filter_map(input).collect())
    }

    fn tasks(
        self,
        node: Option<&Node>,
        at: &Path,
        problems: &mut Problems,
    ) -> (Vec<Task>, Option<FileSource>) {
        match node.map(|node| (node, texts(node, at, Noun::Task, problems))) {
            None => (Vec::new(), None),
            Some((node, Texts::Inline(list))) => {
                let task = |(id, wordings): (String, Vec<String>)| {
                    let of = node.get(&id).filter(|body| is_by_example(body));
                    let examples = match of {
                        Some(body) => Some(self.examples(&id, body, &at.key(&id), problems)?),
                        None => None,
                    };
                    Some(Task { id, wordings, examples })
                };
                (list.into_iter().filter_map(task).collect(), None)
            }
            Some((node, Texts::File)) => {
                if node.get("cluster").is_some() {
                    let message = "tasks have no clusters";
                    let help = "`cluster` names a column of an inputs file: it says which inputs are \
                                one piece of evidence; remove it here";
                    problems.push_key(&at.key("cluster"), message, help);
                }
                match self.files(node, at, problems, |wanted| read_texts(&wanted)) {
                    None => (Vec::new(), None),
                    Some((texts, source)) => (tasks_of(texts, at, problems), Some(source)),
                }
            }
        }
    }
}

/// Tasks of files: rows with one id are its wordings, in their order.
fn tasks_of(texts: Vec<(String, Vec<String>)>, at: &Path, problems: &mut Problems) -> Vec<Task> {
    for (id, wordings) in &texts {
        if wordings.len() > MOST_WORDINGS {
            let message = too_many(id, wordings.len());
            let help = "rows with one id are wordings of one task: give other tasks other ids";
            problems.push(&at.key("file"), message, help);
        }
    }
    texts.into_iter().map(|(id, wordings)| Task { id, wordings, examples: None }).collect()
}

fn too_many(id: &str, n: usize) -> String {
    format!("task {} has {n} wordings, and needs 1 to {MOST_WORDINGS}", quote(id))
}

fn texts(node: &Node, at: &Path, noun: Noun, problems: &mut Problems) -> Texts {
    let Some(entries) = node.entries() else {
        let message = format!("`{noun}s` must be a mapping, found {}", node.describe());
        let help = format!(
            "write `id: text` lines, or name a file: \
             `{noun}s: {{ file: {noun}s.jsonl, id: id, text: text }}`"
        );
        problems.push(at, message, help);
        return Texts::Inline(Vec::new());
    };
    if entries.is_empty() {
        let help = format!("write an `id: text` line for each {noun}");
        problems.push(at, format!("the scenario has no {noun}s"), help);
        return Texts::Inline(Vec::new());
    }
    if refuse_near_file(entries, at, noun, problems) {
        return Texts::Inline(Vec::new());
    }
    if names_file(entries) {
        return Texts::File;
    }
    let mut list = Vec::new();
    let mut seen = BTreeSet::new();
    for (id, body) in entries {
        // A key that appears twice was reported when the file was read.
        if !seen.insert(id) {
            continue;
        }
        let at = at.key(id);
        if id.trim().is_empty() {
            let help = format!("name each {noun}: its id is in the tables");
            problems.push_key(&at, format!("the id of this {noun} is empty"), help);
        }
        if noun == Noun::Task && refuse_wordings_as_task(id, &at, problems) {
            continue;
        }
        if let Some(wordings) = wordings(id, body, &at, noun, problems) {
            list.push((id.clone(), wordings));
        }
    }
    Texts::Inline(list)
}

/// The text of an input, or the wordings of a task.
fn wordings(
    id: &str,
    body: &Node,
    at: &Path,
    noun: Noun,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    match &body.value {
        Value::Text(text) => good(text, id, at, noun, problems).then(|| vec![text.clone()]),
        // Made when it is known how prompts look.
        Value::Map(_) if noun == Noun::Task && is_by_example(body) => Some(Vec::new()),
        Value::Map(_) if noun == Noun::Task => {
            let config: WordingsConfig = read(body, at, problems)?;
            let at = at.key("wordings");
            if config.wordings.is_empty() || config.wordings.len() > MOST_WORDINGS {
                let message = too_many(id, config.wordings.len());
                problems.push(&at, message, "write its phrasings as a list of texts");
                return None;
            }
            let mut seen = BTreeSet::new();
            for (i, text) in config.wordings.iter().enumerate() {
                good(text, id, &at.index(i), noun, problems);
                if !seen.insert(text) {
                    let message = format!("the wording {} appears twice", quote(text));
                    problems.push(&at.index(i), message, "rephrase or remove one of them");
                }
            }
            Some(config.wordings)
        }
        Value::Null => {
            let help = "write its text after the colon, or remove it";
            problems.push(at, format!("{noun} {} has no text", quote(id)), help);
            None
        }
        _ => {
            let message = format!("{noun} {} must be text, found {}", quote(id), body.describe());
            let help = match (&body.value, noun) {
                (Value::List(_), Noun::Task) => {
                    "several phrasings of one task are written `{ wordings: [\"...\", \"...\"] }`"
                }
                (Value::List(_) | Value::Map(_), _) => "write one text, in quotes",
                _ => "put it in quotes",
            };
            problems.push(at, message, help);
            None
        }
    }
}

fn good(text: &str, id: &str, at: &Path, noun: Noun, problems: &mut Problems) -> bool {
    if text.trim().is_empty() {
        let help = format!("write the text of the {noun}, or remove it");
        problems.push(at, format!("the text of {noun} {} is empty", quote(id)), help);
        return false;
    }
    true
}

//! Tasks by example, as the pipeline file has them.

use super::Loader;
use super::wire::{ExampleConfig, ExamplesConfig, ExamplesFileConfig, FileConfig, OneOrMany};
use crate::pipeline::inputs::{Wanted, read_texts};
use crate::pipeline::{Example, Examples};
use crate::yaml::{Node, Path, Problems, Value, quote, read};

/// Most examples of a task: a wording holds them all.
const MOST: usize = 10_000;

/// Whether a task's body is one of examples.
pub(super) fn is_by_example(body: &Node) -> bool {
    body.get("examples").is_some()
}

impl Loader<'_> {
    /// The examples of a task; what is wrong with them goes to `problems`.
    pub(super) fn examples(
        self,
        id: &str,
        body: &Node,
        at: &Path,
        problems: &mut Problems,
    ) -> Option<Examples> {
        let before = problems.len();
        let config: ExamplesConfig = read(&body.without(&["examples"]), at, problems)?;
        let list = self.list(body.get("examples")?, &at.key("examples"), problems);
        let (n, shots) = (list.len(), config.shots.map_or(list.len(), |n| n.get() as usize));
        if problems.len() == before && !(1..=MOST).contains(&n) {
            let message = format!("task {} has {n} examples, and needs 1 to {MOST}", quote(id));
            problems.push(
                &at.key("examples"),
                message,
                "write `- { input: ..., answer: ... }` lines",
            );
        } else if n > 0 && n % shots != 0 {
            let message = format!(
                "{n} examples make no wordings of {shots} each: {} would be left",
                n % shots
            );
            let help = "every wording needs as many: change `shots`, add examples or take some out";
            problems.push(&at.key("shots"), message, help);
        }
        for example in &list {
            if example.input.trim().is_empty() || example.answer.trim().is_empty() {
                let message = format!("task {} has an example without a text", quote(id));
                problems.push(&at.key("examples"), message, "give each an input and an answer");
                break;
            }
        }
        if let Some(format) = &config.format {
            let once = |word: &str| format.matches(word).count() == 1;
            if !(once("{input}") && once("{answer}")) {
                let message = "an example's format needs {input} and {answer}, each once";
                let help = "write it as in `format: \"Context: {input}\\nAnswer: {answer}\"`";
                problems.push(&at.key("format"), message, help);
            }
        }
        if config.wording.as_ref().is_some_and(|text| text.trim().is_empty()) {
            let message = format!("the wording of task {} is empty", quote(id));
            problems.push(
                &at.key("wording"),
                message,
                "write an instruction, or leave `wording` out",
            );
        }
        let ExamplesConfig { wording, format, .. } = config;
        (problems.len() == before).then_some(Examples { list, shots, wording, format })
    }

    /// The examples: here, or in a file.
    fn list(self, node: &Node, at: &Path, problems: &mut Problems) -> Vec<Example> {
        let file = match &node.value {
            Value::List(_) => {
                let list: Vec<ExampleConfig> = read(node, at, problems).unwrap_or_default();
                let example = |own: ExampleConfig| Example { input: own.input, answer: own.answer };
                return list.into_iter().map(example).collect();
            }
            Value::Text(name) => Some(ExamplesFileConfig {
                file: OneOrMany::One(name.clone()),
                input: "input".to_owned(),
                answer: "answer".to_owned(),
                sha256: None,
            }),
            _ => read(node, at, problems),
        };
        let Some(file) = file else { return Vec::new() };
        let config = FileConfig {
            file: file.file,
            id: file.input,
            text: file.answer,
            cluster: None,
            sha256: file.sha256,
        };
        let read_all = |wanted: Wanted| read_texts(&wanted);
        let Some((texts, _)) = self.files_of(config, at, problems, read_all) else {
            return Vec::new();
        };
        // An input with several answers is several examples.
        let each = |(input, answers): (String, Vec<String>)| {
            answers.into_iter().map(move |answer| Example { input: input.clone(), answer })
        };
        texts.into_iter().flat_map(each).collect()
    }
}

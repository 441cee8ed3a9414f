//! The pipeline file: read, checked as a whole, and written again as it was understood.

pub mod wire;

mod controls;
mod examples;
mod files;
mod forms;
mod lint;
mod near;
mod resolved;
mod scenarios;
mod shown;
mod stages;

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use resolved::resolved_yaml;

use self::forms::Forms;
use self::stages::Around;
use self::wire::{FormConfig, PipelineConfig, RawTable};
use super::Pipeline;
use super::inputs::absolute;
use crate::model::ModelCard;
use crate::stage::Facts;
use crate::store::open_given;
use crate::yaml::{self, Document, MAX_BYTES, Node, Problems, Report, Value, quote, read};

/// Seed of a pipeline that names none: the notebook's number.
const SEED: u64 = 37;

/// Share of all prompts that may be skipped in a pipeline that names none.
const MAX_SKIPPED: f64 = 0.01;

/// A pipeline that cannot be run as it is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read pipeline {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file, or a `--set`, has problems.
    #[error("{0}")]
    Wrong(Box<Report>),
}

impl ConfigError {
    /// Everything that is wrong, for a terminal of `width` columns or for a file.
    pub fn render(&self, width: usize, colour: bool) -> String {
        match self {
            Self::Read { source, .. } => format!("error: {self}: {source}\n"),
            Self::Wrong(report) => report.render(width, colour),
        }
    }
}

/// Reads and checks a pipeline file, with `--set` arguments (`path=value`) applied.
///
/// # Errors
/// When the file cannot be read, or with all problems of the pipeline at once.
pub fn load(path: &Path, overrides: &[String]) -> Result<Pipeline, ConfigError> {
    let bytes =
        read_limited(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let (document, mut problems) = Document::new(&path.to_string_lossy(), &bytes, overrides);
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let loader = Loader { document: &document, folder: &folder };
    let pipeline = document.root().and_then(|root| loader.pipeline(root, &mut problems));
    match pipeline {
        Some(pipeline) if problems.is_empty() => {
            let warnings = lint::warnings(&pipeline).placed(&document);
            Ok(Pipeline { warnings, ..pipeline })
        }
        _ => Err(ConfigError::Wrong(Box::new(Report::new(document, problems)))),
    }
}

/// The file's bytes, or enough of them to see that there are too many.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_given(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The JSON Schema of pipeline files, for editors.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(PipelineConfig);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema serialises");
    text.push('\n');
    text
}

/// Checks a document part by part.
#[derive(Clone, Copy)]
struct Loader<'a> {
    document: &'a Document,
    /// The folder of the pipeline file.
    folder: &'a Path,
}

impl Loader<'_> {
    fn pipeline(self, root: &Node, problems: &mut Problems) -> Option<Pipeline> {
        let at = yaml::Path::default();
        let config: PipelineConfig = read(&root.without(&["scenarios", "stages"]), &at, problems)?;
        check_keys(root, problems);
        let name = config.name.filter(|name| check_name(name, &at.key("name"), problems));
        let model = config.model.and_then(|model| self.model(&model, &at.key("model"), problems));
        let written = FormConfig {
            prompt: config.prompt,
            chat: config.chat,
            messages: config.messages,
            special_tokens: None,
        };
        let card = model.as_ref().map(|(_, card)| card);
        let forms = Forms { card, special_tokens: config.special_tokens }.read(
            written,
            config.forms,
            problems,
        );
        let retain = check_retain(config.retain.as_deref(), &at.key("retain"), problems);
        let max_skipped = config.max_skipped.unwrap_or(MAX_SKIPPED);
        check_share(max_skipped, &at.key("max_skipped"), problems);
        let scenarios = root.get("scenarios").map(|node| self.scenarios(node, problems));
        let scenarios = scenarios.map(|list| forms::in_all_forms(list, &forms, problems));
        let facts = Facts {
            n_layer: model.as_ref().map(|(_, card)| card.n_layer),
            n_positions: model.as_ref().map(|(_, card)| card.n_positions),
            has_head: model.as_ref().map(|(_, card)| card.head_path().is_some()),
            has_past: model
                .as_ref()
                .map(|(_, card)| card.past_path().is_some() && card.positions.is_some()),
            has_patch: model.as_ref().map(|(_, card)| card.patch_path().is_some()),
            ..Facts::default()
        };
        let names = scenarios.iter().flatten().map(|scenario| scenario.name.as_str());
        let around = Around {
            path: &|text, at| absolute(self.path(text, at)),
            card: model.as_ref().map(|(_, card)| card),
            scenarios: &names.collect::<Vec<_>>(),
        };
        let stages =
            root.get("stages").and_then(|node| stages::check(node, facts, around, problems));
        let (model, card) = model?;
        let stages = stages?;
        Some(Pipeline {
            name: name?,
            model,
            card,
            forms,
            special_tokens: config.special_tokens,
            provider: config.provider,
            tf32: config.tf32,
            retain,
            shard_inputs: config.shard_inputs,
            max_skipped,
            seed: config.seed.unwrap_or(SEED),
            layers: stages.layers,
            scenarios: scenarios?,
            stages: stages.list,
            stage_configs: stages.configs,
            warnings: Vec::new(),
        })
    }

    /// The path that a text at `at` means.
    fn path(self, text: &str, at: &yaml::Path) -> PathBuf {
        if self.document.is_set(at) { PathBuf::from(text) } else { self.folder.join(text) }
    }

    fn model(
        self,
        text: &str,
        at: &yaml::Path,
        problems: &mut Problems,
    ) -> Option<(PathBuf, ModelCard)> {
        if text.trim().is_empty() {
            problems.push(at, "`model` is empty", "name the folder that aqlens-export made");
            return None;
        }
        let path = self.path(text, at);
        match ModelCard::load(&path) {
            Ok(card) => Some((path, card)),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                let message = format!("{}{}", error.problem(), cause.unwrap_or_default());
                let help = error.help().unwrap_or_else(|| {
                    "name the folder that aqlens-export made, relative to the pipeline file"
                        .to_owned()
                });
                problems.push(at, message, help);
                None
            }
        }
    }
}

/// Reports keys that are missing or have no value.
fn check_keys(root: &Node, problems: &mut Problems) {
    let at = yaml::Path::default();
    for key in ["name", "model", "scenarios", "stages"] {
        if root.get(key).is_none() {
            let message = format!("the pipeline has no `{key}`");
            problems.push(&at, message, format!("add {}", example(key)));
        }
    }
    let may_be_left_out = ["prompt", "chat", "messages", "forms", "retain", "shard_inputs", "seed"];
    for key in ["name", "model"].into_iter().chain(may_be_left_out) {
        if root.get(key).is_some_and(|node| node.value == Value::Null) {
            let help = "write a value after it, or remove the line";
            problems.push(&at.key(key), format!("`{key}` has no value"), help);
        }
    }
}

/// What a missing key could look like.
fn example(key: &str) -> &'static str {
    match key {
        "name" => "`name: my-pipeline`: it names the run directory",
        "model" => "`model: ../data/demo`: the folder that aqlens-export made",
        "scenarios" => "`scenarios:` with a name, inputs and tasks in each",
        _ => "`stages:` beginning with `- kind: extract`",
    }
}

/// Whether a pipeline may have this name: one that can be a folder's.
pub fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    plain && !name.is_empty() && !name.starts_with('.') && name.len() <= 100
}

/// What [`is_name`] asks for, in words.
pub const NAME_RULE: &str = "it names the run directory: use 1 to 100 letters (a-z, A-Z), digits, `.`, `_` and \
     `-`, and no `.` at the start";

fn check_name(name: &str, at: &yaml::Path, problems: &mut Problems) -> bool {
    let good = is_name(name);
    if !good {
        let message = format!("the name {} cannot be a folder's name", quote(name));
        problems.push(at, message, NAME_RULE);
    }
    good
}

fn check_share(max_skipped: f64, at: &yaml::Path, problems: &mut Problems) {
    if !(0.0..=1.0).contains(&max_skipped) {
        let message = format!("max_skipped {max_skipped} is not a share between 0 and 1");
        let help = "it is the share of all prompts that may be skipped: 0.01 is one in a hundred, 0 \
                    is none, 1 is all";
        problems.push(at, message, help);
    }
}

fn check_retain(
    tables: Option<&[RawTable]>,
    at: &yaml::Path,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let mut retain = BTreeSet::new();
    for (i, table) in tables.unwrap_or(&RawTable::ALL).iter().enumerate() {
        if !retain.insert(table.name().to_owned()) {
            let message = format!("`{}` is named twice", table.name());
            problems.push(&at.index(i), message, "name each table once");
        }
    }
    retain
}

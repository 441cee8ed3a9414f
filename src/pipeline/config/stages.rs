//! The list of stages.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::ModelCard;
use crate::stage::{Facts, Scope, Stage};
use crate::stages::{KINDS, StageConfig, description_of, writer_of};
use crate::table::Table;
use crate::yaml::{Node, Path, Problems, did_you_mean, quote, read};

/// The stages of a pipeline, valid.
pub(super) struct Stages {
    pub(super) layers: Vec<i16>,
    pub(super) list: Vec<Box<dyn Stage>>,
    pub(super) configs: Vec<StageConfig>,
}

/// A stage whose kind is known.
struct Entry {
    kind: &'static str,
    at: Path,
    config: Option<StageConfig>,
}

/// What of the pipeline a stage may refer to.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// The absolute path that a text at a place in the pipeline file means.
    pub(super) path: &'a dyn Fn(&str, &Path) -> PathBuf,
    /// The model; `None` when its folder could not be read.
    pub(super) card: Option<&'a ModelCard>,
    /// Names of the scenarios.
    pub(super) scenarios: &'a [&'a str],
}

/// Reads and checks the stages; `None` when there was a problem.
pub(super) fn check(
    node: &Node,
    mut facts: Facts,
    around: Around<'_>,
    problems: &mut Problems,
) -> Option<Stages> {
    let at = Path::default().key("stages");
    let Some(list) = node.elements().filter(|list| !list.is_empty()) else {
        let message = match node.elements() {
            Some(_) => "`stages` is empty".to_owned(),
            None => format!("`stages` must be a list, found {}", node.describe()),
        };
        problems.push(&at, message, "begin with `- kind: extract`");
        return None;
    };
    let mut entries = Vec::new();
    let mut all_known = true;
    for (i, node) in list.iter().enumerate() {
        let entry = entry(node, at.index(i), problems);
        all_known &= entry.is_some();
        entries.extend(entry);
    }
    let firsts = firsts(&entries, problems);
    if all_known {
        check_order(&firsts, problems);
    }
    let mut captured = Vec::new();
    for entry in &entries {
        if let Some(StageConfig::Divergence(config)) = &entry.config {
            facts.threshold = Some(config.threshold);
        }
        if let Some(StageConfig::Summary(config)) = &entry.config {
            facts.judged = Some(Arc::new(config.judged()));
        }
        if let Some(StageConfig::Extract(config)) = &entry.config
            && let Some(stage) =
                config.clone().validate(&entry.at, &facts, &mut Problems::default())
        {
            facts.captures_last = facts.n_layer.map(|n| stage.layers().contains(&(n - 1)));
            captured = stage.layers().to_vec();
        }
    }
    let mut valid = Stages { layers: Vec::new(), list: Vec::new(), configs: Vec::new() };
    for Entry { at, config, .. } in entries {
        let Some(mut config) = config else { continue };
        if let StageConfig::Extract(extract) = &mut config
            && let Some(stage) = extract.clone().validate(&at, &facts, &mut Problems::default())
        {
            valid.layers = stage.layers().to_vec();
            let layers = stage.layers().iter().map(|layer| i64::from(*layer)).collect();
            // Layers with a problem stay as they are written: `validate` reports it below.
            extract.layers = Some(layers);
        }
        if let StageConfig::Reference(reference) = &mut config
            && let Some(card) = around.card.filter(|_| !captured.is_empty())
        {
            let fits = (card, captured.as_slice(), around.scenarios);
            reference.pin(&at, around.path, fits, problems);
        }
        valid.list.extend(config.validate(&at, &facts, problems));
        valid.configs.push(config);
    }
    problems.is_empty().then_some(valid)
}

fn entry(node: &Node, at: Path, problems: &mut Problems) -> Option<Entry> {
    let kinds = KINDS.join(", ");
    if node.entries().is_none() {
        let message = format!("a stage must be a mapping, found {}", node.describe());
        let kind = node.text().filter(|text| KINDS.contains(text)).unwrap_or("extract");
        problems.push(&at, message, format!("write `- kind: {kind}`"));
        return None;
    }
    let Some(kind) = node.get("kind") else {
        problems.push(&at, "the stage has no `kind`", format!("the kinds are {kinds}"));
        return None;
    };
    let word: String = read(kind, &at.key("kind"), problems)?;
    let Some(kind) = KINDS.iter().find(|kind| **kind == word) else {
        let help = match did_you_mean(&word, KINDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the kinds are {kinds}"),
        };
        problems.push(&at.key("kind"), format!("unknown kind {}", quote(&word)), help);
        return None;
    };
    let config = StageConfig::read(kind, &node.without(&["kind"]), &at, problems);
    Some(Entry { kind, at, config })
}

/// Reports each stage whose kind an earlier one has, and gives the earlier ones: as many as there are
/// kinds at most.
fn firsts<'a>(entries: &'a [Entry], problems: &mut Problems) -> Vec<&'a Entry> {
    let mut seen = BTreeSet::new();
    let mut is_first = |entry: &&Entry| {
        let is_first = seen.insert(entry.kind);
        if !is_first {
            let message = format!("there is already a stage `{}`", entry.kind);
            let help = "use each kind once: both would write the same tables";
            problems.push(&entry.at.key("kind"), message, help);
        }
        is_first
    };
    entries.iter().filter(|entry| is_first(entry)).collect()
}

/// Every table that a stage reads must be written by a stage above it.
fn check_order(entries: &[&Entry], problems: &mut Problems) {
    for (i, entry) in entries.iter().enumerate() {
        let own = description_of(entry.kind);
        let (above, below) = entries.split_at(i);
        let at = entry.at.key("kind");
        // One missing stage is reported once, however many of its tables are read.
        let mut reported = Vec::new();
        let is_written = |table: &Table| above.iter().any(|a| description_of(a.kind).writes(table));
        for table in own.reads.iter().filter(|table| !is_written(table)) {
            let Some(writer) = writer_of(table).map(|writer| writer.kind) else { continue };
            if reported.contains(&writer) {
                continue;
            }
            reported.push(writer);
            let message = format!("`{}` reads table {}", entry.kind, table.name);
            let help = if below.iter().any(|later| later.kind == writer) {
                format!("move `- kind: {writer}` before it")
            } else {
                format!("put `- kind: {writer}` before it")
            };
            problems.push(&at, format!("{message}, which no stage above it writes"), help);
        }
        for later in below {
            let other = description_of(later.kind);
            // Stages over the whole run come after all others, wherever they are listed, and after
            // those of them whose tables they use.
            let is_early = own.scope != Scope::Run;
            let too_late = is_early && (own.scope == other.scope || other.scope == Scope::Run);
            if too_late && own.reads_if_there.iter().any(|table| other.writes(table)) {
                let message = format!(
                    "`{}` uses what `{}` writes, but comes before it",
                    entry.kind, later.kind
                );
                let help = format!("move `- kind: {}` below `- kind: {}`", entry.kind, later.kind);
                problems.push(&at, message, help);
            }
        }
    }
}

//! What the numbers of two runs depend on and is not the same, in sentences.

use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::document::{Difference, Layers};
use super::opened::Opened;
use super::settings::settings;

/// Fields of the lineage, and what they are called in a sentence.
const FIELDS: [(&str, &str); 14] = [
    ("pipeline", "the pipeline's name"),
    ("pipeline_sha256", "the hash of the pipeline as resolved"),
    ("model", "the model's name"),
    ("model_revision", "the model's revision"),
    ("model_sha256", "the hash of the model's graph"),
    ("head_sha256", "the hash of the model's head"),
    ("tokenizer_sha256", "the hash of the tokenizer"),
    ("prompts_sha256", "the hash of all prompts"),
    ("aqlens", "the version of aqlens"),
    ("onnxruntime", "the version of ONNX Runtime"),
    ("provider", "the provider"),
    ("precision", "the precision of activations"),
    ("tf32", "whether products may be rounded to TF32"),
    ("table_encoding", "the number of how tables are written"),
];

/// Digits of a hash that a sentence shows.
const DIGITS: usize = 12;

/// How rows that a layer names can be compared.
pub(super) fn layers(base: &Opened, other: &Opened) -> Layers {
    let (ours, theirs) = (&base.record.lineage, &other.record.lineage);
    match (base.n_layer(), other.n_layer()) {
        (Some(a), Some(b)) if a != b => Layers::RelativeDepth,
        (Some(_), Some(_)) => Layers::Same,
        _ if ours.model_sha256 == theirs.model_sha256 => Layers::Same,
        _ => Layers::Unknown,
    }
}

/// All differences, and notes about what is no difference of what the numbers depend on.
pub(super) fn differences(base: &Opened, other: &Opened) -> (Vec<Difference>, Vec<String>) {
    let mut notes = notes(base, other);
    let both = settings(base).zip(settings(other));
    if both.is_none() {
        let note = "the settings were not compared: a pipeline.yml cannot be read, or is not the one that its run \
                    records";
        notes.push(note.to_owned());
    }
    let mut all = fields(base, other, both.is_some());
    all.extend(shapes(base, other));
    all.extend(libraries(base, other));
    all.extend(stages(base, other));
    if let Some((ours, theirs)) = both {
        let pair = |at: &String| (at.clone(), ours.get(at).cloned(), theirs.get(at).cloned());
        let places: IndexSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let changed = places.into_iter().map(pair).filter(|(_, a, b)| a != b);
        all.extend(changed.filter(|(at, ..)| at != "name").map(|(at, a, b)| {
            let words = format!("setting `{at}`");
            difference([base, other], &format!("settings.{at}"), &words, (a, b))
        }));
    }
    (all, notes)
}

fn difference(
    runs: [&Opened; 2],
    what: &str,
    words: &str,
    values: (Option<String>, Option<String>),
) -> Difference {
    let is_hash = what.ends_with("_sha256");
    let shown = |value: &Option<String>| match value {
        None => "not there".to_owned(),
        Some(text) if text.is_empty() => "empty".to_owned(),
        Some(text) if is_hash => text.chars().take(DIGITS).collect(),
        Some(text) => text.clone(),
    };
    let (base, other) = values;
    let [ours, theirs] = runs.map(|run| &run.label);
    let sentence =
        format!("{words} is {} in {ours} and {} in {theirs}", shown(&base), shown(&other));
    Difference { what: what.to_owned(), base, other, sentence }
}

fn fields(base: &Opened, other: &Opened, has_settings: bool) -> Vec<Difference> {
    let values = |run: &Opened| -> IndexMap<String, Value> {
        match serde_json::to_value(&run.record.lineage) {
            Ok(Value::Object(fields)) => fields.into_iter().collect(),
            _ => unreachable!("a lineage serialises to an object"),
        }
    };
    let (ours, theirs) = (values(base), values(other));
    let mut all = Vec::new();
    for name in ours.keys().chain(theirs.keys()).collect::<IndexSet<_>>() {
        let text = |values: &IndexMap<String, Value>| match values.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        };
        let values = (text(&ours), text(&theirs));
        // The settings say what is behind the hash of the pipeline.
        if values.0 == values.1 || name == "pipeline_sha256" && has_settings {
            continue;
        }
        let known = FIELDS.iter().find(|(field, _)| field == name);
        let words =
            known.map_or_else(|| format!("field `{name}`"), |(_, words)| (*words).to_owned());
        all.push(difference([base, other], name, &words, values));
    }
    all
}

/// Sizes of the models, where both records have them.
fn shapes(base: &Opened, other: &Opened) -> Vec<Difference> {
    let Some((ours, theirs)) = base.record.model_shape.zip(other.record.model_shape) else {
        return Vec::new();
    };
    let sizes = [
        ("n_layer", "the number of layers", [ours.n_layer.into(), theirs.n_layer.into()]),
        ("n_head", "the number of heads", [ours.n_head.into(), theirs.n_head.into()]),
        ("d_model", "the width of the model", [ours.d_model as i64, theirs.d_model as i64]),
        (
            "vocab_size",
            "the size of the vocabulary",
            [ours.vocab_size as i64, theirs.vocab_size as i64],
        ),
        (
            "n_positions",
            "the longest prompt in tokens",
            [ours.n_positions as i64, theirs.n_positions as i64],
        ),
    ];
    let differ = sizes.into_iter().filter(|(.., [a, b]): &(_, _, [i64; 2])| a != b);
    let differ = differ.map(|(what, words, [a, b])| {
        let values = (Some(a.to_string()), Some(b.to_string()));
        difference([base, other], &format!("model_shape.{what}"), words, values)
    });
    differ.collect()
}

/// The libraries of ONNX Runtime that were loaded, where both records name any.
fn libraries(base: &Opened, other: &Opened) -> Vec<Difference> {
    let sums = |run: &Opened| -> Vec<String> { run.record.libraries.keys().cloned().collect() };
    let (ours, theirs) = (sums(base), sums(other));
    if ours == theirs || ours.is_empty() || theirs.is_empty() {
        return Vec::new();
    }
    let values = (Some(ours.join(", ")), Some(theirs.join(", ")));
    vec![difference(
        [base, other],
        "libraries_sha256",
        "the hash of the library of ONNX Runtime",
        values,
    )]
}

/// Versions of the stages' code. A stage that one run lacks is a setting.
fn stages(base: &Opened, other: &Opened) -> Vec<Difference> {
    let words = |versions: &BTreeSet<u32>| -> String {
        let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
        versions.join(" and ")
    };
    let changed = base.stages.iter().filter_map(|(kind, ours)| {
        let theirs = other.stages.get(kind).filter(|theirs| *theirs != ours)?;
        let values = (Some(words(ours)), Some(words(theirs)));
        let name = format!("the version of stage {kind}'s code");
        Some(difference([base, other], &format!("stage.{kind}"), &name, values))
    });
    changed.collect()
}

fn notes(base: &Opened, other: &Opened) -> Vec<String> {
    let mut notes = Vec::new();
    let (ours, theirs) = (&base.record.counts, &other.record.counts);
    if ours.model_threads != theirs.model_threads {
        let words = |threads: &BTreeSet<usize>| {
            let numbers: Vec<String> = threads.iter().map(usize::to_string).collect();
            numbers.join(", ")
        };
        notes.push(format!(
            "the model ran with {} threads in {} and {} in {}: the last digits of activations may differ",
            words(&ours.model_threads),
            base.label,
            words(&theirs.model_threads),
            other.label
        ));
    }
    match layers(base, other) {
        Layers::Same => {}
        Layers::RelativeDepth => notes.push(format!(
            "the models have {} and {} layers: rows that are named by layer are not compared value by value; \
             curves and effects are compared on relative depth, the layer over the last one",
            base.n_layer().unwrap_or(0),
            other.n_layer().unwrap_or(0)
        )),
        Layers::Unknown => notes.push(
            "the models differ, and a record does not say how many layers its model has: rows that are named \
             by layer are not compared"
                .to_owned(),
        ),
    }
    notes
}

//! What a card must say to be believed: sizes of models, plain names, tokens that the model has.

use std::collections::BTreeMap;

use super::kinds::{Accuracy, Dtype};
use super::wire::{CARD, CardTokens, FileFacts, GRAPH, HEAD, Source, TOKENIZER, Wire};
use crate::model::reference::Shape;

/// Files of the largest folder.
const MOST_FILES: usize = 1000;

/// Layers of the deepest model that is read.
const MOST_LAYERS: i64 = 1000;

/// Bytes of what the folder says about its origin, which a run records: a page of text.
const LONGEST_ORIGIN: usize = 4096;

/// Letters of the longest name of a family.
const LONGEST_FAMILY: usize = 64;

/// Reads and checks a card; the error follows the file's name.
pub(super) fn parse(text: &[u8]) -> Result<Wire, String> {
    let wire = Wire::read(text)?;
    check_shape(&wire)?;
    check_windows(&wire)?;
    check_accuracy(&wire)?;
    check_origin(&wire)?;
    check_files(&wire.files)?;
    check_tokens(&wire)?;
    let shape = Shape {
        n_layer: wire.n_layer,
        n_head: wire.n_head,
        d_model: wire.d_model,
        vocab_size: wire.vocab_size,
        n_positions: wire.n_positions,
    };
    wire.probe.check(shape)?;
    check_head(&wire)?;
    Ok(wire)
}

/// Sizes are those of a model, and none is so large that a product of some overflows 64 bits.
fn check_shape(wire: &Wire) -> Result<(), String> {
    let stated = [
        ("n_layer", MOST_LAYERS, i64::from(wire.n_layer)),
        ("n_head", 10_000, i64::from(wire.n_head)),
        ("d_model", 1 << 17, wire.d_model as i64),
        ("vocab_size", 1 << 24, wire.vocab_size as i64),
        ("n_positions", 1 << 24, wire.n_positions as i64),
    ];
    // Format 1 does not state these: they follow from the others.
    let derived = [
        ("n_kv_head", 10_000, i64::from(wire.n_kv_head)),
        ("d_head", 1 << 17, wire.d_head as i64),
        ("d_ff", 1 << 20, wire.d_ff as i64),
    ];
    stated.into_iter().try_for_each(check_size)?;
    if wire.special_tokens.is_none() && !wire.d_model.is_multiple_of(wire.n_head as usize) {
        let (width, heads) = (wire.d_model, wire.n_head);
        return Err(format!("says d_model = {width}, which n_head = {heads} does not divide"));
    }
    derived.into_iter().try_for_each(check_size)?;
    if wire.n_head % wire.n_kv_head != 0 {
        let (heads, own) = (wire.n_head, wire.n_kv_head);
        return Err(format!("says n_head = {heads}, which n_kv_head = {own} does not divide"));
    }
    Ok(())
}

fn check_size((name, most, size): (&str, i64, i64)) -> Result<(), String> {
    if (1..=most).contains(&size) {
        return Ok(());
    }
    Err(format!("says {name} = {size}, which must be 1 to {most}"))
}

fn check_windows(wire: &Wire) -> Result<(), String> {
    if wire.windows.len() != wire.n_layer as usize {
        let n = wire.windows.len();
        return Err(format!(
            "has {n} windows, which must be one for each of {} layers",
            wire.n_layer
        ));
    }
    if wire.windows.contains(&Some(0)) {
        return Err("has a window of 0 tokens: a token sees itself at least".to_owned());
    }
    Ok(())
}

/// What a type costs is said of every type but float32, which is the measure.
fn check_accuracy(wire: &Wire) -> Result<(), String> {
    let Some(Accuracy { pytorch, graph, .. }) = wire.accuracy else {
        return match wire.dtype {
            Dtype::F32 => Ok(()),
            dtype => Err(format!("is {} and does not say its accuracy", dtype.name())),
        };
    };
    if wire.dtype == Dtype::F32 {
        return Err("is float32 and says an accuracy, which only other types have".to_owned());
    }
    let all = [pytorch, graph].map(|d| [d.hidden, d.attention, d.logits]);
    match all.as_flattened().iter().find(|distance| !(distance.is_finite() && **distance >= 0.0)) {
        Some(distance) => Err(format!("says an accuracy of {distance}, which must be 0 or more")),
        None => Ok(()),
    }
}

/// Special tokens, and the tokens of texts, are ids that the model has.
fn check_tokens(wire: &Wire) -> Result<(), String> {
    let Some(CardTokens { prefix_ids, suffix_ids, named }) = &wire.special_tokens else {
        return Ok(());
    };
    let around = prefix_ids.iter().chain(suffix_ids);
    let of_texts = wire.texts.iter().flat_map(|text| &text.ids);
    let of_conversations = wire.conversations.iter().flat_map(|conversation| &conversation.ids);
    let all = around.chain(of_texts).chain(of_conversations);
    let known = |id: i32| usize::try_from(id).is_ok_and(|id| id < wire.vocab_size);
    if let Some(id) = all.copied().find(|id| !known(*id)) {
        return Err(format!("has token {id}, and the model has {} tokens", wire.vocab_size));
    }
    // A name may be that of a token which the tokenizer alone has.
    match named.values().find(|token| token.id < 0) {
        Some(token) => Err(format!("names special token {}, and ids are 0 or more", token.id)),
        None => Ok(()),
    }
}

/// What the folder says about its origin is recorded and shown: it must be short and plain.
fn check_origin(wire: &Wire) -> Result<(), String> {
    check_family(&wire.family)?;
    let Source { name, revision, .. } = &wire.source;
    let exporter = serde_json::to_string(&wire.exporter).expect("it came from JSON");
    let revision = revision.as_deref().unwrap_or_default();
    // JSON writes control characters as escapes.
    let licence = wire.licence.as_deref().unwrap_or_default();
    let plain =
        [("source.name", name.as_str()), ("source.revision", revision), ("licence", licence)];
    for (what, text) in plain {
        if text.chars().any(char::is_control) {
            return Err(format!("has control characters in {what}"));
        }
    }
    if name.len() + revision.len() + licence.len() + exporter.len() > LONGEST_ORIGIN {
        return Err(format!("says more than {LONGEST_ORIGIN} bytes about source and exporter"));
    }
    Ok(())
}

/// A family's name is shown and recorded.
fn check_family(family: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    if family.is_empty() || family.len() > LONGEST_FAMILY || !family.chars().all(plain) {
        return Err(format!(
            "has family '{}', which must be 1 to {LONGEST_FAMILY} small letters, digits, '_', '.' or '-'",
            family.escape_debug()
        ));
    }
    Ok(())
}

fn check_files(files: &BTreeMap<String, FileFacts>) -> Result<(), String> {
    for name in [GRAPH, TOKENIZER] {
        if !files.contains_key(name) {
            return Err(format!("does not list '{name}' under files"));
        }
    }
    if files.len() > MOST_FILES {
        return Err(format!("lists {} files, and a folder has {MOST_FILES} at most", files.len()));
    }
    for (name, facts) in files {
        let plain = !name.is_empty() && name != "." && name != ".." && name != CARD;
        if !plain || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
            let name = name.escape_debug();
            return Err(format!("lists file '{name}', which must be a plain name in its folder"));
        }
        let hex = facts.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if facts.sha256.len() != 64 || !hex {
            return Err(format!(
                "gives '{}' as sha256 of '{name}', which must be 64 lower-case hex digits",
                facts.sha256.escape_debug()
            ));
        }
    }
    Ok(())
}

/// A head comes with its probe, or not at all: one that cannot be checked is not used.
fn check_head(wire: &Wire) -> Result<(), String> {
    match (wire.files.contains_key(HEAD), wire.probe.head.is_empty()) {
        (true, true) => Err(format!("lists '{HEAD}' and has no head values in its probe")),
        (false, false) => Err(format!("has head values in its probe and does not list '{HEAD}'")),
        _ => Ok(()),
    }
}

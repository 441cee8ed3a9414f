//! The settings of a run, flattened: each place of its `pipeline.yml` with its value.

use indexmap::IndexMap;

use super::opened::Opened;
use crate::run_dir::layout::PIPELINE;
use crate::store::hex_sha256;
use crate::yaml::{Document, Node, Value};

/// Longest value, in characters.
const LONGEST: usize = 160;

/// Places as `--set` names them, with their values.
pub(super) type Settings = IndexMap<String, String>;

/// The settings; `None` when the file is not the one that the record names, or cannot be read.
pub(super) fn settings(run: &Opened) -> Option<Settings> {
    let bytes = run.store().read(PIPELINE).ok()?;
    if hex_sha256(&bytes) != run.record.lineage.pipeline_sha256 {
        return None;
    }
    let (document, problems) = Document::new(PIPELINE, &bytes, &[]);
    let root = document.root().filter(|_| problems.is_empty())?;
    let mut all = Settings::new();
    add(root, "", &mut all);
    Some(all)
}

fn add(node: &Node, at: &str, all: &mut Settings) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, node) in entries {
                add(node, &below(key), all);
            }
        }
        Value::List(elements) if elements.iter().any(|element| element.entries().is_some()) => {
            for (i, element) in elements.iter().enumerate() {
                let name = ["kind", "name"].into_iter().find_map(|key| element.get(key)?.text());
                let name = name.map_or_else(|| i.to_string(), str::to_owned);
                // Its kind is a setting too: so a stage without any other is not overlooked.
                add(element, &below(&name), all);
            }
        }
        value => {
            all.insert(at.to_owned(), cut(&text(value)));
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Null | Value::Map(_) => "nothing".to_owned(),
        Value::List(elements) => {
            let elements: Vec<String> =
                elements.iter().map(|element| text(&element.value)).collect();
            format!("[{}]", elements.join(", "))
        }
    }
}

/// Two long values that differ behind their beginnings keep their ends.
fn cut(text: &str) -> String {
    let n = text.chars().count();
    if n <= LONGEST {
        return text.to_owned();
    }
    let half = LONGEST / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(n - half).collect();
    format!("{head}…{tail}")
}

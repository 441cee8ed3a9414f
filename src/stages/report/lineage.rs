//! What the run says of itself: `run.json` and the findings of `summary.json`.
//!
//! Both are read as plain JSON, so that a key more or less never breaks a report.

use serde_json::Value;

use crate::render::evidence::Judgement;
use crate::render::page::Scenario;
use crate::store::Store;

/// Most rows of the lineage table.
const MOST_ROWS: usize = 80;
/// Longest value shown, in characters.
const LONGEST: usize = 200;
/// Most entries of a list or of a nested object that are shown one by one.
const MOST_ENTRIES: usize = 32;
/// Deepest nesting that is laid out; below it, only how much there is.
const DEEPEST: usize = 3;
/// What a run is called whose pipeline is not known.
const UNNAMED: &str = "aqlens run";

/// The pipeline's name, and the rows of the lineage table.
pub(super) fn read(store: &Store) -> (String, Vec<(String, String)>) {
    let Some(run) = json(store, "run.json") else { return (UNNAMED.to_owned(), Vec::new()) };
    // The record is written before the run and again after it: its state and counts are not yet
    // known while the report is made.
    let lineage = run.get("lineage").unwrap_or(&run);
    let name = ["/pipeline", "/pipeline/name", "/name"];
    let name = name.iter().find_map(|place| lineage.pointer(place)?.as_str()).unwrap_or(UNNAMED);
    let mut rows = Vec::new();
    flatten("", lineage, 0, &mut rows);
    if rows.len() > MOST_ROWS {
        let more = rows.len() - MOST_ROWS;
        rows.truncate(MOST_ROWS);
        rows.push(("…".to_owned(), format!("{more} more entries in run.json")));
    }
    (name.to_owned(), rows)
}

/// Fills each scenario's findings, and why its verdicts disagree, when stage `summary` wrote some.
pub(super) fn add_findings(store: &Store, scenarios: &mut [Scenario]) {
    let summary = json(store, "summary.json").unwrap_or_default();
    let entries = summary["scenarios"].as_array().into_iter().flatten();
    for entry in entries {
        let named = |s: &&mut Scenario| entry["scenario"].as_str() == Some(&s.name);
        let Some(scenario) = scenarios.iter_mut().find(named) else { continue };
        let findings = entry["findings"].as_array().into_iter().flatten();
        scenario.findings = findings.filter_map(|f| f.as_str().map(str::to_owned)).collect();
        for evidence in entry["evidence"].as_array().into_iter().flatten() {
            let of = |j: &&mut Judgement| evidence["measure"].as_str() == Some(&j.measure);
            let Some(judgement) = scenario.judgements.iter_mut().find(of) else { continue };
            judgement.disagreement = evidence["disagreement"].as_str().map(str::to_owned);
        }
    }
}

fn json(store: &Store, name: &str) -> Option<Value> {
    serde_json::from_slice(&store.read(name).ok()?).ok()
}

/// One row a value, named by its path: `model.sha256`.
fn flatten(path: &str, value: &Value, depth: usize, rows: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(fields)
            if depth == 0 || (depth < DEEPEST && fields.len() <= MOST_ENTRIES) =>
        {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, depth + 1, rows);
            }
            return;
        }
        Value::Object(fields) => count(fields.len()),
        Value::Array(entries) => list(entries),
        other => scalar(other).unwrap_or_default(),
    };
    rows.push((path.to_owned(), shorten(&text)));
}

fn list(entries: &[Value]) -> String {
    let texts: Option<Vec<String>> = entries.iter().map(scalar).collect();
    match texts {
        Some(texts) if texts.len() <= MOST_ENTRIES => texts.join(", "),
        _ => count(entries.len()),
    }
}

fn count(entries: usize) -> String {
    if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("none".to_owned()),
        Value::Bool(value) => Some(if *value { "yes" } else { "no" }.to_owned()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> Value {
        (0..n).map(|i| (format!("k{i:03}"), Value::from(i))).collect()
    }

    #[test]
    fn any_json_becomes_rows_of_bounded_length() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let run = serde_json::json!({
            "pipeline": { "name": "p", "layers": [0, 2], "scenarios": [{ "x": 1 }, {}] },
            "model": { "sha256": "ab", "deep": { "deeper": { "deepest": 1 } } },
            "long": "x".repeat(500), "tf32": false, "none": null,
            "many": numbered(200), "x": numbered(30), "y": numbered(30), "z": numbered(30),
        });
        store.write("run.json", run.to_string().as_bytes()).unwrap();
        let (name, rows) = read(&store);
        let value = |key: &str| &rows.iter().find(|(k, _)| k == key).expect(key).1;
        assert_eq!(name, "p");
        assert_eq!(value("pipeline.layers"), "0, 2");
        assert_eq!(value("pipeline.scenarios"), "2 entries");
        assert_eq!(value("model.deep.deeper"), "1 entry");
        assert_eq!(value("long").chars().count(), LONGEST + 1);
        assert_eq!(value("many"), "200 entries");
        assert_eq!(rows.len(), MOST_ROWS + 1);
    }

    #[test]
    fn only_what_holds_before_the_run_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let run = serde_json::json!({
            "state": "running", "counts": { "prompts": 0 },
            "lineage": { "pipeline": "p", "aqlens": "0.1.0" },
        });
        store.write("run.json", run.to_string().as_bytes()).unwrap();
        let row = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let rows = vec![row("aqlens", "0.1.0"), row("pipeline", "p")];
        assert_eq!(read(&store), ("p".to_owned(), rows));
    }

    #[test]
    fn a_run_without_lineage_still_has_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        store.write("run.json", b"{ half").unwrap();
        assert_eq!(read(&store), (UNNAMED.to_owned(), Vec::new()));
    }
}

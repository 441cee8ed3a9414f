//! What the run says of itself: its record, and what `summary.json` found.

use serde_json::Value;

use crate::render::page::Scenario;
use crate::run_dir::record::Lineage;
use crate::run_dir::{OpenError, RunDir};
use crate::stage::StageError;

/// Longest value shown, in characters.
const LONGEST: usize = 200;
/// What a run is called whose pipeline is not known.
const UNNAMED: &str = "aqlens run";

/// The pipeline's name, and the rows of the lineage table; a record that is missing or damaged
/// gives neither.
///
/// The record is written before the run and again after it: its state and counts are not yet known
/// while the report is made, so only what the numbers depend on is shown.
pub(super) fn read(run: &RunDir) -> (String, Vec<(String, String)>) {
    let Some(record) = run.record() else { return (UNNAMED.to_owned(), Vec::new()) };
    let rows = rows(&record.lineage);
    (record.lineage.pipeline, rows)
}

/// How often the run was judged and by how many rules, when that was more than once.
pub(super) fn judged(run: &RunDir) -> Option<String> {
    run.summary().ok()??.judged?.sentence()
}

/// Fills each scenario's findings, and why its verdicts disagree, when stage `summary` wrote some;
/// a document that says nothing that can be understood adds nothing.
///
/// # Errors
/// When the document is not the one that was written.
pub(super) fn add_findings(run: &RunDir, scenarios: &mut [Scenario]) -> Result<(), StageError> {
    let summaries = match run.summary() {
        Ok(Some(summaries)) => summaries,
        Err(OpenError::Store(error)) => return Err(error.into()),
        _ => return Ok(()),
    };
    for summary in summaries.scenarios {
        let Some(scenario) = scenarios.iter_mut().find(|s| s.name == summary.scenario) else {
            continue;
        };
        scenario.findings = summary.findings;
        for evidence in summary.evidence {
            let judged = scenario.judgements.iter_mut().find(|j| j.measure == evidence.measure);
            if let Some(judgement) = judged {
                judgement.disagreement = evidence.disagreement;
            }
        }
    }
    Ok(())
}

/// Names all versions of aqlens that made what the report shows; without any, the rows stay as they
/// are.
pub(super) fn name_makers(rows: &mut [(String, String)], made_by: &str) {
    let row = rows.iter_mut().find(|(name, _)| name == "aqlens");
    if let Some((_, value)) = row.filter(|_| !made_by.is_empty()) {
        *value = shorten(made_by);
    }
}

/// One row a field, named as in `run.json`.
fn rows(lineage: &Lineage) -> Vec<(String, String)> {
    match serde_json::to_value(lineage) {
        Ok(Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| (name, shorten(&text(&value)))).collect()
        }
        _ => unreachable!("a lineage serialises to an object"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::Provider;
    use crate::run_dir::judgements::Judgements;
    use crate::run_dir::layout;
    use crate::run_dir::made_by::MadeBy;
    use crate::run_dir::record::{Counts, RunRecord, State};
    use crate::store::Store;

    fn store(folder: &tempfile::TempDir) -> Store {
        Store::create(folder.path()).unwrap()
    }

    fn record(model: &str) -> RunRecord {
        let sha = || "ab".repeat(32);
        let lineage = Lineage {
            pipeline: "p".to_owned(),
            pipeline_sha256: sha(),
            model: model.to_owned(),
            model_revision: None,
            model_sha256: sha(),
            head_sha256: None,
            tokenizer_sha256: sha(),
            prompts_sha256: sha(),
            aqlens: "0.1.0".to_owned(),
            onnxruntime: "1.32.0".to_owned(),
            provider: Provider::Cpu,
            precision: "float32".to_owned(),
            tf32: false,
            table_encoding: 2,
        };
        RunRecord {
            format: 1,
            state: State::Running,
            lineage,
            made_by: MadeBy::default(),
            judged_by: None,
            unnamed_by: None,
            model_shape: None,
            retain: BTreeSet::new(),
            shares: None,
            marks: None,
            libraries: BTreeMap::new(),
            judgements: Judgements::default(),
            counts: Counts::default(),
            self_proof: None,
        }
    }

    #[test]
    fn every_field_becomes_a_row_of_bounded_length() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        record(&"x".repeat(500)).write(&store).unwrap();
        let (name, rows) = read(&RunDir::of(&store));
        let value = |key: &str| &rows.iter().find(|(k, _)| k == key).expect(key).1;
        assert_eq!(name, "p");
        assert_eq!(value("pipeline"), "p");
        assert_eq!(value("model").chars().count(), LONGEST + 1);
        assert_eq!((value("tf32").as_str(), value("model_revision").as_str()), ("no", "none"));
        assert_eq!(value("provider"), "cpu");
        let mut rows = rows.clone();
        name_makers(&mut rows, "");
        assert!(rows.contains(&("aqlens".to_owned(), "0.1.0".to_owned())));
        name_makers(&mut rows, "0.1.0; effect by 0.2.0");
        assert!(rows.contains(&("aqlens".to_owned(), "0.1.0; effect by 0.2.0".to_owned())));
    }

    #[test]
    fn only_what_holds_before_the_run_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        record("demo").write(&store).unwrap();
        let (_, rows) = read(&RunDir::of(&store));
        let names: Vec<&str> = rows.iter().map(|(name, _)| &**name).collect();
        let expected = [
            "aqlens",
            "model",
            "model_revision",
            "model_sha256",
            "onnxruntime",
            "pipeline",
            "pipeline_sha256",
            "precision",
            "prompts_sha256",
            "provider",
            "table_encoding",
            "tf32",
            "tokenizer_sha256",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_run_without_lineage_still_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let nothing = (UNNAMED.to_owned(), Vec::new());
        assert_eq!(read(&RunDir::of(&store)), nothing);
        store.write(layout::RECORD, b"{ half").unwrap();
        assert_eq!(read(&RunDir::of(&store)), nothing);
    }

    #[test]
    fn a_damaged_summary_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let mut scenarios = [Scenario { name: "s".to_owned(), ..Scenario::default() }];
        store.write(layout::SUMMARY, b"{ half").unwrap();
        add_findings(&RunDir::of(&store), &mut scenarios).unwrap();
        assert_eq!(scenarios[0].findings, Vec::<String>::new());
    }
}

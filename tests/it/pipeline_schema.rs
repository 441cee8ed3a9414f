//! The JSON Schema of pipelines accepts what runs, and refuses what it can see is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::{file, python};

const SCHEMA: &str = "pipelines/pipeline.schema.json";

/// What only the model, the files or the other stages show to be wrong.
const BEYOND_A_SCHEMA: [&str; 6] = [
    "files.yml",
    "missing-model.yml",
    "model-without-card.yml",
    "no-input.yml",
    "order.yml",
    "template.yml",
];

/// The YAML files of some folders of the checkout.
fn pipelines(folders: &[&str]) -> Vec<PathBuf> {
    let entries = folders.iter().flat_map(|folder| file(folder).read_dir().unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "yml")).collect();
    paths.sort();
    paths
}

/// By file, the first fault that the schema sees.
fn faults(paths: &[PathBuf]) -> BTreeMap<String, Option<String>> {
    let mut command = python();
    command.arg(file("tests/schema/validate.py")).arg(file(SCHEMA)).args(paths);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn pipelines_that_run_are_accepted() {
    let paths = pipelines(&["pipelines", "tests/oracle", "tests/fixtures", "tests/fixtures/runs"]);
    assert!(paths.len() >= 6, "{paths:?}");
    let faults = faults(&paths);
    assert_eq!(faults.len(), paths.len());
    assert!(faults.values().all(Option::is_none), "{faults:#?}");
}

#[test]
fn bad_pipelines_are_refused_but_for_what_no_schema_sees() {
    let mut paths = pipelines(&["tests/fixtures/bad"]);
    // A small reader without bounds would expand it into gigabytes.
    paths.retain(|path| !path.ends_with("alias-bomb.yml"));
    let faults = faults(&paths);
    assert_eq!(faults.len(), paths.len());
    let accepted: Vec<&str> =
        faults.iter().filter(|(_, fault)| fault.is_none()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(accepted, BEYOND_A_SCHEMA);
    let unknown = faults["unknown-keys.yml"].as_deref().unwrap();
    assert!(unknown.contains("'promt'"), "{unknown}");
}

//! Runs that cannot be compared, or only in part: damaged, unfinished, older.

use std::fs;
use std::path::Path;

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::{Store, sealed_json};

use serde_json::Value;

use super::{STUDY, compare, flat, json, run, says, table};
use crate::support::pipeline::Folder;
use crate::support::{file, put, refuses};

/// The first file of a table of a run.
fn part(folder: &Folder, table: &str) -> std::path::PathBuf {
    let files = fs::read_dir(folder.path().join("b/tables").join(table)).unwrap();
    files.map(|entry| entry.unwrap().path()).min().unwrap()
}

fn two() -> Folder {
    let folder = Folder::new();
    run(&folder, STUDY, "a");
    run(&folder, STUDY, "b");
    folder
}

#[test]
fn a_damaged_run_is_named_with_its_file_and_the_way_out() {
    let folder = two();
    let at = folder.path();
    let refused = |what: &[&str]| {
        let way_out = ["aqlens verify b", "--recheck"];
        refuses(&compare(at, &["a", "b"]), 1, &[what, &way_out[..]].concat());
    };
    let similarity = part(&folder, "similarity");
    let bytes = fs::read(&similarity).unwrap();
    put(&similarity, &bytes[..bytes.len() - 1]);
    refused(&["b is damaged: tables/similarity/part-00000.parquet has"]);
    fs::remove_file(&similarity).unwrap();
    refused(&["b is damaged: tables/similarity/part-00000.parquet is missing"]);
    put(&similarity, &bytes);
    let receipt = at.join("b/receipts/similarity/part-00000.json");
    let sealed = fs::read(&receipt).unwrap();
    fs::remove_file(&receipt).unwrap();
    refused(&["b is damaged: receipts/similarity holds 0 of 1 receipts"]);
    put(&receipt, &[&sealed[..], b" "].concat());
    refused(&["b is damaged: receipts/similarity/part-00000.json is not what aqlens wrote there"]);
    put(&receipt, &sealed);
    assert_eq!(compare(at, &["a", "b", "--fail-on", "any"]).code, 0, "all is repaired");
    put(&at.join("b/run.json"), b"{}");
    refused(&["b is damaged: run.json is not what aqlens wrote there"]);
    fs::remove_file(at.join("b/run.json")).unwrap();
    refused(&["b is damaged: run.json is missing"]);
}

#[test]
fn a_table_that_was_altered_in_place_is_not_compared() {
    let folder = two();
    let similarity = part(&folder, "similarity");
    let mut bytes = fs::read(&similarity).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(&similarity, &bytes);
    let ended = compare(folder.path(), &["a", "b"]);
    refuses(
        &ended,
        1,
        &["b/tables/similarity/part-00000.parquet is not the file that was written"],
    );
}

#[test]
fn a_run_that_is_not_finished_is_not_compared() {
    let folder = two();
    let store = Store::open(&folder.path().join("b"));
    let mut record = RunRecord::read(&store).unwrap();
    record.state = State::Running;
    put(&folder.path().join("b/run.json"), sealed_json(&record).as_bytes());
    let ended = compare(folder.path(), &["a", "b"]);
    refuses(&ended, 2, &["b is not finished: run its pipeline again"]);
    record.state = State::Finished;
    record.format = 2;
    put(&folder.path().join("b/run.json"), sealed_json(&record).as_bytes());
    refuses(&compare(folder.path(), &["a", "b"]), 2, &["written by a later aqlens"]);
}

const V1: &str = "tests/fixtures/runs/v1";
const V2: &str = "tests/fixtures/runs/v2";

/// The two were made by one version from one pipeline, and written in two ways.
#[test]
fn runs_of_two_encodings_have_the_same_rows() {
    let (v1, v2) = (file(V1), file(V2));
    let runs = [v1.to_str().unwrap(), v2.to_str().unwrap()];
    let found = json(Path::new("/"), &[&runs[..], &["--raw"]].concat());
    let tables = found["pairs"][0]["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 29);
    for table in tables {
        let rows = &table["rows"];
        assert_eq!(table["how"], "rows", "{table}");
        assert_eq!((&rows["only_base"], &rows["only_other"]), (&0.into(), &0.into()), "{table}");
        assert_eq!(rows["changed"], 0, "{table}");
        let is_empty = table["table"] == "geometry";
        assert!(is_empty || rows["both"].as_u64().unwrap() > 0, "{table}");
    }
    let lineage = found["pairs"][0]["lineage"].as_array().unwrap();
    let what: Vec<&str> = lineage.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert!(what.contains(&"table_encoding"), "{what:?}");
    assert_eq!(found["differs"]["values"], false);
}

#[test]
fn where_a_record_does_not_say_how_deep_another_model_is_nothing_is_compared_by_layer() {
    let folder = Folder::new();
    run(&folder, &STUDY.replace("MODEL", file("data/demo").to_str().unwrap()), "demo");
    let found = json(folder.path(), &[file(V1).to_str().unwrap(), "demo"]);
    let runs = [&found["runs"][0]["n_layer"], &found["runs"][1]["n_layer"]];
    assert_eq!(runs, [&Value::Null, &12.into()]);
    assert_eq!(found["pairs"][0]["layers"], "unknown");
    assert_eq!(table(&found, "similarity")["how"], "not");
    assert_eq!(table(&found, "next_tokens")["how"], "rows");
}

#[test]
fn an_older_run_is_compared_on_the_columns_that_both_have() {
    let folder = Folder::new();
    let pipeline = fs::read_to_string(file("tests/fixtures/runs/v1.yml")).unwrap();
    let model = file("tests/fixtures/tiny");
    let pipeline = pipeline
        .lines()
        .map(|line| match line.strip_prefix("model:") {
            Some(_) => format!("model: {}", model.display()),
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    run(&folder, &pipeline, "new");
    let old = file(V2);
    let args = [old.to_str().unwrap(), "new"];
    let found = json(folder.path(), &args);
    let prompts = table(&found, "prompts");
    assert_ne!(prompts["version_base"], prompts["version_other"]);
    let skipped: Vec<&str> = prompts["columns_not_compared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert!(skipped.contains(&"cluster") && skipped.contains(&"input_sha256"), "{skipped:?}");
    assert!(prompts["rows"]["both"].as_u64().unwrap() > 0);
    let similarity = &table(&found, "similarity")["rows"];
    assert!(similarity["both"].as_u64().unwrap() > 0, "{similarity}");
    // Its reference sets had no scenario.
    let reference = table(&found, "reference");
    assert_eq!(reference["how"], "not");
    assert!(reference["why"].as_str().unwrap().contains("no column 'scenario'"), "{reference}");
    let ended = compare(folder.path(), &args);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    says(
        &ended.stdout,
        &["the version of aqlens is 0.1.0 in v2 and", "compared without", "no common key"],
    );
    assert!(flat(&ended.stdout).contains("different:"), "{}", ended.stdout);
}

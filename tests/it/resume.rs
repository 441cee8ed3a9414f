//! A run picks up where it stopped, redoes only what changed, and never trusts a file for being
//! there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::runs::{finished, tables};
use crate::support::tiny::Copy;
use crate::support::{aqlens, file, put};

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self, extra: &[&str]) -> String {
        let pipeline = file("tests/fixtures/tiny.yml");
        let args = [
            &["run", pipeline.to_str().unwrap(), "--log", "json", "--set", "shard_inputs=4"],
            extra,
        ]
        .concat();
        let ended = aqlens(self.dir.path(), &args);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stderr
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("runs/tiny").join(name)
    }
}

#[test]
fn a_finished_run_does_nothing_again() {
    let folder = Folder::new();
    assert!(finished(&folder.run(&[])).len() > 10);
    let before = tables(&folder.path(""));
    let record = fs::read(folder.path("run.json")).unwrap();
    assert!(finished(&folder.run(&[])).is_empty());
    assert_eq!(tables(&folder.path("")), before);
    assert_eq!(
        fs::read(folder.path("run.json")).unwrap(),
        record,
        "not even the record is written"
    );
}

#[test]
fn changing_top_k_redoes_only_what_depends_on_it() {
    let folder = Folder::new();
    folder.run(&[]);
    let done = finished(&folder.run(&["--set", "stages.tokens.top_k=3"]));
    assert!(done.iter().any(|d| d.starts_with("tokens:")), "{done:?}");
    for stage in ["extract", "similarity", "divergence", "attention"] {
        assert!(!done.iter().any(|d| d.starts_with(stage)), "{stage} was redone: {done:?}");
    }
}

#[test]
fn a_changed_input_redoes_its_shard_only() {
    let folder = Folder::new();
    folder.run(&[]);
    let done = finished(&folder.run(&["--set", "scenarios.0.inputs.long=a red cup"]));
    let extracted: Vec<_> = done.iter().filter(|d| d.starts_with("extract:")).collect();
    assert_eq!(extracted.len(), 1, "{done:?}");
}

#[test]
fn the_result_after_changes_is_that_of_a_fresh_run() {
    let changed = ["--set", "stages.extract.layers=[1,4]", "--set", "shard_inputs=7"];
    let resumed = Folder::new();
    resumed.run(&[]);
    resumed.run(&changed);
    let fresh = Folder::new();
    fresh.run(&changed);
    let names = |folder: &Folder| tables(&folder.path("")).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&resumed), names(&fresh), "no part of the earlier plan is left");
    assert_eq!(tables(&resumed.path("")), tables(&fresh.path("")));
    let folders = |folder: &Folder| {
        let entries = fs::read_dir(folder.path("tables/activations")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    assert_eq!(folders(&resumed), folders(&fresh), "no layer of the earlier plan is left");
}

/// A pipeline whose inputs have one task each, so no pair of prompts is compared.
const ONE_TASK: &str = r#"name: tiny
model: MODEL
prompt: "{task}\n{input}:"
max_skipped: 1
scenarios:
  - name: one
    inputs: { ball: "the red ball", two: "the red ball is on the table and the cup" }
    tasks: { color: "what color is it?" }
stages:
  - { kind: extract, too_long: skip }
  - kind: similarity
  - kind: divergence
  - kind: summary
  - kind: report
"#;

fn run_one_task(folder: &Folder, model: &Path, extra: &[&str]) {
    let text = ONE_TASK.replace("MODEL", model.to_str().unwrap());
    put(&folder.dir.path().join("one.yml"), text.as_bytes());
    let args = [&["run", "one.yml", "--log", "json"], extra].concat();
    let ended = aqlens(folder.dir.path(), &args);
    assert!([0, 3].contains(&ended.code), "{}", ended.stderr);
}

#[test]
fn other_layers_reach_the_stages_that_no_compared_pair_tells_of_them() {
    let model = file("tests/fixtures/tiny");
    let resumed = Folder::new();
    run_one_task(&resumed, &model, &["--set", "stages.extract.layers=[0,4]"]);
    run_one_task(&resumed, &model, &["--set", "stages.extract.layers=[1,2]"]);
    let fresh = Folder::new();
    run_one_task(&fresh, &model, &["--set", "stages.extract.layers=[1,2]"]);
    let [resumed, fresh] = [resumed, fresh].map(|folder| tables(&folder.path("")));
    assert_eq!(resumed.keys().collect::<Vec<_>>(), fresh.keys().collect::<Vec<_>>());
    for (name, bytes) in fresh {
        assert!(resumed[&name] == bytes, "{name} is stale");
    }
}

/// Nothing else has changed, so one of the two is wrong, and nobody can know which.
#[test]
fn a_model_that_suddenly_reads_shorter_prompts_is_refused_in_the_same_folder() {
    let folder = Folder::new();
    let model = Copy::new();
    run_one_task(&folder, model.path(), &[]);
    model.edit_card(|card| {
        card["n_positions"] = 12.into();
        // The probe's third prompt is longer than that.
        card["probe"]["prompts"][2] = card["probe"]["prompts"][1].clone();
        for name in ["hidden", "attention", "logits", "head"] {
            let rows = card["probe"][name].as_array_mut().unwrap();
            rows.retain(|row| row["prompt"] != 2);
        }
    });
    let before = tables(&folder.path(""));
    let ended = aqlens(folder.dir.path(), &["run", "one.yml"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for words in ["model.json", "it says n_positions 12, not 64;", "--run-dir"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert_eq!(tables(&folder.path("")), before);
    run_one_task(&folder, model.path(), &["--run-dir", "another"]);
    let shown = aqlens(folder.dir.path(), &["show", "another", "--table", "prompts"]);
    assert!(shown.stdout.contains("too_long"), "{}", shown.stdout);
}

#[test]
fn a_missing_or_truncated_part_is_made_again() {
    let folder = Folder::new();
    folder.run(&[]);
    let before = tables(&folder.path(""));
    fs::remove_file(folder.path("tables/similarity/part-00001.parquet")).unwrap();
    let truncated = folder.path("tables/activations/part-00000-layer-003.parquet");
    let bytes = fs::read(&truncated).unwrap();
    put(&truncated, &bytes[..bytes.len() / 2]);
    let done = finished(&folder.run(&[]));
    assert!(done.contains(&"similarity:1".to_owned()), "{done:?}");
    assert!(done.contains(&"extract:0".to_owned()), "{done:?}");
    assert_eq!(tables(&folder.path("")), before);
}

#[test]
fn raw_tables_that_are_not_retained_are_gone_and_come_back_only_when_needed() {
    let folder = Folder::new();
    let lean = ["--set", "retain=[]"];
    folder.run(&lean);
    for table in ["activations", "attention", "logits"] {
        let left = tables(&folder.path(""))
            .into_keys()
            .filter(|name| name.starts_with(&format!("tables/{table}/")))
            .count();
        assert_eq!(left, 0, "{table}");
        let folder = folder.path("tables").join(table);
        assert!(!folder.exists(), "no empty folders are left of {table}");
    }
    assert!(finished(&folder.run(&lean)).is_empty(), "the run is finished without them");
    let shown = aqlens(folder.dir.path(), &["show", "runs/tiny", "--table", "logits"]);
    assert_eq!(shown.code, 2);
    assert!(shown.stderr.contains("retain"), "{}", shown.stderr);
    let done = finished(&folder.run(&[&lean[..], &["--set", "stages.tokens.top_k=3"]].concat()));
    assert!(done.iter().any(|d| d.starts_with("extract:")), "their reader needs them: {done:?}");
    assert!(!done.iter().any(|d| d.starts_with("similarity:")), "the others do not: {done:?}");
}

#[test]
fn a_second_process_is_told_who_holds_the_run() {
    let folder = Folder::new();
    folder.run(&[]);
    let store = aqlens::store::Store::create(&folder.path("")).unwrap();
    let _held = store.lock().unwrap();
    let pipeline = file("tests/fixtures/tiny.yml");
    let ended = aqlens(folder.dir.path(), &["run", pipeline.to_str().unwrap()]);
    assert_eq!(ended.code, 75);
    let holder = format!("process {}", std::process::id());
    assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
}

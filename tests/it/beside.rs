//! A scenario's numbers do not depend on what else is in the file: alone, and between others of other
//! questions, lengths and controls, every table has the same rows of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use aqlens::stages::KINDS;
use arrow_array::{Array as _, BooleanArray, RecordBatch, RecordBatchReader as _, StringArray};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::runs::tables;
use crate::support::{aqlens, put, root};

const SHARED: &str = r#"
  - name: shared
    inputs: { a: "the red ball is on the table", b: "a blue cup, next to the ball", c: "a cup",
              d: "the ball is under the green table", e: "the ball and the red ball",
              f: "a green cup is here", g: "the blue table, the red cup and the ball" }
    tasks:
      color: { wordings: ["what color is the ball?", "the ball is what color?"] }
      where: { wordings: ["where is the cup?", "the cup is where?"] }
    controls: { neutral: auto, scrambled: true, other_input: true }
"#;

const BEFORE: &str = r#"
  - name: before
    inputs: { a: "the red ball is on the table", b: "the cup is under the table, the red ball is here" }
    tasks: { count: "how many?", name: "name every ball and cup and table that is here, and the next" }
"#;

const AFTER: &str = r#"
  - name: after
    inputs: { x: "one", y: "two, three", z: "the ball is here and there and on the table again" }
    tasks:
      color: { wordings: ["what color is the ball?", "which color has it?", "color?"] }
      colour: { wordings: ["name the colour", "say what colour the ball has", "colour"] }
    controls: { other_input: true }
"#;

/// Runs every kind of stage over these scenarios.
fn run(folder: &Path, name: &str, scenarios: &[&str], set: &[&str]) -> std::path::PathBuf {
    let kinds = KINDS.iter().filter(|kind| **kind != "report").map(|kind| match *kind {
        "extract" => "  - { kind: extract, layers: [0, 4] }\n".to_owned(),
        "similarity" => "  - { kind: similarity, measures: [all] }\n".to_owned(),
        "attention" => "  - { kind: attention, aligned: true }\n".to_owned(),
        "geometry" => "  - { kind: geometry, neighbours: 2 }\n".to_owned(),
        kind => format!("  - {{ kind: {kind} }}\n"),
    });
    let text = format!(
        "name: beside\nmodel: {}\nprompt: \"{{task}}\\n\\n{{input}}:\"\nscenarios:{}\nstages:\n{}\
         retain: [activations, attention, logits]\n",
        root().join("tests/fixtures/tiny").display(),
        scenarios.concat(),
        kinds.collect::<String>()
    );
    let pipeline = folder.join(format!("{name}.yml"));
    put(&pipeline, text.as_bytes());
    let run_dir = folder.join(name);
    let args = ["run", pipeline.to_str().unwrap(), "--run-dir", run_dir.to_str().unwrap()];
    let ended = aqlens(folder, &[&args[..], set].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    run_dir
}

/// The rows of scenario `shared`, by table and layer, whatever parts they are in.
fn rows(run_dir: &Path) -> BTreeMap<String, RecordBatch> {
    let mut found: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    for name in tables(run_dir).keys().filter(|name| name.ends_with(".parquet")) {
        let file = File::open(run_dir.join(name)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let empty = RecordBatch::new_empty(reader.schema());
        let (table, part) = name.rsplit_once("/part-").unwrap();
        let layer = part.split_once('-').map_or("", |(_, layer)| layer);
        let batches = found.entry(format!("{table}/{layer}")).or_insert_with(|| vec![empty]);
        for batch in reader {
            let batch = batch.unwrap();
            let scenario = batch.column_by_name("scenario").unwrap_or_else(|| panic!("{name}"));
            let scenario = scenario.as_any().downcast_ref::<StringArray>().unwrap();
            let own: BooleanArray =
                scenario.iter().map(|name| Some(name == Some("shared"))).collect();
            batches.push(filter_record_batch(&batch, &own).unwrap());
        }
    }
    let whole = |batches: Vec<RecordBatch>| concat_batches(&batches[0].schema(), &batches).unwrap();
    found.into_iter().map(|(name, batches)| (name, whole(batches))).collect()
}

fn evidence(run_dir: &Path) -> serde_json::Value {
    let text = std::fs::read(run_dir.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let scenarios = summary["scenarios"].as_array().unwrap();
    scenarios.iter().find(|scenario| scenario["scenario"] == "shared").unwrap().clone()
}

#[test]
fn other_scenarios_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (i, set) in [&[][..], &["--set", "shard_inputs=3"]].into_iter().enumerate() {
        let run = |name: &str, scenarios: &[&str]| {
            run(folder.path(), &format!("{name}-{i}"), scenarios, set)
        };
        let alone = run("alone", &[SHARED]);
        let expected = rows(&alone);
        let reference = &expected["tables/reference/"];
        assert_eq!(reference.num_rows(), 2 * 27, "two layers of 27 dimensions");
        assert_eq!(reference.column_by_name("mean").unwrap().null_count(), 0);
        assert!(expected.values().filter(|rows| rows.num_rows() > 0).count() > 20);
        for (name, scenarios) in [
            ("before", &[BEFORE, SHARED][..]),
            ("after", &[SHARED, AFTER]),
            ("both", &[BEFORE, SHARED, AFTER]),
        ] {
            let beside = run(name, scenarios);
            let found = rows(&beside);
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            let differ: Vec<&String> = found
                .iter()
                .filter(|(name, rows)| **rows != expected[*name])
                .map(|(name, _)| name)
                .collect();
            assert!(differ.is_empty(), "{name} {set:?}: {differ:?}");
            assert_eq!(evidence(&beside), evidence(&alone), "{name} {set:?}");
        }
    }
}

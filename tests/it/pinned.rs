//! A reference set that another run took: taken over under this run's names, and refused when it is of
//! another model, incomplete or changed.

use std::fs;
use std::path::{Path, PathBuf};

use aqlens::store::{Store, hex_sha256};
use aqlens::table::reader::read_part;
use aqlens::table::schema::REFERENCE;
use aqlens::table::writer::PartAddress;

use crate::support::{Ended, aqlens, put, refuses, root};

const TEXT: &str = "prompt: \"{task}\\n\\n{input}:\"
scenarios:
  - name: NAME
    inputs: { a: \"the red ball is on the table\", b: \"a blue cup, next to the ball\", c: \"a cup\",
              d: \"the ball is under the green table\", e: \"the ball and the red ball\",
              f: \"a green cup is here\", g: \"the blue table, the red cup and the ball\" }
    tasks:
      color: { wordings: [\"what color is the ball?\", \"the ball is what color?\"] }
      where: { wordings: [\"where is the cup?\", \"the cup is where?\"] }
stages:
  - { kind: extract, layers: [0, 4] }
  - { kind: reference, FROM }
  - { kind: similarity, measures: [last_standardised] }
";

fn run(folder: &Path, name: &str, scenario: &str, from: &str, set: &[&str]) -> Ended {
    let model = root().join("tests/fixtures/tiny");
    let text = TEXT.replace("NAME", scenario).replace("FROM", from);
    let pipeline = folder.join(format!("{name}.yml"));
    put(&pipeline, format!("name: {name}\nmodel: {}\n{text}", model.display()).as_bytes());
    aqlens(folder, &[&["run", pipeline.to_str().unwrap()], set].concat())
}

fn table(folder: &Path, name: &str) -> PathBuf {
    folder.join("runs").join(name).join(REFERENCE.file(None, 0))
}

/// Scenario, mean and sd of every row.
fn rows(folder: &Path, name: &str) -> (Vec<String>, Vec<f64>) {
    let store = Store::open(&folder.join("runs").join(name));
    let columns = ["scenario", "mean", "sd"];
    let part = read_part(&store, PartAddress::new(&REFERENCE, 0), &columns).unwrap();
    let scenarios = part.texts("scenario").unwrap().iter().flatten().map(str::to_owned).collect();
    let numbers = ["mean", "sd"].map(|name| part.float64s(name).unwrap().clone());
    (scenarios, numbers.iter().flatten().flatten().collect())
}

#[test]
fn another_runs_reference_is_taken_and_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(run(folder, "first", "same", "prompts: 64", &[]).code, 0);
    // The path is relative to the pipeline file; the scenario of the same name is taken.
    let ended = run(folder, "second", "same", "from: runs/first", &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(rows(folder, "second"), rows(folder, "first"));
    let other = "from: { run: runs/first, scenario: same }";
    assert_eq!(run(folder, "third", "other", other, &[]).code, 0);
    let (scenarios, numbers) = rows(folder, "third");
    assert_eq!(numbers, rows(folder, "first").1);
    assert!(scenarios.iter().all(|name| name == "other") && scenarios.len() == 2 * 27);

    let hash = hex_sha256(&fs::read(table(folder, "first")).unwrap());
    let resolved = fs::read_to_string(folder.join("runs/second/pipeline.yml")).unwrap();
    assert!(resolved.contains(&format!("sha256: {hash}")), "{resolved}");
    assert!(resolved.contains("runs/first"), "{resolved}");
    // The resolved pipeline runs as well, from anywhere, and finds nothing to do.
    let again = ["run", "runs/second/pipeline.yml", "--run-dir", "runs/second"];
    assert!(aqlens(folder, &again).stderr.contains("nothing to do"));

    // The first run is made again with another sample: its table is another one.
    let ended = run(folder, "first", "same", "prompts: 20", &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let ended = aqlens(folder, &again);
    refuses(&ended, 2, &["has changed", "remove `sha256`"]);
    let ended = run(folder, "second", "same", "from: runs/first", &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(rows(folder, "second"), rows(folder, "first"), "taken again as it is now");
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(run(folder, "first", "same", "prompts: 64", &[]).code, 0);
    let again = |scenario: &str, from: &str, set: &[&str], words: &[&str]| {
        let ended = run(folder, "second", scenario, from, set);
        refuses(&ended, 2, words);
        assert!(!folder.join("runs/second").exists(), "{words:?}");
    };
    again("same", "from: runs/none", &[], &["does not exist", "stage `reference`"]);
    again("same", "from: { run: runs/first, sha: x }", &[], &["unknown", "sha256"]);
    again("other", "from: runs/first", &[], &["no rows of scenario 'other'", "scenario: NAME"]);
    let layers = ["--set", "stages.extract.layers=[0,1,4]"];
    again("same", "from: runs/first", &layers, &["lacks", "capture"]);
    let pinned = format!("from: {{ run: runs/first, sha256: {} }}", "0".repeat(64));
    again("same", &pinned, &[], &["has changed", "remove `sha256`"]);

    // A receipt vouches for the file; and a record of another model is none of ours.
    let whole = fs::read(table(folder, "first")).unwrap();
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 1;
    put(&table(folder, "first"), &bytes);
    again("same", "from: runs/first", &[], &["wrote"]);
    put(&table(folder, "first"), &whole);
    let record = folder.join("runs/first/run.json");
    let mut record_now: aqlens::run_dir::record::RunRecord =
        aqlens::store::read_sealed(&fs::read(&record).unwrap()).unwrap();
    record_now.lineage.model_sha256 = "ab".repeat(32);
    put(&record, aqlens::store::sealed_json(&record_now).as_bytes());
    again("same", "from: runs/first", &[], &["differs", "model"]);
}

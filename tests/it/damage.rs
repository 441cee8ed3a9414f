//! A damaged run directory: `verify` names the file, `run --recheck` makes just it and what was made
//! from it anew, and the result is that of the undisturbed run, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::{Store, sealed_json};
use rstest::rstest;
use tempfile::TempDir;

use crate::support::runs::{finished, tables};
use crate::support::{Ended, aqlens, file, put};

const PIPELINE: &str = r#"name: small
model: MODEL
prompt: "{task}\n{input}:"
shard_inputs: 1
scenarios:
  - name: one
    inputs:
      ball: "the red ball"
      cup: "the green cup on the table"
      table: "the blue table"
    tasks:
      color: "what color is it?"
      where: "where is it?"
stages:
  - kind: extract
    layers: [0, 4]
  - kind: similarity
  - kind: divergence
  - kind: attention
  - kind: tokens
  - kind: summary
  - kind: report
"#;

/// An undisturbed run, which tests copy before they damage it.
static UNDISTURBED: LazyLock<TempDir> = LazyLock::new(|| new_run(PIPELINE));

/// A run of the same name and shape on other inputs.
static OTHER: LazyLock<TempDir> =
    LazyLock::new(|| new_run(&PIPELINE.replace("the green cup on", "a blue ball under")));

fn new_run(pipeline: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = file("tests/fixtures/tiny");
    let text = pipeline.replace("MODEL", model.to_str().unwrap());
    put(&folder.path().join("pipeline.yml"), text.as_bytes());
    let ended = aqlens(folder.path(), &["run", "pipeline.yml", "--run-dir", "run"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    folder
}

/// A folder with a pipeline file and its run.
pub(crate) struct Folder {
    pub(crate) dir: TempDir,
}

impl Folder {
    pub(crate) fn copy() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(UNDISTURBED.path(), dir.path());
        Self { dir }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.run_dir().join(name)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.run_dir())
    }

    pub(crate) fn verify(&self) -> Ended {
        let ended = aqlens(self.dir.path(), &["verify", "run"]);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    /// Runs the pipeline with `--recheck`: what was worked on, as `stage:shard`.
    pub(crate) fn recheck(&self) -> Vec<String> {
        let args = ["run", "pipeline.yml", "--run-dir", "run", "--log", "json", "--recheck"];
        let ended = aqlens(self.dir.path(), &args);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        finished(&ended.stderr)
    }

    pub(crate) fn is_as_undisturbed(&self) {
        let whole = tables(&UNDISTURBED.path().join("run"));
        let ours = tables(&self.run_dir());
        assert_eq!(ours.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
        for (name, bytes) in &ours {
            assert_eq!(bytes, &whole[name], "{name} differs from the undisturbed run's");
        }
        let ended = self.verify();
        assert_eq!(ended.code, 0, "{}", ended.stdout);
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The lines of `verify` about files: word and name.
fn findings(ended: &Ended) -> Vec<(&str, &str)> {
    let words = ["missing", "truncated", "altered", "foreign", "unreadable"];
    let lines = ended.stdout.lines().filter_map(|line| {
        let (word, rest) = line.split_once(' ')?;
        let (name, _) = rest.trim_start().split_once(": ")?;
        words.contains(&word).then_some((word, name))
    });
    lines.collect()
}

pub(crate) fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(path, &bytes);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Truncated,
    BitFlipped,
    Deleted,
    Swapped,
    ForeignAdded,
}

pub(crate) const PART: &str = "tables/similarity/part-00001.parquet";
pub(crate) const RAW_PART: &str = "tables/activations/part-00001-layer-004.parquet";
const RECEIPT: &str = "receipts/attention/part-00001.json";

/// Does the damage; returns the file that must be named.
fn damage(folder: &Folder, name: &str, damage: Damage) -> String {
    let path = folder.path(name);
    let bytes = fs::read(&path).unwrap();
    match damage {
        Damage::Truncated => put(&path, &bytes[..bytes.len() - 5]),
        Damage::BitFlipped => flip_a_bit(&path),
        Damage::Deleted => fs::remove_file(&path).unwrap(),
        Damage::Swapped => {
            let other = fs::read(OTHER.path().join("run").join(name)).unwrap();
            assert_ne!(other, bytes, "the other run's {name} is the same: nothing is damaged");
            put(&path, &other);
        }
        Damage::ForeignAdded => {
            let foreign = match name {
                "summary.json" | "report.html" => format!("tables/{name}"),
                "pipeline.yml" => "receipts/pipeline.yml".to_owned(),
                _ => name.replace("part-00001", "part-00099"),
            };
            put(&folder.path(&foreign), &bytes);
            return foreign;
        }
    }
    name.to_owned()
}

#[rstest]
#[case::table_part(PART, &["similarity:1", "divergence:null", "summary:null", "report:null"], "truncated", "altered")]
#[case::raw_table_part(
    RAW_PART,
    &["extract:1", "similarity:1", "divergence:null", "summary:null", "report:null"],
    "truncated",
    "altered"
)]
#[case::receipt(RECEIPT, &["attention:1"], "truncated", "foreign")]
#[case::summary("summary.json", &["summary:null", "report:null"], "truncated", "altered")]
#[case::report("report.html", &["report:null"], "truncated", "altered")]
#[case::pipeline("pipeline.yml", &[], "altered", "altered")]
fn damage_is_named_and_just_it_and_what_was_made_from_it_are_made_anew(
    #[case] name: &str,
    #[case] redone: &[&str],
    #[case] word_when_truncated: &str,
    #[case] word_when_swapped: &str,
    #[values(
        Damage::Truncated,
        Damage::BitFlipped,
        Damage::Deleted,
        Damage::Swapped,
        Damage::ForeignAdded
    )]
    kind: Damage,
) {
    let folder = Folder::copy();
    let named = damage(&folder, name, kind);
    let word = match kind {
        Damage::Truncated => word_when_truncated,
        Damage::BitFlipped => "altered",
        Damage::Deleted => "missing",
        Damage::Swapped => word_when_swapped,
        Damage::ForeignAdded => "foreign",
    };
    let ended = folder.verify();
    assert_eq!(findings(&ended), [(word, named.as_str())], "{}", ended.stdout);
    assert_eq!(ended.code, 1);

    let mut expected = if kind == Damage::ForeignAdded { Vec::new() } else { redone.to_vec() };
    if (name, kind) == (RECEIPT, Damage::Swapped) {
        // The files are not those of the receipt that is there, so who read them is not believed.
        expected.extend(["summary:null", "report:null"]);
    }
    assert_eq!(folder.recheck(), expected);
    if ended.stdout.contains("by hand") {
        assert!(folder.path(&named).exists(), "a file of no kind of ours is never deleted");
        assert_eq!(folder.verify().code, 1, "and it stays named until it is gone");
        fs::remove_file(folder.path(&named)).unwrap();
    }
    folder.is_as_undisturbed();
}

#[rstest]
fn a_damaged_record_of_the_run_is_named_and_written_anew(
    #[values(Damage::Truncated, Damage::BitFlipped, Damage::Deleted)] kind: Damage,
) {
    let folder = Folder::copy();
    damage(&folder, "run.json", kind);
    let ended = folder.verify();
    assert_eq!(ended.code, 1);
    assert!(findings(&ended).iter().all(|(_, name)| *name == "run.json"), "{}", ended.stdout);
    assert_eq!(findings(&ended).len(), 1, "{}", ended.stdout);
    assert_eq!(folder.recheck(), Vec::<String>::new());
    folder.is_as_undisturbed();
}

#[test]
fn a_shorter_file_that_is_whole_is_altered_and_not_truncated() {
    let folder = Folder::copy();
    let small = fs::read(folder.path("tables/skipped/part-00000.parquet")).unwrap();
    let large = folder.path(PART);
    assert!(small.len() < fs::read(&large).unwrap().len());
    put(&large, &small);
    put(&folder.path("summary.json"), b"{\n  \"scenarios\": []\n}\n");
    let ended = folder.verify();
    assert_eq!(findings(&ended), [("altered", "summary.json"), ("altered", PART)]);
}

#[test]
fn a_run_without_its_record_goes_on_only_under_its_own_pipeline() {
    let folder = Folder::copy();
    fs::remove_file(folder.path("run.json")).unwrap();
    let run = ["run", "pipeline.yml", "--run-dir", "run"];
    let other = aqlens(folder.dir.path(), &[&run[..], &["--set", "seed=1"]].concat());
    assert_eq!(other.code, 2, "{}", other.stderr);
    assert_eq!(aqlens(folder.dir.path(), &run).code, 0);
    flip_a_bit(&folder.path("pipeline.yml"));
    assert_eq!(aqlens(folder.dir.path(), &run).code, 0, "it is written anew without --recheck");
    folder.is_as_undisturbed();
    fs::remove_file(folder.path("run.json")).unwrap();
    fs::remove_file(folder.path("pipeline.yml")).unwrap();
    assert_eq!(aqlens(folder.dir.path(), &run).code, 2);
    let ended = folder.verify();
    assert!(ended.stdout.contains("into another one"), "{}", ended.stdout);
}

#[test]
fn an_undisturbed_run_is_sound_and_verifying_writes_nothing() {
    let folder = Folder::copy();
    let everything = |folder: &Folder| {
        let names = ["run.json", "run.lock"].map(|name| fs::read(folder.path(name)).unwrap());
        (tables(&folder.run_dir()), names)
    };
    let before = everything(&folder);
    let ended = folder.verify();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("nothing wrong"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("note"), "every receipt was judged:\n{}", ended.stdout);
    assert_eq!(everything(&folder), before);
    // 3 shards x 4 stages + 3 reducing stages, their files, and the two records.
    let files = before.0.len() + 1;
    assert!(ended.stdout.contains(&format!(" {files} files (")), "{files}: {}", ended.stdout);
}

#[test]
fn several_damages_are_all_named_and_all_repaired() {
    let folder = Folder::copy();
    flip_a_bit(&folder.path(RAW_PART));
    fs::remove_file(folder.path("receipts/extract/part-00002.json")).unwrap();
    flip_a_bit(&folder.path("summary.json"));
    let ended = folder.verify();
    let expected = [
        ("missing", "receipts/extract/part-00002.json"),
        ("altered", "summary.json"),
        ("altered", RAW_PART),
    ];
    assert_eq!(findings(&ended), expected, "{}", ended.stdout);
    assert!(ended.stdout.contains("1 missing, 2 altered"), "{}", ended.stdout);
    let expected = [
        "extract:1",
        "similarity:1",
        "extract:2",
        "divergence:null",
        "summary:null",
        "report:null",
    ];
    assert_eq!(folder.recheck(), expected);
    folder.is_as_undisturbed();
}

#[test]
fn the_command_that_verify_prints_repairs_the_run() {
    let folder = Folder::copy();
    flip_a_bit(&folder.path(PART));
    let ended = folder.verify();
    let line = ended.stdout.lines().find_map(|line| line.split_once("aqlens run ")).unwrap();
    let args: Vec<&str> = ["run"].into_iter().chain(line.1.split(' ')).collect();
    let ran = aqlens(folder.dir.path(), &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    folder.is_as_undisturbed();
}

#[test]
fn tables_that_are_not_retained_are_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    copy(UNDISTURBED.path(), folder.path());
    let lean = ["run", "pipeline.yml", "--run-dir", "run", "--set", "retain=[logits]"];
    assert_eq!(aqlens(folder.path(), &lean).code, 0);
    assert!(!folder.path().join("run").join(RAW_PART).exists());
    let ended = aqlens(folder.path(), &["verify", "run"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    fs::remove_file(folder.path().join("run/tables/logits/part-00000.parquet")).unwrap();
    let ended = aqlens(folder.path(), &["verify", "run"]);
    assert_eq!(findings(&ended), [("missing", "tables/logits/part-00000.parquet")]);
}

#[test]
fn an_unfinished_run_is_told_and_its_open_work_is_no_damage() {
    let folder = Folder::copy();
    let mut record = RunRecord::read(&folder.store()).unwrap();
    record.state = State::Running;
    folder.store().write("run.json", sealed_json(&record).as_bytes()).unwrap();
    fs::remove_file(folder.path("receipts/summary/part-00000.json")).unwrap();
    fs::remove_file(folder.path("receipts/tokens/part-00002.json")).unwrap();
    let ended = folder.verify();
    assert_eq!(findings(&ended), []);
    assert!(ended.stdout.contains("unfinished 2 of its stages"), "{}", ended.stdout);
    assert_eq!(ended.code, 1);
    assert_eq!(folder.recheck(), ["tokens:2", "summary:null"]);
    folder.is_as_undisturbed();
}

#[test]
fn a_leftover_of_a_killed_process_is_named_and_is_no_error() {
    let folder = Folder::copy();
    put(&folder.path(".pending/x1y2"), b"half");
    let ended = folder.verify();
    assert!(ended.stdout.contains("leftover   .pending/x1y2"), "{}", ended.stdout);
    assert_eq!(ended.code, 0);
}

#[test]
fn without_the_model_the_files_are_hashed_and_the_gap_is_told() {
    let dir = tempfile::tempdir().unwrap();
    copy(&file("tests/fixtures/tiny"), &make(dir.path(), "model"));
    put(&dir.path().join("p.yml"), PIPELINE.replace("MODEL", "model").as_bytes());
    assert_eq!(aqlens(dir.path(), &["run", "p.yml", "--run-dir", "run"]).code, 0);
    fs::rename(dir.path().join("model"), dir.path().join("moved")).unwrap();
    let ended = aqlens(dir.path(), &["verify", "run"]);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("was not checked"), "{}", ended.stdout);
    flip_a_bit(&dir.path().join("run").join(PART));
    let ended = aqlens(dir.path(), &["verify", "run"]);
    assert_eq!(findings(&ended), [("altered", PART)]);
}

fn make(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn a_run_in_progress_is_not_judged() {
    let folder = Folder::copy();
    let _held = folder.store().lock().unwrap();
    let ended = folder.verify();
    assert_eq!(ended.code, 75);
    let holder = format!("process {}", std::process::id());
    assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
}

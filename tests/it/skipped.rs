//! Prompts that cannot be run: recorded one by one, and not too many of them.

use std::fs;
use std::path::{Path, PathBuf};

use aqlens::stages::extract::{Config, NotFinite};
use aqlens::table::reader::Part;
use aqlens::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, PROMPTS, SKIPPED};

use crate::support::fake_model::{Flawed, on};
use crate::support::runs::{finished, tables};
use crate::support::tiny::{self, Copy, Extraction, prompts};
use crate::support::{Ended, aqlens, assert_says, file, put, python};

#[test]
fn prompts_that_gave_no_numbers_leave_no_rows_and_shift_no_others() {
    // One batch, longest first: prompts 3 (four tokens), 1 (three), 2 (two) and 0 (one).
    let texts = prompts(&["?", "???", "??", "????"]);
    let config = || Config { not_finite: NotFinite::Skip, ..Config::default() };
    let hidden = Some(((4 + 2) * 27 + 5, f32::NAN));
    let last_query = (3 * 3 + 2) * 4 * 4;
    let attention = Some((last_query, f32::NEG_INFINITY));
    let engine = on(Flawed { hidden, attention, ..Flawed::default() });
    let extraction = Extraction::of(&engine, config(), &texts);
    let result = extraction.result.as_ref().unwrap();
    assert_eq!((result.skipped, result.units), (2, 10));

    let skipped = extraction.part(&SKIPPED, None, &["input", "reason", "detail"]);
    let words = |part: &Part, name| -> Vec<String> {
        part.texts(name).unwrap().iter().map(|word| word.unwrap().to_owned()).collect()
    };
    assert_eq!(words(&skipped, "input"), ["input-0", "input-1"]);
    assert_eq!(words(&skipped, "reason"), ["not_finite", "not_finite"]);
    let details = words(&skipped, "detail");
    assert_says(&details[0], &["gave -inf as attention in layer 0, head 2, position 0"]);
    assert_says(&details[1], &["gave NaN as activation in layer 1, position 2, dimension 5"]);
    assert_says(&extraction.ear.skipped.lock().unwrap().join(""), &[&details[0], &details[1]]);
    let status = words(&extraction.part(&PROMPTS, None, &["status"]), "status");
    assert_eq!(status, ["not_finite", "not_finite", "ok", "ok"]);

    // What is left is what the two others give without them.
    let others = Extraction::of(&on(Flawed::default()), config(), &texts[2..]);
    let bytes = |extraction: &Extraction, file: &str| extraction.store.read(file).unwrap();
    for file in [
        ACTIVATIONS.file(Some(0), 0),
        ACTIVATIONS.file(Some(1), 0),
        ATTENTION.file(None, 0),
        LOGITS.file(None, 0),
    ] {
        assert_eq!(bytes(&extraction, &file), bytes(&others, &file), "{file}");
    }
}

#[test]
fn table_skipped_is_there_without_rows_when_every_prompt_ran() {
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &prompts(&["a"]));
    assert_eq!(extraction.part(&SKIPPED, None, &["reason"]).rows(), 0);
}

/// A run directory of a pipeline of four inputs under two tasks, in shards of one input. Input
/// `long` has more tokens than the model reads.
struct Folder {
    dir: tempfile::TempDir,
    model: PathBuf,
}

const PIPELINE: &str = r#"name: small
model: MODEL
shard_inputs: 1
prompt: "{task} {input}:"
scenarios:
  - name: one
    inputs: { ball: "the red ball", long: "LONG", cup: "a cup", table: "a table" }
    tasks: { color: "what color?", where: "where?" }
stages:
  - kind: extract
    too_long: skip
  - kind: similarity
  - kind: divergence
  - kind: attention
  - kind: tokens
  - kind: summary
"#;

impl Folder {
    fn new(long: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let model = file("tests/fixtures/tiny");
        let text = PIPELINE.replace("MODEL", model.to_str().unwrap()).replace("LONG", long);
        put(&dir.path().join("pipeline.yml"), text.as_bytes());
        Self { dir, model }
    }

    fn run(&self, extra: &[&str]) -> Ended {
        let model = format!("model={}", self.model.display());
        let args = [&["run", "pipeline.yml", "--log", "json", "--set", &model], extra].concat();
        aqlens(self.dir.path(), &args)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("runs/small")
    }
}

/// The log without the error at its end.
fn events(ended: &Ended) -> String {
    ended.stderr.lines().filter(|line| line.starts_with('{')).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// The rows of a table in words, as polars reads them.
fn rows(run: &Path, table: &str, columns: &str) -> Vec<String> {
    let script = "import sys, polars as pl\n\
                  for row in pl.read_parquet(sys.argv[1]).select(sys.argv[2].split()).iter_rows():\n\
                  \x20   print(*row)";
    let glob = run.join("tables").join(table).join("*.parquet");
    let output = python().args(["-c", script]).arg(glob).arg(columns).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn too_many_skipped_prompts_stop_the_run_and_a_resumed_one_says_the_same() {
    let folder = Folder::new(&"a cup ".repeat(40));
    let first = folder.run(&[]);
    assert_eq!(first.code, 1, "{}", first.stderr);
    let parts = [
        "2 of the run's 8 prompts (25.00 %)",
        "`max_skipped: 0.01`",
        "one/long/color has 86 tokens",
        "one/long/where has 85 tokens",
        "change or take out these prompts",
        "raise `max_skipped`",
    ];
    assert_says(&first.stderr, &parts);
    assert!(!folder.path().join("tables/similarity/part-00001.parquet").exists(), "it stopped");

    let before = tables(&folder.path());
    let again = folder.run(&[]);
    let error = |ended: &Ended| ended.stderr.lines().last().unwrap().to_owned();
    assert_eq!((again.code, error(&again)), (1, error(&first)));
    assert!(finished(&events(&again)).is_empty(), "nothing is done again:\n{}", again.stderr);
    assert_eq!(tables(&folder.path()), before);

    // One of its ways out: what was done stays done.
    let raised = folder.run(&["--set", "max_skipped=0.25"]);
    assert_eq!(raised.code, 3, "{}", raised.stderr);
    let done = finished(&events(&raised));
    assert!(!done.contains(&"extract:0".to_owned()), "{done:?}");
    assert!(!done.contains(&"extract:1".to_owned()), "{done:?}");
    assert!(done.contains(&"extract:2".to_owned()), "{done:?}");

    // A finished run is held against a smaller share too.
    let lowered = folder.run(&["--set", "max_skipped=0.24"]);
    assert_eq!(lowered.code, 1, "{}", lowered.stderr);
}

#[test]
fn everything_that_needed_a_skipped_prompt_says_so() {
    let folder = Folder::new(&"a cup ".repeat(40));
    let ended = folder.run(&["--set", "max_skipped=1"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let run = folder.path();
    let skipped = rows(&run, "skipped", "scenario input task wording reason detail");
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].starts_with("one long color 0 too_long has 86"), "{skipped:?}");
    assert!(skipped[0].ends_with("tokens, and the model reads 64 at most"), "{skipped:?}");
    let needs = |table, columns| -> Vec<String> {
        rows(&run, table, columns).into_iter().filter(|row| row.starts_with("long")).collect()
    };
    assert_eq!(
        needs("prompts", "input task status"),
        ["long color too_long", "long where too_long"]
    );
    assert_eq!(needs("similarity", "input value status"), vec!["long None skipped"; 5]);
    assert_eq!(needs("attention_overlap", "input value status"), ["long None skipped"]);
    for table in ["logits", "attention", "attention_focus", "next_tokens"] {
        assert!(needs(table, "input").is_empty(), "{table}");
    }
}

/// A copy of the tiny model that gives NaN for prompts with a token at its last position, 63. Its
/// probe has no prompt that long.
fn model_without_its_last_position() -> Copy {
    let copy = Copy::new();
    let mut weights = copy.read("model.onnx.data");
    // The vectors of 320 tokens, then those of 64 positions; both begin on a cache line.
    let end = (320 + 64) * 27 * 4;
    for number in weights[end - 27 * 4..end].chunks_mut(4) {
        number.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    copy.write("model.onnx.data", &weights);
    let sha256 = aqlens::store::hex_sha256(&weights);
    copy.edit_card(|card| card["files"]["model.onnx.data"]["sha256"] = sha256.into());
    copy
}

#[test]
fn a_prompt_that_gives_no_numbers_stops_the_run_or_is_left_out() {
    let copy = model_without_its_last_position();
    // With its task `where`, exactly 64 tokens; with `color`, too many.
    let mut folder = Folder::new(&"?".repeat(59));
    folder.model = copy.path().to_owned();
    let ended = folder.run(&["--set", "max_skipped=1"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_says(&ended.stderr, &["one/long/where gave NaN", "layer 0", "not_finite: skip"]);

    let ended = folder.run(&["--set", "max_skipped=1", "--set", "stages.extract.not_finite=skip"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let run = folder.path();
    let skipped = rows(&run, "skipped", "input task reason");
    assert_eq!(skipped, ["long color too_long", "long where not_finite"]);
    let files = fs::read_dir(run.join("tables/activations")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with("-layer-000.parquet")).count(), 4);
}

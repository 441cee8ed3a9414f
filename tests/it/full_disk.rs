//! A disk that fills up at any stage: a clear error, nothing half-written, and the run goes on when
//! there is room again.
//!
//! The run directory lies in a small tmpfs, mounted in a namespace of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use aqlens::run_dir::receipt::Receipt;
use aqlens::stages::KINDS;
use aqlens::store::Store;

use crate::support::runs::tables;
use crate::support::{aqlens, file, onnxruntime, put};

/// Bytes of a page: what a tmpfs counts in.
const PAGE: u64 = 4096;

/// Every stage, in one shard: the files then come one after the other.
const PIPELINE: &str = r#"
name: full
model: MODEL
shard_inputs: 100
scenarios:
  - name: s
    inputs: { a: "the red ball is on the table", b: "a cup", c: "the green cup is here" }
    tasks: { color: "what color is the ball?", where: "where is the cup?" }
stages:
  - kind: extract
  - kind: reference
  - kind: alignment
  - kind: similarity
    measures: [all]
  - kind: divergence
  - kind: contrast
  - kind: vectors
  - kind: explain
  - kind: attention
  - kind: segments
  - kind: sinks
  - kind: tokens
  - kind: outputs
  - kind: surprisal
  - kind: lens
  - kind: mediate
  - kind: use
  - kind: knockout
  - kind: patch
  - kind: variance
  - kind: decoding
  - kind: effect
  - kind: geometry
  - kind: summary
  - kind: report
"#;

/// The one before all shards, those of the shard, those over the whole run.
const ORDER: [&str; 25] = [
    "reference",
    "extract",
    "alignment",
    "similarity",
    "contrast",
    "vectors",
    "explain",
    "attention",
    "segments",
    "sinks",
    "tokens",
    "outputs",
    "surprisal",
    "lens",
    "mediate",
    "knockout",
    "patch",
    "divergence",
    "use",
    "variance",
    "decoding",
    "geometry",
    "effect",
    "summary",
    "report",
];

/// Runs on a full disk, looks at what it left, makes room and runs again; `$1` is the size of the
/// disk, `$2` where the results go.
const SCRIPT: &str = r#"
set -u
mount -t tmpfs -o "size=$1" tmpfs "$2/disk" || exit 99
aqlens() { "$AQLENS" run "$2/pipeline.yml" --run-dir "$2/disk/run" --threads 1 --quiet; }
aqlens "$@" 2>"$2/stderr"
echo $? >"$2/code"
cp -r "$2/disk/run" "$2/after"
mount -o remount,size=64m "$2/disk" || exit 98
aqlens "$@" 2>"$2/stderr-again"
echo $? >"$2/code-again"
cp -r "$2/disk/run" "$2/end"
"#;

/// A folder with the pipeline and a place for the small disk.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = file("tests/fixtures/tiny");
    let yaml = PIPELINE.replace("MODEL", model.to_str().unwrap());
    put(&folder.path().join("pipeline.yml"), yaml.as_bytes());
    fs::create_dir(folder.path().join("disk")).unwrap();
    folder
}

fn on_disk_of(bytes: u64, folder: &Path) {
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"])
        .args([&bytes.to_string(), folder.to_str().unwrap()])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("AQLENS", env!("CARGO_BIN_EXE_aqlens"))
        .env("ORT_DYLIB_PATH", onnxruntime())
        .env("NO_COLOR", "1")
        .status()
        .expect("this test needs `unshare` (Debian: package util-linux)");
    assert!(status.success(), "a tmpfs cannot be mounted in a namespace of its own: {status}");
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Bytes of a file as a tmpfs counts them.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE) * PAGE
}

/// What each stage adds to the disk: its parts, and its receipt.
fn sizes(run: &Path) -> Vec<(&'static str, u64, u64)> {
    let store = Store::open(run);
    let of = |stage: &'static str| {
        let receipt = Receipt::read(&store, stage, 0).unwrap();
        let parts = receipt.parts.iter().map(|part| pages(part.file.bytes)).sum();
        (stage, parts, pages(store.bytes(&Receipt::file(stage, 0)).unwrap()))
    };
    ORDER.map(of).to_vec()
}

#[test]
fn a_disk_that_fills_up_in_any_stage_is_told_and_the_run_goes_on_when_there_is_room() {
    let whole = folder();
    let args = ["run", "pipeline.yml", "--run-dir", "run", "--threads", "1", "--quiet"];
    let ended = aqlens(whole.path(), &args);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = whole.path().join("run");
    let undisturbed = tables(&run);
    assert_eq!(ORDER.len(), KINDS.len(), "every kind of stage is among them");

    // run.lock, run.json and pipeline.yml stand there before the first stage.
    let record = |name| pages(fs::metadata(run.join(name)).unwrap().len());
    // What was judged is added to the record when all is judged.
    let begun = fs::read_to_string(run.join("run.json")).unwrap();
    let mut begun: serde_json::Value = serde_json::from_str(&begun).unwrap();
    begun.as_object_mut().unwrap().remove("judgements");
    let begun = pages(serde_json::to_string_pretty(&begun).unwrap().len() as u64);
    let mut used = PAGE + begun + record("pipeline.yml");
    for (stage, parts, receipt) in sizes(&run) {
        let folder = folder();
        // Room for all before this stage and for all of its parts but the last page.
        on_disk_of(used + parts - PAGE, folder.path());
        let stderr = text(folder.path(), "stderr");
        assert_eq!(text(folder.path(), "code").trim(), "75", "{stage}: {stderr}");
        assert!(stderr.contains(&format!("stage '{stage}' failed")), "{stage}: {stderr}");
        assert!(stderr.contains("No space left on device"), "{stage}: {stderr}");

        let after = tables(&folder.path().join("after"));
        for (name, bytes) in &after {
            assert_eq!(Some(bytes), undisturbed.get(name), "{stage}: {name} is half-written");
        }
        let has_receipt = after.contains_key(&Receipt::file(stage, 0));
        assert!(!has_receipt, "{stage} has a receipt though it failed");

        let again = text(folder.path(), "stderr-again");
        assert_eq!(text(folder.path(), "code-again").trim(), "0", "{stage}: {again}");
        let end = tables(&folder.path().join("end"));
        assert!(end == undisturbed, "{stage}: the resumed run differs from an undisturbed one");
        used += parts + receipt;
    }
}

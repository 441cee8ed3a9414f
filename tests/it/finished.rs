//! A finished run answers at once, and only when it is the very run that is asked for.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use aqlens::run_dir::RunDir;
use aqlens::run_dir::receipt::Receipt;
use aqlens::run_dir::record::RunRecord;
use aqlens::store::{Store, hex_sha256, read_sealed, sealed_json};

use crate::support::runs::finished;
use crate::support::shards::{Folder, end};
use crate::support::tiny::Copy;
use crate::support::{put, refuses};

#[test]
fn a_finished_run_makes_no_model_call_and_writes_no_table() {
    let folder = Folder::new();
    let first = end(&folder.done(&[]));
    let expected = "a start, one batch or two of like length, and a proof each shard";
    // One more: in one shard two scenarios meet, and no batch holds both.
    assert_eq!(first["model_calls"], 6 * 3 + 4, "{expected}: {first}");
    assert!(first["parts_written"].as_u64() > Some(6 * 9), "{first}");
    for extra in [&[][..], &["--finish"], &["--shard", "1/2"]] {
        let again = end(&folder.done(extra));
        assert_eq!(again["was_finished"], true, "{extra:?} {again}");
        assert_eq!(again["model_calls"], 0, "{extra:?} {again}");
        assert_eq!(again["parts_written"], 0, "{extra:?} {again}");
    }
}

fn record(folder: &Folder) -> RunRecord {
    RunRecord::read(&Store::open(&folder.path(""))).unwrap()
}

/// SHA-256 over names and fingerprints of all receipts, as in `marks`.
fn receipts_sha256(store: &Store) -> String {
    let line = |name: String| {
        let receipt: Receipt = read_sealed(&store.read(&name).unwrap()).unwrap();
        format!("{}  {name}\n", receipt.fingerprint)
    };
    let names = RunDir::of(store).receipts().unwrap();
    hex_sha256(names.into_iter().map(line).collect::<String>().as_bytes())
}

#[test]
fn what_a_stage_made_before_it_was_changed_is_made_again() {
    let folder = Folder::new();
    folder.done(&[]);
    let store = Store::open(&folder.path(""));
    let mut before = record(&folder);
    let marks = before.marks.as_mut().unwrap();
    assert_eq!(marks.receipts_sha256, receipts_sha256(&store));
    // As the same program would have left it before its stage `report` was changed.
    let mut receipt = Receipt::read(&store, "report", 0).unwrap();
    (receipt.version, receipt.fingerprint) = (receipt.version - 1, "0".repeat(64));
    let name = Receipt::file("report", 0);
    put(&folder.path(&name), sealed_json(&receipt).as_bytes());
    marks.receipts_sha256 = receipts_sha256(&store);
    put(&folder.path("run.json"), sealed_json(&before).as_bytes());
    assert_eq!(finished(&folder.done(&[])), ["report:null"]);
}

/// A copy of the tiny model that has been left alone for so long that its stamps are believed.
fn settled_model() -> Copy {
    let model = Copy::new();
    let newest = || {
        let files = fs::read_dir(model.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().ctime()).max().unwrap()
    };
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    while (now().as_secs() as i64) < newest() + 2 {
        std::thread::sleep(Duration::from_millis(100));
    }
    model
}

fn set(model: &Copy) -> String {
    format!("model={}", model.path().to_str().unwrap())
}

#[test]
fn a_finished_run_is_recognised_without_reading_the_prompts() {
    let folder = Folder::new();
    folder.done(&[]);
    let marks = record(&folder).marks.unwrap();
    assert!(marks.model_files.contains_key("model.onnx"), "{marks:?}");
    // If the prompts were laid out and compared with it, this hash would differ.
    let store = Store::open(&folder.path(""));
    let text = String::from_utf8(store.read("run.json").unwrap()).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["lineage"]["prompts_sha256"] = "0".repeat(64).into();
    record.as_object_mut().unwrap().remove("sha256");
    let sealed = sealed_json(&record);
    store.write("run.json", sealed.as_bytes()).unwrap();
    assert_eq!(end(&folder.done(&[]))["was_finished"], true);
}

#[test]
fn a_model_file_that_was_altered_in_place_and_dated_back_is_noticed() {
    let (folder, model) = (Folder::new(), settled_model());
    folder.done(&["--set", &set(&model)]);
    let graph = model.path().join("model.onnx");
    let modified = fs::metadata(&graph).unwrap().modified().unwrap();
    let mut bytes = fs::read(&graph).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    put(&graph, &bytes);
    File::options().write(true).open(&graph).unwrap().set_modified(modified).unwrap();
    refuses(&folder.run(&["--set", &set(&model)]), 1, &["model.onnx", "sha256"]);
}

#[test]
fn a_model_card_that_was_altered_is_noticed() {
    let (folder, model) = (Folder::new(), settled_model());
    folder.done(&["--set", &set(&model)]);
    model.edit_card(|card| card["n_positions"] = 60.into());
    let ended = folder.run(&["--set", &set(&model)]);
    assert_ne!(end(&ended.stderr)["was_finished"], true, "{}", ended.stderr);
}

#[test]
fn a_run_on_a_new_model_is_recognised_from_the_second_time_on() {
    let (folder, model) = (Folder::new(), Copy::new());
    let is_known = || record(&folder).marks.is_some();
    folder.done(&["--set", &set(&model)]);
    let was_new = !is_known();
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(end(&folder.done(&["--set", &set(&model)]))["was_finished"], true);
    assert!(is_known(), "was new: {was_new}");
}

fn shorten(path: &Path) {
    let bytes = fs::read(path).unwrap();
    put(path, &bytes[..bytes.len() - 1]);
}

#[test]
fn a_part_or_receipt_that_is_gone_or_cut_is_noticed_and_made_again() {
    let folder = Folder::new();
    folder.done(&[]);
    let redone = || finished(&folder.done(&[]));
    fs::remove_file(folder.path("receipts/tokens/part-00003.json")).unwrap();
    assert_eq!(redone(), ["tokens:3"]);
    shorten(&folder.path("receipts/attention/part-00001.json"));
    assert_eq!(redone(), ["attention:1"]);
    shorten(&folder.path("tables/next_tokens/part-00002.parquet"));
    assert_eq!(redone(), ["tokens:2"]);
    assert!(redone().is_empty());
}

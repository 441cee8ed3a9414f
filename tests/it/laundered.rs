//! No numbers are made from a file that has changed since it was written, and nothing that was made
//! from one is called sound.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aqlens::run_dir::receipt::Receipt;
use aqlens::stage::Description;
use aqlens::stages::DESCRIPTIONS;
use aqlens::store::{Store, hex_sha256, read_sealed, sealed_json};
use aqlens::table::reader::read_part;
use aqlens::table::schema::{ACTIVATIONS, SIMILARITY};
use aqlens::table::writer::PartAddress;
use rstest::rstest;

use crate::damage::{Folder, PART, RAW_PART, copy, flip_a_bit};
use crate::support::runs::{finished, tables};
use crate::support::{Ended, aqlens, assert_says, file, put};

/// A later stage with other settings.
const CHANGED: [&str; 6] =
    ["run", "pipeline.yml", "--run-dir", "run", "--set", "stages.similarity.measures=[all]"];

fn run(folder: &Path, args: &[&str]) -> Ended {
    let ended = aqlens(folder, args);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

/// Every file of both runs is the same.
fn are_same(ours: &BTreeMap<String, Vec<u8>>, theirs: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in ours {
        assert!(*bytes == theirs[name], "{name} differs");
    }
}

/// Flips the sign of one activation in [`RAW_PART`].
fn rot(folder: &Folder) {
    let address = PartAddress { table: &ACTIVATIONS, layer: Some(4), part: 1 };
    let part = read_part(&folder.store(), address, &["values"]).unwrap();
    let number = part.vectors("values").unwrap().0[40].to_le_bytes();
    let mut bytes = fs::read(folder.path(RAW_PART)).unwrap();
    let place = bytes.windows(4).position(|window| window == number).unwrap();
    bytes[place + 3] ^= 0x80;
    put(&folder.path(RAW_PART), &bytes);
}

/// Changes a receipt as somebody could who knows its format.
fn forge(store: &Store, name: &str, change: impl Fn(&mut Receipt)) {
    let mut receipt: Receipt = read_sealed(&store.read(name).unwrap()).unwrap();
    change(&mut receipt);
    store.write(name, sealed_json(&receipt).as_bytes()).unwrap();
}

/// Receipts as versions wrote them that did not compare what they read.
fn as_an_older_version_wrote_it(store: &Store) {
    for name in store.walk("receipts").unwrap() {
        forge(store, &name, |receipt| {
            receipt.parts.iter_mut().for_each(|part| part.file.xxh3 = None);
        });
    }
}

#[test]
fn a_later_stage_makes_a_rotten_table_again_before_it_reads_it() {
    let (good, bad) = (Folder::copy(), Folder::copy());
    assert_eq!(run(good.dir.path(), &CHANGED).code, 0);
    rot(&bad);
    let ended = run(bad.dir.path(), &[&CHANGED[..], &["--log", "json"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_says(
        &ended.stderr,
        &[
            "altered",
            RAW_PART,
            "made again too, because made from these: divergence, report, similarity (shard 1), summary",
        ],
    );
    let done = finished(&ended.stderr);
    assert!(done.contains(&"extract:1".to_owned()), "{done:?}");
    assert!(!done.contains(&"extract:0".to_owned()) && !done.contains(&"tokens:1".to_owned()));
    are_same(&tables(&bad.run_dir()), &tables(&good.run_dir()));
    assert_eq!(bad.verify().code, 0);
}

#[test]
fn a_share_that_may_not_make_it_again_says_so() {
    let folder = Folder::copy();
    rot(&folder);
    let ended = run(folder.dir.path(), &[&CHANGED[..], &["--shard", "0/1"]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_says(&ended.stderr, &[RAW_PART, "changed since", "--recheck"]);
}

#[test]
fn the_last_stages_say_which_shard_is_to_be_made_again() {
    let folder = Folder::copy();
    let args = ["run", "pipeline.yml", "--run-dir", "run", "--set", "stages.report.inputs=1"];
    flip_a_bit(&folder.path(PART));
    let ended = run(folder.dir.path(), &[&args[..], &["--finish"]].concat());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert_says(&ended.stderr, &["altered", PART, "1 shard of 3 is not done: 1"]);
    assert_eq!(run(folder.dir.path(), &args).code, 0);
    assert_eq!(folder.verify().code, 0);
}

/// What an older version left when a later stage was changed: numbers made from a rotten table, under
/// receipts with the fingerprints of the sound one. `good` is the changed run.
fn launder(folder: &Folder, good: &Folder) {
    const EXTRACT: &str = "receipts/extract/part-00001.json";
    const SIMILARITY: &str = "receipts/similarity/part-00001.json";
    let store = folder.store();
    let honest = store.read(EXTRACT).unwrap();
    rot(folder);
    let sha256 = hex_sha256(&store.read(RAW_PART).unwrap());
    forge(&store, EXTRACT, |receipt| {
        let rotten = receipt.parts.iter_mut().find(|part| part.file.path == RAW_PART).unwrap();
        (rotten.file.sha256, rotten.file.xxh3) = (sha256.clone(), None);
    });
    assert_eq!(run(folder.dir.path(), &CHANGED).code, 0);
    put(&folder.path(EXTRACT), &honest);
    let of_sound: Receipt = read_sealed(&good.store().read(SIMILARITY).unwrap()).unwrap();
    forge(&store, SIMILARITY, |receipt| receipt.fingerprint.clone_from(&of_sound.fingerprint));
    as_an_older_version_wrote_it(&store);
    assert_ne!(store.read(PART).unwrap(), good.store().read(PART).unwrap());
}

#[test]
fn what_was_made_from_a_rotten_table_is_named_and_made_again() {
    let (folder, good) = (Folder::copy(), Folder::copy());
    assert_eq!(run(good.dir.path(), &CHANGED).code, 0);
    as_an_older_version_wrote_it(&good.store());
    let sound = good.verify();
    assert_eq!(sound.code, 0, "{}", sound.stdout);
    launder(&folder, &good);
    let ended = folder.verify();
    assert_eq!(ended.code, 1);
    let doubtful: Vec<&str> =
        ended.stdout.lines().filter(|line| line.starts_with("doubtful ")).collect();
    assert_eq!(doubtful.len(), 4, "{}", ended.stdout);
    for (line, stage) in doubtful.iter().zip(["divergence", "report", "similarity (shard 1)"]) {
        assert_says(line, &[stage, "cannot be vouched for", "made from", RAW_PART]);
    }
    let files = |ended: &Ended| -> usize {
        let line = ended.stdout.lines().find(|line| line.contains(" files (")).unwrap().to_owned();
        line.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    // One is altered; and those of similarity:1, divergence, the verdict, summary.json, the report.
    assert_eq!(files(&ended), files(&sound) - 6, "{}", ended.stdout);
    assert_eq!(run(folder.dir.path(), &[&CHANGED[..], &["--recheck"]].concat()).code, 0);
    assert_eq!(folder.verify().code, 0);
    // Receipts that were not written anew are still those of the older version.
    as_an_older_version_wrote_it(&folder.store());
    are_same(&tables(&folder.run_dir()), &tables(&good.run_dir()));
}

#[test]
fn what_was_made_by_a_version_that_checks_is_named_and_not_doubted() {
    let folder = Folder::copy();
    rot(&folder);
    let ended = folder.verify();
    let derived: Vec<&str> =
        ended.stdout.lines().filter(|line| line.starts_with("derived ")).collect();
    assert_eq!(derived.len(), 4, "{}", ended.stdout);
    assert_says(derived[2], &["similarity (shard 1)", "made from", RAW_PART, "was checked"]);
    assert!(!ended.stdout.contains("vouched"), "{}", ended.stdout);
}

#[test]
fn a_run_directory_of_the_first_version_names_what_was_made_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    copy(&file("tests/fixtures/runs/v1"), dir.path());
    flip_a_bit(&dir.path().join("tables/logits/part-00001.parquet"));
    let ended = aqlens(dir.path(), &["verify", "."]);
    assert_eq!(ended.code, 1);
    for stage in ["lens", "outputs", "tokens"] {
        let line = ended.stdout.lines().find(|line| line.contains(&format!(" {stage} (shard 1)")));
        let line = line.unwrap_or_else(|| panic!("{stage}:\n{}", ended.stdout));
        assert_says(
            line,
            &["doubtful", "cannot be vouched for", "tables/logits/part-00001.parquet"],
        );
    }
    assert!(!ended.stdout.contains("similarity (shard"), "{}", ended.stdout);
}

#[rstest]
#[case("summary.json", &["show", "run"])]
#[case("tables/divergence/part-00000.parquet", &["show", "run"])]
#[case(PART, &["show", "run", "--table", "similarity"])]
#[case("tables/prompts/part-00000.parquet", &["show", "run", "--table", "prompts"])]
fn a_damaged_file_is_not_shown(#[case] name: &str, #[case] args: &[&str]) {
    let folder = Folder::copy();
    assert_eq!(run(folder.dir.path(), args).code, 0);
    flip_a_bit(&folder.path(name));
    let ended = run(folder.dir.path(), args);
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    assert_says(&ended.stderr, &[name.rsplit('/').next().unwrap(), "changed since", "--recheck"]);
}

/// Files of a stranger's folder, which nothing vouches for, may hold anything.
#[test]
fn a_file_that_is_no_sound_parquet_is_an_error_and_no_panic() {
    let folder = Folder::copy();
    let path = folder.path(PART);
    let bytes = fs::read(&path).unwrap();
    let columns: Vec<&str> = SIMILARITY.columns.iter().map(|column| column.name).collect();
    let mut errors = 0;
    for i in 0..400_usize {
        let mut damaged = bytes.clone();
        // Most of them in the footer, which says where everything is.
        let at = if i % 4 == 0 { i * 7919 % bytes.len() } else { bytes.len() - 1 - i * 31 % 4_000 };
        damaged[at] ^= 1 << (i % 8);
        put(&path, &damaged);
        let address = PartAddress::new(&SIMILARITY, 1);
        errors += usize::from(read_part(&folder.store(), address, &columns).is_err());
    }
    assert!(errors > 100, "{errors} of 400 flips were seen");
}

/// Whoever reads a table is made again, from each table that any stage reads.
#[test]
fn every_reader_looks_whether_a_table_is_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = file("tests/fixtures/kinds.yml");
    let args = ["run", pipeline.to_str().unwrap(), "--run-dir", "run"];
    assert_eq!(run(dir.path(), &args).code, 3);
    let run_dir = dir.path().join("run");
    let store = Store::open(&run_dir);
    let good = tables(&run_dir);
    let mut looked_at = 0;
    for name in good.keys().map(String::as_str) {
        let table = name.strip_prefix("tables/").and_then(|rest| rest.split('/').next());
        let is_first = name.contains("part-00000") && !name.contains("-layer-004");
        if !(is_first && table.is_some() || name == "summary.json") {
            continue;
        }
        let reads = |stage: &&&Description| match table {
            Some(table) => stage.may_read().any(|read| read.name == table),
            None => stage.kind == "report",
        };
        let readers: Vec<&str> =
            DESCRIPTIONS.iter().filter(reads).map(|stage| stage.kind).collect();
        if readers.is_empty() {
            continue;
        }
        let is_readers = |receipt: &&String| {
            readers.iter().any(|kind| receipt.starts_with(&format!("receipts/{kind}/")))
        };
        for receipt in good.keys().filter(is_readers) {
            store.remove(receipt).unwrap();
        }
        flip_a_bit(&run_dir.join(name));
        let ended = run(dir.path(), &args);
        assert_eq!(ended.code, 3, "{name}: {}", ended.stderr);
        assert_says(&ended.stderr, &["altered", name]);
        are_same(&tables(&run_dir), &good);
        looked_at += 1;
    }
    assert!(looked_at > 15, "{looked_at} files");
}

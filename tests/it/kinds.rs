//! A pipeline of all kinds of stages gives the same bytes with one thread and with eight.

use std::collections::BTreeMap;
use std::fs;

use aqlens::stages::KINDS;

use crate::support::runs::tables;
use crate::support::{aqlens, file};

const PIPELINE: &str = "tests/fixtures/kinds.yml";

/// Every file of a run with that many threads, receipts aside.
fn files(threads: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = file(PIPELINE);
    let args = ["run", pipeline.to_str().unwrap(), "--threads", threads];
    let ended = aqlens(folder.path(), &args);
    // Two prompts are too long for the model, and are skipped.
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let mut files = tables(&folder.path().join("runs/kinds"));
    files.retain(|name, _| !name.starts_with("receipts/"));
    files
}

#[test]
fn one_thread_and_eight_give_the_same_bytes() {
    let text = fs::read_to_string(file(PIPELINE)).unwrap();
    for kind in KINDS {
        assert!(text.contains(&format!("- kind: {kind}\n")), "the pipeline has no {kind}");
    }
    let (one, eight) = (files("1"), files("8"));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&eight));
    assert!(one.len() > 50, "{:?}", names(&one));
    for (name, bytes) in &one {
        assert!(*bytes == eight[name], "{name} differs");
    }
}

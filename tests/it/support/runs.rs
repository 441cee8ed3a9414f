//! The files of runs, and what a log says was done.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below `folder` but the record of the run, with its content; receipts without what the
/// work took, which is never the same twice.
pub(crate) fn tables(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if name == "run.json" || name == "run.lock" {
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if name.starts_with("receipts/") {
                let mut receipt: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                let seconds = receipt["effort"]["seconds"].take();
                assert!(seconds.is_f64(), "{name}: {seconds}");
                receipt["sha256"].take();
                bytes = receipt.to_string().into_bytes();
            }
            found.insert(name, bytes);
        }
    }
}

/// (stage, shard) that a log in JSON says were worked on.
pub(crate) fn finished(log: &str) -> Vec<String> {
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .filter(|event| event["event"] == "finished")
        .map(|event| format!("{}:{}", event["stage"].as_str().unwrap(), event["shard"]))
        .collect()
}

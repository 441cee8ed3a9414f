//! Receipts, records, summaries and pipelines that hold anything, with seals that hold: an error or work
//! done again, never a panic, a hang, or a file elsewhere.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use aqlens::monitor::VoidMonitor;
use aqlens::run_dir::RunDir;
use aqlens::verify::verify;
use serde_json::{Value, json};

use crate::damage::Folder;
use crate::strangers::{reseal, soon};
use crate::support::put;

/// How many files are altered and looked at, and with how many of these the pipeline is run too.
const LOOKED_AT: u64 = 150;
const RUN: u64 = 12;

/// Seeded numbers (`SplitMix64`).
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn hostile(draws: &mut Draws) -> Value {
    let deep = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    match draws.below(18) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(0),
        3 => json!(u32::MAX),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(""),
        8 => json!("../../victim.txt"),
        9 => json!("/etc/passwd"),
        10 => json!("tables/activations/part-4294967295-layer-32767.parquet"),
        11 => json!("tables/\u{0}/part-00000.parquet"),
        12 => json!("\u{1b}[2J\u{202e}x"),
        13 => json!("x".repeat(100_000)),
        14 => json!([]),
        15 => json!({}),
        16 => deep(100),
        _ => deep(400),
    }
}

/// Replaces, removes or doubles something somewhere in the value.
fn alter(value: &mut Value, draws: &mut Draws) {
    if draws.below(4) > 0 {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let at = draws.below(fields.len());
                let name = fields.keys().nth(at).unwrap().clone();
                if draws.below(8) == 0 {
                    fields.remove(&name);
                } else {
                    alter(&mut fields[&name], draws);
                }
                return;
            }
            Value::Array(items) if !items.is_empty() => {
                let at = draws.below(items.len());
                if draws.below(4) == 0 {
                    items.push(items[at].clone());
                } else {
                    alter(&mut items[at], draws);
                }
                return;
            }
            _ => {}
        }
    }
    *value = hostile(draws);
}

fn alter_bytes(path: &Path, draws: &mut Draws) {
    let mut bytes = fs::read(path).unwrap();
    for _ in 0..=draws.below(4) {
        let at = draws.below(bytes.len());
        match draws.below(4) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] ^= 1 << draws.below(8),
            2 => bytes.insert(at, b"{}[]\":,\n &*!\0\xff"[draws.below(14)]),
            _ => {
                let piece = bytes[at..bytes.len().min(at + 40)].to_vec();
                bytes.extend(piece);
            }
        }
    }
    put(path, &bytes);
}

#[test]
fn whatever_sealed_files_hold_is_named_or_made_again() {
    let folder = Folder::copy();
    let outside = folder.dir.path().join("victim.txt");
    put(&outside, b"precious");
    let names = [
        "receipts/extract/part-00001.json",
        "receipts/similarity/part-00000.json",
        "receipts/summary/part-00000.json",
        "receipts/report/part-00000.json",
        "run.json",
        "summary.json",
        "pipeline.yml",
    ];
    let sound = names.map(|name| fs::read(folder.path(name)).unwrap());
    let root = folder.path("");
    for case in 0..LOOKED_AT {
        let mut draws = Draws(case);
        let at = draws.below(names.len());
        let path = folder.path(names[at]);
        match names[at] {
            "pipeline.yml" => alter_bytes(&path, &mut draws),
            "summary.json" => {
                let mut value: Value = serde_json::from_slice(&sound[at]).unwrap();
                alter(&mut value, &mut draws);
                put(&path, value.to_string().as_bytes());
            }
            _ if draws.below(4) == 0 => alter_bytes(&path, &mut draws),
            _ => reseal(&path, |value| {
                alter(value, &mut draws);
                // A seal needs fields.
                if value.as_object().is_none_or(serde_json::Map::is_empty) {
                    *value = json!({ "stage": value.take() });
                }
            }),
        }
        if let Ok(run) = RunDir::open(&root) {
            let _ = (run.record(), run.summary(), run.receipts());
            let _ = verify(&root, &VoidMonitor);
        }
        if case < RUN {
            let at = folder.dir.path();
            soon(at, &["show", "run"]);
            soon(at, &["verify", "run"]);
            soon(at, &["run", "pipeline.yml", "--run-dir", "run", "--log", "json"]);
        }
        assert_eq!(fs::read(&outside).unwrap(), b"precious", "case {case}");
        for (name, bytes) in names.iter().zip(&sound) {
            put(&folder.path(name), bytes);
        }
    }
    let ended = soon(folder.dir.path(), &["run", "pipeline.yml", "--run-dir", "run"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_record_that_counts_more_shards_than_there_are_is_shown_at_once() {
    let folder = Folder::copy();
    reseal(&folder.path("run.json"), |record| {
        record["counts"]["shards"] = u32::MAX.into();
        record["shares"] = 0.into();
    });
    let at = folder.dir.path();
    assert_eq!(soon(at, &["show", "run"]).code, 0);
    soon(at, &["verify", "run"]);
    fs::remove_file(folder.path("receipts/tokens/part-00001.json")).unwrap();
    reseal(&folder.path("run.json"), |record| record["state"] = "running".into());
    let ended = soon(at, &["run", "pipeline.yml", "--run-dir", "run", "--finish"]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("not done: 1"), "{}", ended.stderr);
}

#[test]
fn a_record_without_end_is_not_read_into_memory() {
    let folder = Folder::copy();
    for name in ["run.json", "summary.json", "pipeline.yml", "receipts/tokens/part-00000.json"] {
        let file = fs::File::options().write(true).open(folder.path(name)).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    let ended = soon(folder.dir.path(), &["verify", "run"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("aqlens did not write it"), "{}", ended.stdout);
}

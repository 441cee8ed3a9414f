//! Raw tables that are not retained: their stage's receipt never speaks of files that might be lost.

use std::fs;
use std::sync::Mutex;

use aqlens::monitor::{Event, Monitor};
use aqlens::pipeline::config::load;
use aqlens::run::{Portion, RunOptions, run};
use aqlens::store::Store;

use crate::support::{engine_options, file};

/// Raw tables, and how the names of their files end.
const RAW: [(&str, &str); 3] =
    [("activations", "-layer-000.parquet"), ("attention", ".parquet"), ("logits", ".parquet")];

/// Notes at some events which raw tables and whether a receipt of their shard is there.
struct Watch {
    store: Store,
    seen: Mutex<Vec<Seen>>,
}

impl Monitor for Watch {
    fn event(&self, event: &Event<'_>) {
        let (part, at) = match event {
            Event::StageStarted { stage: stage @ ("similarity" | "tokens"), shard, .. } => {
                (shard.unwrap(), *stage)
            }
            Event::StageStarted { stage: "divergence", .. } => (0, "reduced"),
            Event::ShardFinished { shard, .. } => (*shard, "end"),
            _ => return,
        };
        let raw = RAW
            .iter()
            .map(|(table, end)| format!("tables/{table}/part-{part:05}{end}"))
            .filter(|file| self.store.exists(file));
        let receipt = self.store.exists(&format!("receipts/extract/part-{part:05}.json"));
        self.seen.lock().unwrap().push((part, at, raw.count(), receipt));
    }
}

/// Part, event, raw tables that are there, whether the receipt is.
type Seen = (u32, &'static str, usize, bool);

/// How many shards a run has, and what [`Watch`] saw of it, with these tables retained.
fn watched(retain: &str) -> (u32, Vec<Seen>) {
    let folder = tempfile::tempdir().unwrap();
    let overrides = [retain, "shard_inputs=6"].map(str::to_owned);
    let pipeline = load(&file("tests/fixtures/tiny.yml"), &overrides).unwrap();
    let run_dir = folder.path().join("run");
    let watch = Watch { store: Store::open(&run_dir), seen: Mutex::default() };
    let engine = engine_options();
    let options =
        RunOptions { run_dir: run_dir.clone(), engine, recheck: false, portion: Portion::Whole };
    let shards = run(&pipeline, &options, &watch).unwrap().counts.shards;
    assert!(shards >= 2);
    let left = fs::read_dir(run_dir.join("tables")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let raw = names.filter(|name| RAW.iter().any(|(raw, _)| raw == name));
    assert_eq!(raw.count(), if retain == "retain=[]" { 0 } else { 3 });
    let mut seen = watch.seen.into_inner().unwrap();
    // A report shows what raw tables there are: those of the last shard as those of the others.
    let reduced = seen.iter().position(|(_, at, ..)| *at == "reduced").unwrap();
    let ended = seen[..reduced].iter().filter(|(_, at, ..)| *at == "end").count();
    assert_eq!(ended, shards as usize, "all shards are closed before the first reducing stage");
    seen.remove(reduced);
    seen.sort_unstable();
    (shards, seen)
}

#[test]
fn a_receipt_that_names_raw_tables_comes_when_they_are_gone() {
    let (shards, seen) = watched("retain=[]");
    let of =
        |part| [(part, "end", 0, true), (part, "similarity", 3, false), (part, "tokens", 3, false)];
    assert_eq!(seen, (0..shards).flat_map(of).collect::<Vec<_>>());
}

#[test]
fn a_receipt_whose_raw_tables_stay_is_there_before_they_are_read() {
    let (shards, seen) = watched("retain=[activations, attention, logits]");
    let of = |part| ["end", "similarity", "tokens"].map(|at| (part, at, 3, true));
    assert_eq!(seen, (0..shards).flat_map(of).collect::<Vec<_>>());
}

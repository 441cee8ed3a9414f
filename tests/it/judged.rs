//! The history of judgements: a verdict that was sought by several rules says so.

use std::fs;
use std::path::Path;

use aqlens::run_dir::record::RunRecord;
use aqlens::store::Store;

use crate::support::{aqlens, put, root};

const TEXT: &str = "prompt: \"{task}\\n\\n{input}:\"
scenarios:
  - name: s
    inputs: { a: \"the red ball is on the table\", b: \"a blue cup, next to the ball\", c: \"a cup\" }
    tasks:
      color: { wordings: [\"what color is the ball?\", \"the ball is what color?\"] }
      where: { wordings: [\"where is the cup?\", \"the cup is where?\"] }
stages:
  - { kind: extract, layers: [0, 4] }
  - { kind: similarity }
  - { kind: divergence }
  - { kind: contrast, measures: [last] }
  - { kind: effect }
  - { kind: summary, measures: [last] }
  - { kind: report }
";

fn run(folder: &Path, extra: &[&str]) -> (RunRecord, serde_json::Value, String) {
    let pipeline = folder.join("p.yml");
    let model = root().join("tests/fixtures/tiny");
    put(&pipeline, format!("name: p\nmodel: {}\n{TEXT}", model.display()).as_bytes());
    let ended = aqlens(folder, &[&["run", "p.yml"], extra].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = folder.join("runs/p");
    let summary = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    (RunRecord::read(&Store::open(&run)).unwrap(), summary, report)
}

fn counted(record: &RunRecord, summary: &serde_json::Value) -> (u64, u64) {
    let counted = (record.judgements.times, record.judgements.rules);
    let said = [&summary["judged"]["times"], &summary["judged"]["rules"]];
    assert_eq!(said.map(serde_json::Value::as_u64), [Some(counted.0), Some(counted.1)]);
    assert_eq!(
        Some(summary["judged"]["rule"].as_str().unwrap()),
        record.judgements.rule.as_deref()
    );
    counted
}

#[test]
fn every_rule_that_the_run_was_judged_by_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (record, summary, report) = run(folder, &[]);
    assert_eq!(counted(&record, &summary), (1, 1));
    assert!(!report.contains("This run was judged"));
    let [first] = &record.judgements.list[..] else { panic!("{:?}", record.judgements) };
    assert_eq!(first.verdicts.len(), 1);
    assert_eq!((&*first.verdicts[0].scenario, &*first.verdicts[0].measure), ("s", "last"));
    assert!(first.time.ends_with('Z') && first.time.len() == 20, "{}", first.time);
    assert_eq!(first.aqlens, record.judged_by.clone().unwrap());

    // What changes no rule and no word is no judgement: nothing to do, all done again, other shards.
    for extra in [&[][..], &["--recheck"], &["--set", "shard_inputs=1"], &[]] {
        let (record, summary, _) = run(folder, extra);
        assert_eq!(counted(&record, &summary), (1, 1), "{extra:?}");
        assert_eq!(record.judgements.list[0], *first);
    }
    let (record, summary, report) = run(folder, &["--set", "stages.summary.equivalence=0.9"]);
    assert_eq!(counted(&record, &summary), (2, 2));
    assert!(report.contains("This run was judged 2 times under 2 rules"));
    assert_eq!(record.judgements.list[0], *first, "what was judged first stays");
    let shown = aqlens(folder, &["show", "runs/p"]);
    assert!(shown.stdout.contains("judged 2 times under 2 rules"), "{}", shown.stdout);
    // Back to the first rule: another judgement, no other rule.
    let (record, summary, report) = run(folder, &[]);
    assert_eq!(counted(&record, &summary), (3, 2));
    assert!(report.contains("judged 3 times under 2 rules"));
    // On shares the process that finishes judges, and keeps what was before.
    let set = ["--set", "stages.summary.equivalence=0.9"];
    let share = [&["run", "p.yml", "--shard", "0/1"], &set[..]].concat();
    let ended = aqlens(folder, &share);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let begun = RunRecord::read(&Store::open(&folder.join("runs/p"))).unwrap();
    assert_eq!((begun.judgements.times, begun.judgements.rules), (3, 2));
    let (record, ..) = run(folder, &[&set[..], &["--finish"]].concat());
    assert_eq!((record.judgements.times, record.judgements.rules), (4, 2));
    // A lost record takes what summary.json says.
    fs::remove_file(folder.join("runs/p/run.json")).unwrap();
    let (record, ..) = run(folder, &set);
    assert_eq!((record.judgements.times, record.judgements.list.len()), (4, 1));
}

#[test]
fn the_same_run_from_scratch_says_the_same() {
    let say = || {
        let folder = tempfile::tempdir().unwrap();
        let (_, summary, report) = run(folder.path(), &[]);
        (summary, report)
    };
    assert!(say() == say());
}

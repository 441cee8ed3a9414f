//! What `check` says before a run.

use crate::cli::{Folder, GOOD, refuses};
use crate::common::aqlens;

#[test]
fn check_prints_the_plan_and_writes_nothing() {
    let folder = Folder::new();
    folder.write(GOOD);
    let ended = aqlens(folder.path(), &["check", "pipeline.yml"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for word in ["prompts", "tokens", "shards", "bytes", "time"] {
        assert!(ended.stdout.contains(word), "no '{word}' in:\n{}", ended.stdout);
    }
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn check_refuses_what_the_run_would_stop_at() {
    let folder = Folder::new();
    let check =
        |extra: &[&str]| aqlens(folder.path(), &[&["check", "pipeline.yml"], extra].concat());
    let long = GOOD.replacen("the red ball", &"the red ball ".repeat(40), 1);
    folder.write(&long);
    let words =
        ["2 of 2 prompts", "one/ball/color", "too_long: skip", "`max_skipped` to at least 1"];
    refuses(&check(&[]), 2, &words);

    let long = long.replace("    tasks:", "      short: \"a cup\"\n    tasks:");
    folder.write(&long.replace("layers: [0, 4]", "too_long: skip"));
    let words = ["2 of 4 prompts (50.00 %)", "`max_skipped: 0.01`", "at least 0.5"];
    refuses(&check(&[]), 2, &words);
    let passed = check(&["--set", "max_skipped=0.5"]);
    assert_eq!(passed.code, 3, "{}", passed.stderr);
}

#[test]
fn check_promises_no_time_when_no_prompt_fits() {
    let folder = Folder::new();
    let long = GOOD.replacen("the red ball", &"the red ball ".repeat(40), 1);
    folder.write(&long.replace("layers: [0, 4]", "too_long: skip"));
    let checked = aqlens(folder.path(), &["check", "pipeline.yml", "--set", "max_skipped=1"]);
    assert_eq!(checked.code, 3, "{}", checked.stderr);
    assert!(checked.stdout.contains("no prompt fits the model"), "{}", checked.stdout);
    assert!(!checked.stdout.contains("inf"), "{}", checked.stdout);
}

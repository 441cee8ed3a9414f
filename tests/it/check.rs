//! What `check` says before a run.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use crate::support::pipeline::{Folder, GOOD};
use crate::support::tiny::Copy;
use crate::support::{Ended, aqlens, aqlens_in, file, refuses};

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

#[test]
fn check_prints_the_plan_as_one_object_for_a_scheduler() {
    let folder = Folder::new();
    folder.write(&GOOD.replace("scenarios:", "shard_inputs: 1\nscenarios:"));
    let check = |extra: &[&str]| {
        let ended = aqlens(folder.path(), &[&["check", "pipeline.yml", "--json"], extra].concat());
        let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(object["exit_code"], ended.code, "{}", ended.stdout);
        object
    };
    let plan = check(&[]);
    assert_eq!((&plan["prompts"], &plan["shards"]), (&2.into(), &1.into()), "{plan}");
    assert_eq!((&plan["problems"], &plan["exit_code"]), (&serde_json::json!([]), &0.into()));
    let number = |key: &str| plan[key].as_f64().unwrap();
    assert!(number("tokens") > number("longest") && number("longest") > 4.0, "{plan}");
    let seconds = number("tokens") / number("tokens_per_second");
    assert!((number("seconds") / seconds - 1.0).abs() < 1e-9, "{plan}");
    // Two captured layers of 27 numbers; three heads of these two; 320 scores a prompt.
    let raw = number("tokens") * 4.0 * (2.0 * 27.0 + 2.0 * 3.0) + 2.0 * 320.0 * 4.0;
    assert_eq!((number("raw_bytes"), number("kept_bytes")), (raw, raw), "{plan}");
    assert_eq!(check(&["--set", "retain=[]"])["kept_bytes"], 0);
    assert!(number("memory_bytes") > number("raw_bytes"), "{plan}");
    assert!(number("free_bytes") > 0.0 || !cfg!(target_os = "linux"), "{plan}");

    let wrong = check(&["--set", "stages.extract.layers=[9]", "--set", "max_skipped=2"]);
    let problems = wrong["problems"].as_array().unwrap();
    assert_eq!((problems.len(), &wrong["exit_code"]), (2, &2.into()), "{wrong}");
    assert!(problems.iter().any(|p| p["at"] == "stages[0].layers[0]"), "{wrong}");
    let long = format!("scenarios.0.inputs.ball={}", "the red ball ".repeat(40));
    let wrong = check(&["--set", &long]);
    assert!(
        wrong["problems"][0]["message"].as_str().unwrap().contains("too_long: skip"),
        "{wrong}"
    );
}

/// The rows of all pairs of tasks grow with the square of the tasks, and are in memory at once.
#[test]
fn check_warns_of_more_memory_than_there_is() {
    let folder = Folder::new();
    let tasks = |n: usize| -> String {
        let lines: Vec<String> =
            (0..n).map(|i| format!("      task-{i}: \"what of thing {i}?\"\n")).collect();
        lines.concat()
    };
    let check = |n: usize, limit: &str| {
        let (head, tail) = GOOD.split_once("      color:").unwrap();
        let (_, tail) = tail.split_once("stages:").unwrap();
        let text = format!("{head}{}stages:{tail}", tasks(n));
        folder
            .write(&text.replace("- kind: similarity", "- kind: similarity\n    measures: [all]"));
        let plain = aqlens_in(folder.path());
        let program = plain.get_program().to_str().unwrap();
        let script = format!("{limit} exec {program} check pipeline.yml --threads 1");
        let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = std::process::Command::new("sh");
        command.env_clear().envs(variables).current_dir(folder.path());
        let ended = Ended::from(command.args(["-c", &script]).output().unwrap());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    // 179,700 pairs, two layers, 19 measures: 2.9 GiB, in a process that may have 2.
    let limit = "ulimit -v 2097152;";
    let warned = check(600, limit);
    let memory = warned.lines().find(|line| line.starts_with("memory")).unwrap();
    assert!(memory.contains("warning: about") && memory.contains("GiB"), "{warned}");
    let few = check(10, limit);
    assert!(!few.contains("warning"), "{few}");
}

/// A file has as many mistakes as its writer likes, and a scheduler reads them in one line.
#[test]
fn a_model_that_does_not_fit_is_refused_by_check_and_run_before_a_file_of_it_is_read() {
    let folder = Folder::new();
    let model = Copy::new();
    // A hole of a terabyte: nobody could hash it in the time of a test.
    let bytes: u64 = 1 << 40;
    let data = model.path().join("model.onnx.data");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&data)
        .and_then(|file| file.set_len(bytes))
        .unwrap();
    model.edit_card(|card| {
        let sha256 = card["files"]["model.onnx"]["sha256"].clone();
        card["files"]["model.onnx.data"] = serde_json::json!({ "sha256": sha256, "bytes": bytes });
    });
    folder.write(GOOD);
    let name = format!("model={}", model.path().display());
    let words = ["take about 1024.0", "this process can have", "nothing was opened"];
    for command in ["check", "run"] {
        refuses(&aqlens(folder.path(), &[command, "pipeline.yml", "--set", &name]), 1, &words);
        assert!(!folder.path().join("runs").exists(), "{command}");
    }
}

#[test]
fn check_json_lists_a_thousand_problems_and_counts_the_rest() {
    let folder = Folder::new();
    let ids: Vec<String> = (0..1500).map(|i| format!("      id-{i}: ''\n")).collect();
    folder.write(&GOOD.replacen("    inputs:\n", &format!("    inputs:\n{}", ids.concat()), 1));
    let ended = aqlens(folder.path(), &["check", "pipeline.yml", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["problems"].as_array().unwrap().len(), 1000, "{}", ended.stderr);
    assert_eq!(object["more_problems"], 500, "{}", ended.stderr);
}

/// A pipe that stands in a folder, such as a run directory of somebody else's, may have nobody who writes.
#[test]
fn a_named_pipe_is_no_pipeline_and_is_not_waited_for() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipeline.yml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for command in ["check", "run"] {
        let ended = aqlens(folder.path(), &[command, "pipeline.yml"]);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains("it is a named pipe, no file"), "{}", ended.stderr);
    }
}

/// A pipe can be read once: a second look would find nothing.
#[test]
fn check_reads_the_pipeline_once() {
    let folder = Folder::new();
    let wrong = folder.write(&GOOD.replacen("[0, 4]", "[9]", 1));
    let mut command = aqlens_in(folder.path());
    command.args(["check", "/dev/stdin", "--json", "--set", "name=piped"]);
    let model = format!("model={}", file("tests/fixtures/tiny").display());
    command.args(["--set", &model]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(wrong).unwrap()).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(object["problems"][0]["at"], "stages[0].layers[0]", "{object}");
    assert_eq!(object["problems"].as_array().unwrap().len(), 1, "{object}");
}

//! What a program that starts many processes can rely on: lists of shards, whatever is free, how far a run
//! is, which ends can be tried again, and no orphans.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use aqlens::run_dir::receipt::Receipt;
use aqlens::store::Store;
use serde_json::{Value, json};

use crate::support::shards::{Folder, assert_same_files, end};
use crate::support::{Ended, aqlens};

fn status(folder: &Folder) -> Value {
    let ended = aqlens(folder.dir.path(), &["status", "run", "--json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn lists_of_shards_and_a_finish_are_one_run_byte_for_byte() {
    let (folder, whole) = (Folder::new(), Folder::new());
    whole.done(&["--threads", "1"]);
    for list in ["0,3-4", "5-6", "1-3"] {
        folder.done(&["--threads", "1", "--shards", list]);
    }
    let refused = folder.run(&["--shards", "0,7"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let says = "there is no shard 7: the run has 7, numbered from 0 to 6";
    assert!(refused.stderr.contains(says), "{}", refused.stderr);
    assert_eq!(folder.run(&["--shards", "3-1"]).code, 2);
    folder.done(&["--threads", "1", "--finish"]);
    assert_same_files(&folder.path(""), &whole.path(""));
}

#[test]
fn a_process_that_joins_takes_what_is_free_and_leaves_the_rest() {
    let folder = Folder::new();
    let store = Store::create(&folder.path("")).unwrap();
    let shared = store.lock_shared().unwrap();
    let held = store.try_lock_piece("part-00002", "share 0/1").unwrap();
    let first = end(&folder.done(&["--join", "--shards", "0-3"]));
    assert_eq!((&first["left"], &first["retry"]), (&json!("2"), &json!(false)), "{first}");
    let progress = status(&folder);
    assert_eq!((&progress["shards"], &progress["n_done"]), (&json!(7), &json!(3)), "{progress}");
    assert_eq!((&progress["done"], &progress["missing"]), (&json!("0-1,3"), &json!("2,4-6")));
    assert_eq!(progress["held"][0]["shard"], 2, "{progress}");
    let holder = progress["held"][0]["holder"].as_str().unwrap();
    assert!(holder.starts_with(&format!("process {}", std::process::id())), "{holder}");
    let shown = aqlens(folder.dir.path(), &["status", "run"]).stdout;
    for words in ["] 3 of 7 shards of tiny", "missing   2,4-6", "held      shard 2: process"] {
        assert!(shown.contains(words), "{shown}");
    }
    drop((held, shared));
    // Now it is free.
    let second = end(&folder.done(&["--join"]));
    assert_eq!(second["left"], "", "{second}");
    let shown = aqlens(folder.dir.path(), &["status", "run"]).stdout;
    assert!(shown.contains("every shard is done: run with --finish"), "{shown}");
    folder.done(&["--finish"]);
    let progress = status(&folder);
    assert_eq!((&progress["state"], &progress["missing"]), (&json!("finished"), &json!("")));
    assert_eq!(end(&folder.done(&["--join"]))["was_finished"], true);
}

/// How often the model ran for shards, as their receipts have it.
fn calls(folder: &Folder, shards: impl Iterator<Item = u32>) -> u64 {
    let store = Store::open(&folder.path(""));
    let of = |part| Receipt::read(&store, "extract", part).unwrap().effort.model_calls;
    shards.map(of).sum()
}

/// The shards that a process finished, by its log, and ran the model for: one that another has done before
/// is finished too.
fn own(log: &[Value]) -> BTreeSet<u32> {
    let shards = |event: &str, stage: Option<&str>| -> BTreeSet<u32> {
        let said = log.iter().filter(|line| line["event"] == event);
        let said = said.filter(|line| stage.is_none_or(|stage| line["stage"] == stage));
        said.map(|line| line["shard"].as_u64().unwrap() as u32).collect()
    };
    &shards("shard", None) & &shards("finished", Some("extract"))
}

#[test]
fn of_three_that_join_one_is_killed_and_nothing_finished_is_done_again() {
    let (folder, whole) = (Folder::new(), Folder::new());
    let set = ["--threads", "1", "--set", "shard_inputs=1", "--set", "retain=[]"];
    whole.done(&set);
    let join = [&set[..], &["--join"]].concat();
    let spawn = || {
        let mut command = folder.command(&join);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (mut killed, others) = (spawn(), [spawn(), spawn()]);
    let mut lines = BufReader::new(killed.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    while own(&said).is_empty() {
        said.push(serde_json::from_str(&lines.next().expect("it does a shard")).unwrap());
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    // What it was writing when it was killed may be no whole line.
    said.extend(lines.map_while(|line| serde_json::from_str(&line).ok()));
    let ends: Vec<Value> = others
        .into_iter()
        .map(|other| {
            let ended = Ended::from(other.wait_with_output().unwrap());
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            end(&ended.stderr)
        })
        .collect();
    // Whatever the killed one had is free again, though the others may have left before.
    let last = end(&folder.done(&join));
    assert_eq!(last["left"], "", "{last}");
    let by_others: u64 =
        ends.iter().chain([&last]).map(|end| end["model_calls"].as_u64().unwrap()).sum();
    let shards = status(&folder)["shards"].as_u64().unwrap() as u32;
    let before = calls(&folder, own(&said).into_iter());
    let all = calls(&whole, 0..shards);
    assert!(by_others + before <= all, "{by_others} and {before}, but one process has {all}");
    folder.done(&[&set[..], &["--finish"]].concat());
    assert_same_files(&folder.path(""), &whole.path(""));
}

#[test]
fn the_end_says_on_which_shard_a_stage_failed() {
    let folder = Folder::new();
    folder.done(&["--shards", "1"]);
    // A folder where a part is to be written.
    let in_the_way = folder.path("tables/similarity/part-00003.parquet");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    let failed = folder.run(&["--join"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    let end = end(&failed.stderr);
    assert_eq!((&end["shard"], &end["retry"]), (&json!(3), &json!(false)), "{end}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_ends_with_the_one_that_started_it() {
    use std::path::Path;
    use std::process::Command;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    let folder = Folder::new();
    let store = Store::create(&folder.path("")).unwrap();
    let shared = store.lock_shared().unwrap();
    let held = store.try_lock_piece("part-00002", "share 0/1").unwrap();
    // It waits for that shard for ever.
    let command = folder.command(&["--shards", "2", "--with-parent"]);
    let words: Vec<&str> = command.get_args().map(|word| word.to_str().unwrap()).collect();
    let log = folder.dir.path().join("log");
    let script = format!(
        "'{}' {} >/dev/null 2>log & echo $!; until grep -q '\"todo\"' log; do sleep 0.05; done",
        env!("CARGO_BIN_EXE_aqlens"),
        words.join(" ")
    );
    let mut shell = Command::new("sh");
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(variables).current_dir(folder.dir.path()).args(["-c", &script]);
    let started = shell.output().unwrap();
    assert!(started.status.success());
    let pid = String::from_utf8(started.stdout).unwrap();
    let began = Instant::now();
    while Path::new("/proc").join(pid.trim()).exists() {
        assert!(began.elapsed() < Duration::from_mins(1), "it works on as an orphan");
        sleep(Duration::from_millis(20));
    }
    let end = end(&fs::read_to_string(&log).unwrap());
    assert_eq!((&end["exit_code"], &end["retry"]), (&json!(130), &json!(true)), "{end}");
    drop((held, shared));
    // And when it was gone before this one could ask.
    let late = folder.run(&["--join", "--with-parent=4194305"]);
    assert_eq!(late.code, 130, "{}", late.stderr);
    assert!(late.stderr.contains("process 4194305) is gone"), "{}", late.stderr);
    assert!(!folder.path("receipts").exists());
}

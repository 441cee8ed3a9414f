//! Shards by hand: several processes do a run together, and it is the run of one process.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use aqlens::run_dir::record::State;
use aqlens::store::Store;
use rstest::rstest;

use crate::support::runs::finished;
use crate::support::shards::{Folder, assert_same_files, end};
use crate::support::{aqlens, refuses};

/// Of the tiny pipeline's two scenarios, each of which is cut by itself.
const SHARDS: usize = 7;

const SHARES: [&[&str]; 3] = [&["--shard", "0/3"], &["--shard", "1/3"], &["--shard", "2/3"]];

#[rstest]
#[case::retained("retain=[activations, attention, logits]")]
#[case::released("retain=[]")]
fn three_shares_by_three_processes_and_a_finish_are_one_run_byte_for_byte(#[case] retain: &str) {
    let (one, three) = (Folder::new(), Folder::new());
    let threads: &[&str] = &["--threads", "1", "--set", retain];
    let whole = one.done(threads);
    let shares = SHARES.map(|share| [share, threads].concat());
    let logs = three.together(&[&shares[0], &shares[1], &shares[2]]);
    for (k, log) in logs.iter().enumerate() {
        let shards: Vec<String> =
            (k..SHARDS).step_by(3).map(|part| format!("extract:{part}")).collect();
        let extracted: Vec<String> =
            finished(log).into_iter().filter(|done| done.starts_with("extract")).collect();
        assert_eq!(extracted, shards);
        let done = format!("share {k}/3: done, {} of the run's {SHARDS} shards", shards.len());
        assert!(log.contains(&done), "{log}");
        assert!(!finished(log).iter().any(|done| done.ends_with(":null")), "nothing is reduced");
    }
    let last = three.done(&[&["--finish"], threads].concat());
    assert!(finished(&last).iter().all(|done| done.ends_with(":null")), "{last}");
    assert_same_files(&three.path(""), &one.path(""));

    let (ours, theirs) = (three.record(), one.record());
    assert_eq!((ours.state, &ours.lineage), (State::Finished, &theirs.lineage));
    assert_eq!((ours.self_proof, ours.shares), (theirs.self_proof, None));
    let (counts, whole_counts) = (&ours.counts, &theirs.counts);
    assert_eq!(counts.model_calls, whole_counts.model_calls);
    assert_eq!(counts.model_calls, end(&whole)["model_calls"].as_u64().unwrap());
    assert_eq!(counts.parts_written, whole_counts.parts_written);
    assert_eq!(counts.model_threads, [1].into());
    assert!(!three.path(".locks").exists(), "nothing is left of the processes");
}

#[test]
fn finishing_too_early_names_the_missing_shards_and_what_makes_them() {
    let folder = Folder::new();
    folder.done(&["--shard", "1/3"]);
    let words = [
        "5 shards of 7 are not done: 0,2-3,5-6",
        "with --shard 0/3 and with --shard 2/3 in place of --finish",
    ];
    let refused = folder.run(&["--finish"]);
    refuses(&refused, 1, &words);
    let end = end(&refused.stderr);
    assert_eq!((&end["missing"], &end["retry"]), (&"0,2-3,5-6".into(), &false.into()));
    assert!(!folder.path("summary.json").exists());
    folder.done(&["--shard", "0/3"]);
    folder.done(&["--shard", "2/3"]);
    fs::remove_file(folder.path("tables/similarity/part-00004.parquet")).unwrap();
    let words = ["1 shard of 7 is not done: 4", "with --shard 1/3 in place"];
    refuses(&folder.run(&["--finish"]), 1, &words);
    assert_eq!(finished(&folder.done(&["--shard", "1/3"])), ["similarity:4"]);
    folder.done(&["--finish"]);
}

#[rstest]
#[case::retained("retain=[activations, attention, logits]")]
#[case::released("retain=[]")]
fn processes_that_want_the_same_shards_do_each_once(#[case] retain: &str) {
    let folder = Folder::new();
    let same: &[&str] = &["--shard", "0/1", "--set", retain];
    let logs = folder.together(&[same, same, &["--shard", "1/2", "--set", retain]]);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for done in logs.iter().flat_map(|log| finished(log)) {
        *times.entry(done).or_default() += 1;
    }
    assert_eq!(times.len(), SHARDS * 4, "{times:?}");
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    folder.done(&["--finish", "--set", retain]);
}

#[test]
fn a_whole_run_does_what_shares_left() {
    let folder = Folder::new();
    folder.done(&["--shard", "2/3"]);
    let done = finished(&folder.done(&[]));
    let extracted: Vec<&String> = done.iter().filter(|done| done.starts_with("extract")).collect();
    assert_eq!(extracted, ["extract:0", "extract:1", "extract:3", "extract:4", "extract:6"]);
}

#[test]
fn a_share_that_was_killed_is_taken_up_by_another_process() {
    let (folder, whole) = (Folder::new(), Folder::new());
    whole.done(&[]);
    let mut child = folder
        .command(&["--shard", "0/1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    crate::overlap::wait_for(&mut child, "\"event\":\"shard\"");
    child.kill().unwrap();
    child.wait().unwrap();
    folder.done(&["--shard", "0/1"]);
    folder.done(&["--finish"]);
    assert_same_files(&folder.path(""), &whole.path(""));
}

#[test]
fn whoever_wants_the_folder_alone_is_told_who_shares_it() {
    let folder = Folder::new();
    let store = Store::create(&folder.path("")).unwrap();
    let shared = store.lock_shared().unwrap();
    let presence = store.announce_presence("share 1/3").unwrap();
    let holder = format!("process {}", std::process::id());
    for extra in [&[][..], &["--finish"]] {
        refuses(&folder.run(extra), 75, &["in use by", &holder, "(share 1/3)", "\"retry\":true"]);
    }
    drop((presence, shared));
    let _alone = store.lock().unwrap();
    refuses(&folder.run(&["--shard", "1/3"]), 75, &["in use by", &holder]);
}

#[test]
fn a_share_of_another_state_of_the_pipeline_is_refused_while_others_work() {
    let folder = Folder::new();
    folder.done(&["--shard", "0/3"]);
    let store = Store::open(&folder.path(""));
    let _shared = store.lock_shared().unwrap();
    let presence = store.announce_presence("share 1/3").unwrap();
    let other = ["--shard", "2/3", "--set", "stages.tokens.top_k=3"];
    refuses(&folder.run(&other), 1, &["(share 1/3)", "another state", "another pipeline.yml"]);
    folder.done(&["--shard", "2/3"]);
    drop(presence);
    folder.done(&other);
}

#[test]
fn an_unfinished_run_of_shares_is_shown_and_verified_as_such() {
    let folder = Folder::new();
    folder.done(&["--shard", "1/2"]);
    let shown = aqlens(folder.dir.path(), &["show", "run"]);
    refuses(&shown, 2, &["is not finished", "--finish"]);
    let verified = aqlens(folder.dir.path(), &["verify", "run"]);
    assert_eq!(verified.code, 1, "{}", verified.stdout);
    assert!(verified.stdout.contains("unfinished 19 of its stages"), "{}", verified.stdout);
    assert!(verified.stdout.contains("nothing wrong"), "{}", verified.stdout);
}

#[test]
fn what_is_no_share_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    for (share, word) in [("3/3", "0/3 to 2/3"), ("0", "write K/N"), ("0/0", "1 or more")] {
        refuses(&folder.run(&["--shard", share]), 2, &[word]);
    }
    for with in ["--finish", "--recheck"] {
        refuses(&folder.run(&["--shard", "0/2", with]), 2, &["cannot be used with", with]);
    }
    assert!(!folder.path("").exists());
}

/// A frozen node: the others say whom they wait for and since when, and no false time left.
#[cfg(unix)]
#[test]
fn who_waits_for_a_stopped_process_says_so() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Command;

    let folder = Folder::new();
    let one = ["--shard", "0/1", "--set", "shard_inputs=1", "--threads", "1"];
    let spawn = || {
        let mut command = folder.command(&one);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut stopped = spawn();
    crate::overlap::wait_for(&mut stopped, "\"event\":\"shard\"");
    let pid = stopped.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let mut waiting = spawn();
    let mut plain = crate::support::aqlens_in(folder.dir.path());
    plain.args(["run", "tiny.yml", "--run-dir", "run", "--log", "plain"]).args(one);
    let mut plain = plain.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("\"event\":\"waiting\"")).unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    let holder = event["holder"].as_str().unwrap();
    assert!(holder.starts_with(&format!("process {pid}")), "{line}");
    assert!(holder.ends_with("(share 0/1)"), "{line}");
    assert!(event["waited"].as_u64().unwrap() >= 5 && event["held"].is_u64(), "{line}");
    assert!(event["shard"].is_u64(), "{line}");
    let mut log = Vec::new();
    for line in BufReader::new(plain.stderr.take().unwrap()).lines().map(Result::unwrap) {
        let is_it = line.contains("waiting for ");
        log.push(line);
        if is_it {
            break;
        }
    }
    let last = log.last().unwrap();
    assert!(last.contains(&format!("process {pid}")) && last.contains("end it"), "{log:#?}");
    assert!(!last.contains("s left"), "{last}");
    signal("-CONT");
    // Nobody reads what they say from here on.
    drop(lines);
    for mut child in [stopped, waiting, plain] {
        child.stderr.take();
        assert!(child.wait().unwrap().success());
    }
    folder.done(&["--finish", "--set", "shard_inputs=1", "--threads", "1"]);
}

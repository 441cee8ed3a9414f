//! Shards follow each other closely: what stops one thread stops them all, and nothing is lost.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::put;
use crate::support::runs::finished;
use crate::support::shards::{Folder, assert_same_files};

/// Waits until the log of a child has a line with these words; gives the log up to there.
pub(crate) fn wait_for(child: &mut Child, words: &str) -> String {
    let mut log = String::new();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    while !log.contains(words) {
        assert!(lines.read_line(&mut log).unwrap() > 0, "it ended before {words}:\n{log}");
    }
    log
}

fn stages(log: &str, event: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let of = lines.filter(|line| line["event"] == event);
    of.map(|line| format!("{}:{}", line["stage"].as_str().unwrap(), line["shard"])).collect()
}

/// How many shards of a run begin on the model before the shard in front of them is analysed.
fn ahead(log: &str) -> usize {
    let lines: Vec<&str> = log.lines().collect();
    let at = |words: &[&str]| {
        let is_it = |line: &&str| words.iter().all(|word| line.contains(word));
        lines.iter().position(is_it).unwrap()
    };
    let ahead = (1..12).filter(|shard| {
        let (this, before) = (format!("\"shard\":{shard},"), format!("\"shard\":{},", shard - 1));
        let started = at(&["\"started\"", "\"extract\"", &this]);
        started < at(&["\"finished\"", "\"tokens\"", &before])
    });
    ahead.count()
}

#[test]
fn a_shard_is_extracted_while_the_one_before_it_is_analysed() {
    // On a busy machine a thread may have to wait for its turn: what one run shows is possible.
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ahead(&Folder::new().done(&["--set", "shard_inputs=1"])));
        if seen.last() >= Some(&6) {
            return;
        }
    }
    panic!("extraction waits for the analyses: of 11 shards ahead {seen:?}");
}

#[rstest]
#[case::retained("retain=[activations, attention, logits]")]
#[case::released("retain=[]")]
fn a_failing_analysis_stops_the_extraction(#[case] retain: &str) {
    let folder = Folder::new();
    let shards = ["--set", "shard_inputs=1", "--set", retain];
    folder.done(&["--set", "shard_inputs=100"]);
    fs::remove_dir_all(folder.path("tables/similarity")).unwrap();
    // A file where the table's folder should be.
    put(&folder.path("tables/similarity"), b"");
    let ended = folder.run(&shards);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("stage 'similarity' failed on shard 0"), "{}", ended.stderr);
    let started = stages(&ended.stderr, "started");
    let extracted = started.iter().filter(|stage| stage.starts_with("extract")).count();
    assert!((1..=2).contains(&extracted), "two shards at most are in flight: {started:?}");
    fs::remove_file(folder.path("tables/similarity")).unwrap();
    let again = finished(&folder.done(&shards));
    assert!(!again.contains(&"extract:0".to_owned()), "what was done stays done: {again:?}");
    let fresh = Folder::new();
    fresh.done(&shards);
    assert_same_files(&folder.path(""), &fresh.path(""));
}

#[test]
fn a_failing_extraction_is_told_after_the_shards_before_it_are_done() {
    let folder = Folder::new();
    let long = format!("scenarios.0.inputs.long={}", "the red ball ".repeat(40));
    let ended = folder.run(&["--set", "shard_inputs=1", "--set", &long]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("stage 'extract' failed on shard 8"), "{}", ended.stderr);
    let done = finished(&ended.stderr);
    assert!(done.contains(&"tokens:7".to_owned()), "{done:?}");
    assert!(!done.iter().any(|stage| stage.ends_with(":8")), "{done:?}");
    let lines = ended.stderr.lines().filter(|line| line.contains(r#""event":"shard""#));
    assert_eq!(lines.count(), 8, "shards 0 to 7 are told to be done:\n{}", ended.stderr);
}

#[rstest]
#[case::retained("retain=[activations, attention, logits]")]
#[case::released("retain=[]")]
fn a_run_that_is_told_to_stop_stops_both_shards_cleanly_and_goes_on_from_there(
    #[case] retain: &str,
) {
    let folder = Folder::new();
    let shards = ["--set", "shard_inputs=1", "--set", retain];
    let mut child =
        folder.command(&shards).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, "\"event\":\"shard\"");
    let asked = Instant::now();
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let mut rest = String::new();
    child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let pending = fs::read_dir(folder.path(".pending")).unwrap().count();
    assert_eq!(pending, 0, "nothing is left half-written");
    let again = finished(&folder.done(&shards));
    assert!(!again.contains(&"extract:0".to_owned()), "what was done stays done: {again:?}");
    let fresh = Folder::new();
    fresh.done(&shards);
    assert_same_files(&folder.path(""), &fresh.path(""));
}

#[test]
fn analyses_with_one_thread_and_with_eight_give_the_same_bytes() {
    let folder = Folder::new();
    folder.done(&["--threads", "1"]);
    let one = crate::support::runs::tables(&folder.path(""));
    // The activations are those of one thread; only what is made of them is made again.
    for entry in fs::read_dir(folder.path("receipts")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "extract" {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let done = finished(&folder.done(&["--threads", "8"]));
    assert!(!done.iter().any(|stage| stage.starts_with("extract")), "{done:?}");
    assert!(done.len() >= 6 * 3 + 3, "{done:?}");
    assert!(crate::support::runs::tables(&folder.path("")) == one);
}

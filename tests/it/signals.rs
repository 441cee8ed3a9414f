//! What signals do: the first asks to stop, a second ends the process, one that was ignored stays so.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::Store;
use rstest::rstest;

use crate::overlap::wait_for;
use crate::support::pipeline::{Folder, GOOD};
use crate::support::{aqlens_in, put};

/// In front of a program that ignores no signal, also where the tests are run in the background, with
/// interrupts ignored.
const HEEDING: &str = "exec env --default-signal";

/// `aqlens` with these arguments, started by a shell in whose last command it follows `before`.
fn started(folder: &Path, before: &str, args: &str) -> Child {
    let plain = aqlens_in(folder);
    let program = plain.get_program().to_str().unwrap();
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut command = Command::new("sh");
    command.env_clear().envs(variables).current_dir(folder);
    command.args(["-c", &format!("{before} {program} {args}")]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// A run of many shards.
fn long(folder: &Folder) {
    let mut inputs = String::new();
    for i in 0..60 {
        writeln!(inputs, "      i{i}: \"the red ball {i}\"").unwrap();
    }
    let text = GOOD.replace("      ball: \"the red ball\"\n", &inputs);
    folder.write(&format!("shard_inputs: 1\n{text}"));
}

#[rstest]
#[case::hangup("HUP")]
#[case::interrupt("INT")]
#[case::termination("TERM")]
fn a_signal_stops_a_run_unless_it_was_ignored_from_the_start(#[case] name: &str) {
    for (before, code) in [(HEEDING.to_owned(), 130), (format!("trap '' {name}; exec"), 0)] {
        let folder = Folder::new();
        long(&folder);
        let mut run = started(folder.path(), &before, "run pipeline.yml --log json");
        wait_for(&mut run, "\"event\":\"shard\"");
        signal(&run, &format!("-{name}"));
        let ended = run.wait_with_output().unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{name} {before}\n{log}");
        assert!(log.trim_end().ends_with('}') && log.contains("\"event\":\"end\""), "{log}");
        let record = RunRecord::read(&Store::open(&folder.path().join("runs/small"))).unwrap();
        let state = if code == 0 { State::Finished } else { State::Running };
        assert_eq!(record.state, state, "{name} {before}");
    }
}

/// Two hundred thousand inputs, which take long to be looked at.
fn many(folder: &Folder) {
    let mut lines = String::new();
    for i in 0..200_000 {
        writeln!(lines, "{{\"id\": \"i{i}\", \"text\": \"the red ball {i} lies on the table\"}}")
            .unwrap();
    }
    put(&folder.path().join("many.jsonl"), lines.as_bytes());
    let file = "inputs: { file: many.jsonl, id: id, text: text }";
    folder.write(&GOOD.replace("inputs:\n      ball: \"the red ball\"", file));
}

#[rstest]
#[case::check("check pipeline.yml", "interrupted")]
#[case::run("run pipeline.yml --log json", "\"exit_code\":130")]
fn a_signal_is_heard_while_inputs_are_read_and_prompts_are_laid_out(
    #[case] args: &str,
    #[case] says: &str,
) {
    let folder = Folder::new();
    many(&folder);
    for pause in [100, 1000, 3000] {
        let mut work = started(folder.path(), HEEDING, args);
        thread::sleep(Duration::from_millis(pause));
        assert!(work.try_wait().unwrap().is_none(), "it ended before it was asked to");
        signal(&work, "-TERM");
        let asked = Instant::now();
        let ended = work.wait_with_output().unwrap();
        let log = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{log}");
        assert!(log.contains(says), "{log}");
        // Moments; what a busy machine adds is allowed for. Laying them out takes far longer.
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    }
}

//! A folder for runs in several shards, by one process or several.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aqlens::run_dir::record::RunRecord;
use aqlens::store::Store;

use super::runs::tables;
use super::{Ended, aqlens_in, file, put};

/// A folder for runs of the tiny pipeline with a report, six shards each.
pub(crate) struct Folder {
    pub(crate) dir: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        let fixtures = file("tests/fixtures");
        let text = fs::read_to_string(fixtures.join("tiny.yml")).unwrap();
        let at = |name: &str| fixtures.join(name).to_str().unwrap().to_owned();
        let text = text
            .replace("model: tiny", &format!("model: {}", at("tiny")))
            .replace("tiny-inputs.jsonl", &at("tiny-inputs.jsonl"))
            .replace("tiny-tasks.csv", &at("tiny-tasks.csv"));
        let text = format!("{text}  - kind: report\n");
        put(&folder.dir.path().join("tiny.yml"), text.as_bytes());
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(name)
    }

    pub(crate) fn command(&self, extra: &[&str]) -> Command {
        let mut command = aqlens_in(self.dir.path());
        let args = ["run", "tiny.yml", "--run-dir", "run", "--log", "json"];
        command.args(args).args(["--set", "shard_inputs=2"]).args(extra);
        command
    }

    pub(crate) fn run(&self, extra: &[&str]) -> Ended {
        self.command(extra).output().unwrap().into()
    }

    pub(crate) fn done(&self, extra: &[&str]) -> String {
        let ended = self.run(extra);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stderr
    }

    /// Runs them all at once.
    pub(crate) fn together(&self, all: &[&[&str]]) -> Vec<String> {
        let spawn = |extra: &&[&str]| {
            let mut command = self.command(extra);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = all.iter().map(spawn).collect();
        children
            .into_iter()
            .map(|child| {
                let ended = Ended::from(child.wait_with_output().unwrap());
                assert_eq!(ended.code, 0, "{}", ended.stderr);
                ended.stderr
            })
            .collect()
    }

    pub(crate) fn record(&self) -> RunRecord {
        RunRecord::read(&Store::open(&self.path(""))).unwrap()
    }
}

/// The last line of a log in JSON.
pub(crate) fn end(log: &str) -> serde_json::Value {
    serde_json::from_str(log.lines().last().unwrap()).unwrap()
}

pub(crate) fn assert_same_files(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (tables(ours), tables(theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in &ours {
        assert!(bytes == &theirs[name], "{name} differs");
    }
}

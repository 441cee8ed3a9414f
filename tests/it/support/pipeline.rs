//! A folder with a pipeline of one input on the tiny model.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Ended, aqlens, file, put, tiny};

/// A folder with a pipeline on the tiny model that a test makes wrong.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
}

pub(crate) const GOOD: &str = r#"name: small
model: MODEL
prompt: "{task}\n{input}:"
scenarios:
  - name: one
    inputs:
      ball: "the red ball"
    tasks:
      color: "what color is the ball?"
      where: "where is the ball?"
stages:
  - kind: extract
    layers: [0, 4]
  - kind: similarity
  - kind: divergence
  - kind: attention
  - kind: tokens
  - kind: summary
  - kind: report
"#;

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, yaml: &str) -> PathBuf {
        let model = file("tests/fixtures/tiny");
        let path = self.path().join("pipeline.yml");
        put(&path, yaml.replace("MODEL", model.to_str().unwrap()).as_bytes());
        path
    }

    pub(crate) fn run(&self, yaml: &str) -> Ended {
        self.write(yaml);
        aqlens(self.path(), &["run", "pipeline.yml", "--log", "plain"])
    }

    /// A copy of the tiny model that the test may damage.
    pub(crate) fn model(&self) -> PathBuf {
        let to = self.path().join("model");
        fs::create_dir(&to).unwrap();
        tiny::copy_to(&to);
        to
    }

    pub(crate) fn run_with(&self, extra: &[&str]) -> Ended {
        self.write(GOOD);
        aqlens(self.path(), &[&["run", "pipeline.yml", "--log", "plain"], extra].concat())
    }
}

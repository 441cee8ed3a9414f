//! What the tests share: the program with a clean environment, the runtime, the fixtures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aqlens::model::EngineOptions;
use aqlens::model::locate::{Surroundings, locate};
use aqlens::store::Store;

/// The checkout that cargo runs the tests of.
///
/// Asked at run time: checkouts that share a target folder share the test programs, where `env!` would
/// name the folder of whichever was compiled last.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("run the tests with cargo"))
}

/// A file of the checkout.
pub(crate) fn file(name: &str) -> PathBuf {
    root().join(name)
}

/// The ONNX Runtime library that the tests run on: of the environment that `ORT_DYLIB_PATH` names (`make
/// test` sets it), else of the checkout's `.venv`.
///
/// A test without it fails: a skipped test would count as passed.
pub(crate) fn onnxruntime() -> PathBuf {
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let found =
        locate(Some(&named.unwrap_or_else(|| root().join(".venv"))), &Surroundings::default());
    let found =
        found.expect("the tests need ONNX Runtime: run `make venv` (or `make test`, which does)");
    found.path
}

/// An engine's options with that library.
pub(crate) fn engine_options() -> EngineOptions {
    EngineOptions { library: Some(onnxruntime()), ..EngineOptions::default() }
}

/// The Python of the tests' environment, which has polars, DuckDB and pyarrow.
pub(crate) fn python() -> Command {
    let python = root().join(".venv/bin/python");
    assert!(python.exists(), "the tests need Python's readers: run `make test`");
    Command::new(python)
}

/// `aqlens` with nothing of the caller's environment but what it needs, in `folder`.
pub(crate) fn aqlens_in(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqlens"));
    command.env_clear().env("ORT_DYLIB_PATH", onnxruntime()).env("NO_COLOR", "1");
    command.current_dir(folder);
    command
}

/// `aqlens` in `folder`, where no ONNX Runtime is found: a program in a checkout's `target` would find the
/// checkout's `.venv`, so it runs from this folder.
pub(crate) fn without_runtime(folder: &Path) -> Command {
    let program = folder.join("aqlens");
    // Copied onto its own link, the program would be emptied.
    if !program.exists() && std::fs::hard_link(env!("CARGO_BIN_EXE_aqlens"), &program).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_aqlens"), &program).unwrap();
    }
    let mut command = Command::new(program);
    command.env_clear().env("NO_COLOR", "1").current_dir(folder);
    command
}

/// How a run of the program ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `aqlens` with `args` in `folder`.
pub(crate) fn aqlens(folder: &Path, args: &[&str]) -> Ended {
    aqlens_in(folder).args(args).output().unwrap().into()
}

/// A finished run, in a temporary folder.
pub(crate) struct Run {
    _folder: Option<tempfile::TempDir>,
    pub(crate) store: Store,
}

impl Run {
    /// A run directory that somebody else keeps.
    pub(crate) fn open(run_dir: &Path) -> Self {
        Self { store: Store::open(run_dir), _folder: None }
    }

    /// A run of a pipeline file of the checkout.
    pub(crate) fn of(pipeline: &str, extra: &[&str]) -> Self {
        Self::of_file(&file(pipeline), extra)
    }

    pub(crate) fn of_file(pipeline: &Path, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = folder.path().join("run");
        let mut args = vec!["run", pipeline.to_str().unwrap(), "--run-dir"];
        args.push(run_dir.to_str().unwrap());
        args.extend(extra);
        let ended = aqlens(folder.path(), &args);
        assert!([0, 3].contains(&ended.code), "exit {}\n{}", ended.code, ended.stderr);
        Self { store: Store::open(&run_dir), _folder: Some(folder) }
    }
}

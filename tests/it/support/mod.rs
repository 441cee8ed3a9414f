//! What several tests share: the program, folders with a pipeline, runs and their files, the tiny
//! model and stand-ins for one, and the imports of the source.

pub(crate) mod fake_model;
pub(crate) mod imports;
pub(crate) mod pipeline;
pub(crate) mod program;
pub(crate) mod runs;
pub(crate) mod shards;
pub(crate) mod tiny;

pub(crate) use program::{
    Ended, Run, aqlens, aqlens_in, engine_options, file, onnxruntime, python, root, without_runtime,
};

use std::fs;
use std::path::Path;

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own file, which nothing reads half-written"
)]
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// The program refuses with this exit code, says all of `words`, and leaves no run directory.
pub(crate) fn refuses(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    let flat = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(flat.contains(word), "no '{word}' in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

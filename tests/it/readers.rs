//! The tables open in polars, DuckDB and pyarrow, and the README's queries answer.

use std::fs;

use crate::common::{Run, file, python};

fn runs(script: &str, args: &[&str]) {
    let output = python().arg(file(script)).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn polars_duckdb_and_pyarrow_open_every_table_and_answer() {
    let run = Run::of("tests/fixtures/tiny.yml", &["--set", "shard_inputs=4"]);
    runs("tests/readers/read_tables.py", &[run.store.root().to_str().unwrap()]);
}

#[test]
fn the_queries_of_the_readme_answer() {
    let run = Run::of("pipelines/experiment-037.yml", &[]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("runs")).unwrap();
    let link = folder.path().join("runs/experiment-037");
    std::os::unix::fs::symlink(run.store.root(), link).unwrap();
    let readme = file("README.md");
    runs(
        "tests/readers/readme_queries.py",
        &[readme.to_str().unwrap(), folder.path().to_str().unwrap()],
    );
}

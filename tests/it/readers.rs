//! The tables open in polars, DuckDB and pyarrow, and the queries of the pages answer.

use std::fs;

use crate::support::{Run, file, python};

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

/// A folder in which `name` is the run.
fn folder_with(name: &str, run: &Run) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(name);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(run.store.root(), link).unwrap();
    folder
}

#[test]
fn the_queries_of_the_page_of_tables_answer() {
    let run = Run::of("pipelines/experiment-037.yml", &[]);
    let folder = folder_with("runs/experiment-037", &run);
    let page = file("docs/tables.md");
    let folder = folder.path().to_str().unwrap();
    runs("tests/readers/page_queries.py", &[folder, "3", page.to_str().unwrap()]);
}

#[test]
fn the_queries_of_every_page_of_measures_answer() {
    let run = Run::of("tests/oracle/pipeline.yml", &[]);
    let folder = folder_with("RUN", &run);
    let listed = file("docs/measures").read_dir().unwrap();
    let mut pages: Vec<String> =
        listed.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()).collect();
    pages.retain(|page| !page.ends_with("/README.md"));
    pages.sort();
    let mut args = vec![folder.path().to_str().unwrap(), "1"];
    args.extend(pages.iter().map(String::as_str));
    runs("tests/readers/page_queries.py", &args);
}

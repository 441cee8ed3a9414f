//! A folder that somebody has files of their own in is no run directory, and is left as it is.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rstest::rstest;

use crate::damage::Folder;
use crate::strangers::{files, run};
use crate::support::{put, refuses};

/// A folder with a pipeline and what somebody has of their own.
fn own(names: &[(&str, &str)]) -> (Folder, BTreeMap<PathBuf, Vec<u8>>) {
    let folder = Folder::copy();
    fs::remove_dir_all(folder.path("")).unwrap();
    fs::create_dir(folder.path("")).unwrap();
    for (name, text) in names {
        fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
        put(&folder.path(name), text.as_bytes());
    }
    let before = files(&folder.path(""));
    (folder, before)
}

#[rstest]
#[case::pipeline(&[("pipeline.yml", "name: small\n# three weeks of thought\n")], "pipeline.yml")]
#[case::report(&[("report.html", "<p>mine")], "report.html")]
#[case::summary(&[("summary.json", "{}")], "summary.json")]
#[case::record(&[("run.json", "{\"state\": \"mine\"}")], "run.json")]
#[case::tables(&[("tables/similarity/part-00000.parquet", "mine")], "tables")]
#[case::receipts(&[("receipts/extract/part-00000.json", "mine")], "receipts")]
#[case::both(&[("run.lock", ""), ("pipeline.yml", "name: small\n")], "pipeline.yml")]
fn a_file_that_aqlens_did_not_write_is_never_overwritten(
    #[case] names: &[(&str, &str)],
    #[case] named: &str,
) {
    for extra in [&[][..], &["--shard", "0/2"], &["--finish"], &["--recheck"]] {
        let (folder, before) = own(names);
        refuses(&run(&folder, extra), 2, &["is no run directory", named, "--run-dir"]);
        assert_eq!(files(&folder.path("")), before, "{extra:?}");
    }
}

#[test]
fn a_resolved_pipeline_alone_makes_no_run_directory() {
    let resolved = fs::read_to_string(Folder::copy().path("pipeline.yml")).unwrap();
    let files = [("pipeline.yml", &*resolved), ("report.html", "mine")];
    let (folder, before) = own(&files);
    refuses(&run(&folder, &[]), 2, &["is no run directory"]);
    assert_eq!(crate::strangers::files(&folder.path("")), before);
}

#[test]
fn what_a_process_leaves_that_is_killed_before_its_first_record_is_gone_on_with() {
    let (folder, _) = own(&[("run.lock", "process 1 on host\n"), (".pending/.tmpA1b2C3", "half")]);
    assert_eq!(run(&folder, &[]).code, 0);
    folder.is_as_undisturbed();
    // And one that is killed between the record and the pipeline.
    fs::remove_file(folder.path("pipeline.yml")).unwrap();
    assert_eq!(run(&folder, &[]).code, 0);
    folder.is_as_undisturbed();
}

//! Raw tables that stay are as large as a run is long: the system's memory is not filled with them.

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::support::{aqlens, file};

/// Whether the system has the file's first page in its memory, so that nobody waits for the disk.
fn is_in_memory(path: &Path) -> bool {
    let mut byte = [0];
    let file = File::open(path).unwrap();
    match preadv2(&file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT) {
        Ok(read) => read == 1,
        Err(Errno::AGAIN) => false,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// Whether every file is in memory, of the tables that stay raw and of those made of them.
fn in_memory() -> (Vec<bool>, Vec<bool>) {
    // Beside the build: the folder for temporary files may be one that lies in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (pipeline, run) = (file("tests/fixtures/tiny.yml"), folder.path().join("run"));
    let retain = "retain=[activations, logits]";
    let args = ["run", pipeline.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let ended = aqlens(folder.path(), &[&args[..], &["--set", retain]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let parts = |table: &str| {
        let parts = run.join("tables").join(table).read_dir().unwrap();
        let files = parts.map(|part| part.unwrap().path());
        files.map(|path| is_in_memory(&path)).collect::<Vec<bool>>()
    };
    ([parts("logits"), parts("activations")].concat(), parts("similarity"))
}

#[test]
fn raw_tables_that_stay_are_let_go_and_those_made_of_them_are_not() {
    // A machine that is short of memory lets others go too, and one that copies its disk brings them
    // back: what holds once is what the program did.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (raw, made) = in_memory();
        assert!(!raw.is_empty() && !made.is_empty());
        if raw.iter().all(|is| !is) && made.iter().all(|is| *is) {
            return;
        }
        seen.push((raw, made));
    }
    panic!("raw tables stay in memory, or others do not: {seen:?}");
}

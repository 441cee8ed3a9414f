//! Shares that end while others begin, on a disk where removing a file takes a while, as over NFS.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rstest::rstest;

use crate::support::shards::{Folder, assert_same_files};
use crate::support::{Ended, put};

/// Removing takes 3 ms longer; and, when that is asked for, a table's folder that is empty then goes at
/// that very moment, as if another process had removed it.
const SLOWLY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int done = real(path);
    usleep(3000);
    char *copy;
    if (done == 0 && getenv("FOLDERS_GO") && strstr(path, "/activations/") && (copy = strdup(path))) {
        rmdir(dirname(copy));
        free(copy);
    }
    return done;
}
"#;

/// How many shares.
const SHARES: usize = 10;

/// A library that slows the removal of files, if it can be compiled here.
fn library(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("slow.c"), folder.join("slow.so"));
    put(&source, SLOWLY.as_bytes());
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    command.status().is_ok_and(|status| status.success()).then_some(library)
}

#[rstest]
#[case::slowly(None)]
#[case::and_folders_go(Some("1"))]
fn ten_shares_that_begin_while_others_end_all_succeed(#[case] folders_go: Option<&str>) {
    let tools = tempfile::tempdir().unwrap();
    let Some(library) = library(tools.path()) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no C compiler (cc) to slow unlink with");
        return;
    };
    let set = ["--set", "retain=[]", "--set", "shard_inputs=1", "--threads", "1"];
    let (folder, whole) = (Folder::new(), Folder::new());
    whole.done(&set);
    let spawn = |k: usize| {
        let share = format!("{k}/{SHARES}");
        let mut command = folder.command(&[&set[..], &["--shard", &share]].concat());
        command.env("LD_PRELOAD", &library).envs(folders_go.map(|go| ("FOLDERS_GO", go)));
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // One after the other, so that some end while others begin.
        std::thread::sleep(Duration::from_millis(60));
        child
    };
    let children: Vec<_> = (0..SHARES).map(spawn).collect();
    let failed: Vec<String> = children
        .into_iter()
        .map(|child| Ended::from(child.wait_with_output().unwrap()))
        .filter(|ended| ended.code != 0)
        .map(|ended| ended.stderr.lines().last().unwrap_or_default().to_owned())
        .collect();
    assert!(failed.is_empty(), "{} of {SHARES} failed: {failed:#?}", failed.len());
    folder.done(&[&set[..], &["--finish"]].concat());
    assert_same_files(&folder.path(""), &whole.path(""));
    assert!(!folder.path("tables/activations").exists(), "empty folders go at the end");
    assert_eq!(fs::read_dir(folder.path(".pending")).unwrap().count(), 0);
}

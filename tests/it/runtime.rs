//! Which ONNX Runtime is loaded: the one that was chosen, and no other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use aqlens::run_dir::record::RunRecord;
use aqlens::store::{Store, sha256_of_file};

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{Ended, aqlens, assert_says, onnxruntime, put, refuses, without_runtime};

/// Where a Python environment has the library.
fn capi(prefix: &Path) -> PathBuf {
    prefix.join("lib/python3.11/site-packages/onnxruntime/capi")
}

/// A file in the place of the library, which does not load.
fn junk(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    put(&folder.join("libonnxruntime.so.1.99.7"), b"not a library");
}

/// The library by another path.
fn library(folder: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    if fs::hard_link(onnxruntime(), &path).is_err() {
        fs::copy(onnxruntime(), &path).unwrap();
    }
    path.canonicalize().unwrap()
}

fn program(bin: &Path) -> Command {
    fs::create_dir_all(bin).unwrap();
    without_runtime(bin)
}

fn ended(command: &mut Command, folder: &Path, args: &[&str]) -> Ended {
    command.current_dir(folder).args(args).output().unwrap().into()
}

#[test]
fn nothing_is_loaded_from_the_working_directory_or_above_it() {
    let folder = Folder::new();
    folder.write(GOOD);
    let below = folder.path().join("alice/project");
    fs::create_dir_all(&below).unwrap();
    for place in [folder.path(), &below] {
        junk(&capi(&place.join(".venv")));
        junk(&place.join("onnxruntime/capi"));
        put(&place.join("libonnxruntime.so"), b"not a library");
    }
    let pipeline = folder.path().join("pipeline.yml");
    let pipeline = pipeline.to_str().unwrap();
    // The program itself lies in a folder that anybody may have filled.
    for args in [&["check", pipeline][..], &["run", pipeline], &["doctor"]] {
        let mut command = without_runtime(folder.path());
        command.env("VIRTUAL_ENV", ".venv").env("LD_LIBRARY_PATH", ".:");
        let ended = ended(&mut command, &below, args);
        refuses(&ended, 1, &["no ONNX Runtime library was found", "pip install onnxruntime"]);
        assert!(!ended.stderr.contains("1.99.7"), "{}", ended.stderr);
    }
}

#[test]
fn the_environment_of_aqlens_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let (prefix, other) = (folder.path().join("prefix"), folder.path().join("other"));
    junk(&capi(&other));
    let taken = library(&capi(&prefix), "libonnxruntime.so.1.32.0");
    let mut command = program(&prefix.join("bin"));
    command.env("VIRTUAL_ENV", &other);
    let doctor = ended(&mut command, folder.path(), &["doctor"]);
    assert_eq!(doctor.code, 0, "{}", doctor.stderr);
    let takes = format!("takes         the environment of aqlens: {}", taken.display());
    let not = format!("looked at     VIRTUAL_ENV: {}", capi(&other).display());
    assert_says(&doctor.stdout, &[&takes, &not]);

    // As pipx and uv link a tool.
    symlink(prefix.join("bin/aqlens"), folder.path().join("tool")).unwrap();
    let mut linked = Command::new(folder.path().join("tool"));
    linked.env_clear();
    assert_says(&ended(&mut linked, folder.path(), &["doctor"]).stdout, &[&takes]);
}

#[test]
fn a_package_beside_the_programs_of_pip_target_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let taken = library(&folder.path().join("onnxruntime/capi"), "libonnxruntime.so.1.32.0");
    let mut command = program(&folder.path().join("bin"));
    let doctor = ended(&mut command, folder.path(), &["doctor"]);
    assert_says(&doctor.stdout, &[taken.to_str().unwrap()]);
}

#[test]
fn the_version_is_the_library_s_own_and_its_place_and_hash_are_recorded() {
    let folder = Folder::new();
    folder.write(GOOD);
    let named = onnxruntime();
    let version = named.to_str().unwrap().rsplit_once(".so.").unwrap().1.to_owned();
    let lying = library(&folder.path().join("lib"), "libonnxruntime.so.1.99.7");
    let lying = lying.to_str().unwrap();
    let with = |command: &str, library: &str| {
        let ended = aqlens(folder.path(), &[command, "pipeline.yml", "--onnxruntime", library]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended
    };
    let says = format!("ONNX Runtime {version}, {lying}");
    assert_says(&with("check", lying).stdout, &[&says]);
    assert_says(&with("run", lying).stderr, &[&says]);
    let record = || RunRecord::read(&Store::open(&folder.path().join("runs/small"))).unwrap();
    let first = record();
    assert_eq!(first.lineage.onnxruntime, version);
    let sha256 = sha256_of_file(&named).unwrap();
    assert_eq!(Vec::from_iter(&first.libraries), [(&sha256, &lying.to_owned())]);

    // The same library in another place makes no other run.
    let again = with("run", named.to_str().unwrap());
    assert_says(&again.stderr, &["nothing to do"]);
    assert_eq!(record(), first);
}

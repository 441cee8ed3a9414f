//! A run directory from somebody else is data: whatever its files say, and whatever links or pipes lie
//! in it, nothing elsewhere is touched, nothing hangs, and nothing panics.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;

use crate::damage::Folder;
use crate::support::runs::finished;
use crate::support::{Ended, aqlens_in, put, refuses};

const RUN: [&str; 4] = ["run", "pipeline.yml", "--run-dir", "run"];

/// How long a command may take that must end at once.
const SOON: Duration = Duration::from_mins(1);

/// Runs `aqlens` in `folder`; one that does not end soon hangs.
pub(crate) fn soon(folder: &Path, args: &[&str]) -> Ended {
    let mut command = aqlens_in(folder);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > SOON {
            child.kill().unwrap();
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert!([0, 1, 2, 3].contains(&ended.code), "{args:?}: {}\n{}", ended.code, ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

pub(crate) fn run(folder: &Folder, extra: &[&str]) -> Ended {
    soon(folder.dir.path(), &[&RUN, extra].concat())
}

/// Changes a sealed file and computes its seal again, as anybody can.
pub(crate) fn reseal(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("sha256");
    change(&mut value);
    put(path, aqlens::store::sealed_json(&value).as_bytes());
}

/// Files that nobody may touch.
struct Victim {
    dir: tempfile::TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Victim {
    /// Its files have names that aqlens would write, delete or empty.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "id_ed25519",
            "setup",
            "part-00000",
            "process-1-0",
            "part-00000.parquet",
            "part-00000.json",
            "part-00000-layer-000.parquet",
            "similarity/part-00000.parquet",
            "similarity/part-00007.parquet",
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            put(&path, format!("precious {name}").as_bytes());
        }
        let before = files(dir.path());
        Self { dir, before }
    }

    fn is_untouched(&self) {
        assert_eq!(files(self.dir.path()), self.before);
    }
}

pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

const EXTRACT: &str = "receipts/extract/part-00000.json";

#[rstest]
#[case::upwards("tables/activations/../../../victim.txt")]
#[case::absolute("VICTIM")]
#[case::of_another_part("tables/activations/part-00001-layer-004.parquet")]
#[case::of_another_stage("tables/similarity/part-00000.parquet")]
#[case::of_no_table("tables/activations/notes.txt")]
#[case::the_record("run.json")]
#[case::of_itself(EXTRACT)]
fn a_receipt_that_names_what_its_stage_does_not_write_is_none(#[case] path: &str) {
    let folder = Folder::copy();
    let victim = folder.dir.path().join("victim.txt");
    put(&victim, b"precious");
    let path = path.replace("VICTIM", victim.to_str().unwrap());
    let lean: &[&str] = &["--set", "retain=[]", "--log", "json"];
    assert_eq!(run(&folder, lean).code, 0);
    // So that the path resolves.
    fs::create_dir_all(folder.path("tables/activations")).unwrap();
    put(&folder.path("tables/activations/notes.txt"), b"mine");
    let victims = || [&victim, &folder.path("tables/activations/notes.txt")].map(fs::read);
    let before = victims().map(Result::unwrap);
    reseal(&folder.path(EXTRACT), |receipt| {
        let part = serde_json::json!(
            {"path": path, "bytes": 8, "sha256": "0".repeat(64), "rows": u64::MAX}
        );
        receipt["parts"].as_array_mut().unwrap().push(part);
    });
    fs::remove_file(folder.path("receipts/similarity/part-00000.json")).unwrap();
    let verified = soon(folder.dir.path(), &["verify", "run"]);
    assert_eq!(verified.code, 1);
    let named = verified.stdout.lines().any(|line| {
        line.starts_with("foreign") && line.contains(EXTRACT) && line.contains("does not write")
    });
    assert!(named, "{}", verified.stdout);
    let ended = run(&folder, lean);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(finished(&ended.stderr).contains(&"extract:0".to_owned()), "{}", ended.stderr);
    assert_eq!(victims().map(Result::unwrap), before);
    assert!(folder.path("run.json").exists() && folder.path(EXTRACT).exists());
    fs::remove_dir_all(folder.path("tables/activations")).unwrap();
    let verified = soon(folder.dir.path(), &["verify", "run"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

#[test]
fn a_receipt_of_another_part_or_that_names_a_part_twice_is_none() {
    let folder = Folder::copy();
    let [one, two] = ["similarity", "tokens"].map(|s| format!("receipts/{s}/part-00001.json"));
    reseal(&folder.path(&one), |receipt| receipt["part"] = u32::MAX.into());
    reseal(&folder.path(&two), |receipt| {
        let parts = receipt["parts"].as_array_mut().unwrap();
        parts.push(parts[0].clone());
    });
    let verified = soon(folder.dir.path(), &["verify", "run"]);
    for words in [&one, &two, "on part 4294967295", "twice"] {
        assert!(verified.stdout.contains(words), "{words}:\n{}", verified.stdout);
    }
    let mut done = finished(&run(&folder, &["--log", "json"]).stderr);
    done.sort();
    assert_eq!(done, ["similarity:1", "tokens:1"]);
    folder.is_as_undisturbed();
}

/// Replaces what is there by a link to a victim.
fn link(folder: &Folder, name: &str, target: &Path) {
    let path = folder.path(name);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    symlink(target, path).unwrap();
}

#[rstest]
fn no_link_in_place_of_a_folder_is_followed(
    #[values(
        ".pending",
        ".locks",
        "tables",
        "tables/similarity",
        "tables/activations",
        "receipts",
        "receipts/similarity"
    )]
    name: &str,
) {
    let (folder, victim) = (Folder::copy(), Victim::new());
    link(&folder, name, victim.dir.path());
    let verified = soon(folder.dir.path(), &["verify", "run"]);
    assert_eq!(verified.code, 1, "{}", verified.stdout);
    let line = verified.stdout.lines().find(|line| line.contains(&format!(" {name}: ")));
    assert!(line.is_some_and(|line| line.contains("is a symbolic link")), "{}", verified.stdout);
    for extra in [
        &["--set", "seed=7", "--set", "retain=[]"][..],
        &["--set", "scenarios.0.inputs.ball=a blue ball"],
        &["--recheck"],
        &["--finish"],
        &["--shard", "0/1"],
        &[],
    ] {
        let ended = run(&folder, extra);
        if ended.code == 1 && !ended.stderr.contains("not done") {
            refuses(&ended, 1, &[name, "is a symbolic link", "delete the link"]);
        }
        victim.is_untouched();
    }
    // A share needs no lock of its own folder in a run that is finished; all others do.
    assert_eq!(run(&folder, &["--set", "seed=8", "--set", "shard_inputs=2"]).code, 1);
    victim.is_untouched();
    fs::remove_file(folder.path(name)).unwrap();
    assert_eq!(run(&folder, &[]).code, 0);
    folder.is_as_undisturbed();
    victim.is_untouched();
}

#[rstest]
fn no_link_in_place_of_a_file_is_written_through(
    #[values(
        "run.json",
        "pipeline.yml",
        "summary.json",
        "report.html",
        "tables/similarity/part-00000.parquet",
        "receipts/similarity/part-00000.json"
    )]
    name: &str,
) {
    let folder = Folder::copy();
    let victim = folder.dir.path().join("victim");
    let before = fs::read(folder.path(name)).unwrap();
    put(&victim, &before);
    link(&folder, name, &victim);
    let ended = run(&folder, &["--set", "scenarios.0.inputs.ball=a blue ball"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(fs::read(&victim).unwrap(), before);
    assert!(!folder.path(name).is_symlink(), "the link itself is replaced");
}

#[rstest]
#[case::link(true)]
#[case::second_name(false)]
fn a_lock_that_is_somebody_elses_file_keeps_what_it_holds(#[case] is_link: bool) {
    for text in ["export A=1\n", "process 12 on host\n"] {
        let folder = Folder::copy();
        let victim = folder.dir.path().join(".bashrc");
        put(&victim, text.as_bytes());
        let lock = folder.path("run.lock");
        fs::remove_file(&lock).unwrap();
        if is_link {
            symlink(&victim, &lock).unwrap();
        } else {
            fs::hard_link(&victim, &lock).unwrap();
        }
        for extra in [&["--set", "seed=7"][..], &["--shard", "0/1"], &["--finish"]] {
            let ended = run(&folder, extra);
            if is_link {
                refuses(&ended, 1, &["run.lock", "is a symbolic link"]);
            } else {
                assert_eq!(ended.code, 0, "{}", ended.stderr);
            }
            assert_eq!(fs::read_to_string(&victim).unwrap(), text);
        }
    }
}

#[test]
fn a_clone_with_links_for_its_locks_and_pending_files_touches_nothing() {
    let (folder, victim) = (Folder::copy(), Victim::new());
    fs::remove_dir_all(folder.path("")).unwrap();
    fs::create_dir(folder.path("")).unwrap();
    symlink(victim.dir.path(), folder.path(".pending")).unwrap();
    symlink(victim.dir.path().join("id_ed25519"), folder.path("run.lock")).unwrap();
    refuses(&run(&folder, &[]), 1, &[".pending", "is a symbolic link"]);
    refuses(&run(&folder, &["--shard", "0/2"]), 1, &["is a symbolic link"]);
    fs::remove_file(folder.path(".pending")).unwrap();
    refuses(&run(&folder, &[]), 1, &["run.lock", "is a symbolic link"]);
    victim.is_untouched();
}

#[test]
fn links_that_lead_in_circles_are_named_and_not_walked() {
    let folder = Folder::copy();
    for name in ["tables/a", "tables/b", "receipts/a", "receipts/b"] {
        symlink(".", folder.path(name)).unwrap();
    }
    let verified = soon(folder.dir.path(), &["verify", "run"]);
    for name in ["tables/a", "tables/b", "receipts/a", "receipts/b"] {
        let line = verified.stdout.lines().find(|line| line.contains(&format!(" {name}: ")));
        assert!(line.is_some_and(|line| line.contains("by hand")), "{name}: {}", verified.stdout);
    }
    assert!(verified.stdout.contains("4 foreign"), "{}", verified.stdout);
    assert_eq!(run(&folder, &["--set", "seed=3"]).code, 0);
    assert_eq!(run(&folder, &["--recheck"]).code, 0);
    assert!(folder.path("tables/a").is_symlink() && folder.path("receipts/b").is_symlink());
}

#[test]
fn the_run_directory_itself_may_be_a_link() {
    let folder = Folder::copy();
    fs::rename(folder.path(""), folder.dir.path().join("elsewhere")).unwrap();
    symlink("elsewhere", folder.dir.path().join("run")).unwrap();
    assert_eq!(run(&folder, &["--set", "seed=3"]).code, 0);
    assert_eq!(run(&folder, &[]).code, 0);
    folder.is_as_undisturbed();
}

#[rstest]
fn a_pipe_in_place_of_a_file_or_folder_is_not_waited_for(
    #[values(
        "run.json",
        "pipeline.yml",
        "summary.json",
        "report.html",
        "run.lock",
        ".locks",
        ".pending",
        "tables/similarity/part-00000.parquet",
        "tables/similarity",
        "receipts/similarity/part-00000.json",
        "receipts/similarity"
    )]
    name: &str,
) {
    let folder = Folder::copy();
    let path = folder.path(name);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else if path.exists() {
        fs::remove_file(&path).unwrap();
    }
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let at = folder.dir.path();
    soon(at, &["verify", "run"]);
    soon(at, &["show", "run"]);
    soon(at, &["show", "run", "--table", "similarity"]);
    for extra in [&[][..], &["--shard", "0/1"], &["--recheck"], &["--set", "seed=3"]] {
        run(&folder, extra);
    }
}

#[test]
fn looking_writes_nothing() {
    let folder = Folder::copy();
    fs::remove_file(folder.path("run.lock")).unwrap();
    fs::remove_dir_all(folder.path(".pending")).unwrap();
    let before = files(&folder.path(""));
    for args in [&["verify", "run"][..], &["show", "run"], &["show", "run", "--table", "prompts"]] {
        assert_eq!(soon(folder.dir.path(), args).code, 0);
    }
    assert_eq!(files(&folder.path("")), before);
    assert!(!folder.path(".pending").exists() && !folder.path(".locks").exists());
}

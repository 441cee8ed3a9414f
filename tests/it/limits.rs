//! What is said when the machine gives no more.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{Ended, aqlens, aqlens_in, refuses};

/// `aqlens run` under a limit that the shell sets.
fn limited(folder: &Path, limit: &str) -> Ended {
    let plain = aqlens_in(folder);
    let program = plain.get_program().to_str().unwrap();
    let mut command = Command::new("sh");
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).current_dir(folder);
    let script = format!("ulimit {limit} && exec {program} run pipeline.yml --log plain");
    command.args(["-c", &script]).output().unwrap().into()
}

#[test]
fn a_file_that_may_not_grow_is_an_error_with_words() {
    let folder = Folder::new();
    folder.write(GOOD);
    let ended = limited(folder.path(), "-f 4");
    refuses(&ended, 1, &["os error 27", "`ulimit -f`", "run the same command again"]);
    let after = aqlens(folder.path(), &["run", "pipeline.yml", "--quiet"]);
    assert_eq!(after.code, 0, "{}", after.stderr);
}

#[test]
fn memory_that_is_not_to_be_had_is_an_error_with_words() {
    let folder = Folder::new();
    folder.write(GOOD);
    let ended = limited(folder.path(), "-v 300000");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("memory"), "{}", ended.stderr);
}

#[test]
fn threads_that_are_not_to_be_had_are_an_error_with_words() {
    let folder = Folder::new();
    folder.write(GOOD);
    for command in ["run", "check"] {
        let mut command = {
            let mut c = aqlens_in(folder.path());
            c.arg(command);
            c
        };
        // No thread has room for its stack: the system's answer is that of a limit on processes.
        command.arg("pipeline.yml").env("RUST_MIN_STACK", (1_u64 << 46).to_string());
        refuses(&command.output().unwrap().into(), 1, &["threads", "`ulimit -u`", "--threads N"]);
    }
}

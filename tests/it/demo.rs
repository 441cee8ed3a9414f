//! What the program brings along: `demo`, `init`, completions, and that a package has it all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Ended, aqlens, aqlens_in, assert_says, file, put, refuses, root};

/// The files below a folder, by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_demo_runs_in_an_empty_folder_and_again_in_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let first = aqlens(folder.path(), &["demo"]);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let says = ["red-ball: ", "fire: ", "report: aqlens-demo/runs/experiment-037/report.html"];
    assert_says(&first.stdout, &says);
    assert!(folder.path().join("aqlens-demo/runs/experiment-037/report.html").exists());
    for name in ["model.onnx.data", "tokenizer.json", "head.onnx"] {
        let written = fs::read(folder.path().join("aqlens-demo/data/demo").join(name)).unwrap();
        assert_eq!(written, fs::read(file("data/demo").join(name)).unwrap(), "{name}");
    }
    // The second time, the record notes what the model's files, new at first, are recognised by, and the lock
    // names another process.
    let made = || {
        let mut files = files(&folder.path().join("aqlens-demo"));
        files.retain(|name, _| !name.ends_with("/run.json") && !name.contains("lock"));
        files
    };
    let before = made();
    assert!(before.len() > 30, "{:?}", before.keys());
    let again = aqlens(folder.path(), &["demo"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_says(&again.stdout, &["the demo is in aqlens-demo already", "report: aqlens-demo"]);
    let after = made();
    assert!(after.keys().eq(before.keys()), "{:?} {:?}", before.keys(), after.keys());
    for (name, bytes) in &after {
        assert!(before[name] == *bytes, "{name} was made again");
    }
}

#[test]
fn the_demos_other_pipeline_finds_its_model_and_scenes() {
    let folder = tempfile::tempdir().unwrap();
    let ended = aqlens(folder.path(), &["demo", "here"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let checked = aqlens(folder.path(), &["check", "here/pipelines/scenes.yml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert_says(&checked.stdout, &["scenes: no problems"]);
}

#[test]
fn the_demo_replaces_no_file_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    fs::create_dir_all(mine.join("data/demo")).unwrap();
    put(&mine.join("data/demo/model.onnx"), b"mine");
    refuses(
        &aqlens(folder.path(), &["demo", "mine"]),
        2,
        &["mine/data/demo/model.onnx", "another"],
    );
    let left: Vec<_> = files(&mine).into_iter().collect();
    assert_eq!(left, [("data/demo/model.onnx".to_owned(), b"mine".to_vec())]);
}

#[test]
fn a_first_pipeline_can_decide_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let made = aqlens(folder.path(), &["init", "mine"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_says(&made.stdout, &["wrote mine.yml", "aqlens run mine.yml"]);
    let checked = aqlens(folder.path(), &["check", "mine.yml", "--json"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let plan: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(plan["warnings"].as_array().unwrap().len(), 0, "{}", plan["warnings"]);
    let text = fs::read_to_string(folder.path().join("mine.yml")).unwrap();
    assert_says(&text, &["\nname: \"mine\"\n", "\nmodel: \"demo-model\" "]);
    let ran = aqlens(folder.path(), &["run", "mine.yml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let summary = fs::read(folder.path().join("runs/mine/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let evidence = summary["scenarios"][0]["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 3);
    for measure in evidence {
        assert_ne!(measure["verdict"], "not_testable", "{measure}");
    }
}

#[test]
fn a_pipeline_that_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("study.yml"), b"mine");
    refuses(&aqlens(folder.path(), &["init"]), 2, &["study.yml", "stays as it is"]);
    assert_eq!(fs::read(folder.path().join("study.yml")).unwrap(), b"mine");
    assert!(!folder.path().join("demo-model").exists(), "nothing else is made either");
    refuses(&aqlens(folder.path(), &["init", "../out"]), 2, &["../out", "letters"]);
}

#[test]
fn a_pipeline_on_another_model_brings_no_demo_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = file("tests/fixtures/tiny");
    let odd = folder.path().join("a \"model\": #1");
    fs::create_dir(&odd).unwrap();
    for entry in fs::read_dir(&model).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, odd.join(path.file_name().unwrap())).unwrap();
        }
    }
    let made = aqlens(folder.path(), &["init", "tiny.yml", "--model", "a \"model\": #1"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(!folder.path().join("demo-model").exists());
    // The tiny model has fewer positions than the scenes have tokens: that the model is read is the point.
    let checked = aqlens(folder.path(), &["check", "tiny.yml"]);
    assert!(checked.stderr.contains("the model's 64 positions"), "{}", checked.stderr);
    refuses(
        &aqlens(folder.path(), &["init", "b", "--model", "none"]),
        2,
        &["none", "aqlens-export"],
    );
}

#[test]
fn shells_get_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ended = aqlens(folder.path(), &["completions", shell]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        for word in ["demo", "init", "verify", "onnxruntime", "recheck"] {
            assert!(ended.stdout.contains(word), "{shell} has no {word}");
        }
    }
    assert_eq!(aqlens(folder.path(), &["completions", "tcl"]).code, 2);
}

#[cfg(unix)]
#[test]
fn bash_takes_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("aqlens.bash");
    put(&script, aqlens(folder.path(), &["completions", "bash"]).stdout.as_bytes());
    let asks = "source aqlens.bash; COMP_WORDS=(aqlens ver); COMP_CWORD=1; _aqlens aqlens ver aqlens; \
                echo \"${COMPREPLY[@]}\"";
    let ended =
        Command::new("bash").args(["-c", asks]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout).trim(), "verify", "{ended:?}");
}

#[test]
fn the_help_has_every_command() {
    let mut command = aqlens_in(&root());
    let ended: Ended = command.env("COLUMNS", "100").arg("--help").output().unwrap().into();
    insta::assert_snapshot!(ended.stdout);
}

/// `include_bytes!` of a file that the package lacks would only fail where it is built from the package.
#[test]
fn a_package_has_what_the_program_brings_along() {
    let cargo = std::env::var_os("CARGO").expect("run the tests with cargo");
    let mut command = Command::new(cargo);
    command.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(root());
    let ended: Ended = command.output().unwrap().into();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let packaged: Vec<&str> = ended.stdout.lines().collect();
    let source = fs::read_to_string(file("src/cli/shipped.rs")).unwrap();
    let named: Vec<&str> = source
        .split("include_bytes!(\"../../")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(named.len(), 12);
    for name in named {
        assert!(packaged.contains(&name), "the package has no {name}: see `exclude` in Cargo.toml");
    }
    let checkpoint = packaged.iter().find(|name| name.contains("checkpoint/model.safetensors"));
    assert_ne!(checkpoint.copied(), Some("data/demo/checkpoint/model.safetensors"));
}

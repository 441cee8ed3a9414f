//! The house stays in order: modules import only from modules declared above them, some crates are
//! named in one place only, files stay short.

use std::fs;
use std::path::{Path, PathBuf};

use aqlens::stages::KINDS;

use crate::common::root;

/// Modules in the order of `src/lib.rs`, lowest first.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// (file relative to `src`, its module, its text)
fn all() -> Vec<(String, String, String)> {
    let src = root().join("src");
    let files = sources(&src).into_iter().map(|path| {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        let module = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        (name, module, text)
    });
    files.filter(|(_, module, _)| module != "lib" && module != "main").collect()
}

/// Modules that `text` names as `crate::x`, also in `use crate::{x, y::z}`.
fn imported(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in text.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(part.to_owned());
        }
    }
    let word = |name: &String| {
        name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    names.iter().map(word).collect()
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let modules = modules();
    assert!(modules.len() >= 10, "read src/lib.rs: {modules:?}");
    let rank = |name: &str| modules.iter().position(|m| m == name);
    let mut wrong = Vec::new();
    for (file, module, text) in all() {
        let own = rank(&module).unwrap_or_else(|| panic!("{file} is in no module of lib.rs"));
        for name in imported(&text) {
            if rank(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{file} uses crate::{name}, which is above {module}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn peers_that_must_not_know_each_other_do_not() {
    let strangers = [
        ("yaml", "store"),
        ("render", "table"),
        ("render", "store"),
        ("render", "model"),
        ("render", "run_dir"),
    ];
    for (file, module, text) in all() {
        for name in imported(&text) {
            let pair = (module.as_str(), name.as_str());
            assert!(!strangers.contains(&pair), "{file} uses crate::{name}");
        }
    }
}

#[test]
fn stages_do_not_know_each_other() {
    let files = all();
    let stage = |file: &str| file.strip_prefix("stages/").map(str::to_owned);
    for (file, _, text) in &files {
        let Some(own) = stage(file) else { continue };
        if own == "mod.rs" {
            continue;
        }
        for kind in KINDS.iter().filter(|kind| !own.starts_with(**kind)) {
            // A folder's own module may have the name of a stage.
            let folder = own.split('/').next().unwrap_or_default();
            let module = format!("stages/{folder}/{kind}.rs");
            let is_own = files.iter().any(|(name, ..)| *name == module);
            let upward = if is_own { "super::super" } else { "super" };
            for path in [format!("stages::{kind}::"), format!("{upward}::{kind}::")] {
                assert!(!text.contains(&path), "{file} uses {path}");
            }
        }
    }
}

#[test]
fn each_outside_crate_is_named_only_where_it_belongs() {
    let homes: [(&str, &[&str]); 10] = [
        ("ort::", &["model/onnx"]),
        ("tokenizers::", &["model/tokens"]),
        ("serde_yaml::", &["yaml/", "pipeline/config"]),
        ("polars::", &["table/", "stage/"]),
        ("clap::", &["cli/args.rs", "cli/mod.rs"]),
        ("indicatif::", &["cli/"]),
        ("comfy_table::", &["cli/"]),
        ("minijinja::", &["render/"]),
        ("csv_core::", &["pipeline/inputs/csv.rs"]),
        ("strsim::", &["yaml/words.rs"]),
    ];
    for (file, _, text) in all() {
        for (name, allowed) in homes {
            let named = text.match_indices(name).any(|(at, _)| {
                !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            let at_home = allowed.iter().any(|home| file.starts_with(home));
            assert!(!named || at_home, "{file} names {name}; it belongs in {allowed:?}");
        }
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for folder in ["src", "tests"] {
        for path in sources(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}

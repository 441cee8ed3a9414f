//! The house stays in order: modules import only from modules declared above them, no files import
//! each other, some crates are named in one place only, files stay short.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aqlens::stages::KINDS;

use crate::support::imports::{Sources, files};
use crate::support::root;

/// Modules in the order of `src/lib.rs`, lowest first.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The module of the crate that a file belongs to.
fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The imports that lead from a module to one declared below it.
fn upward(sources: &Sources, modules: &[String]) -> Vec<String> {
    let rank = |file: &str| modules.iter().position(|module| module == module_of(file));
    let mut wrong = Vec::new();
    for (file, from) in sources.imports().into_iter().filter(|(file, _)| *file != "lib.rs") {
        let own = rank(file).unwrap_or_else(|| panic!("{file} is in no module of lib.rs"));
        let above = from.into_iter().filter(|other| rank(other).is_some_and(|rank| rank > own));
        wrong
            .extend(above.map(|other| format!("{file} imports from {other}, which lies above it")));
    }
    wrong
}

fn planted(files: &[(&str, &str)]) -> Sources {
    Sources::of(files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())))
}

#[test]
fn a_module_uses_only_modules_declared_above_it() {
    let modules = modules();
    assert!(modules.len() >= 15, "read src/lib.rs: {modules:?}");
    let wrong = upward(&Sources::read(&root().join("src")), &modules);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let sources = Sources::read(&root().join("src"));
    let circles: Vec<String> =
        sources.circles().into_iter().map(|circle| circle.join(" <-> ")).collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_planted_upward_import_is_found() {
    let modules = ["math".to_owned(), "store".to_owned()];
    for import in ["use crate::store::Store;", "fn f() { let _ = crate::store::open(); }"] {
        let sources = planted(&[("math/mod.rs", import), ("store/mod.rs", "pub struct Store;")]);
        let found = upward(&sources, &modules);
        assert_eq!(found, ["math/mod.rs imports from store/mod.rs, which lies above it"]);
    }
    let tests = "#[cfg(test)] mod tests { use crate::store::Store; }";
    let sources = planted(&[("math/mod.rs", tests), ("store/mod.rs", "pub struct Store;")]);
    assert!(upward(&sources, &modules).is_empty(), "what tests import does not count");
}

#[test]
fn a_planted_circle_is_found() {
    let two = planted(&[
        ("a/mod.rs", "mod b; mod c; pub use self::b::B;"),
        ("a/b.rs", "use super::c::C; pub struct B;"),
        ("a/c.rs", "pub struct C; fn f() -> super::B { super::B }"),
    ]);
    assert_eq!(two.circles(), [["a/b.rs", "a/c.rs"]], "through a re-export");
    let three = planted(&[
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B; fn f() { crate::c::g() }"),
        ("c.rs", "pub fn g() { let _ = vec![crate::a::A]; }"),
    ]);
    assert_eq!(three.circles(), [["a.rs", "b.rs", "c.rs"]], "of three, the last in a macro");
    let parent = planted(&[
        ("a/mod.rs", "mod b; pub struct Word; fn f() -> b::B { b::B }"),
        ("a/b.rs", "use super::Word; pub struct B;"),
    ]);
    assert!(parent.circles().is_empty(), "a module and its own child");
}

/// (file relative to `src`, its text)
fn texts() -> Vec<(String, String)> {
    let src = root().join("src");
    let name = |path: &Path| path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
    files(&src).iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
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
    let sources = Sources::read(&root().join("src"));
    for (file, from) in sources.imports() {
        for other in from {
            let pair = (module_of(file), module_of(other));
            assert!(!strangers.contains(&pair), "{file} imports from {other}");
        }
    }
}

#[test]
fn stages_do_not_know_each_other() {
    let sources = Sources::read(&root().join("src"));
    let stage = |file: &str| {
        let name = file.strip_prefix("stages/")?.split('/').next()?.trim_end_matches(".rs");
        (name != "mod").then(|| name.to_owned())
    };
    for (file, from) in sources.imports() {
        let Some(own) = stage(file) else { continue };
        for other in from {
            assert!(stage(other).is_none_or(|other| other == own), "{file} imports from {other}");
        }
    }
}

#[test]
fn every_stage_is_in_the_list_of_kinds() {
    let entries = fs::read_dir(root().join("src/stages")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stages: BTreeSet<String> = names
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| name != "mod")
        // `use` is a word of the language.
        .map(|name| if name == "usage" { "use".to_owned() } else { name })
        .collect();
    let kinds: BTreeSet<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(stages, kinds);
}

#[test]
fn each_outside_crate_is_named_only_where_it_belongs() {
    let homes: [(&str, &[&str]); 9] = [
        ("ort::", &["model/onnx"]),
        ("tokenizers::", &["model/tokens"]),
        ("serde_yaml::", &["yaml/", "pipeline/config"]),
        ("polars_core::", &["table/"]),
        ("polars_io::", &["table/"]),
        ("clap::", &["cli/args.rs", "cli/mod.rs"]),
        ("indicatif::", &["cli/"]),
        ("comfy_table::", &["cli/"]),
        ("minijinja::", &["render/", "model/chat/"]),
    ];
    for (file, text) in texts() {
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
        for path in files(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 400, "{} has {lines} lines", path.display());
        }
    }
}

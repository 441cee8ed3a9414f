use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::Path;

use tempfile::TempDir;

use super::super::check::check_files;
use super::super::{InputsFile, is_pattern, matching};
use super::{FileProblem, Inputs, Texts, file, pairs, read_all, read_texts, wanted};

#[test]
fn a_file_that_changes_after_its_check_gives_no_row_that_was_not_checked() {
    let csv = |change: &dyn Fn(usize) -> Option<String>| {
        let rows = (0..1_000).filter_map(|i| change(i).map(|text| format!("{i},{text}\n")));
        format!("id,text\n{}", rows.collect::<String>())
    };
    let as_checked = csv(&|i| Some(format!("x{i}")));
    let mut file = file(".csv", as_checked.as_bytes());
    let inputs = Inputs::File(InputsFile::check(&wanted(&[file.path()], "id")).unwrap());
    assert_eq!(inputs.read().flatten().count(), 1_000);
    let changes: [(&str, String, usize); 4] = [
        ("a text", csv(&|i| Some(format!("x{}", if i == 700 { 7 } else { i }))), 512),
        ("a row less", csv(&|i| (i != 300).then(|| format!("x{i}"))), 256),
        ("a row more", format!("{as_checked}a,b\n"), 768),
        (
            "an open quote",
            csv(&|i| Some(if i == 999 { "\"".to_owned() } else { format!("x{i}") })),
            768,
        ),
    ];
    for (change, changed, sound) in changes {
        file.as_file().set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(changed.as_bytes()).unwrap();
        let given: Vec<_> = inputs.read().collect();
        assert_eq!(given.iter().filter(|input| input.is_ok()).count(), sound, "{change}");
        let error = given.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(error.contains("changed after it was checked"), "{error}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_checked_is_refused() {
    let mut file = file(".csv", b"id,text\na,one\nb,two\n");
    let path = file.path().to_owned();
    let checked = check_files(&wanted(&[&path], "id"), true, &mut |row| {
        if row.input.id == "a" {
            file.write_all(b"c,three\n").unwrap();
        }
    });
    let problems = checked.err().unwrap();
    assert_eq!(problems.len(), 1);
    let message = &problems[0].message;
    assert!(message.ends_with(".csv: it changed while it was read"), "{message}");
}

/// A folder with some files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        put(folder.path(), name, text);
    }
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test's own files need no atomic writing")]
fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read_in(folder: &TempDir, names: &[&str], id: &str) -> Result<Texts, Vec<String>> {
    let paths: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
    let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let words = |list: Vec<FileProblem>| list.into_iter().map(|p| p.message).collect();
    read_all(&wanted(&paths, id)).map_err(words)
}

#[test]
fn several_files_are_read_as_one_and_problems_name_the_file() {
    let folder = folder(&[
        ("a.csv", "id,text\n1,one\n2,two\n"),
        ("b.jsonl", "{\"id\": 3, \"text\": \"three\"}\n"),
        ("c.csv", "id,text\n4,four\n2,again\n"),
        ("d.csv", "id,text\n5,\n"),
    ]);
    let read = read_in(&folder, &["b.jsonl", "a.csv"], "id").unwrap();
    assert_eq!(read, pairs(&[("3", "three"), ("1", "one"), ("2", "two")]));
    assert_eq!(
        read_in(&folder, &["a.csv", "b.jsonl", "c.csv", "d.csv"], "id").unwrap_err(),
        [
            "c.csv, row 2 (line 3): the id \"2\" is already that of a.csv, row 2 (line 3)",
            "d.csv, row 1 (line 2): `text` is empty",
        ]
    );
}

#[test]
fn many_files_of_many_rows_are_compared_block_by_block() {
    let of = |name: &str| {
        (0..600).fold("id,text\n".to_owned(), |text, i| format!("{text}{name}{i},text {i}\n"))
    };
    let folder = folder(&[("a.csv", &of("a")), ("b.csv", &of("b"))]);
    assert_eq!(read_in(&folder, &["a.csv", "b.csv"], "id").unwrap().len(), 1_200);
    let paths = [folder.path().join("a.csv"), folder.path().join("b.csv")];
    let inputs = InputsFile::check(&wanted(&[&paths[0], &paths[1]], "id")).unwrap();
    put(folder.path(), "b.csv", &of("b").replace("text 300", "text x"));
    let given: Vec<_> = Inputs::File(inputs).read().collect();
    assert_eq!(given.iter().filter(|input| input.is_ok()).count(), 600 + 256);
    let error = given.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(
        error.contains("b.csv changed after it was checked: its inputs from number 257"),
        "{error}"
    );
}

#[test]
fn rows_without_ids_are_numbered_and_a_column_of_that_name_wins() {
    let folder = folder(&[
        ("a.csv", "text\none\n\ntwo\n"),
        ("b.x.jsonl", "\n{\"text\": \"three\"}\n{\"text\": \"four\"}\n"),
        ("named.csv", "row,text\nfirst,one\n"),
        ("mixed.jsonl", "{\"text\": \"x\"}\n{\"row\": 5, \"text\": \"y\"}\n"),
    ]);
    let one = read_in(&folder, &["a.csv"], "row").unwrap();
    assert_eq!(one, pairs(&[("row-1", "one"), ("row-2", "two")]));
    let two = read_in(&folder, &["a.csv", "b.x.jsonl"], "row").unwrap();
    let ids: Vec<&str> = two.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["a-row-1", "a-row-2", "b-row-1", "b-row-2"]);
    assert_eq!(read_in(&folder, &["named.csv"], "row").unwrap(), pairs(&[("first", "one")]));
    assert_eq!(
        read_in(&folder, &["mixed.jsonl"], "row").unwrap_err(),
        ["mixed.jsonl, line 2: `row` is there, and was not in the first line"]
    );
    assert_eq!(
        read_in(&folder, &["a.csv", "named.csv"], "row").unwrap_err(),
        ["named.csv has a column `row`, and the files before it have none"]
    );
    // Any other name is that of a column.
    assert_eq!(read_in(&folder, &["a.csv"], "id").unwrap_err(), ["a.csv: it has no column \"id\""]);
}

#[test]
fn rows_with_one_id_are_the_texts_of_one_task() {
    let rows = "id,text\ncolor,What color?\nplace,Where?\ncolor,Which color?\n";
    let tasks = file(".csv", rows.as_bytes());
    let (texts, _) = read_texts(&wanted(&[tasks.path()], "id")).unwrap();
    let expected = [
        ("color".to_owned(), vec!["What color?".to_owned(), "Which color?".to_owned()]),
        ("place".to_owned(), vec!["Where?".to_owned()]),
    ];
    assert_eq!(texts, expected);
    let twice = file(".csv", format!("{rows}color,What color?\n").as_bytes());
    let problems = read_texts(&wanted(&[twice.path()], "id")).unwrap_err();
    let expected = "row 4 (line 5): it is word for word the wording of \"color\" in row 1 (line 2)";
    assert!(problems[0].message.ends_with(expected), "{}", problems[0].message);
}

#[test]
fn patterns_give_files_by_name_and_names_come_before_patterns() {
    let folder = folder(&[
        ("b.jsonl", ""),
        ("a.jsonl", ""),
        (".hidden.jsonl", ""),
        ("a.csv", ""),
        ("x[1].jsonl", ""),
        ("more/c.jsonl", ""),
    ]);
    let at = folder.path();
    let names = |pattern: &str| -> Vec<String> {
        let paths = matching(at, pattern).unwrap();
        let name = |path: &std::path::PathBuf| path.strip_prefix(at).unwrap().display().to_string();
        paths.iter().map(name).collect()
    };
    assert_eq!(names("*.jsonl"), ["a.jsonl", "b.jsonl", "x[1].jsonl"]);
    assert_eq!(names("*/?.jsonl"), ["more/c.jsonl"]);
    assert_eq!(names("[bz].jsonl"), ["b.jsonl"]);
    let message = |pattern: &str| matching(at, pattern).unwrap_err().message;
    assert_eq!(message("*.parquet"), "no file matches the pattern `*.parquet`");
    assert_eq!(message("**/*.jsonl"), "the pattern `**/*.jsonl` has ** in it, which is not read");
    assert!(message("[.jsonl").starts_with("the pattern `[.jsonl` cannot be read: "));
    assert!(!is_pattern(&at.join("x[1].jsonl")), "a file of this name is there");
    assert!(is_pattern(&at.join("*.jsonl")) && !is_pattern(&at.join("a.jsonl")));
}

use std::fmt::Write as _;

use super::{file, pairs, problem, read, texts};

#[test]
fn json_lines_are_read_and_wrong_ones_named() {
    let lines = b"{\"id\": 7, \"text\": \"one\\n\"}\r\n\n{\"text\": \"two\", \"id\": \"b\"}";
    assert_eq!(texts(".jsonl", lines).unwrap(), pairs(&[("7", "one\n"), ("b", "two")]));
    let lines = b"{\"id\": 1.5, \"text\": \"x\"}\n{\"id\": \"a\"}\n{\"id\": null, \"text\": 3}\n";
    assert_eq!(
        texts(".jsonl", lines).unwrap_err(),
        [
            "FILE, line 1: `id` must be text or a whole number, found \"1.5\"",
            "FILE, line 2: `text` is missing",
            "FILE, line 3: `id` is null",
            "FILE, line 3: `text` must be text, found \"3\"",
        ]
    );
    let lines = b"{\"id\": 1, \"text\": \"x\"}\n[1, 2]\n{\"id\": \"\xff\"}\n{\"id\": 2,}\n";
    let problems = texts(".jsonl", lines).unwrap_err();
    assert_eq!(
        problems[0],
        "FILE, line 2: not a JSON object (column 1): it begins with [, not with {"
    );
    assert_eq!(
        problems[1],
        "FILE, line 3: `id` is not UTF-8 and looks like windows-1252: byte 0xFF would be in \"\\\"ÿ\\\"\""
    );
    assert_eq!(
        problems[3],
        "FILE, line 4: not a JSON object (column 10): a key in double quotes is missing, found }"
    );
}

#[test]
fn a_key_that_no_line_has_is_reported_once() {
    let mut lines = String::new();
    for i in 0..9 {
        writeln!(lines, "{{\"id\": {i}, \"texts\": \"x\"}}").unwrap();
    }
    let problems = read(&file(".jsonl", lines.as_bytes())).unwrap_err();
    let help = "did you mean `texts`?".to_owned();
    assert_eq!(problems, [("no line of FILE has the key \"text\"".to_owned(), help)]);
}

#[test]
fn lines_that_all_lack_a_key_are_not_read_to_their_end() {
    let lines = "{\"id\": \"a\", \"txt\": \"b\"}\n".repeat(30_000);
    let problems = read(&file(".jsonl", lines.as_bytes())).unwrap_err();
    let message = "none of the first 10000 lines of FILE has the key \"text\"".to_owned();
    assert!(problems.contains(&(message, "did you mean `txt`?".to_owned())), "{problems:?}");
}

#[test]
fn fields_that_nobody_asked_for_do_not_matter() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let lines = [
        r#"{"id": "a", "text": "one", "score": NaN}"#,
        r#"{"id": "b", "score": -Infinity, "text": "two", "raw": "bad \udcb2"}"#,
        &format!(r#"{{"deep": {deep}, "id": "c", "text": "three", "x": 1, "x": 2}}"#),
    ];
    let mut bytes = lines.join("\n").into_bytes();
    bytes.extend(b"\n{\"id\": \"d\", \"text\": \"four\", \"old\": \"caf\xe9\"}");
    let read = texts(".jsonl", &bytes).unwrap();
    assert_eq!(read, pairs(&[("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")]));
}

#[test]
fn a_key_that_is_given_twice_is_refused_where_it_is_asked_for() {
    let (message, help) = problem(".jsonl", br#"{"id": "a", "text": "one", "text": "two"}"#);
    assert_eq!(message, "FILE, line 1: `text` is given twice");
    assert!(help.starts_with("remove one of them"), "{help}");
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    let (message, _) = problem(".ndjson", br#"{"id": "a", "text": "bad \udcb2"}"#);
    assert!(message.starts_with("FILE, line 1: `text` is no JSON text: "), "{message}");
    assert!(message.contains("surrogate"), "{message}");
    let read = texts(".ndjson", br#"{"id": "a", "text": "\ud83d\ude00"}"#).unwrap();
    assert_eq!(read, pairs(&[("a", "😀")]));
}

#[test]
fn ids_are_whole_numbers_however_they_are_written() {
    let ids = ["7.0", "1e2", "-3", "123456789012345678901234567890", "-0"];
    let lines: String = ids.iter().fold(String::new(), |mut lines, id| {
        writeln!(lines, "{{\"id\": {id}, \"text\": \"x\"}}").unwrap();
        lines
    });
    let read: Vec<String> =
        texts(".jsonl", lines.as_bytes()).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(read, ["7", "100", "-3", "123456789012345678901234567890", "0"]);
    for id in ["1.5", "1e300", "NaN", "007", "true"] {
        let line = format!("{{\"id\": {id}, \"text\": \"x\"}}");
        let (message, _) = problem(".jsonl", line.as_bytes());
        let expected = "FILE, line 1: `id` must be text or a whole number, found ";
        assert_eq!(message, format!("{expected}\"{id}\""));
    }
}

#[test]
fn a_json_list_is_named_as_one() {
    for json in [&b"[{\"id\": 1, \"text\": \"x\"}]"[..], b"\n[\n{\"id\": 1, \"text\": \"x\"}\n]\n"]
    {
        let (message, help) = problem(".jsonl", json);
        assert_eq!(message, "FILE: it begins with [: a JSON list is not JSON lines");
        assert!(help.contains("jq -c '.[]'"), "{help}");
    }
    let (message, _) = problem(".jsonl", b"{\"id\": 1,\n");
    assert_eq!(
        message,
        "FILE, line 1: not a JSON object (column 11): it does not end in this line"
    );
}

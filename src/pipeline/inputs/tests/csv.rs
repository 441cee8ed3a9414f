use std::fmt::Write as _;

use super::{file, pairs, problem, read, texts};

#[test]
fn csv_texts_are_kept_as_they_stand() {
    let csv = "other,id,text\r\n1,007,\"a, \"\"b\"\"\nc\"\r\n2,null,  two  \r\n3,1e5,NaN\r\n";
    let read = texts(".csv", csv.as_bytes()).unwrap();
    assert_eq!(read, pairs(&[("007", "a, \"b\"\nc"), ("null", "  two  "), ("1e5", "NaN")]));
    let read = texts(".csv", "\u{feff}id,text\n007,1e5\n\n0x1,\"1.50\"".as_bytes()).unwrap();
    assert_eq!(read, pairs(&[("007", "1e5"), ("0x1", "1.50")]));
}

#[test]
fn many_csv_rows_with_line_breaks_keep_their_order() {
    let mut csv = "id,text\n".to_owned();
    let mut expected = Vec::new();
    for i in 0..20_000 {
        let text = if i % 3 == 0 { "\n".repeat(1 + i % 7) } else { String::new() };
        writeln!(csv, "{i},\"x{text}, {i}\"").unwrap();
        expected.push((i.to_string(), format!("x{text}, {i}")));
    }
    assert_eq!(texts(".csv", csv.as_bytes()).unwrap(), expected);
}

#[test]
fn wrong_csv_rows_are_named_by_row_and_line() {
    let csv = b"id,text\r\na,\"one\r\nmore\"\r\na,two\r\n\r\nb,\r\n ,three\r\nc,d\xff\r\nd,e,f\r\n";
    assert_eq!(
        texts(".csv", csv).unwrap_err(),
        [
            "FILE, row 2 (line 4): the id \"a\" is already that of row 1 (line 2)",
            "FILE, row 3 (line 6): `text` is empty",
            "FILE, row 4 (line 7): `id` is empty",
            "FILE, row 5 (line 8): `text` is not UTF-8 and looks like windows-1252: byte 0xFF would be in \"dÿ\"",
            "FILE, row 6 (line 9): it has 3 fields where the first line has 2",
        ]
    );
}

#[test]
fn a_quote_that_is_never_closed_is_found_where_it_opens() {
    let csv = b"id,text\na,one\nb,\"two\nc,three\nd,four\n";
    let problems = texts(".csv", csv).unwrap_err();
    assert_eq!(problems, ["FILE: a double quote in row 2 (line 3) is never closed"]);
    let problems = texts(".csv", b"id,\"text\na,b\n").unwrap_err();
    assert_eq!(problems, ["FILE: a double quote in its first line is never closed"]);
    let read = texts(".csv", b"id,text\na,5\" pipe\nb,\"closed \"\"\"").unwrap();
    assert_eq!(read, pairs(&[("a", "5\" pipe"), ("b", "closed \"")]));
}

#[test]
fn a_csv_file_needs_its_columns_once_and_rows() {
    let problems = read(&file(".csv", b"id,txt\na,one\n")).unwrap_err();
    let help = "did you mean `txt`?".to_owned();
    assert_eq!(problems, [("FILE: it has no column \"text\"".to_owned(), help)]);
    let problems = texts(".csv", b"id,text,id\na,one,b\n").unwrap_err();
    assert_eq!(problems, ["FILE: it has 2 columns \"id\""]);
    assert_eq!(texts(".csv", b"id,text\n").unwrap_err(), ["FILE has no rows"]);
    assert_eq!(texts(".csv", b"").unwrap_err(), ["FILE: it is empty"]);
}

#[test]
fn the_first_five_problems_are_reported_and_the_others_counted() {
    let mut csv = "id,text\n".to_owned();
    for i in 0..600 {
        writeln!(csv, "{},{}", i % 300, if i < 3 { "" } else { "x" }).unwrap();
    }
    let problems = read(&file(".csv", csv.as_bytes())).unwrap_err();
    assert_eq!(problems.len(), 5);
    assert_eq!(problems[2].0, "FILE, row 3 (line 4): `text` is empty");
    assert_eq!(
        problems[4],
        (
            "FILE, row 302 (line 303): the id \"1\" is already that of row 2 (line 3)".to_owned(),
            "give each row a different id (298 more problems in FILE are not shown)".to_owned(),
        )
    );
}

#[test]
fn a_file_of_bad_rows_alone_is_not_read_to_its_end() {
    let csv = "id,text\n".to_owned() + &"x\n".repeat(30_000);
    let problems = read(&file(".csv", csv.as_bytes())).unwrap_err();
    let (message, help) = &problems[4];
    assert!(message.starts_with("FILE, row 5 (line 6): it has 1 field"), "{message}");
    let more = "(9995 more problems in FILE are not shown, and the rest was not read)";
    assert!(help.ends_with(more), "{help}");
}

#[test]
fn text_behind_a_closing_quote_is_refused_where_it_stands() {
    let (message, help) = problem(".csv", b"id,text\na,\"one\" two\nb,x\n");
    let expected =
        "FILE, row 1 (line 2): column \"text\" has text behind its closing quote: \" two\"";
    assert_eq!(message, expected);
    assert!(help.contains("a double quote inside is written twice"), "{help}");
    let (message, _) = problem(".csv", b"id,text\n\na,\"one\r\n\"\nb,\"x\" \nc,y\n");
    let expected = "FILE, row 2 (line 5): column \"text\" has text behind its closing quote: \" \"";
    assert_eq!(message, expected);
    let (message, _) = problem(".csv", b"\"id\"x,text\na,one\n");
    assert_eq!(
        message,
        "FILE: its first line: name 1 has text behind its closing quote: \"x,text\""
    );
    let (message, _) = problem(".csv", b"id,text\na, \"one\"\n");
    assert_eq!(
        message,
        "FILE, row 1 (line 2): column \"text\" has a blank before its opening quote"
    );
}

#[test]
fn quotes_behind_a_backslash_are_refused_and_told_apart() {
    let csv = b"id,text\na,\"He said \\\"hi\\\" to me\"\nb,\"plain\"\n";
    let (message, help) = problem(".csv", csv);
    let expected = "FILE, row 1 (line 2): column \"text\" has a double quote behind a backslash";
    assert_eq!(message, expected);
    assert!(help.starts_with("write a double quote inside a text twice"), "{help}");
    // What is no escape is text.
    let read = texts(".csv", b"id,text\na,\"C:\\dir\\\"\nb,C:\\new\n").unwrap();
    assert_eq!(read, pairs(&[("a", "C:\\dir\\"), ("b", "C:\\new")]));
}

#[test]
fn lines_end_as_on_any_system() {
    for end in ["\n", "\r\n", "\r"] {
        let csv = format!("id,text{end}{end}a,\"1{end}2\"{end}b,x{end}c,");
        assert_eq!(
            texts(".csv", csv.as_bytes()).unwrap_err(),
            [match end {
                "\r" => "FILE, row 3 (line 5): `text` is empty",
                _ => "FILE, row 3 (line 6): `text` is empty",
            }]
        );
        let read = texts(".csv", format!("{csv}3").as_bytes()).unwrap();
        assert_eq!(read, pairs(&[("a", &format!("1{end}2")), ("b", "x"), ("c", "3")]));
    }
}

#[test]
fn tabs_stand_between_the_fields_of_a_tsv_file() {
    let read = texts(".tsv", b"id\ttext\na\tone, \"two\"\nb\t\"x\ty\"\n").unwrap();
    assert_eq!(read, pairs(&[("a", "one, \"two\""), ("b", "x\ty")]));
    let (message, _) = problem(".tsv", b"id\ttext\na\t\"one\" two\n");
    assert!(message.contains("row 1 (line 2): column \"text\" has text behind"), "{message}");
}

#[test]
fn another_mark_between_the_fields_is_named() {
    let (message, help) = problem(".csv", b"id;text\na;one\n");
    assert_eq!(
        message,
        "FILE: it has a semicolon between its columns: its first line is \"id;text\""
    );
    assert!(help.contains(".tsv"), "{help}");
    let (message, _) = problem(".csv", b"id\ttext\na\tone\n");
    assert!(message.starts_with("FILE: it has a tab between its columns"), "{message}");
}

#[test]
fn a_first_line_of_any_width_gives_a_short_message() {
    let names: Vec<String> = (0..5_000).map(|i| format!("column{i}")).collect();
    let (_, help) = problem(".csv", format!("{}\n", names.join(",")).as_bytes());
    assert!(help.ends_with("column19 and 4980 more"), "{help}");
    let (message, _) = problem(".csv", ",".repeat(70_000).as_bytes());
    assert_eq!(message, "FILE: its first line has more than 65536 fields");
    let wide = format!("id,text\na{}\n", ",".repeat(70_000));
    let (message, _) = problem(".csv", wide.as_bytes());
    assert_eq!(message, "FILE, row 1 (line 2): it has 70001 fields where the first line has 2");
}

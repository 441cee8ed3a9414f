use std::fmt::Write as _;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int16Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, UInt8Array, UInt16Array, UInt64Array,
};
use arrow::datatypes::Int8Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use super::rows::name;
use super::{FileProblem, Input, Inputs, InputsFile, read_texts};

type Texts = Vec<(String, String)>;

fn file(ending: &str, bytes: &[u8]) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The texts of a file, read whole and as a stream, or all that is reported about it: message, help.
fn read(file: &NamedTempFile) -> Result<Texts, Vec<(String, String)>> {
    let columns = ["id", "text"];
    let whole = read_texts(file.path(), columns).map(|(texts, _)| texts);
    let streamed = InputsFile::check(file.path(), columns).map(|inputs| {
        assert_eq!(inputs.source().sha256, crate::store::sha256_of_file(file.path()).unwrap());
        let inputs = Inputs::File(inputs);
        let texts: Texts =
            inputs.read().map(|i| i.map(|Input { id, text }| (id, text)).unwrap()).collect();
        assert_eq!((inputs.len(), &inputs.first().id), (texts.len() as u64, &texts[0].0));
        texts
    });
    assert_eq!(whole, streamed);
    let here = |text: &str| text.replace(&name(file.path()), "FILE");
    let words = |p: &FileProblem| (here(&p.message), here(&p.help));
    whole.map_err(|list| list.iter().map(words).collect())
}

fn texts(ending: &str, bytes: &[u8]) -> Result<Texts, Vec<String>> {
    read(&file(ending, bytes))
        .map_err(|problems| problems.into_iter().map(|(message, _)| message).collect())
}

fn pairs(list: &[(&str, &str)]) -> Texts {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

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
            "FILE, row 5 (line 8): `text` is not UTF-8",
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
fn json_lines_are_read_and_wrong_ones_named() {
    let lines = b"{\"id\": 7, \"text\": \"one\\n\"}\r\n\n{\"text\": \"two\", \"id\": \"b\"}";
    assert_eq!(texts(".jsonl", lines).unwrap(), pairs(&[("7", "one\n"), ("b", "two")]));
    let lines = b"{\"id\": 1.5, \"text\": \"x\"}\n{\"id\": \"a\"}\n{\"id\": null, \"text\": 3}\n";
    assert_eq!(
        texts(".jsonl", lines).unwrap_err(),
        [
            "FILE, line 1: `id` must be text, found \"1.5\"",
            "FILE, line 2: `text` is missing",
            "FILE, line 3: `id` is null",
            "FILE, line 3: `text` must be text, found \"3\"",
        ]
    );
    let lines = b"{\"id\": 1, \"text\": \"x\"}\n[1, 2]\n{\"id\": \"\xff\"}\n{\"id\": 2,}\n";
    let problems = texts(".jsonl", lines).unwrap_err();
    assert_eq!(
        problems[0],
        "FILE, line 2: not a JSON object (column 0): invalid type: sequence, expected a map"
    );
    assert_eq!(problems[1], "FILE, line 3: `id` is not UTF-8");
    assert_eq!(problems[3], "FILE, line 4: not a JSON object (column 10): trailing comma");
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

fn parquet(id: ArrayRef, text: ArrayRef, compression: Compression) -> NamedTempFile {
    let other: ArrayRef = Arc::new(Int16Array::from_iter_values((0..).take(id.len())));
    let columns = [("text", text), ("other", other), ("id", id)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, c)| (n, c, true)));
    let batch = batch.unwrap();
    // Several row groups.
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(700))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file(".parquet", &bytes)
}

#[test]
fn parquet_ids_may_be_integers_of_any_width_and_texts_may_be_of_any_arrow_kind() {
    let n = 3_000;
    let expected: Texts = (0..n).map(|i| ((i % 250).to_string(), format!(" {i} "))).collect();
    let words: Vec<&str> = expected.iter().map(|(_, text)| text.as_str()).collect();
    let texts: [ArrayRef; 3] = [
        Arc::new(StringArray::from(words.clone())),
        Arc::new(LargeStringArray::from(words.clone())),
        Arc::new(StringViewArray::from(words.clone())),
    ];
    let compressions = [
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
    ];
    for (text, compression) in texts.into_iter().zip(compressions) {
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..n));
        let all = read(&parquet(ids, text, compression)).unwrap();
        assert!(all.iter().zip(&expected).all(|(a, b)| a.1 == b.1), "{compression:?}");
        assert_eq!((all.len(), all[2999].0.as_str()), (3000, "2999"));
    }
    let small = |ids: ArrayRef| {
        let text: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::from_iter(["b", "a", "b"]));
        read(&parquet(ids, text, Compression::UNCOMPRESSED)).unwrap()
    };
    let expected = pairs(&[("3", "b"), ("1", "a"), ("2", "b")]);
    assert_eq!(small(Arc::new(UInt8Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(UInt16Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(Int64Array::from(vec![3, 1, 2]))), expected);
    assert_eq!(small(Arc::new(DictionaryArray::<Int8Type>::from_iter(["3", "1", "2"]))), expected);
}

#[test]
fn wrong_parquet_columns_and_rows_are_named() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![3, 3]));
    let problems = |text: ArrayRef| {
        let problems = read(&parquet(Arc::clone(&ids), text, Compression::SNAPPY)).unwrap_err();
        problems.into_iter().map(|(message, _)| message).collect::<Vec<_>>()
    };
    assert_eq!(
        problems(Arc::new(StringArray::from(vec![Some("c"), None]))),
        ["FILE, row 2: `text` is null", "FILE, row 2: the id \"3\" is already that of row 1"]
    );
    let problems = problems(Arc::new(Float64Array::from(vec![1.0, 2.0])));
    assert_eq!(problems, ["FILE: column `text` must be text"]);
    assert_eq!(texts(".parquet", b"PAR1 no").unwrap_err().len(), 1);
}

#[test]
fn a_file_that_changes_after_its_check_gives_no_row_that_was_not_checked() {
    let csv = |change: &dyn Fn(usize) -> Option<String>| {
        let rows = (0..1_000).filter_map(|i| change(i).map(|text| format!("{i},{text}\n")));
        format!("id,text\n{}", rows.collect::<String>())
    };
    let as_checked = csv(&|i| Some(format!("x{i}")));
    let mut file = file(".csv", as_checked.as_bytes());
    let inputs = Inputs::File(InputsFile::check(file.path(), ["id", "text"]).unwrap());
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

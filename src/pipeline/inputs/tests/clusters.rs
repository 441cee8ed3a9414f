use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tempfile::NamedTempFile;

use super::super::{Inputs, InputsFile};
use super::{file, name, wanted};

type Found = Result<Vec<Option<String>>, Vec<(String, String)>>;

/// The clusters of a file, the same on every pass over it, or all that is reported about it.
fn clusters(file: &NamedTempFile) -> Found {
    let mut wanted = wanted(&[file.path()], "id");
    wanted.cluster = Some("scene".to_owned());
    let here = |text: &str| text.replace(&name(file.path()), "FILE");
    let inputs = InputsFile::check(&wanted).map_err(|problems| {
        problems.iter().map(|p| (here(&p.message), here(&p.help))).collect::<Vec<_>>()
    })?;
    assert_eq!(inputs.source().cluster.as_deref(), Some("scene"));
    let inputs = Inputs::File(inputs);
    let found: Vec<_> = inputs.read().map(|input| input.unwrap().cluster).collect();
    assert_eq!(inputs.first().cluster, found[0]);
    Ok(found)
}

fn of(ending: &str, text: &str) -> Found {
    clusters(&file(ending, text.as_bytes()))
}

fn parquet(scenes: ArrayRef) -> NamedTempFile {
    let n = scenes.len();
    let texts = || -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..n).map(|i| format!("text {i}"))))
    };
    let columns = [("id", texts()), ("scene", scenes), ("text", texts())];
    let columns = columns.map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file(".parquet", &bytes)
}

#[test]
fn clusters_are_text_or_whole_numbers_in_every_format() {
    let some = |list: &[&str]| -> Found {
        Ok(list.iter().map(|s| (!s.is_empty()).then(|| (*s).to_owned())).collect())
    };
    assert_eq!(of(".csv", "scene,id,text\n7,a,x\n,b,y\n 7,c,z\n"), some(&["7", "", " 7"]));
    assert_eq!(of(".tsv", "id\tscene\ttext\na\tbay\tx\nb\t \ty\n"), some(&["bay", ""]));
    let lines = r#"{"id": 1, "text": "x", "scene": "bay"}
{"id": 2, "text": "y", "scene": null}
{"id": 3, "text": "y"}
{"id": 4, "text": "y", "scene": 7.0}
{"id": 5, "text": "y", "scene": NaN}
{"id": 6, "text": "y", "scene": ""}
"#;
    assert_eq!(of(".jsonl", lines), some(&["bay", "", "", "7", "", ""]));
    let words = StringArray::from(vec![Some("bay"), None, Some("")]);
    assert_eq!(clusters(&parquet(Arc::new(words))), some(&["bay", "", ""]));
    let numbers = Int32Array::from(vec![Some(7), None, Some(-1)]);
    assert_eq!(clusters(&parquet(Arc::new(numbers))), some(&["7", "", "-1"]));
    // So pandas writes whole numbers of which some are missing.
    let numbers = Float64Array::from(vec![Some(7.0), Some(f64::NAN), None]);
    assert_eq!(clusters(&parquet(Arc::new(numbers))), some(&["7", "", ""]));
}

#[test]
fn a_column_of_clusters_that_is_not_there_or_holds_something_else_is_told() {
    let problem = |found: Found| -> (String, String) {
        let mut problems = found.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    let (message, help) = problem(of(".csv", "id,text,place\na,x,1\n"));
    assert_eq!(message, "FILE: it has no column \"scene\"");
    assert_eq!(help, "its columns are id, text, place");
    let (message, help) = problem(of(".jsonl", "{\"id\": 1, \"text\": \"x\", \"scenes\": 1}\n"));
    assert_eq!(message, "no line of FILE has the key \"scene\"");
    assert_eq!(help, "did you mean `scenes`?");
    let (message, help) = problem(of(".jsonl", "{\"id\": 1, \"text\": \"x\", \"scene\": 1.5}\n"));
    assert_eq!(message, "FILE, line 1: `scene` must be text or a whole number, found \"1.5\"");
    assert!(help.contains("whole numbers below 2^53"), "{help}");
    let scenes = Float64Array::from(vec![7.0, 7.5]);
    let (message, _) = problem(clusters(&parquet(Arc::new(scenes))));
    assert_eq!(message, "FILE, row 2: `scene` must be text or a whole number, found \"7.5\"");
}

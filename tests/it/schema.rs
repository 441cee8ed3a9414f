//! What `aqlens schema` prints, for people and for programs.

use aqlens::stages::DESCRIPTIONS;
use aqlens::table::schema::ALL;
use aqlens::table::status;

use crate::support::pipeline::Folder;
use crate::support::{aqlens, refuses};

#[test]
fn schema_explains_every_column() {
    let folder = Folder::new();
    let all = aqlens(folder.path(), &["schema"]).stdout;
    for table in ALL {
        assert!(all.contains(table.name));
        for column in table.columns {
            assert!(all.contains(column.doc), "{}.{}", table.name, column.name);
        }
    }
    let schema = aqlens(folder.path(), &["schema", "--pipeline"]).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["scenarios"].is_object());
}

#[test]
fn columns_that_name_a_row_are_marked() {
    let folder = Folder::new();
    let shown = aqlens(folder.path(), &["schema", "--table", "similarity"]).stdout;
    let marked = shown.lines().filter_map(|line| line.strip_prefix("* ")?.split(' ').next());
    let keys = ["scenario", "input", "layer", "task_a", "task_b", "measure"];
    assert_eq!(marked.collect::<Vec<_>>(), keys, "{shown}");
    let shown = aqlens(folder.path(), &["schema", "--table", "activations"]).stdout;
    assert!(shown.contains("\n* layer          int16 "), "{shown}");
    assert!(shown.contains("RUN/tables/activations/part-N-layer-L.parquet"), "{shown}");
}

fn document(extra: &[&str]) -> serde_json::Value {
    let ended = aqlens(Folder::new().path(), &[&["schema", "--json"], extra].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn schema_is_one_document_for_programs() {
    let all = document(&[]);
    let tables = all["tables"].as_array().unwrap();
    assert_eq!(tables.len(), ALL.len());
    for (json, table) in tables.iter().zip(ALL) {
        assert_eq!((&json["name"], &json["version"]), (&table.name.into(), &table.version.into()));
        assert_eq!((&json["row"], &json["by_layer"]), (&table.row.into(), &table.by_layer.into()));
        let columns = json["columns"].as_array().unwrap();
        assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
        let mut keys = Vec::new();
        for (json, column) in columns.iter().zip(table.columns) {
            let expected = serde_json::json!({
                "name": column.name,
                "type": column.kind.name(),
                "nullable": column.nullable,
                "unit": column.unit,
                "key": column.is_key,
                "doc": column.doc,
            });
            assert_eq!(*json, expected);
            keys.extend(column.is_key.then_some(column.name));
        }
        assert!(!keys.is_empty(), "{} has rows that nothing names", table.name);
        assert_eq!(json["keys"], serde_json::json!(keys));
    }
    let statuses = all["statuses"].as_array().unwrap();
    assert_eq!(statuses.len(), status::ALL.len());
    assert_eq!(statuses[0], serde_json::json!({ "word": "ok", "meaning": status::ALL[0].1 }));
    let stages = all["stages"].as_array().unwrap();
    assert_eq!(stages.len(), DESCRIPTIONS.len());
    let divergence = stages.iter().find(|stage| stage["kind"] == "divergence").unwrap();
    let expected = serde_json::json!({
        "kind": "divergence",
        "version": 3,
        "scope": "run",
        "reads": ["prompts", "similarity"],
        "reads_if_there": [],
        "writes": ["divergence"],
    });
    assert_eq!(*divergence, expected);
    let scopes: Vec<_> = stages.iter().map(|stage| stage["scope"].as_str().unwrap()).collect();
    assert!(["before", "shard", "run"].iter().all(|scope| scopes.contains(scope)), "{scopes:?}");
}

#[test]
fn schema_of_one_table_has_that_table_alone() {
    let one = document(&["--table", "divergence"]);
    let tables = one["tables"].as_array().unwrap();
    assert_eq!((tables.len(), &tables[0]["name"]), (1, &"divergence".into()));
    let kinds: Vec<_> = one["stages"].as_array().unwrap().iter().map(|s| &s["kind"]).collect();
    assert!(kinds.contains(&&"divergence".into()) && !kinds.contains(&&"lens".into()), "{kinds:?}");
    let folder = Folder::new();
    let unknown = aqlens(folder.path(), &["schema", "--json", "--table", "divergent"]);
    refuses(&unknown, 2, &["divergent", "divergence"]);
    assert_eq!(aqlens(folder.path(), &["schema", "--json", "--pipeline"]).code, 2);
}

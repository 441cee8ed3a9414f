//! Changes that are planted in a copy of a run are found where they are, in their size, and no others.

use std::sync::Arc;

use aqlens::run_dir::receipt::Receipt;
use aqlens::store::{Store, sealed_json};
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{ACTIVATIONS, NEXT_TOKENS, SIMILARITY};
use aqlens::table::writer::{PartAddress, write_part};
use aqlens::table::{Dims, Kind};
use arrow_array::{
    Array as _, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, StringArray,
};
use arrow_schema::{DataType, Field};
use serde_json::Value;

use super::{STUDY, column, compare, json, run, table};
use crate::support::pipeline::Folder;

/// The columns of a part, to be written again.
fn columns(part: &Part, address: PartAddress) -> Vec<ArrayRef> {
    let of = |column: &aqlens::table::Column| -> ArrayRef {
        let name = column.name;
        match column.kind {
            Kind::Utf8 => Arc::new(part.texts(name).unwrap().clone()),
            Kind::Int16 => Arc::new(part.int16s(name).unwrap().clone()),
            Kind::Int32 => Arc::new(part.int32s(name).unwrap().clone()),
            Kind::Int64 => Arc::new(part.int64s(name).unwrap().clone()),
            Kind::Float64 => Arc::new(part.float64s(name).unwrap().clone()),
            Kind::ModelVector => {
                let (values, width) = part.vectors(name).unwrap();
                vectors(values.to_vec(), width)
            }
            other => panic!("{name} holds {}", other.name()),
        }
    };
    address.table.columns.iter().map(of).collect()
}

fn vectors(values: Vec<f32>, width: usize) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(item, width as i32, values, None))
}

/// Writes a part of run `b` again with one column of it changed, and the receipt that says so.
fn plant(
    folder: &Folder,
    stage: &str,
    address: PartAddress,
    name: &str,
    change: impl Fn(&Part) -> ArrayRef,
) {
    let store = Store::create(&folder.path().join("b")).unwrap();
    let names: Vec<&str> = address.table.columns.iter().map(|column| column.name).collect();
    let part = read_part(&store, address, &names).unwrap();
    let mut all = columns(&part, address);
    let at = names.iter().position(|own| *own == name).unwrap();
    all[at] = change(&part);
    let width = match all[at].data_type() {
        DataType::FixedSizeList(_, width) => *width as usize,
        _ => 0,
    };
    let written = write_part(&store, address, Dims { d_model: width, vocab_size: 0 }, all).unwrap();
    let mut receipt = Receipt::read(&store, stage, address.part).unwrap();
    let own = receipt.parts.iter_mut().find(|part| part.file.path == written.file.path).unwrap();
    *own = written;
    store.write(&Receipt::file(stage, address.part), sealed_json(&receipt).as_bytes()).unwrap();
}

fn two() -> Folder {
    let folder = Folder::new();
    run(&folder, STUDY, "a");
    run(&folder, STUDY, "b");
    folder
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Columns that changed in any table.
fn changed(document: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for table in document["pairs"][0]["tables"].as_array().unwrap() {
        for column in table["columns"].as_array().unwrap() {
            if column["changed"] != 0 {
                let [table, column] = [&table["table"], &column["column"]];
                all.push(format!("{}.{}", table.as_str().unwrap(), column.as_str().unwrap()));
            }
        }
    }
    all
}

#[test]
fn one_value_is_found_with_its_key_and_its_size() {
    let folder = two();
    let at = 7;
    let address = PartAddress::new(&SIMILARITY, 0);
    let store = Store::open(&folder.path().join("a"));
    let keys = ["scenario", "input", "task_a", "task_b", "measure"];
    let part = read_part(&store, address, &[&keys[..], &["layer", "value"]].concat()).unwrap();
    let before = part.float64s("value").unwrap().value(at);
    plant(&folder, "similarity", address, "value", |part| {
        let values = part.float64s("value").unwrap().iter().enumerate();
        let values = values.map(|(i, value)| value.map(|v| if i == at { v - 0.125 } else { v }));
        Arc::new(values.collect::<Float64Array>())
    });
    let found = json(folder.path(), &["a", "b"]);
    assert_eq!(changed(&found), ["similarity.value"]);
    let value = column(&found, "similarity", "value");
    let largest = &value["largest"];
    assert_eq!(value["changed"], 1);
    assert!((number(&largest["size"]) - 0.125).abs() < 1e-12, "{largest}");
    assert_eq!(number(&largest["base"]).to_bits(), before.to_bits());
    assert_eq!(number(&largest["other"]).to_bits(), (before - 0.125).to_bits());
    for key in keys {
        assert_eq!(largest["key"][key], part.texts(key).unwrap().value(at), "{largest}");
    }
    assert_eq!(largest["key"]["layer"], part.int16s("layer").unwrap().value(at));
    let code = |args: &[&str]| compare(folder.path(), &[&["a", "b"], args].concat()).code;
    assert_eq!(code(&["--fail-on", "value"]), 4);
    assert_eq!(code(&["--fail-on", "verdict"]), 0);
    let wide = ["--fail-on", "value", "--tolerance", "similarity.value=0,0.13"];
    assert_eq!(code(&wide), 0, "a difference within what is allowed is none");
    let other = ["--fail-on", "value", "--tolerance", "divergence.mean=0,0.13"];
    assert_eq!(code(&other), 4, "what is allowed of another column");
    let within = json(folder.path(), &["a", "b", "--tolerance", "value=0,0.13"]);
    let value = column(&within, "similarity", "value");
    assert_eq!((&value["changed"], number(&value["largest"]["size"]) > 0.1), (&0.into(), true));
}

#[test]
fn a_text_and_a_value_that_is_missing_are_changes() {
    let folder = two();
    plant(&folder, "tokens", PartAddress::new(&NEXT_TOKENS, 0), "token", |part| {
        let tokens = part.texts("token").unwrap().iter().enumerate();
        let tokens = tokens.map(|(i, token)| if i == 3 { Some("planted") } else { token });
        Arc::new(tokens.collect::<StringArray>())
    });
    plant(&folder, "similarity", PartAddress::new(&SIMILARITY, 0), "value", |part| {
        let values = part.float64s("value").unwrap().iter().enumerate();
        Arc::new(values.map(|(i, v)| v.filter(|_| i != 5)).collect::<Float64Array>())
    });
    let found = json(folder.path(), &["a", "b", "--tolerance", "1000"]);
    assert_eq!(changed(&found), ["similarity.value", "next_tokens.token"]);
    let token = &column(&found, "next_tokens", "token")["first"];
    assert_eq!((&token["other"], &token["size"]), (&"planted".into(), &Value::Null));
    assert_eq!(token["key"]["rank"], 4, "{token}");
    let missing = &column(&found, "similarity", "value")["first"];
    assert_eq!((&missing["other"], missing["base"].is_f64()), (&Value::Null, true), "{missing}");
    let text = compare(folder.path(), &["a", "b"]).stdout;
    super::says(
        &text,
        &["-> \"planted\" at scenario scenes, input", "-> nothing at scenario scenes"],
    );
}

#[test]
fn one_number_of_a_vector_is_found_when_raw_tables_are_asked_for() {
    let folder = two();
    let address = PartAddress { table: &ACTIVATIONS, layer: Some(2), part: 0 };
    plant(&folder, "extract", address, "values", |part| {
        let (values, width) = part.vectors("values").unwrap();
        let mut values = values.to_vec();
        values[width * 11 + 5] += 0.5;
        vectors(values, width)
    });
    let found = json(folder.path(), &["a", "b"]);
    let files = &table(&found, "activations")["files"];
    assert_eq!((&files["different"], &files["same"]), (&1.into(), &2.into()), "{files}");
    assert_eq!(found["differs"]["values"], false, "bytes say nothing of values");
    assert_eq!(found["differs"]["anything"], true);
    let raw = json(folder.path(), &["a", "b", "--raw"]);
    assert_eq!(changed(&raw), ["activations.values"]);
    let values = column(&raw, "activations", "values");
    let largest = &values["largest"];
    assert_eq!((&values["changed"], &largest["element"]), (&1.into(), &5.into()), "{largest}");
    assert!((number(&largest["size"]) - 0.5).abs() < 1e-5, "{largest}");
    assert_eq!(largest["key"]["layer"], 2);
    // As the vector is long, so is what is allowed of it.
    let wide = json(folder.path(), &["a", "b", "--raw", "--tolerance", "0.5"]);
    assert!(changed(&wide).is_empty());
}

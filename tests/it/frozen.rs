//! Run directories that earlier versions wrote are shown, verified and read by this one.
//!
//! `tests/fixtures/runs/v1.yml` says how they were made. They are never made again: what cannot read
//! them cannot read what people have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use aqlens::run_dir::RunDir;
use aqlens::run_dir::layout::older_table_file;
use aqlens::run_dir::receipt::Receipt;
use aqlens::run_dir::record::State;
use aqlens::store::read_sealed;
use aqlens::table::preview::rows;
use aqlens::table::reader::read_part;
use aqlens::table::schema::ALL;
use aqlens::table::writer::PartAddress;
use aqlens::table::{Table, TableError};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rstest::rstest;

use crate::support::runs::{finished, tables};
use crate::support::{aqlens, file, python, root};

/// Each layer's files in a folder, without a column `layer`.
const V1: &str = "tests/fixtures/runs/v1";

/// All files of a table in its folder, with a column `layer`; receipts with a second checksum.
const V2: &str = "tests/fixtures/runs/v2";

/// How many tables each has.
const TABLES: usize = 29;

/// Rows of each file of a table, as the receipts have them.
fn recorded(run: &RunDir) -> BTreeMap<String, u64> {
    let receipts = run.receipts().unwrap();
    let parts = receipts.iter().flat_map(|name| {
        let receipt: Receipt = read_sealed(&run.store().read(name).unwrap()).unwrap();
        receipt.parts
    });
    parts.map(|part| (part.file.path, part.rows)).collect()
}

#[rstest]
fn its_record_and_summary_are_read(#[values(V1, V2)] of: &str) {
    let run = RunDir::open(&file(of)).unwrap();
    let record = run.record().unwrap();
    assert_eq!((record.format, record.state), (1, State::Finished));
    assert_eq!((record.counts.shards, record.counts.prompts, record.counts.skipped), (2, 44, 2));
    assert_eq!(record.lineage.aqlens, "0.1.0");
    let summary = run.summary().unwrap().unwrap();
    let names: Vec<&str> = summary.scenarios.iter().map(|s| s.scenario.as_str()).collect();
    assert_eq!(names, ["scenes", "too-long"]);
    assert_eq!(summary.scenarios[0].evidence.len(), 3);
}

/// The columns of today that a file has. A later version of a table adds columns; it takes none away and
/// keeps its keys, but for the scenario of reference sets, of which there was one for all.
fn columns_there(run: &RunDir, file: &str, table: &Table) -> Vec<&'static str> {
    let file = fs::File::open(run.store().path(file)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let there: BTreeSet<String> =
        reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    let today: BTreeSet<&str> = table.columns.iter().map(|column| column.name).collect();
    for name in &there {
        assert!(today.contains(name.as_str()), "{}.{name} is no column today", table.name);
    }
    let has = |name: &str| there.contains(name) || name == "layer" && table.by_layer;
    for column in table.columns.iter().filter(|column| column.is_key) {
        let is_new = (table.name, column.name) == ("reference", "scenario");
        assert!(has(column.name) || is_new, "{} has no {}", table.name, column.name);
    }
    table.columns.iter().map(|column| column.name).filter(|name| has(name)).collect()
}

#[rstest]
fn every_table_has_the_columns_of_today_and_the_rows_of_then(#[values(V1, V2)] of: &str) {
    let run = RunDir::open(&file(of)).unwrap();
    let record = run.record().unwrap();
    let mut recorded = recorded(&run);
    let mut read = 0;
    for table in ALL {
        for layer in [None, Some(0), Some(4)].into_iter().filter(|l| l.is_some() == table.by_layer)
        {
            for part in 0..record.counts.shards {
                let address = PartAddress { table, layer, part };
                let older = layer.filter(|_| of == V1);
                let older = older.map(|layer| older_table_file(table.name, layer, part));
                let file = older.unwrap_or_else(|| address.file());
                let Some(rows) = recorded.remove(&file) else { continue };
                let columns = columns_there(&run, &file, table);
                let part = read_part(run.store(), address, &columns).unwrap();
                assert_eq!(part.rows() as u64, rows, "{file}");
                if let Some(layer) = layer {
                    assert_eq!(*part.int16s("layer").unwrap().values(), vec![layer; part.rows()]);
                }
                read += 1;
            }
        }
    }
    let left: Vec<&String> = recorded.keys().collect();
    assert_eq!(left, ["report.html", "summary.json"]);
    assert!(read > TABLES, "{read} files of tables were read");
}

#[rstest]
fn the_keys_of_a_table_name_its_rows(#[values(V1, V2)] of: &str) {
    let run = RunDir::open(&file(of)).unwrap();
    for table in ALL {
        let mut all = Vec::new();
        rows(run.store(), table, |row| {
            all.push(row);
            Ok::<_, TableError>(ControlFlow::Continue(()))
        })
        .unwrap();
        let keys = table.columns.iter().map(|column| column.is_key);
        let key = |row: &Vec<String>| -> Vec<String> {
            let cells = row.iter().zip(keys.clone()).filter(|(_, is_key)| *is_key);
            cells.map(|(cell, _)| cell.clone()).collect()
        };
        let keys: BTreeSet<Vec<String>> = all.iter().map(key).collect();
        assert_eq!(keys.len(), all.len(), "{}", table.name);
    }
}

#[rstest]
fn it_is_verified_and_shown(#[values(V1, V2)] of: &str) {
    let ended = aqlens(&root(), &["verify", of]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("nothing wrong"), "{}", ended.stdout);
    let ended = aqlens(&root(), &["show", of]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for words in ["scenes", "too-long"] {
        assert!(ended.stdout.contains(words), "{words}:\n{}", ended.stdout);
    }
    let run = RunDir::open(&file(of)).unwrap();
    // Later versions have tables that this run has not.
    let tables = ALL.iter().filter(|table| run.store().exists(&table.folder()));
    assert_eq!(tables.clone().count(), TABLES);
    for table in tables {
        let ended = aqlens(&root(), &["show", of, "--table", table.name]);
        assert_eq!(ended.code, 0, "{}: {}", table.name, ended.stderr);
        assert!(ended.stdout.contains(table.columns[0].name), "{}:\n{}", table.name, ended.stdout);
    }
}

#[rstest]
fn it_is_read_by_polars_duckdb_and_pyarrow(#[values(V1, V2)] of: &str) {
    let script = file("tests/readers/read_tables.py");
    let output = python().arg(script).arg(file(of)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
}

#[test]
fn a_run_into_it_makes_everything_again_and_leaves_no_older_file() {
    let folder = tempfile::tempdir().unwrap();
    copy(&file(V1), &folder.path().join("older"));
    let model = format!("model={}", file("tests/fixtures/tiny").display());
    let pipeline = file("tests/fixtures/runs/v1.yml");
    let run = |run_dir: &str| {
        let args = ["run", pipeline.to_str().unwrap(), "--set", &model, "--run-dir", run_dir];
        let ended = aqlens(folder.path(), &[&args[..], &["--log", "json"]].concat());
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        ended.stderr
    };
    let (again, fresh) = (run("older"), run("fresh"));
    assert!(again.contains("tables that an earlier aqlens wrote"), "{again}");
    // Otherwise the older version's tables, which some readers refuse, would be kept.
    assert_eq!(finished(&again), finished(&fresh));
    let files = |run_dir: &str| tables(&folder.path().join(run_dir));
    assert_eq!(files("older"), files("fresh"));
    assert!(!folder.path().join("older/tables/activations/layer=0").exists());
}

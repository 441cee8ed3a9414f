//! Interventions: what PyTorch's hooks give in float64 (fixtures/reference/causes.json), what does not matter, and
//! what cannot be asked.

use std::collections::BTreeMap;
use std::path::Path;

use aqlens::store::Store;
use aqlens::table::Table;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{KNOCKOUT, MEDIATION, PATCH, PATCH_DOSE, USE_EFFECT, USE_VERDICT};
use aqlens::table::writer::PartAddress;
use serde_json::Value;

use crate::support::{aqlens, file, put, refuses, tiny};

/// How far float32 may be from float64.
pub(crate) const NATS: f64 = 1e-5;
/// The same of patched streams: PyTorch's own float32 is 1.22e-5 off float64 in the worst of these values, the
/// patch graph 1.02e-5 in one of 576 (99 of 100 are within 5e-6).
const PATCHED_NATS: f64 = 1.25e-5;
const BITS: f64 = 2e-6;

const TASKS: &str = "      color: \"What color is the ball?\"\n      location: \"Where is the ball?\"\n      \
                     location_2: \"What is the ball on?\"\n";

const STAGES: &str = "  - kind: extract\n  - kind: mediate\n    max_inputs: 1000\n  - kind: knockout\n    \
                      max_inputs: 1000\n  - kind: patch\n    max_inputs: 1000\n    dose_layer: 3\n    doses: [0.5, 1]\n";

pub(crate) const USE: &str =
    "  - kind: extract\n    layers: [11]\n  - kind: mediate\n    max_inputs: 1000\n  - kind: use\n";

/// A folder with a pipeline on the demo model and its first `n` scenes.
pub(crate) fn pipeline(n: usize, tasks: &str, more: &str, stages: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scenes = std::fs::read_to_string(file("data/scenes.jsonl")).unwrap();
    let first: Vec<&str> = scenes.lines().take(n).collect();
    put(&folder.path().join("inputs.jsonl"), first.join("\n").as_bytes());
    let text = format!(
        "name: causes\nmodel: {}\nprompt: \"{{task}}\\n\\nContext: {{input}}\\n\\nAnswer:\"\n{more}scenarios:\n  - name: one\n    \
         inputs: {{ file: inputs.jsonl, id: id, text: text }}\n    controls: {{ neutral: [\"Here is a short text\"] \
         }}\n    tasks:\n{tasks}stages:\n{stages}",
        file("data/demo").display()
    );
    put(&folder.path().join("p.yml"), text.as_bytes());
    folder
}

pub(crate) fn run(folder: &Path, more: &[&str]) {
    let args = [&["run", "p.yml", "--run-dir", "run", "--log", "plain"], more].concat();
    let ended = aqlens(folder, &args);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

pub(crate) fn read(folder: &Path, table: &'static Table) -> Part {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    read_part(&Store::open(&folder.join("run")), PartAddress::new(table, 0), &columns).unwrap()
}

/// The numbers of some rows, by their keys.
pub(crate) struct Rows<'p> {
    part: &'p Part,
    pub(crate) keys: BTreeMap<Vec<String>, usize>,
}

impl<'p> Rows<'p> {
    pub(crate) fn of(part: &'p Part, keys: &[&str]) -> Self {
        let cell = |name: &&str, row: usize| match part.texts(name) {
            Ok(texts) => texts.value(row).to_owned(),
            Err(_) => match part.int16s(name) {
                Ok(numbers) => numbers.value(row).to_string(),
                Err(_) => part.float64s(name).unwrap().value(row).to_string(),
            },
        };
        let key = |row| (keys.iter().map(|name| cell(name, row)).collect(), row);
        Self { part, keys: (0..part.rows()).map(key).collect() }
    }

    pub(crate) fn get(&self, key: &[&str], column: &str) -> f64 {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let row = *self.keys.get(&key).unwrap_or_else(|| panic!("no row {key:?}"));
        self.part.float64s(column).unwrap().value(row)
    }
}

fn golden() -> Value {
    let text = std::fs::read_to_string(file("tests/fixtures/reference/causes.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn near(found: f64, expected: &Value, within: f64, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= within, "{what}: {found} for {expected}");
}

/// Compares gain, loss and divergence with what the reference says of an intervention.
fn same(rows: &Rows<'_>, key: &[&str], nats: f64, reference: &Value) {
    let what = key.join(" ");
    near(rows.get(key, "gain_nats"), &reference["gain_nats"], nats, &what);
    near(rows.get(key, "loss_nats"), &reference["loss_nats"], nats, &what);
    near(rows.get(key, "jsd_bits"), &reference["jsd_receiver_bits"], BITS, &what);
}

#[test]
fn every_intervention_equals_pytorchs_hooks() {
    let folder = pipeline(20, TASKS, "", STAGES);
    run(folder.path(), &[]);
    let golden = golden();
    let mediation = read(folder.path(), &MEDIATION);
    let keys = ["input", "task_donor", "task_receiver", "source", "layer"];
    let mediation = Rows::of(&mediation, &keys);
    let patch = read(folder.path(), &PATCH);
    let patch = Rows::of(&patch, &["input", "task_donor", "task_receiver", "segment", "layer"]);
    let dose = read(folder.path(), &PATCH_DOSE);
    let dose = Rows::of(&dose, &["input", "task_donor", "task_receiver", "dose_percent"]);
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let [input, donor, receiver] =
            ["input", "donor", "receiver"].map(|name| case[name].as_str().unwrap());
        let pair = [input, donor, receiver];
        let of = |more: &[&'static str]| [&pair[..], more].concat();
        let totals = of(&["task", "0"]);
        near(mediation.get(&totals, "gain_total_nats"), &case["gain_total_nats"], NATS, "gain");
        near(mediation.get(&totals, "loss_total_nats"), &case["loss_total_nats"], NATS, "loss");
        near(mediation.get(&totals, "jsd_total_bits"), &case["jsd_total_bits"], BITS, "jsd");
        near(mediation.get(&totals, "ld_donor"), &case["ld_donor"], 2e-5, "ld");
        if !case["mediated"].is_null() {
            same(&mediation, &totals, NATS, &case["mediated"]);
            compared += 1;
        }
        if !case["mediated_neutral"].is_null() {
            same(&mediation, &of(&["neutral", "0"]), NATS, &case["mediated_neutral"]);
            compared += 1;
        }
        let segments = [
            ("input_span", "input"),
            ("last_token", "last"),
            ("prefix", "prefix"),
            ("tail", "rest"),
        ];
        for (name, segment) in segments {
            for (layer, reference) in case[name].as_array().into_iter().flatten().enumerate() {
                same(
                    &patch,
                    &[&pair[..], &[segment, &layer.to_string()]].concat(),
                    PATCHED_NATS,
                    reference,
                );
                compared += 1;
            }
        }
        if !case["dose_half_layer_3"].is_null() {
            same(&dose, &of(&["50"]), PATCHED_NATS, &case["dose_half_layer_3"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 8 + 4 + 8 * 24 + 4 * 24 + 8);
    per_input(&golden, &mediation);
    knocked_out(&golden, folder.path());
}

/// The lists of twenty inputs, and their ratio of sums.
fn per_input(golden: &Value, mediation: &Rows<'_>) {
    for (name, reference) in golden["reduced"].as_object().unwrap() {
        let words: Vec<&str> = name.split([' ', ',']).collect();
        let (donor, receiver) = (words[0], words[2]);
        for column in ["gain_nats", "gain_total_nats", "loss_nats", "loss_total_nats"] {
            let list = reference[column].as_array().unwrap();
            assert_eq!(list.len(), 20);
            for (i, expected) in list.iter().enumerate() {
                let input = format!("scene-{:04}", i + 1);
                let found = mediation.get(&[&input, donor, receiver, "task", "0"], column);
                near(found, expected, NATS, name);
            }
        }
    }
}

fn knocked_out(golden: &Value, folder: &Path) {
    let part = read(folder, &KNOCKOUT);
    let rows = Rows::of(&part, &["input", "task", "cut", "keep_first"]);
    let mut compared = 0;
    for case in golden["knock_out"].as_array().unwrap() {
        let [input, task, cut] = ["input", "task", "cut"].map(|name| case[name].as_str().unwrap());
        let keep = if case["keep_first"].as_bool().unwrap() { "1" } else { "0" };
        let (cut, keep) = match cut {
            "none" => {
                let found = rows.get(&[input, task, "rest_from_input", "1"], "probability_uncut");
                near(found, &case["probability_of_own_answer"], 2e-6, "uncut");
                continue;
            }
            "tail from prefix" => ("rest_from_prefix", keep),
            // The first token is in the prefix, which the rest sees.
            "tail from input" => ("rest_from_input", "1"),
            _ => ("input_from_prefix", keep),
        };
        let key = [input, task, cut, keep];
        near(rows.get(&key, "probability"), &case["probability_of_own_answer"], 2e-6, cut);
        near(rows.get(&key, "jsd_bits"), &case["jsd_bits"], BITS, cut);
        compared += 1;
    }
    assert_eq!(compared, 12);
}

/// The words of a column, by one key.
pub(crate) fn words(part: &Part, key: &str, column: &str) -> BTreeMap<String, String> {
    let [keys, values] = [key, column].map(|name| part.texts(name).unwrap());
    let pairs = keys.iter().flatten().zip(values.iter().flatten());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn shards_threads_and_prefixes_change_no_byte() {
    let bytes = |more: &[&str]| {
        let folder = pipeline(9, TASKS, "", USE);
        run(folder.path(), more);
        let table = |table: &'static Table| {
            let store = Store::open(&folder.path().join("run"));
            let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            let shards =
                std::fs::read_dir(folder.path().join("run/tables/mediation")).unwrap().count();
            let parts = if table.name == MEDIATION.name { shards } else { 1 };
            let mut rows = Vec::new();
            for part in 0..parts as u32 {
                let part = read_part(&store, PartAddress::new(table, part), &columns).unwrap();
                for column in ["gain_nats", "loss_nats", "value", "ci_low", "p_max_t"] {
                    let Ok(values) = part.float64s(column) else { continue };
                    rows.extend(values.iter().map(|value| (column, value.map(f64::to_bits))));
                }
            }
            // Columns of several parts, one after the other.
            rows.sort_by_key(|(column, _)| *column);
            rows
        };
        (table(&MEDIATION), table(&USE_EFFECT))
    };
    let one = bytes(&["--threads", "1"]);
    assert!(one.0.len() > 500);
    assert_eq!(one, bytes(&["--threads", "8"]));
    assert_eq!(one, bytes(&["--threads", "1", "--set", "shard_inputs=3"]));
    assert_eq!(one, bytes(&["--threads", "1", "--set", "stages.extract.share_prefixes=false"]));
}

/// The statuses of table `mediation` under a template, an input and tasks.
fn statuses(template: &str, inputs: &str, tasks: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name: causes\nmodel: {}\nprompt: \"{template}\"\nscenarios:\n  - name: one\n    inputs:\n{inputs}    controls: {{ neutral: \
         auto }}\n    tasks:\n{tasks}stages:\n{USE}",
        file("data/demo").display()
    );
    put(&folder.path().join("p.yml"), text.as_bytes());
    let more = ["--set", "stages.extract.too_long=skip", "--set", "max_skipped=1"];
    let args = [&["run", "p.yml", "--run-dir", "run", "--log", "plain"][..], &more].concat();
    let ended = aqlens(folder.path(), &args);
    assert!([0, 3].contains(&ended.code), "{}", ended.stderr);
    let part = read(folder.path(), &MEDIATION);
    let [sources, all] = ["source", "status"].map(|name| part.texts(name).unwrap());
    let of_tasks = sources.iter().zip(all).filter(|(source, _)| *source == Some("task"));
    let mut found: Vec<String> =
        of_tasks.filter_map(|(_, status)| status.map(str::to_owned)).collect();
    found.sort();
    found.dedup();
    let verdicts = read(folder.path(), &USE_VERDICT);
    let reasons = words(&verdicts, "task", "reason");
    let verdicts = words(&verdicts, "task", "verdict");
    assert!(verdicts.values().all(|verdict| verdict == "not_testable"), "{verdicts:?}");
    (found, reasons)
}

#[test]
fn an_older_model_folder_says_what_it_lacks_before_anything_runs() {
    for (file, kind, says) in [
        ("past.onnx", "mediate", "`mediate` needs a past.onnx"),
        ("past.onnx", "knockout", "`knockout` needs a past.onnx"),
        ("patch.onnx", "patch", "`patch` needs patch.onnx"),
    ] {
        let copy = tiny::Copy::new();
        // It comes without past.onnx.
        let _ = std::fs::remove_file(copy.path().join(file));
        copy.edit_card(|card| _ = card["files"].as_object_mut().unwrap().remove(file));
        let folder = pipeline(2, TASKS, "", &format!("  - kind: extract\n  - kind: {kind}\n"));
        let model = format!("model={}", copy.path().display());
        let ended = aqlens(folder.path(), &["check", "p.yml", "--set", &model]);
        refuses(&ended, 2, &[says, "export the model again"]);
    }
}

#[test]
fn what_cannot_be_exchanged_says_why() {
    let inputs = [0, 1, 2, 3, 4, 5]
        .map(|i| format!("      i{i}: \"A red ball on a table, and {i} cups.\"\n"))
        .concat();
    let tasks = "      color: \"What color is the ball?\"\n      where: \"Where is the ball?\"\n";
    let (found, reasons) = statuses("{input}\\n\\n{task}\\n\\nAnswer:", &inputs, tasks);
    assert_eq!(found, ["no_alignment"]);
    assert!(reasons["color"].contains("the input stands in front of every task"), "{reasons:?}");
    let (found, reasons) = statuses("{task}\\n\\nContext: {input}", &inputs, tasks);
    assert_eq!(found, ["no_rest"]);
    assert!(reasons["color"].contains("put something behind {input}"), "{reasons:?}");
    // As many tokens as the model has positions, and one more.
    let long = format!("      long: \"{}\"\n", "ball ".repeat(400));
    let (found, _) = statuses("{task}\\n\\nContext: {input}\\n\\nAnswer:", &long, tasks);
    assert_eq!(found, ["skipped"]);
}

#[test]
fn an_input_of_one_token_is_exchanged_and_other_tokens_are_not() {
    let tasks = "      color: \"What color is the ball?\"\n      where: \"Where is the ball?\"\n";
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "name: causes\nmodel: {}\nprompt: \"{{task}}{{input}} Answer:\"\nscenarios:\n  - name: one\n    inputs:\n      one: \" \
         ball\"\n      joined: \"le red\"\n    tasks:\n{tasks}      cup: \"Say tab\"\n      glass: \"Name a tab\"\nstages:\n{USE}",
        file("data/demo").display()
    );
    put(&folder.path().join("p.yml"), text.as_bytes());
    run(folder.path(), &[]);
    let part = read(folder.path(), &MEDIATION);
    let [inputs, statuses] = ["input", "status"].map(|name| part.texts(name).unwrap());
    let tokens = part.int32s("n_tokens").unwrap();
    let sources = part.texts("source").unwrap();
    let mut seen = BTreeMap::new();
    for row in (0..part.rows()).filter(|row| sources.value(*row) == "task") {
        let key = (inputs.value(row), statuses.value(row));
        let entry = seen.entry(key).or_insert_with(Vec::new);
        entry.push(tokens.value(row));
    }
    assert_eq!(seen[&("one", "ok")][0], 1, "{seen:?}");
    assert!(seen.contains_key(&("joined", "no_alignment")), "{seen:?}");
}

//! What `compare` says of two runs and of several, through the program.

mod damaged;
mod planted;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::pipeline::Folder;
use crate::support::{Ended, aqlens, file, refuses};

/// A study with everything that a seed can change.
const STUDY: &str = r#"name: night
model: MODEL
prompt: "{task}\n{input}:"
seed: 37
scenarios:
  - name: scenes
    inputs:
      ball: "the red ball"
      cup: "a green cup"
      table: "the blue table"
      both: "a cup and a ball"
      cloth: "some white cloth"
      chair: "a chair and a table"
    tasks:
      color:
        wordings: ["what color is it?", "what is the color?", "color of it?", "which color is it?"]
      where:
        wordings: ["where is it?", "what is it on?", "in which place?", "where can it be?"]
    controls: { other_input: true }
stages:
  - kind: extract
    layers: [0, 2, 4]
  - kind: similarity
  - kind: divergence
  - kind: contrast
    measures: [span, last]
  - kind: attention
  - kind: tokens
  - kind: outputs
  - kind: effect
    permutations: 1000
    bootstrap: 1000
  - kind: summary
    measures: [span, jsd_bits]
"#;

/// Runs a pipeline of `folder` into `run_dir`.
fn run(folder: &Folder, yaml: &str, run_dir: &str) {
    let pipeline = folder.write(yaml);
    let ended = aqlens(
        folder.path(),
        &["run", pipeline.to_str().unwrap(), "--run-dir", run_dir, "--quiet", "--log", "plain"],
    );
    assert!([0, 3].contains(&ended.code), "{}", ended.stderr);
}

fn compare(folder: &Path, args: &[&str]) -> Ended {
    aqlens(folder, &[&["compare"], args].concat())
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let ended = compare(folder, &[args, &["--json"]].concat());
    assert!([0, 4].contains(&ended.code), "{}", ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["format"], 1);
    document
}

/// What was found of a table of the second run.
fn table<'d>(document: &'d Value, name: &str) -> &'d Value {
    let tables = document["pairs"][0]["tables"].as_array().unwrap();
    tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn column<'d>(document: &'d Value, table_name: &str, name: &str) -> &'d Value {
    let columns = table(document, table_name)["columns"].as_array().unwrap();
    columns.iter().find(|column| column["column"] == name).unwrap()
}

/// Text without line breaks.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(text: &str, all: &[&str]) {
    let text = flat(text);
    for words in all {
        assert!(text.contains(words), "no '{words}' in: {text}");
    }
}

#[test]
fn the_same_run_twice_has_no_difference() {
    let folder = Folder::new();
    run(&folder, STUDY, "a");
    run(&folder, STUDY, "b");
    let ended = compare(folder.path(), &["a", "b", "--fail-on", "any"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    says(
        &ended.stdout,
        &[
            "no difference",
            "model, pipeline, settings, inputs and versions are the same",
            "both have the same 1 scenario, 2 tasks and 6 inputs",
            "(all values are equal)",
            "the same bytes, by the receipts' checksums: activations",
            "verdicts: all 3 are the same",
        ],
    );
    let raw = json(folder.path(), &["a", "b", "--raw"]);
    assert_eq!(raw["differs"]["anything"], false);
    let rows = &table(&raw, "activations")["rows"];
    assert!(rows["both"].as_u64().unwrap() > 500, "{rows}");
    assert_eq!((&rows["changed"], &rows["only_base"]), (&0.into(), &0.into()));
    // A run is also itself.
    assert_eq!(compare(folder.path(), &["a", "a", "--fail-on", "any"]).code, 0);
}

#[test]
fn another_seed_changes_what_is_drawn_and_nothing_else() {
    let folder = Folder::new();
    run(&folder, STUDY, "a");
    run(&folder, &STUDY.replace("seed: 37", "seed: 38"), "b");
    let ended = compare(folder.path(), &["a", "b", "--tolerance", "0"]);
    assert_eq!(ended.code, 0, "nothing was to fail: {}", ended.stderr);
    let says_seed = "setting `seed` is 37 in a and 38 in b";
    says(&ended.stdout, &[says_seed, "different:", "effect."]);
    let found = json(folder.path(), &["a", "b", "--tolerance", "0"]);
    let lineage = found["pairs"][0]["lineage"].as_array().unwrap();
    assert_eq!(lineage.len(), 1, "{lineage:?}");
    assert_eq!(lineage[0]["what"], "settings.seed");
    // The model and what is measured of it do not depend on the seed; p values do.
    for name in ["prompts", "similarity", "next_tokens", "output_divergence"] {
        let rows = &table(&found, name)["rows"];
        assert!(rows["both"].as_u64().unwrap() > 0 && rows["changed"] == 0, "{name}: {rows}");
    }
    assert!(column(&found, "effect", "ci_inputs_low")["changed"].as_u64().unwrap() > 0);
    assert_eq!(column(&found, "effect", "delta")["changed"], 0);
    let failing = |on: &str| compare(folder.path(), &["a", "b", "--fail-on", on]).code;
    assert_eq!((failing("any"), failing("value")), (4, 4));
    let changed = found["differs"]["verdicts"].as_bool().unwrap();
    assert_eq!(failing("verdict"), if changed { 4 } else { 0 });
}

#[test]
fn a_changed_input_and_a_new_one_are_told_from_the_others() {
    let folder = Folder::new();
    run(&folder, STUDY, "monday");
    // The new one stands first, so that every row has another place; and in other shards.
    let tuesday = STUDY
        .replace(
            "      ball: \"the red ball\"",
            "      new: \"a red table\"\n      ball: \"the red ball\"",
        )
        .replace("a green cup", "a blue cup")
        .replace("seed: 37", "seed: 37\nshard_inputs: 2");
    run(&folder, &tuesday, "tuesday");
    let found = json(folder.path(), &["monday", "tuesday", "--raw"]);
    let inputs = &found["pairs"][0]["roster"]["inputs"];
    assert_eq!((&inputs["both"], &inputs["changed"]), (&6.into(), &1.into()), "{inputs}");
    assert_eq!(inputs["listed_changed"][0], "scenes/cup");
    assert_eq!(inputs["listed_only_other"][0], "scenes/new");
    for name in ["prompts", "similarity", "activations", "logits", "next_tokens"] {
        let rows = &table(&found, name)["rows"];
        let changed = &rows["changed_of_changed_inputs"];
        assert!(changed.as_u64().unwrap() > 0, "{name}: {rows}");
        assert!(rows["only_other"].as_u64().unwrap() > 0, "{name}: {rows}");
    }
    // What is asked of the other inputs is the same, whatever batch it stood in.
    let rows = &table(&found, "similarity")["rows"];
    assert_eq!(rows["changed"], rows["changed_of_changed_inputs"], "{rows}");
    assert_eq!(rows["first_only_other"]["input"], "new", "{rows}");
    let ended = compare(folder.path(), &["monday", "tuesday", "--fail-on", "value"]);
    assert_eq!(ended.code, 4);
    says(
        &ended.stdout,
        &[
            "6 inputs in both; 1 with another text (scenes/cup); 1 only in tuesday (scenes/new)",
            "setting `scenarios.scenes.inputs.cup` is a green cup in monday and a blue cup in tuesday",
            "of other texts",
        ],
    );
}

#[test]
fn models_of_two_depths_are_compared_on_relative_depth() {
    let folder = Folder::new();
    run(&folder, STUDY, "tiny");
    let demo = STUDY
        .replace("MODEL", file("data/demo").to_str().unwrap())
        .replace("[0, 2, 4]", "[0, 4, 8, 11]");
    run(&folder, &demo, "demo");
    let found = json(folder.path(), &["tiny", "demo"]);
    assert_eq!(found["pairs"][0]["layers"], "relative_depth");
    let similarity = table(&found, "similarity");
    assert_eq!((&similarity["how"], &similarity["rows"]), (&"not".into(), &Value::Null));
    assert!(table(&found, "next_tokens")["rows"]["both"].as_u64().unwrap() > 0);
    let curves = found["curves"].as_array().unwrap();
    let curve = curves.iter().find(|curve| curve["table"] == "divergence").unwrap();
    let depths = |run: usize| -> Vec<f64> {
        let points = curve["runs"][run].as_array().unwrap().iter();
        points.map(|point| point["depth"].as_f64().unwrap()).collect()
    };
    let near = |run: usize, expected: &[f64]| {
        let depths = depths(run);
        let apart = depths.iter().zip(expected).map(|(a, b)| (a - b).abs());
        depths.len() == expected.len() && apart.fold(0.0, f64::max) < 1e-12
    };
    assert!(near(0, &[0.0, 0.5, 1.0]), "{:?}", depths(0));
    assert!(near(1, &[0.0, 4.0 / 11.0, 8.0 / 11.0, 1.0]), "{:?}", depths(1));
    let ended = compare(folder.path(), &["tiny", "demo", "--html", "page.html"]);
    says(
        &ended.stdout,
        &[
            "the models have 5 and 12 layers",
            "on relative depth, the layer over the last one",
            "not compared: activations",
            "its rows are named by layer, and the models have different depths",
            "the hash of the model's graph is",
            "the number of layers is 5 in tiny and 12 in demo",
        ],
    );
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.contains("relative depth (layer over the last one)"));
}

#[test]
fn several_runs_stand_in_the_order_given_with_their_labels() {
    let folder = Folder::new();
    for (seed, name) in [(1, "one"), (2, "two"), (3, "three")] {
        run(&folder, &STUDY.replace("seed: 37", &format!("seed: {seed}")), name);
    }
    let labels =
        ["--label", "step 100", "--label", "step 200", "--label", "<script>alert(1)</script>"];
    let args = [&["one", "two", "three"][..], &labels, &["--html", "page.html"]].concat();
    let ended = compare(folder.path(), &args);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    says(&ended.stdout, &["base: step 100 = one", "step 200 compared with step 100"]);
    let found = json(folder.path(), &args);
    assert_eq!(found["pairs"].as_array().unwrap().len(), 2);
    for verdict in found["verdicts"].as_array().unwrap() {
        assert_eq!(verdict["runs"].as_array().unwrap().len(), 3, "{verdict}");
    }
    let curves = found["curves"].as_array().unwrap();
    assert!(curves.iter().all(|curve| curve["runs"].as_array().unwrap().len() == 3));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(!page.contains("<script"), "no label gets out of its place");
    for words in ["Along the runs", "over run-2", "default-src 'none'", "step 200 compared with"] {
        assert!(page.contains(words), "{words}");
    }
    for outside in ["http://", "https://", "url("] {
        assert!(!page.contains(outside), "the page asks for nothing: {outside}");
    }
}

#[test]
fn a_wrong_command_says_what_is_wrong_with_it() {
    let folder = Folder::new();
    run(&folder, STUDY, "a");
    let at = folder.path();
    refuses(&compare(at, &["a"]), 2, &["values required"]);
    refuses(&compare(at, &["a", "nowhere"]), 2, &["nowhere does not exist"]);
    fs::create_dir(at.join("empty")).unwrap();
    refuses(&compare(at, &["a", "empty"]), 2, &["empty is no run directory"]);
    refuses(&compare(at, &["a", "a", "--label", "x"]), 2, &["2 runs and 1 labels", "--label once"]);
    let twice = ["a", "a", "--label", "x", "--label", "x"];
    refuses(&compare(at, &twice), 2, &["--label x is given twice"]);
    let lost = ["a", "a", "--tolerance", "similarity.lost=1"];
    refuses(
        &compare(at, &lost),
        2,
        &["no table 'similarity' that has a column 'lost'", "aqlens schema"],
    );
    refuses(&compare(at, &["a", "a", "--html", "no/such/page.html"]), 1, &["no/such/page.html"]);
}

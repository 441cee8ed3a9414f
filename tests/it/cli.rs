//! What a user gets for wrong input: the message and the exit code.

use std::fs;
use std::path::Path;

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{Ended, aqlens, aqlens_in, assert_says, put, refuses, without_runtime};

fn refuses_pipeline(from: &str, to: &str, words: &[&str]) {
    assert!(GOOD.contains(from), "the test replaces nothing: {from}");
    let folder = Folder::new();
    let ended = folder.run(&GOOD.replacen(from, to, 1));
    refuses(&ended, 2, words);
    assert!(ended.stderr.contains("pipeline.yml"), "names the file:\n{}", ended.stderr);
    assert!(!folder.path().join("runs").exists(), "nothing is made for a wrong pipeline");
}

#[test]
fn onnx_runtime_leaves_nothing_in_the_home_folder_and_so_reports_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ended: Ended =
        aqlens_in(home.path()).arg("doctor").env("HOME", home.path()).output().unwrap().into();
    assert_says(&ended.stdout, &["libonnxruntime"]);
    let left: Vec<_> = home.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_good_pipeline_ends_with_verdict_tables_and_report() {
    let folder = Folder::new();
    let ended = folder.run(GOOD);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let words =
        ["one: ", "(table divergence)", "(tables similarity, attention_overlap)", "next_tokens"];
    for word in words {
        assert!(ended.stdout.contains(word), "no '{word}' in:\n{}", ended.stdout);
    }
    let next = ["aqlens show runs/small --table similarity", "aqlens schema", "tables: runs/small"];
    assert_says(&ended.stdout, &next);
    assert!(ended.stdout.contains("report.html"), "{}", ended.stdout);
    assert!(folder.path().join("runs/small/report.html").exists());
    assert!(!ended.stderr.contains('\u{1b}'), "no escape codes off a terminal");
}

#[test]
fn an_unknown_key_is_named_with_what_was_meant() {
    refuses_pipeline("scenarios:", "scenarois:", &["scenarois", "scenarios"]);
}

#[test]
fn an_unknown_kind_of_stage_is_named() {
    refuses_pipeline("kind: similarity", "kind: similarty", &["similarty", "similarity"]);
}

#[test]
fn an_unknown_key_of_a_stage_is_named() {
    refuses_pipeline("layers: [0, 4]", "layer: [0, 4]", &["layer", "layers"]);
}

#[test]
fn a_layer_the_model_lacks_is_named_with_the_layers_it_has() {
    refuses_pipeline("[0, 4]", "[0, 5]", &["layer 5", "0..=4"]);
}

#[test]
fn duplicate_ids_are_named() {
    refuses_pipeline(
        "      where: \"where is the ball?\"",
        "      color: \"where is the ball?\"",
        &["color"],
    );
}

#[test]
fn a_template_without_input_is_refused() {
    refuses_pipeline("{input}", "input", &["{input}"]);
}

#[test]
fn empty_texts_are_refused() {
    refuses_pipeline("\"the red ball\"", "\"\"", &["ball", "empty"]);
    refuses_pipeline("\"where is the ball?\"", "\" \"", &["where", "empty"]);
}

#[test]
fn a_missing_model_folder_is_named_with_how_to_make_one() {
    refuses_pipeline("model: MODEL", "model: nowhere", &["nowhere", "export"]);
}

#[test]
fn all_problems_are_shown_at_once() {
    let wrong = GOOD.replace("[0, 4]", "[0, 99]").replace("{input}", "input");
    let ended = Folder::new().run(&wrong);
    refuses(&ended, 2, &["layer 99", "{input}"]);
}

#[test]
fn a_missing_pipeline_file_is_named() {
    let folder = Folder::new();
    let ended = aqlens(folder.path(), &["run", "none.yml"]);
    refuses(&ended, 2, &["none.yml"]);
}

#[test]
fn yaml_that_is_not_utf8_is_refused() {
    let folder = Folder::new();
    put(&folder.path().join("pipeline.yml"), b"name: caf\xe9\n");
    refuses(&aqlens(folder.path(), &["run", "pipeline.yml"]), 2, &["UTF-8"]);
}

#[test]
fn an_alias_bomb_is_refused_before_it_grows() {
    use std::fmt::Write as _;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..30 {
        let list = vec![format!("*a{}", i - 1); 9].join(", ");
        writeln!(bomb, "a{i}: &a{i} [{list}]").unwrap();
    }
    refuses(&Folder::new().run(&bomb), 2, &["alias"]);
}

#[test]
fn a_model_file_that_was_changed_is_named() {
    let folder = Folder::new();
    let model = folder.model();
    let mut bytes = fs::read(model.join("model.onnx")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    put(&model.join("model.onnx"), &bytes);
    let ended = folder.run_with(&["--set", "model=model"]);
    refuses(&ended, 1, &["model.onnx", "sha256", "aqlens-export"]);
}

/// Changes `model.json` of a copied model.
fn edit_card(model: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = model.join("model.json");
    let mut card = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut card);
    put(&path, &serde_json::to_vec(&card).unwrap());
}

#[test]
fn a_graph_that_computes_something_else_is_refused_by_its_probe() {
    let folder = Folder::new();
    let model = folder.model();
    edit_card(&model, |card| {
        let entries = card["probe"]["hidden"].as_array_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["layer"] == 4).unwrap();
        let norm = entry["norm"].as_f64().unwrap();
        let value = entry["value"][0].as_f64().unwrap();
        entry["value"][0] = (value + 1e-3 * norm).into();
    });
    let ended = folder.run_with(&["--set", "model=model"]);
    refuses(&ended, 1, &["hidden.4", "off by", "allowed"]);
    assert!(!folder.path().join("runs/small/tables").exists(), "nothing is published");
}

#[test]
fn a_graph_without_an_output_is_refused_by_its_name() {
    let folder = Folder::new();
    let model = folder.model();
    let path = model.join("past.onnx");
    let mut bytes = fs::read(&path).unwrap();
    let mut renamed = 0;
    for at in 0..bytes.len() - 8 {
        if &bytes[at..at + 8] == b"hidden.4" {
            bytes[at..at + 8].copy_from_slice(b"hiddem.4");
            renamed += 1;
        }
    }
    assert!(renamed > 0, "the graph names its outputs");
    put(&path, &bytes);
    edit_card(&model, |card| {
        card["files"]["past.onnx"]["sha256"] = aqlens::store::hex_sha256(&bytes).into();
    });
    refuses(&folder.run_with(&["--set", "model=model"]), 1, &["past.onnx", "hidden.4"]);
}

#[test]
fn a_prompt_too_long_for_the_model_is_an_error_unless_the_pipeline_says_skip() {
    let long = GOOD.replacen("the red ball", &"the red ball ".repeat(40), 1);
    let folder = Folder::new();
    refuses(&folder.run(&long), 1, &["one/ball/color", "64", "too_long: skip"]);
    assert!(!folder.path().join("runs/small/tables/activations").exists());

    let long = long.replace("layers: [0, 4]", "layers: [0, 4]\n    too_long: skip");
    let long = long.replace("    tasks:", "      short: \"a cup\"\n    tasks:");
    let parts =
        ["2 of the run's 4 prompts (50.00 %)", "max_skipped: 0.01", "skipped one/ball/color"];
    refuses(&folder.run(&long), 1, &parts);
    let long = long.replace("name: small", "name: small\nmax_skipped: 0.5");
    let ended = folder.run(&long);
    assert_eq!(ended.code, 3, "done with skipped prompts:\n{}", ended.stderr);
    let shown = aqlens(folder.path(), &["show", "runs/small", "--table", "prompts"]).stdout;
    assert!(shown.contains("too_long"), "{shown}");
    let again = aqlens(folder.path(), &["run", "pipeline.yml"]);
    assert_eq!(again.code, 3, "skipped prompts are reported again, not counted as done");
}

#[test]
fn the_end_of_text_token_inside_a_text_changes_no_mask() {
    let marked = GOOD.replacen("the red ball", "red<|endoftext|>ball", 1);
    let folder = Folder::new();
    let ended = folder.run(&marked);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // That all its positions are there and right is compared with PyTorch in `parity`.
    let shown = aqlens(folder.path(), &["show", "runs/small", "--table", "prompts"]).stdout;
    assert!(shown.contains("endoftext"), "{shown}");
}

#[test]
fn ids_with_slashes_quotes_and_html_survive_everywhere() {
    let ids = GOOD
        .replacen("      ball:", "      \"../a/'b'\\\"<script>alert(1)</script>\":", 1)
        .replacen("- name: one", "- name: \"s/<b>'\\\"\"", 1);
    let folder = Folder::new();
    let ended = folder.run(&ids);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let report = fs::read_to_string(folder.path().join("runs/small/report.html")).unwrap();
    assert!(!report.contains("<script>alert(1)"), "the id is text, not markup");
    assert!(report.contains("&lt;script&gt;alert(1)"), "the id is shown");
    let shown = aqlens(folder.path(), &["show", "runs/small", "--table", "prompts"]).stdout;
    assert!(shown.contains("../a/'b'\"<script>alert(1)</script>"), "{shown}");
    assert!(!folder.path().join("a").exists() && !folder.path().join("runs/a").exists());
}

#[test]
fn a_missing_onnx_runtime_is_reported_with_what_was_tried_and_the_command_that_fixes_it() {
    let folder = Folder::new();
    folder.write(GOOD);
    let mut command = without_runtime(folder.path());
    command.args(["run", "pipeline.yml"]);
    let ended = Ended::from(command.output().unwrap());
    refuses(&ended, 1, &["ONNX Runtime", ".venv", "pip install onnxruntime"]);

    let ended = folder.run_with(&["--onnxruntime", "not-there.so"]);
    refuses(&ended, 1, &["not-there.so"]);
}

#[test]
fn a_file_that_is_no_onnx_runtime_is_named() {
    let folder = Folder::new();
    put(&folder.path().join("fake.so"), b"not a library");
    refuses(&folder.run_with(&["--onnxruntime", "fake.so"]), 1, &["fake.so"]);
}

#[test]
fn a_run_directory_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    put(&folder.path().join("occupied"), b"a file");
    let ended = folder.run_with(&["--run-dir", "occupied/run"]);
    refuses(&ended, 1, &["occupied/run"]);
}

#[test]
fn cuda_that_cannot_be_had_is_an_error_and_never_a_silent_cpu_run() {
    let folder = Folder::new();
    let ended = folder.run_with(&["--provider", "cuda"]);
    refuses(&ended, 1, &["CUDA"]);
    assert!(!folder.path().join("runs/small/tables").exists());
}

#[test]
fn a_folder_that_holds_something_else_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("thesis")).unwrap();
    put(&folder.path().join("thesis/chapter.tex"), b"x");
    let ended = folder.run_with(&["--run-dir", "thesis"]);
    refuses(&ended, 2, &["thesis", "chapter.tex", "--run-dir"]);

    assert_eq!(folder.run_with(&["--run-dir", "a"]).code, 0);
    let ended = folder.run_with(&["--run-dir", "a", "--set", "name=other"]);
    refuses(&ended, 2, &["another pipeline", "small", "other"]);
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = Folder::new();
    refuses(&aqlens(folder.path(), &["rum"]), 2, &["rum"]);
    refuses(&aqlens(folder.path(), &["show", "nowhere"]), 2, &["nowhere"]);
    refuses(&aqlens(folder.path(), &["show", "nowhere", "--rows", "5"]), 2, &["--table"]);
    assert_eq!(aqlens(folder.path(), &["--version"]).code, 0);
}

#[test]
fn doctor_reports_the_runtime_and_the_cores() {
    let folder = Folder::new();
    let ended = aqlens(folder.path(), &["doctor"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for word in ["ONNX Runtime", "libonnxruntime", "cpu", "cores"] {
        assert!(ended.stdout.contains(word), "no '{word}' in:\n{}", ended.stdout);
    }
    let ended = Ended::from(without_runtime(folder.path()).arg("doctor").output().unwrap());
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("pip install onnxruntime"), "{}", ended.stderr);
}

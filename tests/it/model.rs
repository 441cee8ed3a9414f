//! Model folders that are damaged, foreign or asked for too much, and the tokenizer.

use std::path::Path;

use aqlens::model::{Engine, EngineOptions, ModelCard, Provider, ProviderChoice, Tokenizer};
use aqlens::stages::extract::{Config, TooLong};
use aqlens::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, PROMPTS};

use crate::support::fake_model::{Flawed, on};
use crate::support::tiny::{self, Copy, Extraction, prompts};
use crate::support::{assert_says, engine_options, file};

#[test]
fn the_tiny_model_passes_its_probe_and_its_hashes() {
    let engine = tiny::engine();
    engine.open().unwrap();
    assert_eq!(engine.calls(), 0, "the probe is no call of the user's");
}

#[test]
fn the_weights_of_an_open_graph_are_its_own_and_those_beside_it_each_counted_once() {
    let bytes = |name: &str| tiny::folder().join(name).metadata().unwrap().len();
    assert_eq!(tiny::card().weights_bytes(), bytes("model.onnx") + bytes("model.onnx.data"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let message = ModelCard::load(Path::new("no/such/model")).unwrap_err().to_string();
    assert_says(&message, &["no/such/model", "does not exist", "aqlens-export"]);
    let empty = tempfile::tempdir().unwrap();
    let message = ModelCard::load(empty.path()).unwrap_err().to_string();
    assert_says(&message, &["no model.json", "aqlens-export"]);
    let checkpoint = tiny::folder().join("checkpoint");
    let said = format!("make one of it with `aqlens-export {} --out DIR`", checkpoint.display());
    let message = ModelCard::load(&checkpoint).unwrap_err().to_string();
    assert_says(&message, &["is a checkpoint and not a model folder", &said]);
    for (name, words) in [
        ("m.gguf", "m.gguf is a checkpoint and not a model folder"),
        ("m.onnx", "m.onnx is a file and not a model folder"),
    ] {
        let path = empty.path().join(name);
        crate::support::put(&path, b"");
        assert_says(&ModelCard::load(&path).unwrap_err().to_string(), &[words, "aqlens-export"]);
    }
}

fn drop_layer(rows: &mut serde_json::Value, layer: i16) {
    rows.as_array_mut().unwrap().retain(|row| row["layer"] != layer);
}

#[test]
fn a_card_that_cannot_be_is_refused_with_its_reason() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(Edit, &str); 10] = [
        (|c| c["format"] = 4.into(), "format 4"),
        (|c| c["family"] = "llama".into(), "family 'llama'"),
        (|c| c["n_layer"] = 0.into(), "n_layer = 0"),
        (|c| c["surprise"] = 1.into(), "surprise"),
        (|c| c["files"]["../x"] = c["files"]["model.onnx"].clone(), "'../x'"),
        (|c| c["files"]["model.onnx"]["sha256"] = "ABC".into(), "64 lower-case hex"),
        (|c| c["probe"]["prompts"] = serde_json::json!([]), "probe"),
        (|c| c["probe"]["prompts"][1] = serde_json::json!(vec![0; 65]), "prompt 1 of 65 tokens"),
        (|c| drop_layer(&mut c["probe"]["hidden"], 3), "without hidden values of layer 3"),
        (|c| drop_layer(&mut c["probe"]["attention"], 0), "without attention values of layer 0"),
    ];
    for (edit, reason) in cases {
        let copy = Copy::new();
        copy.edit_card(edit);
        let message = ModelCard::load(copy.path()).unwrap_err().to_string();
        assert_says(&message, &["model.json", reason, "aqlens-export"]);
    }
    let copy = Copy::new();
    copy.write("model.json", b"{");
    let message = ModelCard::load(copy.path()).unwrap_err().to_string();
    assert_says(&message, &["model.json is not valid", "line 1"]);
}

#[test]
fn a_file_of_another_hash_size_or_none_is_refused() {
    let copy = Copy::new();
    let mut graph = copy.read("model.onnx");
    let middle = graph.len() / 2;
    graph[middle] ^= 1;
    copy.write("model.onnx", &graph);
    let expected = tiny::card().files["model.onnx"].sha256.clone();
    assert_says(&copy.open(), &["model.onnx", &expected, "found sha256", "aqlens-export"]);
    copy.write("model.onnx", &graph[1..]);
    assert_says(&copy.open(), &["expected 22116 bytes, found 22115 bytes"]);
    std::fs::remove_file(copy.path().join("model.onnx")).unwrap();
    assert_says(&copy.open(), &["model.onnx is missing", "model.json lists it"]);
}

#[test]
fn weights_of_another_hash_or_none_are_refused() {
    let copy = Copy::new();
    let mut weights = copy.read("model.onnx.data");
    weights[0] ^= 1;
    copy.write("model.onnx.data", &weights);
    assert_says(&copy.open(), &["model.onnx.data", "found sha256", "aqlens-export"]);
    std::fs::remove_file(copy.path().join("model.onnx.data")).unwrap();
    assert_says(&copy.open(), &["model.onnx.data is missing", "model.json lists it"]);
}

#[test]
fn a_graph_that_lacks_an_output_is_refused_by_its_name() {
    let copy = Copy::new();
    copy.patch_graph("hidden.3", "hiddem.3");
    assert_says(&copy.open(), &["model.onnx lacks output 'hidden.3'", "aqlens-export"]);
    let copy = Copy::new();
    copy.patch_graph("attention_mask", "attention_mark");
    assert_says(&copy.open(), &["lacks input 'attention_mask'"]);
}

#[test]
fn a_graph_of_another_shape_than_its_card_is_refused() {
    let copy = Copy::new();
    copy.edit_card(|card| card["vocab_size"] = 321.into());
    assert_says(&copy.open(), &["output 'logits'", "321"]);
}

#[test]
fn a_file_that_is_no_graph_is_refused() {
    let copy = Copy::new();
    let junk = b"this is no graph";
    copy.write("model.onnx", junk);
    copy.edit_card(|card| {
        card["files"]["model.onnx"]["sha256"] = aqlens::store::hex_sha256(junk).into();
        card["files"]["model.onnx"]["bytes"] = junk.len().into();
    });
    assert_says(&copy.open(), &["model.onnx is no ONNX graph", "near byte 1"]);
}

#[test]
fn a_probe_that_fails_names_output_place_difference_and_tolerance() {
    for (kind, entry, key, name) in [
        ("hidden", 4, "value", "output hidden.0, prompt 2, position 0, number"),
        ("hidden", 0, "norm", "output hidden.0, prompt 0, position 0, norm"),
        ("attention", 2, "value", "output attention."),
        ("logits", 1, "value", "output logits, prompt 1, number"),
    ] {
        let copy = Copy::new();
        copy.edit_card(|card| {
            let field = &mut card["probe"][kind][entry][key];
            let value = if field.is_array() { &mut field[0] } else { field };
            *value = (value.as_f64().unwrap() + 0.05).into();
        });
        let message = copy.open();
        assert_says(&message, &["fails its probe", name, "off by 5.000e-2", "allowed"]);
    }
}

#[test]
fn a_library_that_is_missing_or_none_is_refused() {
    let open = |library: &Path| {
        let options = EngineOptions { library: Some(library.to_owned()), ..Default::default() };
        Engine::new(tiny::card(), options).facts().unwrap_err().to_string()
    };
    let message = open(Path::new("no/libonnxruntime.so"));
    assert_says(&message, &["no/libonnxruntime.so is not there", "pip install onnxruntime"]);
    let copy = Copy::new();
    let junk = copy.path().join("model.json");
    assert_says(&open(&junk), &["cannot be used as ONNX Runtime", "--onnxruntime"]);
}

#[test]
fn cuda_that_cannot_be_had_is_an_error_that_says_what_is_missing() {
    let options = EngineOptions { provider: ProviderChoice::Cuda, ..engine_options() };
    match Engine::new(tiny::card(), options).facts() {
        Ok(facts) => assert_eq!(facts.provider, Provider::Cuda, "a machine with a GPU"),
        Err(error) => assert_says(
            &error.to_string(),
            &["provider 'cuda' is not available", "onnxruntime-gpu", "provider: cpu"],
        ),
    }
}

#[test]
fn auto_says_what_it_took_and_why() {
    let facts = Engine::new(tiny::card(), engine_options()).facts().unwrap().clone();
    assert_eq!(facts.provider == Provider::Cpu, facts.fallback.is_some(), "{facts:?}");
    assert!(facts.runtime_version.starts_with("1."), "{facts:?}");
    assert!(facts.threads > 0 && !facts.tf32, "{facts:?}");
}

#[test]
fn the_runtime_s_facts_are_known_without_the_graph() {
    let copy = Copy::new();
    let engine = tiny::engine_of(ModelCard::load(copy.path()).unwrap());
    std::fs::remove_file(copy.path().join("model.onnx")).unwrap();
    assert_eq!(engine.facts().unwrap().provider, Provider::Cpu);
}

#[test]
fn tokens_are_those_of_hugging_face() {
    let text = std::fs::read_to_string(file("tests/fixtures/reference/tiny.json"));
    let reference: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    let tokenizer = tiny::tokenizer();
    let mut compared = 0;
    for scenario in reference["scenarios"].as_array().unwrap() {
        for input in scenario["inputs"].as_array().unwrap() {
            for prompt in input["prompts"].as_array().unwrap() {
                let text = prompt["text"].as_str().unwrap();
                let ids: Vec<i32> = serde_json::from_value(prompt["token_ids"].clone()).unwrap();
                assert_eq!(tokenizer.encode(text, 0..0).unwrap().ids, ids, "{text:?}");
                for next in prompt["next_tokens"].as_array().unwrap() {
                    let id = next["token_id"].as_i64().unwrap() as i32;
                    assert_eq!(tokenizer.decode_token(id), next["token"].as_str().unwrap());
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn text_that_spells_a_special_token_becomes_it_and_masks_nothing() {
    let ids = tiny::tokenizer().encode("a<|endoftext|>b", 0..0).unwrap().ids;
    assert_eq!(ids.iter().filter(|id| **id == 319).count(), 1, "{ids:?}");
    let texts = ["<|endoftext|>", "a<|endoftext|>b<|endoftext|>"];
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &prompts(&texts));
    let part = extraction.part(&ACTIVATIONS, Some(0), &["token_id"]);
    assert_eq!(part.rows(), 1 + ids.len() + 1);
}

#[test]
fn the_input_s_span_is_the_tokens_that_hold_its_bytes() {
    check_spans(&tiny::tokenizer());
    // A tokenizer that says to leave blanks out of offsets gives the same spans.
    let copy = Copy::new();
    copy.edit_tokenizer(|file| file["post_processor"]["trim_offsets"] = true.into());
    check_spans(&copy.tokenizer().unwrap());
}

fn check_spans(tokenizer: &Tokenizer) {
    let span = |text: &str, input: &str| {
        let start = text.find(input).unwrap();
        let encoded = tokenizer.encode(text, start..start + input.len()).unwrap();
        let range = encoded.input.unwrap();
        let tokens = encoded.ids[range].iter().map(|id| tokenizer.decode_token(*id));
        tokens.collect::<String>()
    };
    // The blank before the input is fused into its first token, the colon is a token of its own.
    assert_eq!(span("Context: ball\nAnswer:", "ball"), " ball");
    assert_eq!(span("what?\nball:", "ball"), "ball");
    // Blanks at the input's edges belong to it.
    assert_eq!(span("what?\n  cup  :", "  cup  "), "  cup  ");
    assert_eq!(tokenizer.encode("abc", 1..1).unwrap().input, None);
    // A character of several tokens belongs to it whole: four bytes, at most four tokens.
    let text = "x😀y";
    let encoded = tokenizer.encode(text, 1..5).unwrap();
    let range = encoded.input.unwrap();
    assert_eq!((range.start, range.end), (1, encoded.ids.len() - 1));
}

#[test]
fn shortest_and_longest_prompts_run() {
    let longest = "?".repeat(64);
    let texts = ["a", &longest];
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &prompts(&texts));
    let part = extraction.part(&PROMPTS, None, &["n_tokens", "input_start", "input_tokens"]);
    assert_eq!(part.int32s("n_tokens").unwrap().values(), &[1, 64]);
    assert_eq!(part.int32s("input_tokens").unwrap().values(), &[1, 64]);
    let part = extraction.part(&ATTENTION, None, &["weights", "query", "layer"]);
    assert_eq!(part.rows(), 2 * 5 * 3);
    let weights = part.lists("weights").unwrap();
    assert_eq!((weights.value_length(0), weights.value_length(29)), (1, 64));
    assert_eq!(part.int32s("query").unwrap().value(29), 63);
}

#[test]
fn a_prompt_that_is_too_long_stops_the_run_and_says_the_two_ways_out() {
    let long = "?".repeat(65);
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &prompts(&["a", &long]));
    let parts = ["prompt s/input-1/task has 65 tokens", "64 at most", "shorten", "too_long: skip"];
    assert_says(&extraction.error(), &parts);
}

#[test]
fn a_prompt_that_is_too_long_can_be_skipped_and_is_recorded() {
    let long = "?".repeat(65);
    let config = Config { too_long: TooLong::Skip, layers: Some(vec![0]), ..Config::default() };
    let extraction = Extraction::of(&tiny::engine(), config, &prompts(&["a", &long, "a?"]));
    let part = extraction.part(&PROMPTS, None, &["status", "n_tokens"]);
    let status: Vec<_> = part.texts("status").unwrap().iter().flatten().collect();
    assert_eq!(status, ["ok", "too_long", "ok"]);
    assert_eq!(part.int32s("n_tokens").unwrap().value(1), 65);
    assert_eq!(extraction.result.as_ref().unwrap().skipped, 1);
    let skipped = extraction.ear.skipped.lock().unwrap().join("");
    assert_says(&skipped, &["s/input-1/task", "65 tokens"]);
    let part = extraction.part(&LOGITS, None, &["input"]);
    let inputs: Vec<_> = part.texts("input").unwrap().iter().flatten().collect();
    assert_eq!(inputs, ["input-0", "input-2"]);
    // Attention of the last layer is kept though it is not captured.
    let part = extraction.part(&ATTENTION, None, &["layer"]);
    let layers = part.int16s("layer").unwrap().values().to_vec();
    assert_eq!(&layers[..6], &[0, 0, 0, 4, 4, 4]);
    let units = extraction.result.as_ref().unwrap().units;
    assert_eq!((units, *extraction.ear.advanced.lock().unwrap()), (3, 3));
}

#[test]
fn a_shard_of_which_nothing_can_run_still_has_its_tables() {
    let long = "?".repeat(65);
    let config = Config { too_long: TooLong::Skip, ..Config::default() };
    let engine = tiny::engine();
    let extraction = Extraction::of(&engine, config, &prompts(&[&long]));
    assert_eq!(extraction.part(&PROMPTS, None, &["text"]).rows(), 1);
    assert_eq!(extraction.part(&ACTIVATIONS, Some(4), &["values"]).rows(), 0);
    assert_eq!(engine.calls(), 0);
}

#[test]
fn an_empty_prompt_never_reaches_the_runtime() {
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &prompts(&["a", ""]));
    assert_says(&extraction.error(), &["prompt s/input-1/task has no tokens"]);
}

#[test]
fn a_value_that_is_no_number_is_named_and_nothing_is_published() {
    // Longest first: the prompt of three tokens is row 0 of the batch, that of one is row 1.
    let texts = prompts(&["?", "???"]);
    let at = (2 * 27) + 5;
    let engine = on(Flawed { hidden: Some((at, f32::NAN)), ..Flawed::default() });
    let extraction = Extraction::of(&engine, Config::default(), &texts);
    let parts =
        ["prompt s/input-1/task gave NaN", "layer 1, position 2, dimension 5", "not_finite: skip"];
    assert_says(&extraction.error(), &parts);
    let engine = on(Flawed { logits: Some((320 + 7, f32::INFINITY)), ..Flawed::default() });
    let extraction = Extraction::of(&engine, Config::default(), &texts);
    assert_says(&extraction.error(), &["prompt s/input-0/task gave inf as logit of token 7"]);
}

#[test]
fn padding_is_never_looked_at() {
    let at = (3 + 2) * 27;
    let engine = on(Flawed { hidden: Some((at, f32::NAN)), ..Flawed::default() });
    let extraction = Extraction::of(&engine, Config::default(), &prompts(&["?", "???"]));
    assert_eq!(extraction.part(&ACTIVATIONS, Some(1), &["values"]).rows(), 4);
    assert_eq!(engine.calls(), 2, "the batch, and one prompt alone");
}

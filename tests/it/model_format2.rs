//! Model folders of format 2: what is read of them, and what is refused.

use std::fs;

use aqlens::model::{Engine, EngineOptions, ModelCard, Provider, ProviderChoice, Tokenizer, onnx};
use serde_json::{Value, json};

use crate::support::tiny::{self, Copy};
use crate::support::{assert_says, engine_options};

/// A text, and what the tiny model's tokenizer makes of it.
const TEXT: &str = "What color is the ball?";

/// The tiny model's folder with a card of format 2.
pub(crate) fn folder() -> Copy {
    let copy = Copy::new();
    let ids = tiny::tokenizer().encode(TEXT, 0..0).unwrap().ids;
    copy.edit_card(|card| {
        card["format"] = 2.into();
        card["family"] = "gpt2".into();
        let (heads, width) = (card["n_head"].as_i64().unwrap(), card["d_model"].as_i64().unwrap());
        card["n_kv_head"] = heads.into();
        card["d_head"] = (width / heads).into();
        card["d_ff"] = (4 * width).into();
        card["windows"] = vec![Value::Null; card["n_layer"].as_u64().unwrap() as usize].into();
        card["dtype"] = "f32".into();
        let named = json!({ "eos": { "id": 0, "text": "<|endoftext|>" } });
        card["special_tokens"] = json!({ "prefix_ids": [], "suffix_ids": [], "named": named });
        card["chat_template"] = Value::Null;
        card["licence"] = "Apache-2.0".into();
        for (name, facts) in card["files"].as_object_mut().unwrap() {
            facts["role"] = match name.as_str() {
                "model.onnx" => "graph",
                "past.onnx" => "past",
                "head.onnx" => "head",
                "patch.onnx" => "patch",
                "tokenizer.json" => "tokenizer",
                _ => "weights",
            }
            .into();
        }
        card["probe"]["texts"] = json!([{ "text": TEXT, "ids": ids }]);
    });
    copy
}

#[test]
fn a_folder_of_format_2_is_opened_and_proves_itself() {
    let copy = folder();
    let card = ModelCard::load(copy.path()).unwrap();
    assert_eq!((card.family.as_str(), card.n_kv_head), ("gpt2", card.n_head));
    assert_eq!((card.d_head * card.n_head as usize, card.d_ff), (card.d_model, 4 * card.d_model));
    assert_eq!(card.windows, vec![None; card.n_layer as usize]);
    assert_eq!(card.special_tokens.as_ref().unwrap().named["eos"].id, 0);
    assert_eq!(card.texts.len(), 1);
    Tokenizer::load(&card).unwrap();
    tiny::engine_of(card).open().unwrap();
}

#[test]
fn format_1_says_the_same_of_gpt_2() {
    let (one, two) = (tiny::card(), ModelCard::load(folder().path()).unwrap());
    let shape =
        |c: &ModelCard| (c.family.clone(), c.n_kv_head, c.d_head, c.d_ff, c.windows.clone());
    assert_eq!(shape(&one), shape(&two));
    assert!(one.special_tokens.is_none() && one.texts.is_empty());
}

#[test]
fn a_card_of_format_2_that_cannot_be_is_refused_with_its_reason() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 19] = [
        (|c| c["format"] = 4.into(), "formats 1 to 3 only"),
        (|c| c["format"] = 3.into(), "format 3 and lacks them"),
        (|c| c["positions"] = "learned".into(), "cards of format 3 have and no others"),
        (|c| (c["format"], c["positions"]) = (3.into(), "rotary".into()), "rotary"),
        (|c| c["family"] = "Llama 3".into(), "family 'Llama 3', which must be"),
        (|c| c["n_kv_head"] = 0.into(), "n_kv_head = 0"),
        (|c| c["n_kv_head"] = 2.into(), "n_head = 3, which n_kv_head = 2 does not divide"),
        (|c| c["d_head"] = 0.into(), "d_head = 0"),
        (|c| c["windows"] = json!([null]), "1 windows, which must be one for each of 5 layers"),
        (|c| c["windows"][0] = 0.into(), "window of 0 tokens"),
        (|c| c["dtype"] = "f64".into(), "f64"),
        (|c| c["dtype"] = "bf16".into(), "is bfloat16 and does not say its accuracy"),
        (|c| c["accuracy"] = accuracy(0.0), "is float32 and says an accuracy"),
        (
            |c| (c["dtype"], c["accuracy"]) = ("f16".into(), accuracy(-1.0)),
            "an accuracy of -1, which must be 0 or more",
        ),
        (|c| c["special_tokens"]["prefix_ids"] = json!([1 << 20]), "token 1048576"),
        (|c| c["probe"]["texts"][0]["ids"] = json!([-1]), "token -1"),
        (|c| c["licence"] = "a\u{1b}b".into(), "control characters in licence"),
        (|c| c["files"]["model.onnx"]["role"] = "weights".into(), "the role Weights"),
        (|c| _ = c["files"]["model.onnx"].as_object_mut().unwrap().remove("role"), "role"),
    ];
    for (edit, reason) in cases {
        let copy = folder();
        copy.edit_card(edit);
        let message = ModelCard::load(copy.path()).unwrap_err().to_string();
        assert_says(&message, &["model.json", reason, "aqlens-export"]);
    }
}

/// What the card says of another type than float32.
fn accuracy(hidden: f64) -> Value {
    let distances = json!({ "hidden": hidden, "attention": 0.01, "logits": 0.001 });
    json!({ "prompts": 9, "pytorch": distances, "graph": distances })
}

#[test]
fn a_narrow_model_is_refused_on_a_processor_before_anything_is_opened() {
    for (dtype, name) in [("f16", "float16"), ("bf16", "bfloat16")] {
        let copy = folder();
        copy.edit_card(|c| (c["dtype"], c["accuracy"]) = (dtype.into(), accuracy(0.004)));
        let card = ModelCard::load(copy.path()).unwrap();
        assert_eq!((card.dtype.name(), card.accuracy.unwrap().graph.hidden), (name, 0.004));
        // Whoever opened anything would say that this is no library, or that files are missing.
        fs::remove_file(copy.path().join("model.onnx")).unwrap();
        let options = EngineOptions {
            provider: ProviderChoice::Cpu,
            library: Some("no such library".into()),
            ..EngineOptions::default()
        };
        let engine = Engine::new(card, options);
        for error in [engine.refuse_cpu().unwrap_err(), engine.open().unwrap_err()] {
            let says = [name, "`provider: cuda` only", "export it again with `--dtype f32`"];
            assert_says(&error.to_string(), &says);
        }
    }
}

#[test]
fn auto_takes_no_processor_for_a_narrow_model() {
    let copy = folder();
    copy.edit_card(|c| (c["dtype"], c["accuracy"]) = ("f16".into(), accuracy(0.004)));
    let options = EngineOptions { provider: ProviderChoice::Auto, ..engine_options() };
    let found = onnx::facts(&options).unwrap().provider;
    match Engine::new(ModelCard::load(copy.path()).unwrap(), options).facts() {
        Ok(facts) => assert_eq!((facts.provider, found), (Provider::Cuda, Provider::Cuda)),
        Err(error) => assert_says(&error.to_string(), &["float16", "`provider: cuda` only"]),
    }
}

#[test]
fn conversations_may_go_on_with_their_last_message_and_name_a_day() {
    let copy = folder();
    copy.edit_card(|card| {
        let said = json!([{ "role": "assistant", "content": "Yes" }]);
        card["probe"]["conversations"] = json!([
            { "messages": said, "add_generation_prompt": true, "text": "a", "ids": [1] },
            { "messages": said, "add_generation_prompt": false, "continue_final": true,
              "date": "2026-01-02", "text": "b", "ids": [2] },
        ]);
    });
    let card = ModelCard::load(copy.path()).unwrap();
    let found: Vec<_> =
        card.conversations.iter().map(|c| (c.continue_final, c.date.as_deref())).collect();
    assert_eq!(found, [(false, None), (true, Some("2026-01-02"))]);
}

#[test]
fn a_tokenizer_that_is_not_the_models_own_is_refused() {
    let copy = folder();
    copy.edit_card(|card| card["probe"]["texts"][0]["ids"][0] = 1.into());
    let message = copy.tokenizer().unwrap_err();
    assert_says(&message, &["tokenizer.json", "makes tokens [", "own tokenizer [1, ", TEXT]);
    let copy = folder();
    copy.edit_card(|card| card["special_tokens"]["prefix_ids"] = json!([2]));
    let message = copy.tokenizer().unwrap_err();
    assert_says(&message, &["puts special tokens [] and [] around", "own tokenizer [2] and []"]);
}

#[test]
fn a_tokenizer_may_know_tokens_that_the_model_lacks() {
    let copy = folder();
    let beyond = 1 << 20;
    copy.edit_tokenizer(|tokenizer| {
        let mut more = tokenizer["added_tokens"][0].clone();
        (more["id"], more["content"]) = (beyond.into(), "<image>".into());
        tokenizer["added_tokens"].as_array_mut().unwrap().push(more);
    });
    copy.edit_card(|card| card["files"]["tokenizer.json"]["role"] = "tokenizer".into());
    let tokenizer = copy.tokenizer().unwrap();
    tokenizer.encode(TEXT, 0..0).unwrap();
    let error = tokenizer.encode("a <image>", 0..0).unwrap_err().to_string();
    assert_says(&error, &["gives id", "but the model has"]);
}

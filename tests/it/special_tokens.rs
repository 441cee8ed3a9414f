//! Special tokens stand around prompts as the model's tokenizer adds them, and take no part in the
//! input.

use std::path::Path;

use aqlens::model::{Specials, Tokenizer};
use aqlens::pipeline::config::load;
use aqlens::pipeline::plan::Plan;
use aqlens::store::Store;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{ACTIVATIONS, PROMPTS, SIMILARITY};
use aqlens::table::writer::PartAddress;

use crate::support::pipeline::{Folder, GOOD};
use crate::support::tiny::{self, Copy};
use crate::support::{aqlens, file};

const END: i32 = 319;

/// The tokenizer of the tiny model with another post-processor.
fn with(processor: &serde_json::Value) -> Tokenizer {
    let copy = Copy::new();
    copy.edit_tokenizer(|file| file["post_processor"] = processor.clone());
    copy.tokenizer().unwrap()
}

fn made() -> serde_json::Value {
    let text = std::fs::read(file("tests/fixtures/special-tokens/tokens.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A post-processor that adds tokens, by the name that `make.py` gives it.
fn processor(name: &str) -> serde_json::Value {
    let made = made();
    let variants = made["variants"].as_array().unwrap();
    variants.iter().find(|v| v["name"] == name).unwrap()["post_processor"].clone()
}

#[test]
fn tokens_are_those_of_hugging_face_whatever_the_post_processor() {
    let made = made();
    let texts: Vec<String> = serde_json::from_value(made["texts"].clone()).unwrap();
    let plain = tiny::tokenizer();
    let mut added = 0;
    for variant in made["variants"].as_array().unwrap() {
        let tokenizer = with(&variant["post_processor"]);
        added += tokenizer.specials().len();
        let expected: Vec<Vec<i32>> = serde_json::from_value(variant["ids"].clone()).unwrap();
        for (text, expected) in texts.iter().zip(&expected) {
            let encoded = tokenizer.encode(text, 0..text.len()).unwrap();
            assert_eq!(encoded.ids, *expected, "{}: {text:?}", variant["name"]);
            // The input is the same tokens as without.
            let own = plain.encode(text, 0..text.len()).unwrap();
            let of =
                |ids: &[i32], input: Option<std::ops::Range<usize>>| ids[input.unwrap()].to_vec();
            assert_eq!(of(&encoded.ids, encoded.input), of(&own.ids, own.input));
            assert_eq!(encoded.segments.len(), encoded.ids.len());
            assert_eq!(encoded.segments.matches('i').count(), own.segments.len());
        }
    }
    assert_eq!(added, 1 + 3 + 1 + 2);
}

#[test]
fn what_is_added_is_known_before_any_text_is_and_can_be_left_out() {
    let tokenizer = with(&processor("both"));
    let both = Specials { before: vec![END], after: vec![END, END] };
    assert_eq!((tokenizer.specials(), tokenizer.own_specials()), (&both, &both));
    let encoded = tokenizer.encode("x ball y", 1..6).unwrap();
    let plain = tiny::tokenizer().encode("x ball y", 1..6).unwrap();
    let shifted = plain.input.as_ref().map(|input| input.start + 1..input.end + 1);
    assert_eq!(encoded.input, shifted);
    assert_eq!(encoded.segments, format!("f{}ee", plain.segments));
    assert_eq!(encoded.edge_tokens, plain.edge_tokens);
    assert!(tokenizer.encode("", 0..0).unwrap().ids.is_empty(), "an empty text stays empty");
    let without = tokenizer.bare();
    assert_eq!((without.specials().len(), without.own_specials()), (0, &both));
    assert_eq!(without.encode("x ball y", 1..6).unwrap(), plain);
    assert!(tiny::tokenizer().own_specials().is_empty());
}

#[test]
fn a_post_processor_that_does_something_else_is_refused() {
    let copy = Copy::new();
    let tries = |edit: fn(&mut serde_json::Value)| {
        let mut processor = processor("before");
        edit(&mut processor);
        copy.edit_tokenizer(|file| file["post_processor"] = processor);
        copy.tokenizer().unwrap_err()
    };
    let sequence = |name: &str| serde_json::json!({"Sequence": {"id": name, "type_id": 0}});
    let message = tries(|p| p["single"] = serde_json::json!([p["single"][1], p["single"][1]]));
    assert!(message.contains("more than put special tokens before and after"), "{message}");
    let message = tries(|p| p["single"] = serde_json::json!([p["single"][0]]));
    assert!(message.contains("more than put special tokens before and after"), "{message}");
    copy.edit_tokenizer(|file| {
        file["post_processor"] = processor("before");
        file["post_processor"]["single"] = serde_json::json!([sequence("B")]);
    });
    let message = copy.tokenizer().unwrap_err();
    assert!(message.contains("tokenizer.json"), "{message}");
    let message =
        tries(|p| p["special_tokens"]["<|endoftext|>"]["ids"] = serde_json::json!([5000]));
    assert!(message.contains("adds special token 5000, but the model has 320"), "{message}");
    let many = |p: &mut serde_json::Value| {
        p["special_tokens"]["<|endoftext|>"]["ids"] = serde_json::json!(vec![END; 64]);
        p["special_tokens"]["<|endoftext|>"]["tokens"] = serde_json::json!(vec!["x"; 64]);
    };
    let message = tries(many);
    assert!(message.contains("adds 64 special tokens, but the model reads 64"), "{message}");
}

/// A part of a run directory.
fn part(run_dir: &Path, table: &'static aqlens::table::Table, columns: &[&str]) -> Part {
    let layer = std::ptr::eq(table, &ACTIVATIONS).then_some(4);
    read_part(&Store::open(run_dir), PartAddress { table, layer, part: 0 }, columns).unwrap()
}

/// Activations of the last layer as bits, and the similarities.
fn numbers(run_dir: &Path) -> (Vec<u32>, Vec<u64>) {
    let activations = part(run_dir, &ACTIVATIONS, &["values"]);
    let similarity = part(run_dir, &SIMILARITY, &["value"]);
    let (values, _) = activations.vectors("values").unwrap();
    let cosines = similarity.float64s("value").unwrap();
    (
        values.iter().map(|value| value.to_bits()).collect(),
        cosines.values().iter().map(|value| value.to_bits()).collect(),
    )
}

#[test]
fn a_run_with_a_first_token_gives_what_typing_it_gives_and_is_done_again_without() {
    let folder = Folder::new();
    let model = folder.model();
    let copy = Copy::new();
    copy.edit_tokenizer(|file| file["post_processor"] = processor("before"));
    let card = std::fs::read(model.join("model.json")).unwrap();
    let mut card: serde_json::Value = serde_json::from_slice(&card).unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&copy.read("model.json")).unwrap();
    card["files"]["tokenizer.json"] = listed["files"]["tokenizer.json"].clone();
    crate::support::put(&model.join("model.json"), card.to_string().as_bytes());
    crate::support::put(&model.join("tokenizer.json"), &copy.read("tokenizer.json"));
    let run = |name: &str, yaml: &str, extra: &[&str]| {
        folder.write(yaml);
        let args = ["run", "pipeline.yml", "--log", "plain", "--run-dir", name];
        let ended = aqlens(folder.path(), &[&args, extra].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let n_tokens = part(&folder.path().join(name), &PROMPTS, &["n_tokens"]);
        (numbers(&folder.path().join(name)), n_tokens.int32s("n_tokens").unwrap().value(0))
    };
    let own = GOOD.replace("MODEL", "model");
    let check = |extra: &[&str]| {
        folder.write(&own);
        let ended = aqlens(folder.path(), &[&["check", "pipeline.yml"], extra].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    assert!(check(&[]).contains("every prompt has <|endoftext|> before it"), "{}", check(&[]));
    let none = check(&["--set", "special_tokens=none"]);
    assert!(none.contains("none, though the model's tokenizer adds <|endoftext|>"), "{none}");
    let added = run("added", &own, &[]);
    let typed = run("typed", &GOOD.replace("{task}\\n", "<|endoftext|>{task}\\n"), &[]);
    let plain = run("plain", GOOD, &[]);
    assert_eq!(added, typed);
    assert_ne!(added, plain);
    let none = run("added", &own, &["--set", "special_tokens=none"]);
    assert_eq!(none, plain, "the same run directory, without");
    assert_eq!(run("added", &own, &[]), added, "and with it again");
}

#[test]
fn plain_texts_with_special_tokens_are_warned_of() {
    let folder = Folder::new();
    let own = "    inputs:\n      ball: \"the red ball\"\n";
    let said =
        "input \"b\" of scenario \"one\" has \"<|endoftext|>\" in it, which the model reads as";
    for (inputs, more) in [
        ("{ a: ball, b: \"cup<|endoftext|>\" }", None),
        (
            "{ a: ball, b: \"cup<|endoftext|>\", c: \"<|endoftext|>\" }",
            Some("(and 1 more like it)"),
        ),
    ] {
        let yaml = GOOD.replace(own, &format!("    inputs: {inputs}\n"));
        folder.write(&yaml);
        let checked = aqlens(folder.path(), &["check", "pipeline.yml"]);
        assert_eq!(checked.code, 0, "{}", checked.stderr);
        let ran = folder.run(&yaml);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for (text, start) in [(checked.stdout, "warning   "), (ran.stderr, "warning: ")] {
            let line = text.lines().find(|line| line.contains(&format!("{start}{said}")));
            let line = line.unwrap_or_else(|| panic!("{text}"));
            assert_eq!(line.contains("more like it"), more.is_some(), "{line}");
            assert!(more.is_none_or(|more| line.ends_with(more)), "{line}");
        }
    }
    // A prompt's own text may have them: it is written for the model.
    let yaml = GOOD.replace("\"{task}", "\"<|endoftext|>{task}").replace("input}:\"", "input}\"");
    let pipeline = load(&folder.write(&yaml), &[]).unwrap();
    let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
    let warnings = Plan::new(&pipeline, &tokenizer).unwrap().warnings();
    assert!(warnings.is_empty(), "{warnings:?}");
}

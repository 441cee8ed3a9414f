//! A run holds its own numbers against prompts that it runs alone, and can fail that.

use aqlens::stages::extract::{Config, NotFinite};

use crate::support::fake_model::{Flawed, on};
use crate::support::tiny::{self, Extraction, prompts};
use crate::support::{Run, aqlens, assert_says, file};

/// A shard of one batch with prompts of four, three, two and one tokens; prompt 3, the longest, is
/// row 0 of every output. With any seed one of the four is drawn.
fn extract(flawed: Flawed) -> Extraction {
    let texts = prompts(&["?", "???", "??", "????"]);
    let config = Config { not_finite: NotFinite::Skip, ..Config::default() };
    Extraction::of(&on(flawed), config, &texts)
}

/// Which prompt is proved, as (row of the batch, its tokens): found by moving each one in turn.
fn drawn() -> (usize, usize) {
    let rows = [(0, 4), (1, 3), (2, 2), (3, 1)];
    let is_drawn = |(row, _): &(usize, usize)| {
        extract(Flawed { logits: Some((row * 320 + 9, -1.0)), ..Flawed::default() }).result.is_err()
    };
    let drawn: Vec<_> = rows.into_iter().filter(is_drawn).collect();
    assert_eq!(drawn.len(), 1, "one prompt of four is proved: {drawn:?}");
    drawn[0]
}

#[test]
fn a_batch_that_gives_other_numbers_than_the_prompt_alone_fails_and_names_it() {
    let (row, tokens) = drawn();
    let last = tokens - 1;
    let name = format!("prompt s/input-{}/task", [3, 1, 2, 0][row]);
    let hidden = Some(((row * 4 + last) * 27 + 5, 1e6));
    let message = extract(Flawed { hidden, ..Flawed::default() }).error();
    let place = format!("layer 1, position {last} is off by");
    assert_says(&message, &[&name, "alone", &place, "1.000e-5 is allowed", "provider: cpu"]);

    let attention = Some((((row * 3 + 2) * 4 + last) * 4, -1.0));
    let message = extract(Flawed { attention, ..Flawed::default() }).error();
    assert_says(&message, &[&name, "of attention", "1.000e-5 is allowed"]);

    let logits = Some((row * 320 + 9, -1.0));
    let message = extract(Flawed { logits, ..Flawed::default() }).error();
    assert_says(&message, &[&name, "the vector of logits is off by"]);
}

#[test]
fn a_difference_within_the_tolerance_is_recorded() {
    let (row, tokens) = drawn();
    let number = (tokens * 1000 + 9) as f32;
    let logits = Some((row * 320 + 9, number + 0.01));
    let proof = extract(Flawed { logits, ..Flawed::default() }).result.unwrap().self_proof.unwrap();
    assert_eq!((proof.prompts, proof.largest_attention_difference), (1, 0.0));
    assert!(proof.largest_relative_difference > 0.0, "{proof:?}");
    assert!(proof.largest_relative_difference < proof.tolerance, "{proof:?}");
}

#[test]
fn a_prompt_without_numbers_is_not_drawn() {
    let (row, _) = drawn();
    let hidden = Some((row * 4 * 27, f32::NAN));
    let outcome = extract(Flawed { hidden, ..Flawed::default() }).result.unwrap();
    assert_eq!((outcome.skipped, outcome.self_proof.unwrap().prompts), (1, 1));
}

#[test]
fn the_model_gives_every_prompt_the_same_alone_and_in_its_batch() {
    let texts = prompts(&["?", "the red ball", "??", "a cup"]);
    let outcome = Extraction::of(&tiny::engine(), Config::default(), &texts).result.unwrap();
    let proof = outcome.self_proof.unwrap();
    assert_eq!((proof.prompts, proof.tolerance, proof.attention_tolerance), (1, 1e-5, 1e-5));
    assert!(proof.largest_relative_difference < 1e-5, "{proof:?}");
}

#[test]
fn run_json_has_the_proofs_of_all_shards_also_after_a_resumed_run() {
    let run = Run::of("tests/fixtures/tiny.yml", &["--set", "shard_inputs=4"]);
    let record = |run: &Run| -> serde_json::Value {
        serde_json::from_slice(&run.store.read("run.json").unwrap()).unwrap()
    };
    let proof = record(&run)["self_proof"].clone();
    let shards = record(&run)["counts"]["shards"].as_u64().unwrap();
    assert!(shards > 1);
    assert_eq!(proof["prompts"], shards, "{proof}");
    assert!(proof["largest_relative_difference"].as_f64().unwrap() < 1e-5, "{proof}");

    let pipeline = file("tests/fixtures/tiny.yml");
    let args = ["run", pipeline.to_str().unwrap(), "--set", "shard_inputs=4", "--set"];
    let dir = run.store.root().to_str().unwrap();
    let more = ["stages.tokens.top_k=3", "--run-dir", dir];
    let ended = aqlens(run.store.root(), &[&args[..], &more].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(record(&run)["self_proof"], proof, "no shard ran again, and all still count");
}

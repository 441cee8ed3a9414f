//! Of prompts with the same tokens one runs, and the tables hold its numbers for all of them.

use std::sync::Arc;

use aqlens::prompt::Prompt;
use aqlens::table::schema::SKIPPED;

use crate::prefixes::{Echo, HEADS, INPUTS, WIDTH, config, content, prompts};
use crate::support::fake_model::on;
use crate::support::tiny::{self, Extraction};

/// The prompts, and each of the first inputs' again as the control of another input.
fn with_repeats() -> Vec<Prompt> {
    let mut all = prompts();
    let again = |prompt: &Prompt| {
        let mut control = prompt.clone();
        control.key.input = "another".into();
        control.key.wording = -3;
        control
    };
    // First in the plan, and yet the tasks' own prompts run, which share what they start with.
    let controls: Vec<Prompt> = all[..3].iter().map(again).collect();
    all.splice(0..0, controls);
    all
}

#[test]
fn a_prompt_with_the_tokens_of_another_is_not_run_again() {
    let run = |prompts: &[Prompt]| {
        let echo = Echo::default();
        let seen = Arc::clone(&echo.seen);
        let extraction = Extraction::of(&on(echo), config(true, 0), prompts);
        let mut seen = seen.lock().unwrap().clone();
        seen.pop().expect("a prompt of the self-proof");
        (extraction, seen)
    };
    let (once, ran) = run(&prompts());
    let (twice, ran_with_repeats) = run(&with_repeats());
    assert_eq!(ran_with_repeats, ran);
    // All prompts of the task `end` are equal.
    let repeats = |of: &Extraction| of.result.as_ref().unwrap().repeats;
    assert_eq!((repeats(&once), repeats(&twice)), (5, 8));
    let units = |of: &Extraction| of.result.as_ref().unwrap().units;
    assert_eq!((units(&once), *twice.ear.advanced.lock().unwrap()), (units(&twice), units(&twice)));
    // The numbers are made of the tokens: they are those of prompts that run themselves.
    let alone = |prompts: &[Prompt]| {
        let of_each = prompts.iter().map(|prompt| {
            content(&Extraction::of(
                &on(Echo::default()),
                config(false, 0),
                std::slice::from_ref(prompt),
            ))
        });
        of_each.collect::<Vec<_>>()
    };
    let (names, numbers) = content(&twice);
    let expected = alone(&with_repeats());
    let tokens: Vec<usize> = expected.iter().map(|(names, _)| names.len() / 5).collect();
    let vectors = names.len() * WIDTH;
    let all: usize = tokens.iter().sum();
    let mut before = 0;
    for ((_, own), tokens) in expected.iter().zip(&tokens) {
        for layer in 0..5 {
            let place = (layer * all + before) * WIDTH;
            let of_layer = layer * tokens * WIDTH;
            let length = tokens * WIDTH;
            assert!(numbers[place..place + length] == own[of_layer..of_layer + length]);
        }
        let weights = vectors + before * 5 * HEADS;
        let length = tokens * 5 * HEADS;
        assert!(numbers[weights..weights + length] == own[5 * tokens * WIDTH..][..length]);
        before += tokens;
    }
    let logits =
        |numbers: &[f32], prompts: usize| numbers[numbers.len() - prompts * 320..].to_vec();
    let own: Vec<f32> = expected.iter().flat_map(|(_, own)| logits(own, 1)).collect();
    assert!(logits(&numbers, expected.len()) == own);
}

#[test]
fn a_prompt_that_repeats_one_without_numbers_has_none_either() {
    let mut prompts = prompts();
    let japanese = prompts.iter().position(|prompt| prompt.text.contains(INPUTS[3])).unwrap();
    let mut control = prompts[japanese].clone();
    control.key.input = "another".into();
    control.key.wording = -3;
    prompts.insert(0, control);
    let tokens = |text: &str| tiny::tokenizer().encode(text, 0..0).unwrap().ids;
    let others = prompts.iter().filter(|prompt| !prompt.text.contains(INPUTS[3]));
    let others: Vec<i32> = others.flat_map(|prompt| tokens(&prompt.text)).collect();
    let flaw = tokens(INPUTS[3]).into_iter().find(|id| !others.contains(id));
    let flaw = flaw.expect("a token that no other input has");
    let echo = Echo { flaw: Some(i64::from(flaw)), ..Echo::default() };
    let extraction = Extraction::of(&on(echo), config(true, 0), &prompts);
    let part = extraction.part(&SKIPPED, None, &["input", "task", "reason"]);
    let inputs = part.texts("input").unwrap();
    let skipped: Vec<&str> = (0..part.rows()).map(|row| inputs.value(row)).collect();
    assert_eq!(skipped, ["another", "input-3", "input-3", "input-3"]);
    assert_eq!(extraction.ear.skipped.lock().unwrap().len(), 4);
}

use aqlens::stages::tokens::{Config, Tokens};
use aqlens::table::schema::NEXT_TOKENS;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, problems_of, prompt, valid};

const COLUMNS: [&str; 7] = ["input", "task", "rank", "token_id", "token", "probability", "logprob"];

fn tokens(top_k: usize) -> Tokens {
    valid(|at, facts, problems| Config { top_k }.validate(at, facts, problems))
}

fn write(run: &FakeRun, prompts: &[FakePrompt], logits: &dyn Fn(&FakePrompt) -> Vec<f32>) {
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits,
    };
    run.write_shard(0, prompts, &numbers);
}

/// The rows as `task rank token_id probability`.
fn rows(run: &FakeRun) -> Vec<String> {
    let part = run.read(&NEXT_TOKENS, 0, &COLUMNS);
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {:.4}",
                part.texts("task").unwrap().value(row),
                part.int16s("rank").unwrap().value(row),
                part.int32s("token_id").unwrap().value(row),
                part.float64s("probability").unwrap().value(row),
            )
        })
        .collect()
}

#[test]
fn tokens_come_by_probability_and_ties_by_id() {
    let run = FakeRun::new();
    let ln2 = std::f32::consts::LN_2;
    // 1/4 for token 6, 1/8 for six others: the ties are broken upwards.
    write(&run, &[prompt("i", "a", 2)], &|_| vec![0.0, 0.0, 0.0, -f32::MAX, 0.0, 0.0, ln2, 0.0]);
    run.run(&tokens(3), 0).unwrap();
    assert_eq!(rows(&run), ["a 1 6 0.2500", "a 2 0 0.1250", "a 3 1 0.1250"]);
}

#[test]
fn the_softmax_is_over_the_whole_vocabulary_not_the_listed_tokens() {
    let run = FakeRun::new();
    write(&run, &[prompt("i", "a", 2)], &|_| vec![3.0; 8]);
    run.run(&tokens(2), 0).unwrap();
    assert_eq!(rows(&run), ["a 1 0 0.1250", "a 2 1 0.1250"]);
    let part = run.read(&NEXT_TOKENS, 0, &COLUMNS);
    let logprob = part.float64s("logprob").unwrap().value(0);
    assert!((logprob - 0.125_f64.ln()).abs() < 1e-15, "{logprob}");
}

#[test]
fn a_skipped_prompt_has_no_rows_and_shifts_no_others() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "a", 2), prompt("i", "b", 9).skipped(), prompt("i", "c", 3)];
    let one_hot =
        |p: &FakePrompt| (0..8).map(|id| if id == p.tokens.len() { 50.0 } else { 0.0 }).collect();
    write(&run, &prompts, &one_hot);
    let outcome = run.run(&tokens(1), 0).unwrap();
    assert_eq!(rows(&run), ["a 1 2 1.0000", "c 1 3 1.0000"]);
    assert_eq!(outcome.units, 2);
}

#[test]
fn every_wording_has_its_tokens() {
    let run = FakeRun::new();
    write(&run, &[prompt("i", "a", 2), prompt("i", "a", 3).wording(1)], &|_| vec![0.0; 8]);
    run.run(&tokens(1), 0).unwrap();
    let part = run.read(&NEXT_TOKENS, 0, &["wording"]);
    assert_eq!(part.int16s("wording").unwrap().values(), &[0, 1]);
}

#[test]
fn token_text_keeps_its_leading_space() {
    let mut run = FakeRun::new();
    let spaced = (0..500)
        .find(|id| run.tokenizer().decode_token(*id).starts_with(' '))
        .expect("the tiny tokenizer has words with a leading space");
    run.card.vocab_size = 500;
    write(&run, &[prompt("i", "a", 2)], &|_| {
        (0..500).map(|id| if id == spaced { 9.0 } else { 0.0 }).collect()
    });
    run.run(&tokens(1), 0).unwrap();
    let part = run.read(&NEXT_TOKENS, 0, &COLUMNS);
    assert_eq!(part.texts("token").unwrap().value(0), run.tokenizer().decode_token(spaced));
}

#[test]
fn more_tokens_than_the_vocabulary_has_are_all_of_it() {
    let run = FakeRun::new();
    write(&run, &[prompt("i", "a", 2)], &|_| vec![0.0; 8]);
    run.run(&tokens(30_000), 0).unwrap();
    assert_eq!(rows(&run).len(), 8);
}

#[test]
fn logits_of_other_prompts_are_refused() {
    let run = FakeRun::new();
    let (a, b) = (prompt("i", "a", 2), prompt("i", "b", 2));
    write(&run, &[b.clone(), a.clone()], &|_| vec![0.0; 8]);
    let name = "tables/logits/part-00000.parquet";
    let swapped = run.store.read(name).unwrap();
    write(&run, &[a, b], &|_| vec![0.0; 8]);
    run.store.write(name, &swapped).unwrap();
    let message = run.run(&tokens(1), 0).unwrap_err().to_string();
    assert!(message.contains("does not have prompt s/i/a in row 0"), "{message}");
}

#[test]
fn a_logit_that_is_not_finite_is_refused_by_name() {
    let run = FakeRun::new();
    write(&run, &[prompt("i", "a", 2)], &|_| vec![0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let message = run.run(&tokens(1), 0).unwrap_err().to_string();
    assert!(message.contains("not finite") && message.contains("s/i/a"), "{message}");
}

#[test]
fn no_rank_is_a_problem() {
    for (top_k, is_valid) in [(1, true), (32_767, true), (0, false), (32_768, false)] {
        let problems = problems_of(|at, problems| {
            Config { top_k }.validate(at, &facts(), problems);
        });
        assert_eq!(problems.is_empty(), is_valid, "{problems:?}");
    }
}

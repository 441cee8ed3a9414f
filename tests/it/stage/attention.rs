use aqlens::stage::Stage as _;
use aqlens::stages::attention::{Attention, Config, Heads, Layers};
use aqlens::table::schema::{ATTENTION_FOCUS, ATTENTION_OVERLAP};

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, problems_of, prompt, valid};

fn attention(config: &Config) -> Attention {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

fn top_2() -> Config {
    Config { top_k: 2, ..Config::default() }
}

fn run_on(
    prompts: &[FakePrompt],
    config: &Config,
    weights: &dyn Fn(&FakePrompt, i16, i16) -> Vec<f32>,
) -> FakeRun {
    let run = FakeRun::new();
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: weights,
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    run.run(&attention(config), 0).unwrap();
    run
}

/// The rows as `task layer head rank position weight gap`.
fn focus(run: &FakeRun) -> Vec<String> {
    let columns = ["task", "layer", "head", "rank", "position", "weight", "gap"];
    let part = run.read(&ATTENTION_FOCUS, 0, &columns);
    let gaps: Vec<Option<f64>> = part.float64s("gap").unwrap().iter().collect();
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {} {} {:.4} {}",
                part.texts("task").unwrap().value(row),
                part.int16s("layer").unwrap().value(row),
                part.int16s("head").unwrap().value(row),
                part.int16s("rank").unwrap().value(row),
                part.int32s("position").unwrap().value(row),
                part.float64s("weight").unwrap().value(row),
                gaps[row].map_or("null".into(), |gap| format!("{gap:.4}")),
            )
        })
        .collect()
}

/// The rows as `layer head task_a task_b value k status`.
fn overlap(run: &FakeRun) -> Vec<String> {
    let columns = ["input", "layer", "head", "task_a", "task_b", "measure", "value", "k", "status"];
    let part = run.read(&ATTENTION_OVERLAP, 0, &columns);
    let values: Vec<Option<f64>> = part.float64s("value").unwrap().iter().collect();
    (0..part.rows())
        .map(|row| {
            let measure = part.texts("measure").unwrap().value(row).trim_start_matches("jaccard");
            format!(
                "{} {} {} {} {} {} {}{measure}",
                part.int16s("layer").unwrap().value(row),
                part.int16s("head").unwrap().value(row),
                part.texts("task_a").unwrap().value(row),
                part.texts("task_b").unwrap().value(row),
                values[row].map_or("null".into(), |value| format!("{value:.3}")),
                part.int32s("k").unwrap().value(row),
                part.texts("status").unwrap().value(row),
            )
        })
        .collect()
}

/// Both heads of every layer look alike.
fn same(weights: &'static [f32]) -> impl Fn(&FakePrompt, i16, i16) -> Vec<f32> {
    |_, _, _| weights.to_vec()
}

#[test]
fn the_focus_is_on_the_mean_over_heads_of_the_last_layer() {
    let weights = |_: &FakePrompt, layer: i16, head: i16| match (layer, head) {
        (3, 0) => vec![0.5, 0.375, 0.125, 0.0],
        (3, _) => vec![0.0, 0.125, 0.375, 0.5],
        _ => vec![1.0, 0.0, 0.0, 0.0],
    };
    let run = run_on(&[prompt("i", "a", 4)], &Config { top_k: 3, ..Config::default() }, &weights);
    let expected =
        ["a 3 -1 1 0 0.2500 0.0000", "a 3 -1 2 1 0.2500 0.0000", "a 3 -1 3 2 0.2500 0.0000"];
    assert_eq!(focus(&run), expected, "ties go to the lower position");
}

#[test]
fn the_gap_says_how_far_the_next_position_is_behind() {
    let run = run_on(&[prompt("i", "a", 4)], &top_2(), &same(&[0.125, 0.5, 0.0625, 0.3125]));
    assert_eq!(focus(&run), ["a 3 -1 1 1 0.5000 0.1875", "a 3 -1 2 3 0.3125 0.1875"]);
}

#[test]
fn a_short_prompt_has_all_its_positions_and_no_gap() {
    let run = run_on(&[prompt("i", "a", 2)], &top_2(), &same(&[0.25, 0.75]));
    assert_eq!(focus(&run), ["a 3 -1 1 1 0.7500 null", "a 3 -1 2 0 0.2500 null"]);
}

#[test]
fn focus_tokens_are_those_at_the_positions() {
    let run = run_on(&[prompt("i", "a", 4)], &top_2(), &same(&[0.1, 0.2, 0.6, 0.1]));
    let part = run.read(&ATTENTION_FOCUS, 0, &["token_id", "token"]);
    assert_eq!(part.int32s("token_id").unwrap().values(), &[12, 11]);
    let tokens: Vec<&str> = part.texts("token").unwrap().iter().flatten().collect();
    assert_eq!(tokens, [12, 11].map(|id| run.tokenizer().decode_token(id)));
    assert!(!tokens[0].is_empty());
}

/// Task `a` looks at 0 and 1, `b` at 1 and 2, any other at 0 and 1.
fn by_task(prompt: &FakePrompt, _: i16, _: i16) -> Vec<f32> {
    let mut weights = vec![0.0; prompt.tokens.len()];
    let shift = usize::from(prompt.task == "b");
    for weight in weights.iter_mut().skip(shift).take(2) {
        *weight = 0.5;
    }
    weights
}

#[test]
fn overlaps_are_of_absolute_positions_pair_by_pair() {
    let prompts = [prompt("i", "b", 3), prompt("i", "a", 4), prompt("i", "c", 5)];
    let run = run_on(&prompts, &top_2(), &by_task);
    let expected = ["3 -1 b a 0.333 2 ok", "3 -1 b c 0.333 2 ok", "3 -1 a c 1.000 2 ok"];
    assert_eq!(overlap(&run), expected);
}

#[test]
fn a_prompt_that_is_all_focus_or_skipped_has_no_overlap() {
    let prompts = [prompt("i", "a", 3), prompt("i", "b", 2), prompt("i", "c", 9).skipped()];
    let run = run_on(&prompts, &top_2(), &by_task);
    let expected =
        ["3 -1 a b null 2 too_few_keys", "3 -1 a c null 2 skipped", "3 -1 b c null 2 skipped"];
    assert_eq!(overlap(&run), expected);
    assert!(focus(&run).iter().all(|row| !row.starts_with('c')));
}

/// The input stands behind tasks of two and of four tokens; the last token looks at position 0, at
/// the input's second token, at the task's last token and at itself, in this order.
#[test]
fn aligned_positions_are_those_of_the_same_tokens() {
    let config = Config { top_k: 3, aligned: true, ..Config::default() };
    let of = |task: &str, segments: &str| {
        let mut prompt = prompt("i", task, segments.len() as i32).segments(segments);
        let first = segments.find('i').unwrap();
        prompt.tokens[first..first + 2].copy_from_slice(&[300, 301]);
        prompt
    };
    let looks = |prompt: &FakePrompt, _: i16, _: i16| {
        let (first, last) = (prompt.segments.find('i').unwrap(), prompt.tokens.len() - 1);
        let task = prompt.segments.rfind('t').unwrap();
        let mut weights = vec![0.01; prompt.tokens.len()];
        (weights[0], weights[first + 1], weights[task]) = (0.5, 0.2, 0.15);
        weights[last] = 0.1;
        weights
    };
    let prompts = [of("a", "ttffiiee"), of("b", "ttttffiiee")];
    let expected = [
        // Position 0 alone.
        "3 -1 a b 0.200 3 ok",
        "3 -1 a b 1.000 3 ok_aligned",
        "3 -1 a b 1.000 3 ok_no_sink",
    ];
    assert_eq!(overlap(&run_on(&prompts, &config, &looks)), expected);

    // Other tokens of the input cannot stand for these.
    let mut other = of("c", "ttttffiiee");
    other.tokens[7] = 9;
    let expected = [
        "3 -1 a c 0.200 3 ok",
        "3 -1 a c null 3 no_alignment_aligned",
        "3 -1 a c null 3 no_alignment_no_sink",
    ];
    assert_eq!(overlap(&run_on(&[of("a", "ttffiiee"), other], &config, &looks)), expected);

    // Four tokens leave one outside a set of three, but none outside one without position 0.
    let short = [of("a", "tiie"), of("b", "tiie")];
    let rows = overlap(&run_on(&short, &config, &looks));
    assert_eq!(rows[1..], ["3 -1 a b 1.000 3 ok_aligned", "3 -1 a b null 3 too_few_keys_no_sink"]);
}

#[test]
fn the_first_token_does_not_make_sets_alike_without_it() {
    let config = Config { top_k: 1, aligned: true, ..Config::default() };
    let looks = |prompt: &FakePrompt, _: i16, _: i16| match prompt.task.as_str() {
        "a" => vec![0.7, 0.3, 0.0],
        _ => vec![0.7, 0.0, 0.3],
    };
    let prompts = ["a", "b"].map(|task| prompt("i", task, 3).segments("tii"));
    let expected =
        ["3 -1 a b 1.000 1 ok", "3 -1 a b 1.000 1 ok_aligned", "3 -1 a b 0.000 1 ok_no_sink"];
    assert_eq!(overlap(&run_on(&prompts, &config, &looks)), expected);
}

#[test]
fn every_head_and_layer_is_there_when_asked_for() {
    let (layers, heads) = (Layers::Captured, Heads::All);
    let config = Config { top_k: 1, layers, heads, aligned: false };
    let weights = |_: &FakePrompt, layer: i16, head: i16| {
        let mut weights = vec![0.0; 8];
        weights[(layer * 2 + head) as usize] = 1.0;
        weights
    };
    let prompts = [prompt("i", "a", 8), prompt("i", "b", 8)];
    let run = run_on(&prompts, &config, &weights);
    let places: Vec<String> = overlap(&run)
        .iter()
        .map(|row| row.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = ["0 -1", "0 0", "0 1", "2 -1", "2 0", "2 1", "3 -1", "3 0", "3 1"];
    assert_eq!(places, expected);
    let of_heads: Vec<String> = focus(&run)
        .into_iter()
        .filter(|row| row.starts_with("a ") && !row.contains("-1"))
        .collect();
    let expected = [
        "a 0 0 1 0 1.0000 1.0000",
        "a 0 1 1 1 1.0000 1.0000",
        "a 2 0 1 4 1.0000 1.0000",
        "a 2 1 1 5 1.0000 1.0000",
        "a 3 0 1 6 1.0000 1.0000",
        "a 3 1 1 7 1.0000 1.0000",
    ];
    assert_eq!(of_heads, expected);
}

#[test]
fn a_table_of_another_shape_is_refused() {
    let run = run_on(&[prompt("i", "a", 3)], &top_2(), &by_task);
    let mut wider = FakeRun::new();
    wider.card.n_head = 3;
    let name = "tables/attention/part-00000.parquet";
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &by_task,
        logits: &|_| vec![0.0; 8],
    };
    wider.write_shard(0, &[prompt("i", "a", 3)], &numbers);
    run.store.write(name, &wider.store.read(name).unwrap()).unwrap();
    let message = run.run(&attention(&top_2()), 0).unwrap_err().to_string();
    assert!(message.contains("heads 0 to 1 of layer 3 of prompt s/i/a"), "{message}");

    wider.card.n_head = 2;
    wider.write_shard(0, &[prompt("i", "other", 3)], &numbers);
    run.store.write(name, &wider.store.read(name).unwrap()).unwrap();
    let message = run.run(&attention(&top_2()), 0).unwrap_err().to_string();
    assert!(message.contains("does not have prompt s/i/a in row 0"), "{message}");
}

#[test]
fn a_focus_set_that_leaves_nothing_out_is_a_problem() {
    let problems = |top_k| {
        problems_of(|at, problems| {
            Config { top_k, ..Config::default() }.validate(at, &facts(), problems);
        })
    };
    assert_eq!(problems(63), [""; 0]);
    assert_eq!(problems(0), ["stages[1].top_k: top_k 0 is not between 1 and 32767"]);
    let expected =
        "stages[1].top_k: top_k 64 is not less than the model's longest prompt, 64 tokens";
    assert_eq!(problems(64), [expected]);
}

#[test]
fn every_setting_is_part_of_the_fingerprint() {
    let settings = |config: &Config| attention(config).settings().to_string();
    let default = settings(&Config::default());
    assert_eq!(default, r#"{"aligned":false,"heads":"mean","layers":"last","top_k":5}"#);
    assert_ne!(default, settings(&top_2()));
}

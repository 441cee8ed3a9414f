//! The measures of stage `similarity` beside the notebook's: what must hold for any vectors.

use std::collections::BTreeMap;

use aqlens::stage::Stage as _;
use aqlens::stage::compare::vector_measure::Choice;
use aqlens::stages::similarity::{Config, Similarity};
use aqlens::table::schema::SIMILARITY;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, noise, problems_of, prompt, valid};

const ALL: [&str; 19] = [
    "flat",
    "token",
    "last",
    "span",
    "token_centred",
    "last_centred",
    "span_centred",
    "token_standardised",
    "last_standardised",
    "span_standardised",
    "token_rel_l2",
    "last_rel_l2",
    "span_rel_l2",
    "token_log_norm_ratio",
    "last_log_norm_ratio",
    "span_log_norm_ratio",
    "token_rogue_share",
    "last_rogue_share",
    "span_rogue_share",
];

fn all() -> Similarity {
    let config = Config { measures: vec![Choice::All] };
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// Task in front, three tokens of the input, the end.
fn framed(input: &str, task: &str) -> FakePrompt {
    prompt(input, task, 6).segments("ttiiie")
}

fn seed(prompt: &FakePrompt, layer: i16, position: usize) -> u64 {
    let names = prompt.input.bytes().chain(prompt.task.bytes());
    let base = names.fold(7_u64, |seed, byte| seed.wrapping_mul(131).wrapping_add(byte.into()));
    base ^ ((layer as u64) << 40) ^ ((position as u64) << 20)
}

fn random(prompt: &FakePrompt, layer: i16, position: usize) -> Vec<f32> {
    (0..4).map(|d| noise(seed(prompt, layer, position) + d)).collect()
}

fn run_with(
    run: &FakeRun,
    prompts: &[FakePrompt],
    activations: &dyn Fn(&FakePrompt, i16, usize) -> Vec<f32>,
) {
    let numbers = Numbers {
        activations,
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    run.run(&all(), 0).unwrap();
}

/// `(value, n, status)` by measure, of one pair on layer 2.
fn cells(run: &FakeRun) -> BTreeMap<String, (Option<f64>, i64, String)> {
    let columns = ["layer", "measure", "value", "n", "status"];
    let part = run.read(&SIMILARITY, 0, &columns);
    let text = |name: &str, row| part.texts(name).unwrap().value(row).to_owned();
    let values: Vec<Option<f64>> = part.float64s("value").unwrap().iter().collect();
    let n = part.int64s("n").unwrap().values();
    (0..part.rows())
        .filter(|row| part.int16s("layer").unwrap().value(*row) == 2)
        .map(|row| (text("measure", row), (values[row], n[row], text("status", row))))
        .collect()
}

#[test]
fn equal_prompts_are_exactly_alike_by_every_measure() {
    let run = FakeRun::new();
    run.write_reference(&|_, d| (0.1 * d as f64, 0.5 + d as f64));
    let same = |p: &FakePrompt, l: i16, t: usize| {
        random(&FakePrompt { task: String::new(), ..p.clone() }, l, t)
    };
    run_with(&run, &[framed("i", "a"), framed("i", "b")], &same);
    let cells = cells(&run);
    assert_eq!(cells.len(), ALL.len());
    for (measure, (value, _, status)) in cells {
        let expected = match measure.as_str() {
            m if m.ends_with("rel_l2") || m.ends_with("log_norm_ratio") => Some(0.0),
            m if m.ends_with("rogue_share") => value.filter(|v| (0.75..=1.0).contains(v)),
            _ => Some(1.0),
        };
        assert_eq!((value, status.as_str()), (expected, "ok"), "{measure}");
    }
}

#[test]
fn swapping_the_tasks_leaves_every_value_as_it_was() {
    let by_order = |order: [&str; 2]| {
        let run = FakeRun::new();
        run.write_reference(&|_, d| (0.1 * d as f64, 0.5 + d as f64));
        run_with(&run, &order.map(|task| framed("i", task)), &random);
        cells(&run)
    };
    assert_eq!(by_order(["a", "b"]), by_order(["b", "a"]));
}

#[test]
fn a_huge_offset_that_all_share_hides_the_difference_until_it_is_taken_off() {
    let run = FakeRun::new();
    run.write_reference(&|_, _| (1e4, 2.0));
    // The tasks point in directions that have nothing to do with each other.
    let offset = |p: &FakePrompt, _: i16, _: usize| {
        let own = if p.task == "a" { [1.0, 1.0, 1.0, 1.0] } else { [1.0, -1.0, 1.0, -1.0] };
        own.map(|x: f32| x + 1e4).to_vec()
    };
    run_with(&run, &[framed("i", "a"), framed("i", "b")], &offset);
    let cells = cells(&run);
    for (measure, (value, ..)) in &cells {
        let value = value.unwrap();
        match measure.as_str() {
            "flat" | "token" | "last" | "span" => assert!(value > 0.999_999, "{measure} {value}"),
            m if m.ends_with("centred") || m.ends_with("standardised") => {
                assert!(value.abs() < 1e-12, "{measure} {value}");
            }
            _ => {}
        }
    }
}

#[test]
fn an_input_in_front_of_its_task_is_refused_where_its_tokens_are_compared() {
    let run = FakeRun::new();
    let behind = |task: &str, last| FakePrompt {
        tokens: vec![10, 11, 12, last, 14],
        ..prompt("i", task, 5).segments("iiite")
    };
    let causal = |p: &FakePrompt, l: i16, t: usize| {
        if t < 3 { vec![1.0, 2.0, 3.0, 4.0] } else { random(p, l, t) }
    };
    run_with(&run, &[behind("a", 20), behind("b", 21)], &causal);
    for (measure, (value, n, status)) in cells(&run) {
        let expected = if measure.starts_with("token") || measure.starts_with("span") {
            (false, "no_alignment")
        } else if measure.ends_with("centred") || measure.ends_with("standardised") {
            (false, "no_reference")
        } else {
            (true, "ok")
        };
        assert_eq!((value.is_some(), status.as_str()), expected, "{measure}");
        assert_eq!(n > 0, value.is_some(), "{measure}");
    }
}

#[test]
fn prompts_that_cut_the_input_into_other_tokens_are_not_compared_on_it() {
    let run = FakeRun::new();
    let other = FakePrompt { tokens: vec![10, 11, 12, 99, 14, 15], ..framed("i", "b") };
    run_with(&run, &[framed("i", "a"), other], &random);
    let cells = cells(&run);
    assert_eq!(cells["token"], (None, 0, "no_alignment".to_owned()));
    assert_eq!(cells["span"].2, "no_alignment");
    assert_eq!((cells["last"].2.as_str(), cells["flat"].2.as_str()), ("ok", "ok"));
}

#[test]
fn without_a_reference_only_what_needs_one_has_no_value() {
    let run = FakeRun::new();
    run_with(&run, &[framed("i", "a"), framed("i", "b")], &random);
    for (measure, (value, _, status)) in cells(&run) {
        let needs = measure.ends_with("centred") || measure.ends_with("standardised");
        let expected = if needs { (false, "no_reference") } else { (true, "ok") };
        assert_eq!((value.is_some(), status.as_str()), expected, "{measure}");
    }
}

#[test]
fn a_prompt_that_did_not_run_says_so_before_anything_else() {
    let run = FakeRun::new();
    let skipped = prompt("i", "b", 6).segments("iiiiie").skipped();
    run_with(&run, &[framed("i", "a"), skipped], &random);
    assert!(
        cells(&run)
            .values()
            .all(|(value, n, status)| { (*value, *n, status.as_str()) == (None, 0, "skipped") })
    );
}

#[test]
fn dimensions_that_do_not_vary_are_left_out_of_the_standardised_measures() {
    let run = FakeRun::new();
    run.write_reference(&|_, d| (0.0, if d == 3 { 0.0 } else { 1.0 }));
    // The fourth dimension alone would decide.
    let fourth = |p: &FakePrompt, _: i16, _: usize| {
        vec![1.0, 2.0, 3.0, if p.task == "a" { 1e6 } else { -1e6 }]
    };
    run_with(&run, &[framed("i", "a"), framed("i", "b")], &fourth);
    let cells = cells(&run);
    assert_eq!(cells["span_standardised"], (Some(1.0), 3, "ok".to_owned()));
    assert_eq!(cells["token_standardised"].1, 9, "three tokens of three dimensions");
    assert!(cells["span_centred"].0.unwrap() < -0.999);
    assert_eq!((cells["span_centred"].1, cells["token"].1, cells["last"].1), (4, 12, 4));
}

#[test]
fn a_vector_that_is_the_reference_itself_has_no_direction() {
    let run = FakeRun::new();
    run.write_reference(&|_, d| (d as f64, 1.0));
    let mean = |p: &FakePrompt, l: i16, t: usize| {
        if p.task == "a" { vec![0.0, 1.0, 2.0, 3.0] } else { random(p, l, t) }
    };
    run_with(&run, &[framed("i", "a"), framed("i", "b")], &mean);
    assert_eq!(cells(&run)["last_centred"], (None, 4, "zero_norm".to_owned()));
    assert_eq!(cells(&run)["last"].2, "ok");
}

#[test]
fn flat_is_measured_whatever_else_is_asked_for() {
    let config = Config { measures: vec![Choice::Span] };
    let stage = valid(|at, facts, problems| config.validate(at, facts, problems));
    assert_eq!(stage.settings()["measures"], serde_json::json!(["flat", "span"]));
    assert_eq!(all().settings()["measures"], serde_json::json!(ALL));
    let stage = valid(|at, facts, problems| Config::default().validate(at, facts, problems));
    assert_eq!(stage.settings()["measures"], serde_json::json!(["flat"]));
}

#[test]
fn measures_that_are_named_twice_or_not_at_all_are_told() {
    let told = |measures: Vec<Choice>| {
        let config = Config { measures };
        problems_of(|at, problems| {
            assert!(config.validate(at, &facts(), problems).is_none());
        })
    };
    assert_eq!(told(vec![]), ["stages[1].measures: no measure is named"]);
    assert_eq!(
        told(vec![Choice::Span, Choice::Last, Choice::Span]),
        ["stages[1].measures[2]: measure 'span' is named twice"]
    );
}

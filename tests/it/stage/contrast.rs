use std::collections::BTreeMap;

use aqlens::stage::compare::vector_measure::Choice;
use aqlens::stages::contrast::{Config, Contrast};
use aqlens::table::schema::{CONTRAST, WORDING_PAIRS};
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type};

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, noise, problems_of, prompt, valid};

fn contrast(measures: &[Choice]) -> Contrast {
    let config = Config { measures: measures.to_vec() };
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

fn framed(task: &str, wording: i16) -> FakePrompt {
    prompt("i", task, 5).segments("ttiie").wording(wording)
}

/// Unit vectors in a plane, at an angle that depends on task and wording alone.
fn angle(task: &str, wording: i16) -> f64 {
    f64::from(noise(u64::from(task.as_bytes()[0]) * 64 + (wording + 8) as u64))
}

fn at_angle(prompt: &FakePrompt, _: i16, _: usize) -> Vec<f32> {
    let angle = angle(&prompt.task, prompt.wording);
    vec![angle.cos() as f32, angle.sin() as f32, 0.0, 0.0]
}

fn run_on(prompts: &[FakePrompt], measures: &[Choice]) -> FakeRun {
    let run = FakeRun::new();
    let numbers = Numbers {
        activations: &at_angle,
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    run.run(&contrast(measures), 0).unwrap();
    run
}

/// `(value, n_pairs, status)` by measure and contrast, on layer 0.
fn rows(run: &FakeRun) -> BTreeMap<(String, String), (Option<f64>, i64, String)> {
    let columns = ["layer", "measure", "contrast", "value", "n_pairs", "status"];
    let part = run.read(&CONTRAST, 0, &columns);
    let text = |name: &str, row| part.texts(name).unwrap().value(row).to_owned();
    let values: Vec<Option<f64>> = part.float64s("value").unwrap().iter().collect();
    let n = part.int64s("n_pairs").unwrap().values();
    (0..part.rows())
        .filter(|row| part.int16s("layer").unwrap().value(*row) == 0)
        .map(|row| {
            let key = (text("measure", row), text("contrast", row));
            (key, (values[row], n[row], text("status", row)))
        })
        .collect()
}

fn row(run: &FakeRun, measure: &str, contrast: &str) -> (Option<f64>, i64, String) {
    rows(run)[&(measure.to_owned(), contrast.to_owned())].clone()
}

/// Tasks, places of tasks and values of the only input on layer 0: `None` without values.
fn wordings(run: &FakeRun) -> (Vec<i32>, Option<Vec<f64>>, String) {
    let part = run.read(&WORDING_PAIRS, 0, &["layer", "tasks", "values", "status"]);
    let (tasks, values) = (part.lists("tasks").unwrap(), part.lists("values").unwrap());
    let tasks = tasks.value(0).as_primitive::<Int32Type>().values().to_vec();
    let is_there = values.is_valid(0);
    let values = values.value(0).as_primitive::<Float64Type>().values().to_vec();
    (tasks, is_there.then_some(values), part.texts("status").unwrap().value(0).to_owned())
}

fn close(found: Option<f64>, expected: &[f64]) -> bool {
    let mean = expected.iter().sum::<f64>() / expected.len() as f64;
    (found.unwrap() - mean).abs() < 1e-7
}

fn cosine(a: (&str, i16), b: (&str, i16)) -> f64 {
    (angle(a.0, a.1) - angle(b.0, b.1)).cos()
}

#[test]
fn each_contrast_is_the_mean_over_its_own_pairs() {
    let prompts: Vec<FakePrompt> =
        ["a", "b"].iter().flat_map(|t| [0, 1, -1, -2, -3].map(|w| framed(t, w))).collect();
    let run = run_on(&prompts, &[Choice::Span, Choice::Flat]);
    for measure in ["span", "flat"] {
        let (between, n, _) = row(&run, measure, "between");
        let all = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(v, w)| cosine(("a", v), ("b", w)));
        assert!(close(between, &all) && n == 4);
        let (paraphrase, n, _) = row(&run, measure, "paraphrase");
        assert!(close(paraphrase, &["a", "b"].map(|t| cosine((t, 0), (t, 1)))) && n == 2);
        for (contrast, wording) in [("neutral", -1), ("scrambled", -2), ("other_input", -3)] {
            let (value, n, status) = row(&run, measure, contrast);
            let own = ["a", "b"].map(|task| cosine((task, 0), (task, wording)));
            assert!(close(value, &own) && n == 2 && status == "ok", "{measure} {contrast}");
        }
    }
    let (tasks, values, status) = wordings(&run);
    assert_eq!((tasks.as_slice(), status.as_str()), ([0, 0, 1, 1].as_slice(), "ok"));
    let keys = [("a", 0), ("a", 1), ("b", 0), ("b", 1)];
    let expected = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    for (value, (a, b)) in values.unwrap().into_iter().zip(expected) {
        assert!((value - cosine(keys[a], keys[b])).abs() < 1e-7);
    }
}

#[test]
fn a_control_is_compared_with_the_wording_that_it_was_made_from() {
    let of_task = |task: &str, base: i16| {
        [framed(task, 0), framed(task, 1), framed(task, -1), framed(task, -3).made_from(base)]
    };
    let prompts: Vec<FakePrompt> = [of_task("a", 1), of_task("b", 0)].concat();
    let run = run_on(&prompts, &[Choice::Span]);
    let expected = [cosine(("a", 1), ("a", -3)), cosine(("b", 0), ("b", -3))];
    assert!(close(row(&run, "span", "other_input").0, &expected));
    assert!(close(row(&run, "span", "neutral").0, &["a", "b"].map(|t| cosine((t, 0), (t, -1)))));
    let part = run.read(&CONTRAST, 0, &["contrast", "places", "values"]);
    let (places, values) = (part.lists("places").unwrap(), part.lists("values").unwrap());
    let (mut controls, mut others) = (0, 0);
    for row in 0..part.rows() {
        let places = places.value(row).as_primitive::<Int32Type>().values().to_vec();
        let own = values.value(row).as_primitive::<Float64Type>().values().to_vec();
        match part.texts("contrast").unwrap().value(row) {
            "other_input" => {
                controls += 1;
                assert_eq!(places, [1, 2], "among the tasks' prompts");
                assert!(own.iter().zip(expected).all(|(own, wanted)| (own - wanted).abs() < 1e-7));
            }
            "neutral" => assert_eq!((places, own.len()), (vec![0, 2], 2)),
            _ => {
                others += 1;
                assert!(places.is_empty() && values.is_null(row));
            }
        }
    }
    assert_eq!((controls, others), (2, 6), "on two layers");
}

#[test]
fn what_the_pipeline_does_not_ask_for_is_a_row_that_says_so() {
    let run = run_on(&[framed("a", 0), framed("b", 0)], &[Choice::Last]);
    assert_eq!(row(&run, "last", "between").1, 1);
    for contrast in ["paraphrase", "neutral", "scrambled", "other_input"] {
        assert_eq!(row(&run, "last", contrast), (None, 0, "no_pairs".to_owned()), "{contrast}");
    }
    let run = run_on(&[framed("a", 0)], &[Choice::Last]);
    assert_eq!(row(&run, "last", "between"), (None, 0, "no_pairs".to_owned()));
    assert_eq!(wordings(&run), (vec![0], None, "no_pairs".to_owned()));
}

#[test]
fn another_input_is_compared_as_a_whole_and_never_token_by_token() {
    let run = run_on(
        &[framed("a", 0), framed("b", 0), FakePrompt { tokens: vec![1; 5], ..framed("a", -3) }],
        &[Choice::Token, Choice::Span],
    );
    assert_eq!(row(&run, "token", "other_input"), (None, 0, "no_alignment".to_owned()));
    assert_eq!(row(&run, "span", "other_input").2, "ok");
    assert_eq!(row(&run, "token", "between").2, "ok");
}

#[test]
fn a_skipped_prompt_leaves_the_pairs_without_it() {
    let prompts = [framed("a", 0), framed("a", 1), framed("b", 0), framed("b", 1).skipped()];
    let run = run_on(&prompts, &[Choice::Last]);
    let (between, n, status) = row(&run, "last", "between");
    let left = [0, 1].map(|wording| cosine(("a", wording), ("b", 0)));
    assert!(close(between, &left) && n == 2 && status == "ok");
    assert_eq!(row(&run, "last", "paraphrase").1, 1);
    assert_eq!(wordings(&run), (vec![0, 0, 1, 1], None, "skipped".to_owned()));
    let run = run_on(&[framed("a", 0), framed("b", 0).skipped()], &[Choice::Last]);
    assert_eq!(row(&run, "last", "between"), (None, 0, "skipped".to_owned()));
}

#[test]
fn only_cosines_can_be_contrasted() {
    let config = Config { measures: vec![Choice::Span, Choice::SpanRelL2] };
    let told = problems_of(|at, problems| {
        assert!(config.validate(at, &facts(), problems).is_none());
    });
    assert_eq!(told, ["stages[1].measures[1]: measure 'span_rel_l2' cannot be used here"]);
    let all = contrast(&[Choice::All]);
    let settings = aqlens::stage::Stage::settings(&all);
    assert_eq!(settings["measures"].as_array().unwrap().len(), 10);
}

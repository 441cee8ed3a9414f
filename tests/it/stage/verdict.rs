//! The verdict that rests on table `effect`.

use std::sync::Arc;

use aqlens::run_dir::summary::{Evidence, EvidenceVerdict, Summaries, Verdict};
use aqlens::stages::summary::{Config, Summary};
use aqlens::table::schema::{DIVERGENCE, EFFECT, VERDICT};
use aqlens::table::writer::PartAddress;
use arrow::array::{ArrayRef, Int64Array};

use super::evidence::{Rows, floats};
use super::fixture::{FakeRun, facts, int16s, problems_of, texts, valid};

/// One row of table `effect`, against wordings.
#[derive(Debug, Clone)]
struct Effect {
    layer: i16,
    delta: f64,
    interval: Option<(f64, f64)>,
    p: f64,
    p_wording: Option<f64>,
    n_inputs: i64,
    ways: i64,
    wordings: i64,
    status: &'static str,
}

/// A clear effect of 200 inputs and three wordings.
const CLEAR: Effect = Effect {
    layer: 2,
    delta: 0.12,
    interval: Some((0.1, 0.14)),
    p: 0.0001,
    p_wording: Some(0.0036),
    n_inputs: 200,
    ways: 280,
    wordings: 3,
    status: "ok",
};

fn write_effect(run: &FakeRun, measure: &str, effects: &[Effect]) {
    let n = effects.len();
    let number = |of: &dyn Fn(&Effect) -> Option<f64>| {
        floats(effects.iter().map(|e| of(e).filter(|_| e.status == "ok")))
    };
    let count = |of: &dyn Fn(&Effect) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(effects.iter().map(of)))
    };
    let same = |text: &'static str| texts(std::iter::repeat_n(text, n));
    let columns = vec![
        same("s"),
        int16s(effects.iter().map(|e| e.layer)),
        texts(std::iter::repeat_n(measure, n)),
        same("paraphrase"),
        count(&|e| e.n_inputs),
        number(&|_| Some(0.5)),
        number(&|_| Some(0.4)),
        number(&|e| Some(e.delta)),
        number(&|e| e.interval.map(|interval| interval.0)),
        number(&|e| e.interval.map(|interval| interval.1)),
        same("bca"),
        number(&|_| Some(1.0)),
        number(&|_| Some(0.9)),
        number(&|_| Some(0.8)),
        // The verdict rests on the corrected p: this one is to be left alone.
        number(&|_| Some(0.5)),
        number(&|e| Some(e.p)),
        number(&|_| Some(0.5)),
        count(&|_| 10_000),
        number(&|_| Some(0.5)),
        number(&|e| e.p_wording),
        count(&|e| e.ways),
        count(&|e| e.wordings),
        texts(effects.iter().map(|e| e.status)),
    ];
    run.write(PartAddress::new(&EFFECT, 0), columns);
}

/// A scenario whose mean flat cosine is `flat` on layer 2.
fn write_divergence(run: &FakeRun, flat: f64) {
    let count = |n: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![n])) };
    let number = |value: f64| floats([Some(value)].into_iter());
    let columns = vec![
        texts(["s"].into_iter()),
        int16s([2].into_iter()),
        texts(["flat"].into_iter()),
        count(1),
        count(1),
        number(flat),
        number(0.0),
        number(flat),
        number(flat),
    ];
    run.write(PartAddress::new(&DIVERGENCE, 0), columns);
}

fn config(measure: &str) -> Config {
    Config { measures: vec![measure.to_owned()], ..Config::default() }
}

fn stage(config: &Config) -> Summary {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// Judges these effects of measure `span`, beside a flat cosine that the notebook supports or not.
fn judge_beside(flat: f64, config: &Config, effects: &[Effect]) -> Evidence {
    let run = FakeRun::new();
    write_divergence(&run, flat);
    write_effect(&run, "span", effects);
    run.run(&stage(config), 0).unwrap();
    let text = run.store.read("summary.json").unwrap();
    let mut scenarios = serde_json::from_slice::<Summaries>(&text).unwrap().scenarios;
    let summary = scenarios.remove(0);
    let expected = if flat < 0.9 { Verdict::Supported } else { Verdict::NotSupported };
    assert_eq!((summary.verdict, summary.evidence.len()), (expected, 1));
    summary.evidence.into_iter().next().unwrap()
}

fn judge(effects: &[Effect]) -> Evidence {
    judge_beside(0.5, &config("span"), effects)
}

#[test]
fn a_difference_that_holds_over_inputs_and_wordings_is_supported() {
    let weak = Effect { layer: 0, delta: 0.01, interval: Some((-0.01, 0.03)), p: 0.4, ..CLEAR };
    let evidence = judge(&[weak, CLEAR]);
    assert_eq!(evidence.verdict, EvidenceVerdict::Supported);
    assert_eq!((evidence.layer, evidence.delta, evidence.ci_low), (2, Some(0.12), Some(0.1)));
    assert_eq!((evidence.p, evidence.p_wording), (Some(0.0001), Some(0.0036)));
    assert_eq!((evidence.layers, evidence.n_inputs, evidence.n_wordings), (vec![0, 2], 200, 3));
    assert_eq!(
        evidence.reason,
        "on 1 of 2 layers prompts of different tasks are further apart than wordings of one task, \
         more than chance makes them: most at layer 2, delta 0.1200 (95 % interval 0.1000 to 0.1400) \
         over 200 inputs of 3 wordings; p 0.0001 over inputs and 0.0036 over 280 ways to deal the \
         wordings out, corrected over layers"
    );
    assert_eq!(evidence.disagreement, None, "the notebook's test says supported too");
}

/// Each of the three must hold, on one and the same layer.
#[test]
fn what_lacks_one_leg_is_undecided() {
    let legs = [
        (Effect { interval: Some((-0.001, 0.2)), ..CLEAR }, "the interval is not above 0"),
        (Effect { p: 0.05, ..CLEAR }, "it does not hold over inputs"),
        (Effect { p_wording: Some(0.2), ..CLEAR }, "wordings dealt out at random do as well"),
        (Effect { interval: None, ..CLEAR }, "the interval is not above 0"),
    ];
    for (effect, lacking) in &legs {
        let evidence = judge(std::slice::from_ref(effect));
        assert_eq!(evidence.verdict, EvidenceVerdict::Undecided, "{lacking}");
        assert!(evidence.reason.contains(lacking), "{}", evidence.reason);
        let why = evidence.disagreement.unwrap();
        assert!(why.starts_with("the notebook's test says supported"), "{why}");
    }
    let split = [legs[0].0.clone(), Effect { layer: 0, ..legs[2].0.clone() }];
    assert_eq!(judge(&split).verdict, EvidenceVerdict::Undecided);
}

#[test]
fn a_difference_too_small_to_matter_on_every_layer_is_equivalent() {
    let small = Effect { delta: 0.004, interval: Some((0.001, 0.007)), ..CLEAR };
    let bound = Config { equivalence: Some(0.02), ..config("span") };
    let evidence = judge_beside(0.5, &bound, std::slice::from_ref(&small));
    assert_eq!(evidence.verdict, EvidenceVerdict::Equivalent);
    assert_eq!(evidence.equivalence, Some(0.02));
    assert!(evidence.reason.contains("to within 0.02"), "{}", evidence.reason);
    assert!(evidence.disagreement.unwrap().starts_with("the notebook's test says supported"));
    // Without a bound it is there, however small: clear over inputs and wordings.
    assert_eq!(judge(std::slice::from_ref(&small)).verdict, EvidenceVerdict::Supported);
    let other = Effect { layer: 0, interval: Some((0.01, 0.03)), ..small.clone() };
    let both = judge_beside(0.5, &bound, &[other, small]);
    assert_eq!(both.verdict, EvidenceVerdict::Supported, "one layer reaches beyond the bound");
}

#[test]
fn a_design_that_cannot_show_it_says_what_to_add() {
    let of = |effect: Effect| {
        let evidence = judge(&[effect]);
        assert_eq!(evidence.verdict, EvidenceVerdict::NotTestable);
        assert_eq!(
            evidence.disagreement.as_deref(),
            Some("the notebook's test answers all the same, since it asks for no baseline")
        );
        evidence.reason
    };
    let none = Effect { status: "no_pairs", wordings: 1, ways: 0, n_inputs: 0, ..CLEAR };
    assert!(of(none).contains("give every task two `wordings` or more"));
    let few = Effect { n_inputs: 4, interval: None, ..CLEAR };
    assert!(of(few).contains("4 inputs cannot show it: below 5"));
    let ways = Effect { ways: 15, wordings: 2, p_wording: Some(0.0667), ..CLEAR };
    assert!(of(ways).contains("there are only 15 ways"));
    let unaligned = Effect { status: "no_reference", n_inputs: 0, ways: 0, wordings: 3, ..CLEAR };
    assert!(of(unaligned).starts_with("no input has a value: there is"));
}

/// Two tasks with the same text: every difference is 0.
#[test]
fn identical_tasks_are_never_supported() {
    let run = FakeRun::new();
    write_divergence(&run, 1.0);
    let same = Effect { status: "constant", p_wording: None, ways: 0, ..CLEAR };
    write_effect(&run, "span", &[same]);
    run.run(&stage(&config("span")), 0).unwrap();
    let rows = Rows(run.read(&VERDICT, 0, &["verdict", "value"]));
    assert_eq!([0, 1].map(|row| rows.text("verdict", row)), ["not_supported", "not_testable"]);
}

#[test]
fn the_notebooks_test_is_told_off_where_it_misses_a_difference() {
    let evidence = judge_beside(0.99, &config("span"), &[CLEAR]);
    assert_eq!(evidence.verdict, EvidenceVerdict::Supported);
    let why = evidence.disagreement.unwrap();
    assert!(why.starts_with("the notebook's test says not supported"), "{why}");
}

#[test]
fn layers_that_were_not_named_do_not_count() {
    let named = Config { layers: Some(vec![0]), ..config("span") };
    let weak = Effect { layer: 0, p: 0.4, ..CLEAR };
    let evidence = judge_beside(0.5, &named, &[weak, CLEAR]);
    assert_eq!((evidence.verdict, evidence.layers), (EvidenceVerdict::Undecided, vec![0]));
    // What the model says in the end belongs to no layer.
    let output = Effect { layer: -1, ..CLEAR };
    let evidence = judge_beside(0.5, &named, &[output]);
    assert_eq!(evidence.verdict, EvidenceVerdict::Supported);
    assert!(evidence.reason.starts_with("in what the model says next prompts"), "{evidence:?}");
}

#[test]
fn a_run_without_baselines_says_what_it_lacks() {
    let run = FakeRun::new();
    write_divergence(&run, 0.5);
    run.run(&stage(&Config::default()), 0).unwrap();
    let columns: Vec<&str> = VERDICT.columns.iter().map(|column| column.name).collect();
    let rows = Rows(run.read(&VERDICT, 0, &columns));
    assert_eq!(rows.0.rows(), 2);
    assert_eq!([rows.text("measure", 1), rows.text("verdict", 1)], ["effect", "not_testable"]);
    assert!(rows.text("reason", 1).contains("add the stages `reference`, `contrast` and `effect`"));
    assert_eq!((rows.number("threshold", 0), rows.number("threshold", 1)), (Some(0.9), None));
}

#[test]
fn a_measure_that_the_table_lacks_is_not_testable() {
    let evidence = judge_beside(0.5, &config("spam"), &[CLEAR]);
    assert_eq!(evidence.verdict, EvidenceVerdict::NotTestable);
    assert!(evidence.reason.contains("table effect has no rows of spam"), "{}", evidence.reason);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let config = Config {
        measures: vec!["span".to_owned(), "span".to_owned()],
        layers: Some(vec![0, 4]),
        equivalence: Some(0.0),
    };
    let found = problems_of(|at, problems| {
        config.validate(at, &facts(), problems);
    });
    assert_eq!(
        found,
        [
            "stages[1].measures[1]: measure 'span' is named twice",
            "stages[1].layers[1]: layer 4 is not from 0 to 3",
            "stages[1].equivalence: equivalence 0 is not above 0",
        ]
    );
}

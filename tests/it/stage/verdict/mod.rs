//! The verdict that rests on table `effect`.

mod scale;
mod unseen;

use std::sync::Arc;

use aqlens::run_dir::summary::{Evidence, EvidenceVerdict, RULE, Summaries, Verdict};
use aqlens::stages::summary::{Config, SmallestConfig, Summary};
use aqlens::table::schema::{DIVERGENCE, EFFECT, VERDICT};
use aqlens::table::writer::PartAddress;
use arrow_array::{ArrayRef, Int64Array};

use super::evidence::{Rows, floats};
use crate::support::file;

use super::fixture::{FakeRun, facts, int16s, problems_of, prompt, texts, valid};

/// One row of table `effect`; made from inputs and wordings by stage `effect`.
#[derive(Debug, Clone)]
struct Effect {
    layer: i16,
    contrast: &'static str,
    delta: f64,
    interval: Option<(f64, f64)>,
    /// On the scale from another wording to another input.
    relative: Option<(f64, f64, f64)>,
    p: f64,
    p_wording: Option<f64>,
    n_inputs: i64,
    n_clusters: i64,
    ways: i64,
    beyond: &'static [&'static str],
    warning: &'static str,
    status: &'static str,
}

/// A clear effect of 200 inputs.
const CLEAR: Effect = Effect {
    layer: 2,
    contrast: "paraphrase",
    delta: 0.12,
    interval: Some((0.1, 0.14)),
    relative: Some((0.3, 0.25, 0.35)),
    p: 0.0001,
    p_wording: Some(0.0036),
    n_inputs: 200,
    n_clusters: 200,
    ways: 280,
    beyond: &[],
    warning: "",
    status: "ok",
};

/// Three tasks of three wordings.
const THREE_BY_THREE: &[usize] = &[3, 3, 3];

fn write_effect(run: &FakeRun, measure: &str, effects: &[Effect]) {
    let n = effects.len();
    let number = |of: &dyn Fn(&Effect) -> Option<f64>| {
        floats(effects.iter().map(|e| of(e).filter(|_| e.status == "ok")))
    };
    let count = |of: &dyn Fn(&Effect) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(effects.iter().map(of)))
    };
    let same = |text: &'static str| texts(std::iter::repeat_n(text, n));
    let beyond: Vec<String> =
        effects.iter().map(|e| serde_json::to_string(e.beyond).unwrap()).collect();
    let column = |name: &str| match name {
        "scenario" => same("s"),
        "layer" => int16s(effects.iter().map(|e| e.layer)),
        "measure" => texts(std::iter::repeat_n(measure, n)),
        "contrast" => texts(effects.iter().map(|e| e.contrast)),
        "n_inputs" => count(&|e| e.n_inputs),
        "n_clusters" => count(&|e| e.n_clusters),
        "n_wordings" => count(&|_| 3),
        "delta" => number(&|e| Some(e.delta)),
        "ci_low" => number(&|e| e.interval.map(|interval| interval.0)),
        "ci_high" => number(&|e| e.interval.map(|interval| interval.1)),
        "ci_method" => same("crossed"),
        "ci_inputs_method" => same("bca"),
        "relative" => number(&|e| e.relative.map(|relative| relative.0)),
        "relative_low" => number(&|e| e.relative.map(|relative| relative.1)),
        "relative_high" => number(&|e| e.relative.map(|relative| relative.2)),
        "smallest" => number(&|e| e.relative.map(|_| 0.04)),
        "n_beyond" => {
            let of = |e: &Effect| e.relative.map(|_| e.beyond.len() as i64);
            Arc::new(effects.iter().map(of).collect::<Int64Array>())
        }
        "beyond" => texts(beyond.iter().map(String::as_str)),
        "p_joint" => number(&|e| Some(e.p)),
        "p_wording_joint" => number(&|e| e.p_wording),
        "n_permutations" => count(&|_| 10_000),
        "n_reassignments" => count(&|e| e.ways),
        "warning" => texts(effects.iter().map(|e| e.warning)),
        "status" => texts(effects.iter().map(|e| e.status)),
        // The verdict rests on none of the others: no p without a correction, no interval over inputs.
        _ => number(&|_| Some(0.5)),
    };
    let columns = EFFECT.columns.iter().map(|of| column(of.name)).collect();
    run.write(PartAddress::new(&EFFECT, 0), columns);
}

/// The prompts of one input, with so many wordings of each task.
fn write_prompts(run: &FakeRun, sizes: &[usize]) {
    let prompts = sizes.iter().enumerate().flat_map(|(task, wordings)| {
        (0..*wordings).map(move |wording| {
            prompt("i", &format!("t{task}"), 4).segments("ittt").wording(wording as i16)
        })
    });
    run.write_prompts(0, &prompts.collect::<Vec<_>>());
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
        number(0.1),
    ];
    run.write(PartAddress::new(&DIVERGENCE, 0), columns);
}

fn config(measure: &str) -> Config {
    Config { measures: vec![measure.to_owned()], ..Config::default() }
}

fn stage(config: &Config) -> Summary {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// Judges these effects of measure `span` and of a design, beside a flat cosine that the notebook
/// supports or not.
fn judge_design(flat: f64, config: &Config, effects: &[Effect], sizes: &[usize]) -> Evidence {
    let run = FakeRun::new();
    write_effect(&run, "span", effects);
    judge_run(&run, flat, config, sizes)
}

/// Likewise, the effects being of the one measure that `config` names.
fn judge_named(flat: f64, config: &Config, effects: &[Effect]) -> Evidence {
    let run = FakeRun::new();
    write_effect(&run, &config.measures[0], effects);
    judge_run(&run, flat, config, THREE_BY_THREE)
}

fn judge_run(run: &FakeRun, flat: f64, config: &Config, sizes: &[usize]) -> Evidence {
    write_divergence(run, flat);
    write_prompts(run, sizes);
    run.run(&stage(config), 0).unwrap();
    let text = run.store.read("summary.json").unwrap();
    let mut scenarios = serde_json::from_slice::<Summaries>(&text).unwrap().scenarios;
    let summary = scenarios.remove(0);
    let expected = if flat < 0.9 { Verdict::Supported } else { Verdict::NotSupported };
    assert_eq!((summary.verdict, summary.evidence.len()), (expected, 1));
    summary.evidence.into_iter().next().unwrap()
}

fn judge_beside(flat: f64, config: &Config, effects: &[Effect]) -> Evidence {
    judge_design(flat, config, effects, THREE_BY_THREE)
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
    assert_eq!((evidence.layers, evidence.n_clusters, evidence.n_wordings), (vec![0, 2], 200, 3));
    assert_eq!(
        evidence.reason,
        "on 1 of 2 layers prompts of different tasks are further apart than wordings of one task, \
         more than chance makes them: most at layer 2, delta 0.1200 (95 % interval 0.1000 to \
         0.1400), 0.300 of the way from another wording to another input, 0.250 to 0.350, over 200 \
         inputs and at least 3 wordings a task; p 0.0001 over inputs and 0.0036 over 280 ways to \
         deal the wordings out, corrected over all that is judged"
    );
    assert_eq!(evidence.disagreement, None, "the notebook's test says supported too");
}

/// The code, the report and the page of the measure quote one text.
#[test]
fn the_rule_stands_on_its_page_word_for_word() {
    let page = std::fs::read_to_string(file("docs/measures/effect.md")).unwrap();
    for (word, when) in RULE {
        assert!(page.contains(&format!("| `{word}` | {when} |")), "{word}: {when}");
    }
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
    let interval = Some((0.001, 0.007));
    let small = Effect { delta: 0.004, interval, relative: Some((0.01, 0.0025, 0.0175)), ..CLEAR };
    let evidence = judge(std::slice::from_ref(&small));
    assert_eq!(evidence.verdict, EvidenceVerdict::Equivalent);
    assert_eq!(evidence.smallest, Some(0.04));
    let says =
        "tasks differ more than wordings of one task do, by less than matters (0.1 of the way";
    assert!(evidence.reason.starts_with(says), "{}", evidence.reason);
    assert!(evidence.disagreement.unwrap().starts_with("the notebook's test says supported"));
    // In the measure's own unit, and without a scale.
    let alone = Effect { relative: None, ..small.clone() };
    let undecided = judge(std::slice::from_ref(&alone));
    assert_eq!(undecided.verdict, EvidenceVerdict::Supported, "no size was named: {undecided:?}");
    let own = |size| Config {
        smallest: Some(SmallestConfig::Own([("span".into(), size)].into())),
        ..config("span")
    };
    let bound = Effect { relative: Some((9.0, 9.0, 9.0)), ..small.clone() };
    for (size, verdict) in [
        (0.02, EvidenceVerdict::Equivalent),
        (0.005, EvidenceVerdict::Undecided),
        (0.003, EvidenceVerdict::Supported),
    ] {
        let evidence = judge_beside(0.5, &own(size), std::slice::from_ref(&bound));
        assert_eq!(evidence.verdict, verdict, "{size}: {}", evidence.reason);
    }
    let other = Effect { layer: 0, relative: Some((0.08, 0.05, 0.11)), ..small.clone() };
    let both = judge(&[other, small]);
    assert_eq!(both.verdict, EvidenceVerdict::Undecided, "one layer reaches beyond the bound");
    assert!(both.reason.contains("it is smaller than what matters"), "{}", both.reason);
}

#[test]
fn single_inputs_that_differ_are_named_and_keep_tasks_from_being_equivalent() {
    let small =
        Effect { interval: Some((-0.001, 0.007)), relative: Some((0.01, -0.01, 0.0175)), ..CLEAR };
    let some = Effect { beyond: &["i7", "i9"], ..small.clone() };
    let evidence = judge(&[small, some.clone()]);
    assert_eq!(evidence.verdict, EvidenceVerdict::Undecided);
    let says = "2 of 200 inputs by themselves differ by more than matters on layer 2: i7, i9";
    assert!(evidence.reason.contains(says), "{}", evidence.reason);
    assert_eq!(evidence.beyond, ["i7", "i9"]);
    let allowed = Config { exceptions: 0.01, ..config("span") };
    let evidence = judge_beside(0.5, &allowed, std::slice::from_ref(&some));
    assert_eq!(evidence.verdict, EvidenceVerdict::Equivalent);
    assert!(evidence.reason.contains(says), "named all the same: {}", evidence.reason);
}

#[test]
fn what_is_to_be_known_of_the_wordings_form_stands_beside_the_verdict() {
    let warned = Effect { warning: "the wordings have no length in common", ..CLEAR };
    let evidence = judge(&[warned]);
    assert_eq!(evidence.verdict, EvidenceVerdict::Supported);
    assert!(evidence.reason.ends_with("; note: the wordings have no length in common"));
    assert_eq!(evidence.warning, "the wordings have no length in common");
}

/// Whatever the numbers say: a design that cannot decide does not.
#[test]
fn a_design_that_cannot_show_it_says_what_to_add() {
    let of = |effect: Effect, sizes: &[usize]| {
        let evidence = judge_design(0.5, &config("span"), &[effect], sizes);
        assert_eq!(evidence.verdict, EvidenceVerdict::NotTestable);
        assert_eq!(
            evidence.disagreement.as_deref(),
            Some("the notebook's test answers all the same, since it asks for no baseline")
        );
        evidence.reason
    };
    let none = Effect { status: "no_pairs", ways: 0, n_inputs: 0, n_clusters: 0, ..CLEAR };
    assert!(of(none, &[1, 1]).contains("give every task 4 wordings or more"));
    let few = Effect { n_clusters: 4, interval: None, ..CLEAR };
    assert!(of(few, THREE_BY_THREE).contains("4 independent inputs (200 inputs, of which copies"));
    let small =
        Effect { interval: Some((-1e-9, 1e-9)), relative: Some((0.0, -1e-9, 1e-9)), ..CLEAR };
    let copies = Effect { n_clusters: 1, ..small };
    assert!(of(copies, &[1, 2]).contains("one wording"), "equivalent is not said of it either");
    assert!(of(CLEAR, &[2, 2, 2]).contains("in 15 ways only"));
    assert!(of(CLEAR, &[3, 3]).contains("in 10 ways only"));
    let unaligned = Effect { status: "no_reference", n_inputs: 0, n_clusters: 0, ways: 0, ..CLEAR };
    assert!(of(unaligned, THREE_BY_THREE).starts_with("no input has a value: there is"));
    assert_eq!(
        judge_design(0.5, &config("span"), &[CLEAR], &[3, 5]).verdict,
        EvidenceVerdict::Supported,
        "56 ways are enough"
    );
}

/// Two tasks with the same text: every difference is 0.
#[test]
fn identical_tasks_are_never_supported() {
    let run = FakeRun::new();
    write_divergence(&run, 1.0);
    let same = Effect { status: "constant", p_wording: None, ways: 0, ..CLEAR };
    write_effect(&run, "span", &[same]);
    write_prompts(&run, THREE_BY_THREE);
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
    write_prompts(&run, THREE_BY_THREE);
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
        smallest: Some(SmallestConfig::Relative(-0.1)),
        exceptions: 1.0,
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
            "stages[1].smallest: -0.1 is no size of a difference: it is not above 0",
            "stages[1].equivalence: 0 is no size of a difference: it is not above 0",
            "stages[1].equivalence: `equivalence` and `smallest` both say which difference matters",
            "stages[1].exceptions: exceptions 1 is not a share from 0 to below 1",
        ]
    );
}

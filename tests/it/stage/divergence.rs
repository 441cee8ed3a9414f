use aqlens::stage::Stage as _;
use aqlens::stage::compare::vector_measure::Choice;
use aqlens::stages::divergence::{Config, Divergence};
use aqlens::stages::similarity;
use aqlens::table::schema::DIVERGENCE;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, noise, problems_of, prompt, valid};

const COLUMNS: [&str; 9] =
    ["scenario", "layer", "measure", "n_inputs", "n_pairs", "mean", "sd", "min", "max"];

fn divergence() -> Divergence {
    valid(|at, facts, problems| Config::default().validate(at, facts, problems))
}

/// Unit vectors in a plane: the cosine of two one-token prompts is that of their angles' difference.
fn at_angle(prompt: &FakePrompt, layer: i16, _: usize) -> Vec<f32> {
    let seed: u64 = prompt.input.bytes().chain(prompt.task.bytes()).map(u64::from).sum();
    let angle = noise(seed * 64 + layer as u64);
    vec![angle.cos(), angle.sin(), 0.0, 0.0]
}

/// Writes the shards and reduces them.
fn reduce(shards: &[&[FakePrompt]]) -> FakeRun {
    reduce_measures(shards, &similarity::Config::default())
}

fn reduce_measures(shards: &[&[FakePrompt]], config: &similarity::Config) -> FakeRun {
    let mut run = FakeRun::new();
    run.shards = shards.len() as u32;
    let similarity = valid(|at, facts, problems| config.validate(at, facts, problems));
    let numbers = Numbers {
        activations: &at_angle,
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    for (part, prompts) in (0..).zip(shards) {
        run.write_shard(part, prompts, &numbers);
        run.run(&similarity, part).unwrap();
    }
    run.run(&divergence(), 0).unwrap();
    run
}

fn input(id: &str, tasks: &[&str]) -> Vec<FakePrompt> {
    tasks.iter().map(|task| prompt(id, task, 1)).collect()
}

/// The rows as `scenario layer measure n_inputs n_pairs`.
fn rows(run: &FakeRun) -> Vec<String> {
    let part = run.read(&DIVERGENCE, 0, &COLUMNS);
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                part.texts("scenario").unwrap().value(row),
                part.int16s("layer").unwrap().value(row),
                part.texts("measure").unwrap().value(row),
                part.int64s("n_inputs").unwrap().value(row),
                part.int64s("n_pairs").unwrap().value(row),
            )
        })
        .collect()
}

fn column(run: &FakeRun, name: &str) -> Vec<Option<f64>> {
    run.read(&DIVERGENCE, 0, &COLUMNS).float64s(name).unwrap().iter().collect()
}

#[test]
fn a_layer_is_the_mean_over_inputs_and_pairs() {
    let tasks = ["a", "b", "c"];
    let run = reduce(&[&[input("i", &tasks), input("j", &tasks)].concat()]);
    assert_eq!(rows(&run), ["s 0 flat 2 6", "s 2 flat 2 6"]);
    let angles = |id: &str| {
        tasks.map(|task| {
            let v = at_angle(&prompt(id, task, 1), 2, 0);
            f64::from(v[1]).atan2(f64::from(v[0]))
        })
    };
    let cosines: Vec<f64> = ["i", "j"]
        .iter()
        .flat_map(|id| {
            let [a, b, c] = angles(id);
            [(a - b).cos(), (a - c).cos(), (b - c).cos()]
        })
        .collect();
    let mean = cosines.iter().sum::<f64>() / 6.0;
    let sd = (cosines.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
    let extremes = [f64::min, f64::max].map(|f| cosines.iter().copied().reduce(f).unwrap());
    for (name, expected) in [("mean", mean), ("sd", sd), ("min", extremes[0]), ("max", extremes[1])]
    {
        let found = column(&run, name)[1].unwrap();
        assert!((found - expected).abs() < 1e-7, "{name}: {found} {expected}");
    }
}

#[test]
fn how_inputs_are_cut_into_shards_does_not_show() {
    let tasks = ["a", "b", "c"];
    let inputs: Vec<Vec<FakePrompt>> =
        ["i", "j", "k", "l"].iter().map(|id| input(id, &tasks)).collect();
    let whole = reduce(&[&inputs.concat()]);
    let cut = reduce(&[&inputs[0], &inputs[1..3].concat(), &inputs[3]]);
    let name = "tables/divergence/part-00000.parquet";
    assert_eq!(whole.store.read(name).unwrap(), cut.store.read(name).unwrap());
}

#[test]
fn scenarios_stand_in_the_pipelines_order_also_across_shards() {
    let zoo = |id| input(id, &["a", "b"]).into_iter().map(|p| p.of("zoo")).collect::<Vec<_>>();
    let ant = |id| input(id, &["a", "b"]).into_iter().map(|p| p.of("ant")).collect::<Vec<_>>();
    let run = reduce(&[&zoo("i"), &[zoo("j"), ant("i")].concat()]);
    assert_eq!(
        rows(&run),
        ["zoo 0 flat 2 2", "zoo 2 flat 2 2", "ant 0 flat 1 1", "ant 2 flat 1 1"]
    );
}

#[test]
fn a_scenario_without_a_pair_keeps_its_rows() {
    let skipped = vec![prompt("j", "a", 1), prompt("j", "b", 9).skipped()];
    let skipped: Vec<FakePrompt> = skipped.into_iter().map(|p| p.of("skipped")).collect();
    let run = reduce(&[&[input("i", &["alone"]), skipped].concat()]);
    let expected = ["s 0 flat 0 0", "s 2 flat 0 0", "skipped 0 flat 0 0", "skipped 2 flat 0 0"];
    assert_eq!(rows(&run), expected);
    for name in ["mean", "sd", "min", "max"] {
        assert_eq!(column(&run, name), [None; 4], "{name}");
    }
}

#[test]
fn every_scenario_has_rows_for_every_measure_that_any_has() {
    let config = similarity::Config { measures: vec![Choice::Last, Choice::Span] };
    let alone: Vec<FakePrompt> =
        input("i", &["alone"]).into_iter().map(|p| p.of("first")).collect();
    let run = reduce_measures(&[&alone, &input("j", &["a", "b"])], &config);
    let expected = [
        "first 0 flat 0 0",
        "first 0 last 0 0",
        "first 0 span 0 0",
        "first 2 flat 0 0",
        "first 2 last 0 0",
        "first 2 span 0 0",
        "s 0 flat 1 1",
        "s 0 last 1 1",
        "s 0 span 0 0",
        "s 2 flat 1 1",
        "s 2 last 1 1",
        "s 2 span 0 0",
    ];
    assert_eq!(rows(&run), expected, "the input stands in front of its task: no span");
}

#[test]
fn one_pair_has_a_mean_and_no_deviation() {
    let run = reduce(&[&input("i", &["a", "b"])]);
    assert!(column(&run, "mean")[0].is_some());
    assert_eq!(column(&run, "sd"), [None; 2]);
}

#[test]
fn a_threshold_that_no_cosine_can_be_below_is_a_problem() {
    for (threshold, is_valid) in
        [(0.9, true), (1.0, true), (-0.999, true), (-1.0, false), (1.01, false), (f64::NAN, false)]
    {
        let problems = problems_of(|at, problems| {
            Config { threshold }.validate(at, &facts(), problems);
        });
        assert_eq!(problems.is_empty(), is_valid, "{problems:?}");
    }
    let problems = problems_of(|at, problems| {
        Config { threshold: 90.0 }.validate(at, &facts(), problems);
    });
    let expected = "stages[1].threshold: threshold 90 is not above -1 and at most 1";
    assert_eq!(problems, [expected]);
}

#[test]
fn the_threshold_changes_no_receipt_of_divergence() {
    let other =
        valid(|at, facts, problems| Config { threshold: 0.5 }.validate(at, facts, problems));
    assert_eq!(divergence().settings(), other.settings());
    assert!((other.threshold() - 0.5).abs() < 1e-15);
}

use aqlens::stage::Stage as _;
use aqlens::stages::sinks::{Config, Sinks};
use aqlens::table::schema::SINKS;
use arrow_array::Array as _;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, problems_of, prompt, valid};

fn sinks(config: &Config) -> Sinks {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// The rows on layer 2 as `task position segment norm ratio share attention kind status`.
fn rows(run: &FakeRun) -> Vec<String> {
    let columns = [
        "task",
        "layer",
        "position",
        "segment",
        "norm",
        "norm_ratio",
        "norm_share",
        "attention",
        "kind",
        "status",
    ];
    let part = run.read(&SINKS, 0, &columns);
    let text = |name: &str, row: usize| {
        let texts = part.texts(name).unwrap();
        if texts.is_null(row) { "null".to_owned() } else { texts.value(row).to_owned() }
    };
    let number = |name: &str, row: usize| {
        let values = part.float64s(name).unwrap();
        if values.is_null(row) { "null".to_owned() } else { format!("{:.3}", values.value(row)) }
    };
    let row = |row: usize| {
        let position = part.int32s("position").unwrap().value(row);
        let numbers = ["norm", "norm_ratio", "norm_share", "attention"].map(|n| number(n, row));
        let [task, segment, kind, status] =
            ["task", "segment", "kind", "status"].map(|name| text(name, row));
        format!("{task} {position} {segment} {} {kind} {status}", numbers.join(" "))
    };
    let layers = part.int16s("layer").unwrap();
    (0..part.rows()).filter(|row| layers.value(*row) == 2).map(row).collect()
}

/// Runs the stage on prompts whose positions are as long as `norms` says, and whose two heads give
/// `weights` and what is left of 1 to the last token.
fn run_on(
    prompts: &[FakePrompt],
    norms: &dyn Fn(&FakePrompt) -> Vec<f32>,
    weights: &dyn Fn(&FakePrompt, i16) -> Vec<f32>,
    config: &Config,
) -> Vec<String> {
    let run = FakeRun::new();
    let numbers = Numbers {
        // Of length 5 and of length 1, so that a norm is no single number.
        activations: &|p, _, at| [3.0, 0.0, -4.0, 0.0].map(|x| x * norms(p)[at] / 5.0).to_vec(),
        attention: &|p, _, head| {
            let mut weights = weights(p, head);
            weights.push(1.0 - weights.iter().sum::<f32>());
            weights
        },
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    run.run(&sinks(config), 0).unwrap();
    rows(&run)
}

#[test]
fn a_sink_is_long_or_looked_at_and_position_0_is_always_there() {
    let norms = |p: &FakePrompt| match p.task.as_str() {
        "a" => vec![40.0, 2.0, 1.0, 2.0, 9.0, 2.0],
        _ => vec![1.0, 2.0, 2.0, 2.0, 2.0, 7.0],
    };
    let weights = |p: &FakePrompt, head: i16| match (p.task.as_str(), head) {
        // The mean of the heads counts: 0.5, and 0.25 of one head that gives it half.
        ("a", 0) => vec![0.4, 0.5, 0.0, 0.0, 0.1],
        ("a", _) => vec![0.6, 0.0, 0.0, 0.0, 0.1],
        // The last token gives itself most.
        _ => vec![0.0, 0.0, 0.35, 0.0, 0.0],
    };
    let prompts = [
        prompt("i", "a", 6).segments("ttfiie"),
        prompt("i", "b", 6).segments("ttfiie"),
        prompt("i", "c", 6).segments("ttfiie").skipped(),
    ];
    let found = run_on(&prompts, &norms, &weights, &Config::default());
    let expected = [
        // Medians 2; squared norms 1600 + 4 + 1 + 4 + 81 + 4, and 1 + 4 * 4 + 49.
        "a 0 t 40.000 20.000 0.945 0.500 both ok",
        "a 4 i 9.000 4.500 0.048 0.100 norm ok",
        "b 0 t 1.000 0.500 0.015 0.000 none ok",
        "b 2 f 2.000 1.000 0.061 0.350 attention ok",
        "b 5 e 7.000 3.500 0.742 0.650 norm ok",
        "c 0 null null null null null null skipped",
    ];
    assert_eq!(found, expected);
    let strict = Config { norm_ratio: 10.0, attention: 0.6 };
    let found = run_on(&prompts, &norms, &weights, &strict);
    let expected = [
        "a 0 t 40.000 20.000 0.945 0.500 norm ok",
        "b 0 t 1.000 0.500 0.015 0.000 none ok",
        "c 0 null null null null null null skipped",
    ];
    assert_eq!(found, expected);
}

#[test]
fn prompts_without_lengths_have_no_ratio() {
    let norms = |p: &FakePrompt| match p.task.as_str() {
        "half" => vec![3.0, 0.0, 0.0],
        "all" => vec![0.0; 3],
        _ => vec![4.0],
    };
    let weights = |p: &FakePrompt, _: i16| vec![0.0; p.tokens.len() - 1];
    let prompts = [prompt("i", "half", 3), prompt("i", "all", 3), prompt("i", "one", 1)];
    let found = run_on(&prompts, &norms, &weights, &Config::default());
    let expected = [
        "half 0 i 3.000 null 1.000 0.000 none zero_norm",
        "all 0 i 0.000 null null 0.000 none zero_norm",
        "one 0 i 4.000 1.000 1.000 1.000 none ok",
    ];
    assert_eq!(found, expected);
}

#[test]
fn thresholds_that_make_all_or_nothing_a_sink_are_refused() {
    let problems = |norm_ratio: f64, attention: f64| {
        problems_of(|at, problems| {
            _ = Config { norm_ratio, attention }.validate(at, &facts(), problems);
        })
    };
    assert_eq!(problems(1.5, 0.01), [""; 0]);
    let expected = [
        "stages[1].norm_ratio: norm_ratio 1 is not above 1",
        "stages[1].attention: attention 1 is not a share between 0 and 1",
    ];
    assert_eq!(problems(1.0, 1.0), expected);
    assert_eq!(problems(f64::NAN, 0.0).len(), 2);
    let settings = sinks(&Config::default()).settings();
    assert_eq!(settings, serde_json::json!({ "norm_ratio": 3.0, "attention": 0.3 }));
}

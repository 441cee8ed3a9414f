use aqlens::stage::Stage as _;
use aqlens::stages::outputs::{Config, Outputs};
use aqlens::table::reader::Part;
use aqlens::table::schema::{
    OUTPUT_CONTRAST, OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN, OUTPUT_WORDING_PAIRS,
};
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type};
use proptest::prelude::*;

use super::fixture::{FakePrompt, FakeRun, Numbers, noise, problems_of, prompt, valid};

const NUMBERS: [&str; 12] = [
    "jsd_bits",
    "kl_ab",
    "kl_ba",
    "total_variation",
    "entropy_a_bits",
    "entropy_b_bits",
    "overlap_5",
    "overlap_10",
    "overlap_50",
    "rbo_ext",
    "rbo_min",
    "rbo_residual",
];

fn outputs(top_tokens: usize) -> Outputs {
    valid(|at, facts, problems| Config { top_tokens }.validate(at, facts, problems))
}

/// Runs the stage on made-up logits, over as many tokens as the first prompt has.
fn run_on(
    prompts: &[FakePrompt],
    top_tokens: usize,
    logits: &dyn Fn(&FakePrompt) -> Vec<f32>,
) -> FakeRun {
    let mut run = FakeRun::new();
    run.card.vocab_size = logits(&prompts[0]).len();
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits,
    };
    run.write_shard(0, prompts, &numbers);
    run.run(&outputs(top_tokens), 0).unwrap();
    run
}

fn floats(part: &Part, column: &str) -> Vec<Option<f64>> {
    part.float64s(column).unwrap().iter().collect()
}

fn texts<'p>(part: &'p Part, column: &str) -> Vec<&'p str> {
    part.texts(column).unwrap().iter().flatten().collect()
}

/// A column of `output_divergence`.
fn column(run: &FakeRun, name: &str) -> Vec<Option<f64>> {
    floats(&run.read(&OUTPUT_DIVERGENCE, 0, &[name]), name)
}

/// The contrasts as `input contrast value n_pairs status`.
fn contrasts(run: &FakeRun) -> Vec<String> {
    let columns = ["input", "measure", "contrast", "value", "n_pairs", "status"];
    let part = run.read(&OUTPUT_CONTRAST, 0, &columns);
    assert!(texts(&part, "measure").iter().all(|measure| *measure == "jsd_bits"));
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {} {}",
                texts(&part, "input")[row],
                texts(&part, "contrast")[row],
                floats(&part, "value")[row].map_or("null".into(), |value| format!("{value:.4}")),
                part.int64s("n_pairs").unwrap().value(row),
                texts(&part, "status")[row],
            )
        })
        .collect()
}

/// The rows of `output_wording_pairs` as `input tasks values status`.
fn wording_pairs(run: &FakeRun) -> Vec<String> {
    let part = run.read(&OUTPUT_WORDING_PAIRS, 0, &["input", "tasks", "values", "status"]);
    let (tasks, values) = (part.lists("tasks").unwrap(), part.lists("values").unwrap());
    let row = |row: usize| {
        let tasks = tasks.value(row).as_primitive::<Int32Type>().values().to_vec();
        let of_row = values.value(row);
        let found = of_row.as_primitive::<Float64Type>().values().iter();
        let found: Vec<String> = found.map(|value| format!("{value:.0}")).collect();
        let found = if values.is_null(row) { "null".to_owned() } else { found.join(" ") };
        let (input, status) = (texts(&part, "input")[row], texts(&part, "status")[row]);
        format!("{input} {tasks:?} {found} {status}")
    };
    (0..part.rows()).map(row).collect()
}

fn near(value: Option<f64>, expected: f64, tolerance: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() <= tolerance, "{value} != {expected}");
}

/// `measures.md` section 5: tuned-lens gave 0.2396507437760747 nats for these logits.
#[test]
fn the_golden_logits_have_their_golden_numbers() {
    let logits = |p: &FakePrompt| match p.task.as_str() {
        "a" => vec![2.0, 1.0, 0.0, -1.0],
        _ => vec![0.0, 1.0, 2.0, -1.0],
    };
    let run = run_on(&[prompt("i", "a", 2), prompt("i", "b", 3)], 20, &logits);
    near(column(&run, "jsd_bits")[0], 0.345_742_939_591_094_6, 1e-15);
    // Mirrored, so both ways are one: Σ p (ln p - ln q) = 2 (p_0 - p_2), and TV = p_0 - p_2.
    let sum: f64 = [2.0_f64, 1.0, 0.0, -1.0].iter().map(|x| x.exp()).sum();
    let apart = (2.0_f64.exp() - 1.0) / sum;
    near(column(&run, "kl_ab")[0], 2.0 * apart, 1e-14);
    near(column(&run, "kl_ba")[0], 2.0 * apart, 1e-14);
    near(column(&run, "total_variation")[0], apart, 1e-15);
    assert_eq!(column(&run, "entropy_a_bits"), column(&run, "entropy_b_bits"));
    let part = run.read(&OUTPUT_DIVERGENCE, 0, &["same_top", "task_a", "task_b", "status"]);
    assert_eq!(part.int16s("same_top").unwrap().values(), &[0]);
    assert_eq!([texts(&part, "task_a")[0], texts(&part, "task_b")[0]], ["a", "b"]);
    assert_eq!(texts(&part, "status"), ["ok"]);
    // All four tokens are among the five of either side.
    assert_eq!(column(&run, "overlap_5"), [Some(1.0)]);
}

/// `measures.md` section 5: S = abcde, T = badfc at p = 0.9; only five places are listed here.
#[test]
fn the_golden_rankings_have_their_golden_overlap() {
    // Six tokens a..f; the one that a ranking leaves out comes last in it.
    let scores = |ranking: &str| -> Vec<f32> {
        "abcdef".chars().map(|c| -(ranking.find(c).unwrap() as f32)).collect()
    };
    let logits = |p: &FakePrompt| scores(if p.task == "a" { "abcdef" } else { "badfce" });
    let run = run_on(&[prompt("i", "a", 2), prompt("i", "b", 2)], 0, &logits);
    // X = (0, 2, 2, 3, 4, 6): the first five as in the golden lists, then both are complete.
    let golden = [0.0, 2.0, 2.0, 3.0, 4.0, 6.0];
    let weigh = |(d, x): (i32, &f64)| x / f64::from(d) * 0.9_f64.powi(d);
    let expected = 0.9_f64.powi(6) + 0.1 / 0.9 * (1..).zip(&golden).map(weigh).sum::<f64>();
    near(column(&run, "rbo_ext")[0], expected, 1e-14);
    near(column(&run, "overlap_5")[0], 0.8, 0.0);
}

#[test]
fn tokens_come_by_contribution_and_say_which_way_they_went() {
    // p = (1/2, 1/2, 0, 0), q = (1/2, 1/4, 1/4, 0) but for exp(-40): the golden terms.
    let ln = |x: f32| x.ln();
    let logits = |p: &FakePrompt| match p.task.as_str() {
        "a" => vec![ln(0.5), ln(0.5), -40.0, -200.0],
        _ => vec![ln(0.5), ln(0.25), ln(0.25), -200.0],
    };
    let run = run_on(&[prompt("i", "a", 2), prompt("i", "b", 2)], 2, &logits);
    let columns =
        ["rank", "token_id", "token", "probability_a", "probability_b", "contribution_bits"];
    let part = run.read(&OUTPUT_DIVERGENCE_TOKEN, 0, &columns);
    assert_eq!(part.int16s("rank").unwrap().values(), &[1, 2]);
    assert_eq!(part.int32s("token_id").unwrap().values(), &[2, 1]);
    assert_eq!(texts(&part, "token"), [2, 1].map(|id| run.tokenizer().decode_token(id)));
    let bits = floats(&part, "contribution_bits");
    near(bits[0], 0.125, 1e-7);
    near(bits[1], 0.030_639_06, 1e-7);
    near(floats(&part, "probability_a")[1], 0.5, 1e-7);
    near(floats(&part, "probability_b")[1], 0.25, 1e-7);
    near(column(&run, "jsd_bits")[0], 0.155_639_062_229_566, 1e-7);
}

#[test]
fn equal_outputs_are_nowhere_apart_and_list_no_tokens() {
    let logits = |_: &FakePrompt| vec![0.3, -2.0, 7.0, 7.0, 0.1];
    let run = run_on(&[prompt("i", "a", 2), prompt("i", "b", 9)], 20, &logits);
    for name in ["jsd_bits", "kl_ab", "kl_ba", "total_variation"] {
        assert_eq!(column(&run, name), [Some(0.0)], "{name}");
    }
    near(column(&run, "rbo_ext")[0], 1.0, 1e-15);
    let part = run.read(&OUTPUT_DIVERGENCE, 0, &["same_top"]);
    assert_eq!(part.int16s("same_top").unwrap().values(), &[1]);
    assert_eq!(run.read(&OUTPUT_DIVERGENCE_TOKEN, 0, &["rank"]).rows(), 0);
    assert_eq!(contrasts(&run)[0], "i between 0.0000 1 ok");
}

/// Says one of the tokens for sure.
fn sure(token: usize) -> Vec<f32> {
    (0..8).map(|id| if id == token { 900.0 } else { 0.0 }).collect()
}

#[test]
fn contrasts_are_means_over_their_own_pairs() {
    // Token by prompt: the first wordings differ, a's wordings agree, b's do not.
    let said = |p: &FakePrompt| match (p.task.as_str(), p.wording) {
        ("a", 0 | 1 | -2) => 1,
        ("b", 1) => 3,
        _ => 2,
    };
    let prompts: Vec<FakePrompt> = ["a", "b"]
        .iter()
        .flat_map(|task| [0, 1, -1, -2].map(|wording| prompt("i", task, 2).wording(wording)))
        .collect();
    let run = run_on(&prompts, 20, &|p| sure(said(p)));
    let expected = [
        "i between 1.0000 4 ok",
        "i paraphrase 0.5000 2 ok",
        // a says 1 and its neutral control 2; b and its own both say 2.
        "i neutral 0.5000 2 ok",
        "i scrambled 0.0000 2 ok",
        "i other_input null 0 no_pairs",
    ];
    assert_eq!(contrasts(&run), expected);
    assert_eq!(wording_pairs(&run), ["i [0, 0, 1, 1] 0 1 1 1 1 1 ok"]);
    // Only first wordings are compared pair by pair.
    assert_eq!(column(&run, "jsd_bits").len(), 1);
}

#[test]
fn a_skipped_prompt_takes_its_values_with_it_and_no_others() {
    let prompts = [
        prompt("i", "a", 2),
        prompt("i", "b", 9).skipped(),
        prompt("i", "b", 2).wording(-1),
        prompt("i", "c", 2),
    ];
    let run = run_on(&prompts, 20, &|p| sure(p.task.len() + usize::from(p.task == "c")));
    assert_eq!(column(&run, "jsd_bits"), [None, Some(1.0), None]);
    for name in NUMBERS {
        assert_eq!(column(&run, name)[0], None, "{name}");
    }
    let part = run.read(&OUTPUT_DIVERGENCE, 0, &["same_top", "status"]);
    assert_eq!(part.int16s("same_top").unwrap().iter().collect::<Vec<_>>(), [None, Some(0), None]);
    assert_eq!(texts(&part, "status"), ["skipped", "ok", "skipped"]);
    let expected =
        ["i between 1.0000 1 ok", "i paraphrase null 0 no_pairs", "i neutral null 0 skipped"];
    assert_eq!(contrasts(&run)[..3], expected);
    assert_eq!(wording_pairs(&run), ["i [0, 1, 2] null skipped"]);
}

#[test]
fn logits_that_are_no_numbers_are_refused_by_name() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let run = FakeRun::new();
        let numbers = Numbers {
            activations: &|_, _, _| vec![1.0; 4],
            attention: &|p, _, _| vec![0.5; p.tokens.len()],
            logits: &|_| vec![0.0, wrong, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        };
        run.write_shard(0, &[prompt("i", "a", 2)], &numbers);
        let message = run.run(&outputs(20), 0).unwrap_err().to_string();
        assert!(message.contains("not finite") && message.contains("s/i/a"), "{message}");
    }
}

#[test]
fn more_tokens_than_a_rank_can_count_are_a_problem() {
    for (top_tokens, is_valid) in [(0, true), (32_767, true), (32_768, false)] {
        let problems = problems_of(|at, problems| {
            Config { top_tokens }.validate(at, &super::fixture::facts(), problems);
        });
        assert_eq!(problems.is_empty(), is_valid, "{problems:?}");
    }
    assert_ne!(outputs(3).settings(), outputs(4).settings());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn swapped_tasks_have_the_same_row_and_bounds_hold(seed in 0_u64..1_000_000, scale in 0.1_f32..40.0) {
        let logits = |p: &FakePrompt| -> Vec<f32> {
            let task = p.task.bytes().map(u64::from).sum::<u64>();
            (0..60).map(|id| scale * noise(seed ^ (task << 20) ^ (id << 32))).collect()
        };
        let there = run_on(&[prompt("i", "a", 2), prompt("i", "b", 2)], 5, &logits);
        let back = run_on(&[prompt("i", "b", 2), prompt("i", "a", 2)], 5, &logits);
        for name in NUMBERS {
            let mirrored = match name {
                "kl_ab" => "kl_ba",
                "kl_ba" => "kl_ab",
                "entropy_a_bits" => "entropy_b_bits",
                "entropy_b_bits" => "entropy_a_bits",
                same => same,
            };
            prop_assert_eq!(column(&there, name), column(&back, mirrored), "{}", name);
        }
        let jsd = column(&there, "jsd_bits")[0].unwrap();
        prop_assert!((0.0..=1.0).contains(&jsd));
        prop_assert!(jsd <= column(&there, "total_variation")[0].unwrap() + 1e-14);
        let listed = there.read(&OUTPUT_DIVERGENCE_TOKEN, 0, &["contribution_bits"]);
        let listed: Vec<f64> = floats(&listed, "contribution_bits").into_iter().flatten().collect();
        prop_assert!(listed.is_sorted_by(|a, b| a >= b) && listed.iter().sum::<f64>() <= jsd + 1e-14);
    }
}

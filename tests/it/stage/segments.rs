use aqlens::stage::Stage as _;
use aqlens::stages::segments::{Config, Heads, Segments};
use aqlens::table::reader::Part;
use aqlens::table::schema::{ATTENTION_DIVERGENCE, ATTENTION_MASS, ATTENTION_WORDING_PAIRS};
use proptest::prelude::*;

use super::fixture::{FakePrompt, FakeRun, Numbers, noise, paired, prompt, valid};

const MASSES: [&str; 5] = ["sink_mass", "task_mass", "template_mass", "input_mass", "tail_mass"];

fn segments(heads: Heads) -> Segments {
    valid(|at, facts, problems| Config { heads }.validate(at, facts, problems))
}

type Weigh<'a> = &'a dyn Fn(&FakePrompt, i16, i16) -> Vec<f32>;

fn write(run: &FakeRun, prompts: &[FakePrompt], weights: Weigh<'_>) {
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: weights,
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
}

fn run_on(prompts: &[FakePrompt], heads: Heads, weights: Weigh<'_>) -> FakeRun {
    let run = FakeRun::new();
    write(&run, prompts, weights);
    run.run(&segments(heads), 0).unwrap();
    run
}

/// A prompt with these segments; the tokens of its input are numbered alike wherever they stand.
fn with(task: &str, segments: &str) -> FakePrompt {
    let mut prompt = prompt("i", task, segments.len() as i32);
    for (place, position) in segments.match_indices('i').map(|(at, _)| at).enumerate() {
        prompt.tokens[position] = 300 + place as i32;
    }
    prompt.segments(segments)
}

fn floats(part: &Part, column: &str) -> Vec<Option<f64>> {
    part.float64s(column).unwrap().iter().collect()
}

fn show(value: Option<f64>) -> String {
    value.map_or("null".into(), |value| format!("{value:.4}"))
}

/// The rows of `attention_mass` on layer 3 as `task wording head masses entropy is_sink status`.
fn masses(run: &FakeRun) -> Vec<String> {
    let columns = ["task", "wording", "layer", "head", "entropy_bits", "is_sink", "status"];
    let part = run.read(&ATTENTION_MASS, 0, &[&columns[..], &MASSES[..]].concat());
    let row = |row: usize| {
        let masses: Vec<String> = MASSES.map(|name| show(floats(&part, name)[row])).into();
        let is_sink: Vec<Option<i16>> = part.int16s("is_sink").unwrap().iter().collect();
        format!(
            "{} {} {} | {} | {} {} {}",
            part.texts("task").unwrap().value(row),
            part.int16s("wording").unwrap().value(row),
            part.int16s("head").unwrap().value(row),
            masses.join(" "),
            show(floats(&part, "entropy_bits")[row]),
            is_sink[row].map_or("null".into(), |is_sink| is_sink.to_string()),
            part.texts("status").unwrap().value(row),
        )
    };
    let layers = part.int16s("layer").unwrap();
    (0..part.rows()).filter(|row| layers.value(*row) == 3).map(row).collect()
}

/// One measure of `attention_divergence` on layer 3, as
/// `task_a task_b head value mass_a mass_b n_heads status`.
fn divergences(run: &FakeRun, measure: &str) -> Vec<String> {
    let columns = [
        "layer", "head", "task_a", "task_b", "measure", "value", "mass_a", "mass_b", "n_heads",
        "status",
    ];
    let part = run.read(&ATTENTION_DIVERGENCE, 0, &columns);
    let row = |row: usize| {
        format!(
            "{} {} {} {} {} {} {} {}",
            part.texts("task_a").unwrap().value(row),
            part.texts("task_b").unwrap().value(row),
            part.int16s("head").unwrap().value(row),
            show(floats(&part, "value")[row]),
            show(floats(&part, "mass_a")[row]),
            show(floats(&part, "mass_b")[row]),
            part.int16s("n_heads").unwrap().value(row),
            part.texts("status").unwrap().value(row),
        )
    };
    let (layers, measures) = (part.int16s("layer").unwrap(), part.texts("measure").unwrap());
    let wanted = |row: &usize| layers.value(*row) == 3 && measures.value(*row) == measure;
    (0..part.rows()).filter(wanted).map(row).collect()
}

/// The value of a measure of head -1 on layer 3, for the one pair there is.
fn value(run: &FakeRun, measure: &str) -> f64 {
    let columns = ["layer", "head", "measure", "value"];
    let part = run.read(&ATTENTION_DIVERGENCE, 0, &columns);
    let is = |row: &usize| {
        part.int16s("layer").unwrap().value(*row) == 3
            && part.int16s("head").unwrap().value(*row) == -1
            && part.texts("measure").unwrap().value(*row) == measure
    };
    let row = (0..part.rows()).find(is).unwrap();
    floats(&part, "value")[row].unwrap()
}

/// `measures.md` section 5: the support (sink, task, template, four input tokens, tail).
const P: [f32; 8] = [0.62, 0.05, 0.08, 0.02, 0.05, 0.03, 0.05, 0.10];
const Q: [f32; 8] = [0.60, 0.06, 0.08, 0.06, 0.02, 0.03, 0.05, 0.10];

#[test]
fn the_golden_attention_has_its_golden_divergences() {
    let weights = |p: &FakePrompt, _: i16, _: i16| -> Vec<f32> {
        if p.task == "a" {
            return P.to_vec();
        }
        // The same support with two task tokens and another order in front: .06 = .02 + .04.
        [&[0.60, 0.02, 0.04, 0.08], &Q[3..]].concat()
    };
    let run = run_on(&[with("a", "ttfiiiie"), with("b", "tttfiiiie")], Heads::Mean, &weights);
    let close = |measure: &str, expected: f64| {
        let found = value(&run, measure);
        assert!((found - expected).abs() < 1e-8, "{measure}: {found}");
    };
    close("jsd_full", 0.012_786_252_5);
    close("jsd_no_sink", 0.032_048_713_3);
    close("jsd_input", 0.078_988_347_8);
    close("overlap", 0.95);
    assert_eq!(divergences(&run, "jsd_input"), ["a b -1 0.0790 0.1500 0.1600 2 ok"]);
    assert_eq!(divergences(&run, "jsd_no_sink"), ["a b -1 0.0320 0.3800 0.4000 2 ok"]);
    // Entropies by `scipy.stats.entropy(base=2)`.
    let expected = [
        "a 0 -1 | 0.6200 0.0500 0.0800 0.1500 0.1000 | 1.9642 1 ok",
        "b 0 -1 | 0.6000 0.0600 0.0800 0.1600 0.1000 | 2.0888 1 ok",
    ];
    assert_eq!(masses(&run), expected);
}

#[test]
fn position_0_counts_as_the_sink_whatever_stands_there() {
    let weights = |_: &FakePrompt, _: i16, _: i16| vec![0.5, 0.25, 0.125, 0.125];
    let run = run_on(&[with("a", "iite"), with("b", "iite")], Heads::Mean, &weights);
    let expected = [
        "a 0 -1 | 0.5000 0.1250 0.0000 0.2500 0.1250 | 1.7500 1 ok",
        "b 0 -1 | 0.5000 0.1250 0.0000 0.2500 0.1250 | 1.7500 1 ok",
    ];
    assert_eq!(masses(&run), expected);
    // The input's one token that is not the sink.
    assert_eq!(divergences(&run, "jsd_input"), ["a b -1 0.0000 0.2500 0.2500 2 ok"]);
}

#[test]
fn equal_attention_is_nowhere_apart() {
    let weights = |p: &FakePrompt, layer: i16, head: i16| -> Vec<f32> {
        let all = p.tokens.len() as u64;
        (0..all)
            .map(|t| (1.1 + noise(t ^ (layer as u64) << 8 ^ (head as u64) << 16)) / 9.0)
            .collect()
    };
    let run = run_on(&[with("a", "tfiiie"), with("b", "tfiiie")], Heads::All, &weights);
    for measure in ["jsd_full", "jsd_no_sink", "jsd_input"] {
        assert!(divergences(&run, measure).iter().all(|row| row.contains(" 0.0000 ")));
        assert_eq!(value(&run, measure).to_bits(), 0.0_f64.to_bits());
    }
    assert_eq!(value(&run, "overlap").to_bits(), 1.0_f64.to_bits());
}

#[test]
fn the_mean_head_is_the_mean_of_values_not_of_weights() {
    // Each head moves all its input attention, in opposite ways: the mean weights would be equal.
    let weights = |p: &FakePrompt, _: i16, head: i16| match (p.task.as_str(), head) {
        ("a", 0) | ("b", 1) => vec![0.5, 0.5, 0.0],
        _ => vec![0.5, 0.0, 0.5],
    };
    let run = run_on(&[with("a", "tii"), with("b", "tii")], Heads::All, &weights);
    let expected = [
        "a b -1 1.0000 0.5000 0.5000 2 ok",
        "a b 0 1.0000 0.5000 0.5000 1 ok",
        "a b 1 1.0000 0.5000 0.5000 1 ok",
    ];
    assert_eq!(divergences(&run, "jsd_input"), expected);
    assert_eq!(divergences(&run, "overlap")[0], "a b -1 0.5000 1.0000 1.0000 2 ok");
}

/// The rows of one measure of `attention_wording_pairs` on layer 3.
fn wordings(run: &FakeRun, measure: &str) -> Vec<String> {
    let start = format!("i 3 attention_{measure} ");
    paired(run, &ATTENTION_WORDING_PAIRS)
        .iter()
        .filter_map(|row| row.strip_prefix(&start).map(str::to_owned))
        .collect()
}

#[test]
fn all_wordings_are_compared_with_each_other_in_the_mean_of_the_heads() {
    // Head 0 tells the tasks apart, head 1 the wordings; controls are none of both.
    let weights = |p: &FakePrompt, _: i16, head: i16| {
        let left = if head == 0 { p.task == "a" } else { p.wording == 0 };
        if left { vec![0.5, 0.5, 0.0] } else { vec![0.5, 0.0, 0.5] }
    };
    let of = |task: &str, wording| with(task, "tii").wording(wording);
    let prompts = [of("a", 0), of("a", 1), of("a", -1), of("b", 0), of("b", 1), of("b", -2)];
    for heads in [Heads::All, Heads::Mean] {
        let run = run_on(&prompts, heads, &weights);
        let expected = |by: f64| {
            let found = [0.5, 0.5, 1.0, 1.0, 0.5, 0.5].map(|jsd| format!("{:.4}", by * jsd));
            vec![format!("[0, 0, 1, 1] {} ok", found.join(" "))]
        };
        assert_eq!(wordings(&run, "jsd_input"), expected(1.0));
        assert_eq!(wordings(&run, "jsd_no_sink"), expected(1.0));
        assert_eq!(wordings(&run, "jsd_full"), expected(0.5));
        assert_eq!(divergences(&run, "jsd_input")[0], "a b -1 0.5000 0.5000 0.5000 2 ok");
        assert_eq!(divergences(&run, "jsd_input").len(), if heads == Heads::All { 3 } else { 1 });
    }
    // A pair without a value leaves the input out, and says why.
    let one = [of("a", 0), of("a", 1).skipped(), of("b", 0)];
    let run = run_on(&one, Heads::Mean, &weights);
    assert_eq!(wordings(&run, "jsd_full"), ["[0, 0, 1] null skipped"]);
    let sink = |p: &FakePrompt, _: i16, _: i16| {
        if p.wording == 1 { vec![1.0, 0.0, 0.0] } else { vec![0.5, 0.25, 0.25] }
    };
    let run = run_on(&prompts, Heads::Mean, &sink);
    assert_eq!(wordings(&run, "jsd_no_sink"), ["[0, 0, 1, 1] null low_mass"]);
    let alone = run_on(&[with("a", "tii")], Heads::Mean, &weights);
    assert_eq!(wordings(&alone, "jsd_full"), ["[0] null no_pairs"]);
}

#[test]
fn what_is_left_of_next_to_nothing_is_not_compared() {
    let weights = |p: &FakePrompt, _: i16, head: i16| match (p.task.as_str(), head) {
        ("a", 0) => vec![0.9992, 0.0008, 0.0],
        ("b", 1) => vec![0.5, 0.5, 0.0],
        _ => vec![0.5, 0.25, 0.25],
    };
    let run = run_on(&[with("a", "tii"), with("b", "tii")], Heads::All, &weights);
    let expected = [
        "a b -1 0.3113 0.2504 0.5000 1 ok",
        "a b 0 null 0.0008 0.5000 0 low_mass",
        "a b 1 0.3113 0.5000 0.5000 1 ok",
    ];
    assert_eq!(divergences(&run, "jsd_input"), expected);
    assert_eq!(divergences(&run, "jsd_full")[1], "a b 0 0.3076 1.0000 1.0000 1 ok");
    // Nowhere enough: the mean over heads has no value either.
    let sink = |_: &FakePrompt, _: i16, _: i16| vec![1.0, 0.0, 0.0];
    let run = run_on(&[with("a", "tii"), with("b", "tii")], Heads::Mean, &sink);
    let expected = ["a b -1 null 0.0000 0.0000 0 low_mass"];
    assert_eq!(divergences(&run, "jsd_no_sink"), expected);
    assert_eq!(divergences(&run, "jsd_full"), ["a b -1 0.0000 1.0000 1.0000 2 ok"]);
}

#[test]
fn other_tokens_of_the_input_cannot_be_aligned_and_skipped_prompts_not_compared() {
    let mut other = with("b", "tii");
    other.tokens[2] = 9;
    let prompts = [with("a", "tii"), other, with("c", "tii").skipped()];
    let run = run_on(&prompts, Heads::Mean, &|_, _, _| vec![0.5, 0.25, 0.25]);
    for measure in ["jsd_full", "jsd_no_sink", "jsd_input", "overlap"] {
        let expected = [
            "a b -1 null null null 0 no_alignment",
            "a c -1 null null null 0 skipped",
            "b c -1 null null null 0 skipped",
        ];
        assert_eq!(divergences(&run, measure), expected);
    }
    let expected = "c 0 -1 | null null null null null | null null skipped";
    assert_eq!(masses(&run)[2], expected);
    // Nothing of the input but the sink: nothing to align.
    let run = run_on(&[with("a", "iee"), with("b", "iee")], Heads::Mean, &|_, _, _| vec![0.5; 3]);
    assert!(divergences(&run, "jsd_full")[0].ends_with("0 no_alignment"));
}

#[test]
fn every_prompt_has_its_masses_and_first_wordings_are_compared() {
    let prompts = [
        with("a", "tfie"),
        with("a", "tie").wording(1),
        with("a", "tfie").wording(-1),
        with("b", "tie"),
    ];
    let weights =
        |p: &FakePrompt, _: i16, _: i16| vec![1.0 / p.tokens.len() as f32; p.tokens.len()];
    let run = run_on(&prompts, Heads::All, &weights);
    let of: Vec<String> =
        masses(&run).iter().map(|row| row.split(" | ").next().unwrap().to_owned()).collect();
    let expected: Vec<String> = ["a 0", "a 1", "a -1", "b 0"]
        .iter()
        .flat_map(|prompt| [-1, 0, 1].map(|head| format!("{prompt} {head}")))
        .collect();
    assert_eq!(of, expected);
    assert_eq!(divergences(&run, "jsd_full").len(), 3);
    let part = run.read(&ATTENTION_MASS, 0, &["layer"]);
    assert_eq!(part.rows(), 4 * 3 * 3, "captured layers 0 and 2, and the last");
}

#[test]
fn weights_that_are_no_distribution_are_refused() {
    for wrong in [[0.0, 0.0, 0.0], [0.5, 0.75, -0.25]] {
        let run = FakeRun::new();
        write(&run, &[with("a", "tie")], &|_, _, _| wrong.to_vec());
        let message = run.run(&segments(Heads::All), 0).unwrap_err().to_string();
        assert!(message.contains("not a distribution on layer 0 of prompt s/i/a"), "{message}");
    }
}

#[test]
fn the_heads_are_part_of_the_fingerprint() {
    let settings = |heads| segments(heads).settings().to_string();
    assert_eq!(settings(Config::default().heads), r#"{"heads":"all","sink_threshold":0.3}"#);
    assert_ne!(settings(Heads::All), settings(Heads::Mean));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn masses_sum_to_one_and_swapped_tasks_have_the_same_row(seed in 0_u64..1_000_000) {
        let weights = |p: &FakePrompt, layer: i16, head: i16| -> Vec<f32> {
            let base = seed ^ (u64::from(p.task == "a") << 50) ^ (layer as u64) << 30 ^ (head as u64) << 35;
            let scores: Vec<f32> =
                (0..p.tokens.len() as u64).map(|t| (4.0 * noise(base + t)).exp()).collect();
            let sum: f32 = scores.iter().sum();
            scores.iter().map(|score| score / sum).collect()
        };
        let (a, b) = (with("a", "ttffiiiffteee"), with("b", "tfiiiteee"));
        let there = run_on(&[a.clone(), b.clone()], Heads::All, &weights);
        let back = run_on(&[b, a], Heads::All, &weights);
        let part = there.read(&ATTENTION_MASS, 0, &MASSES);
        for row in 0..part.rows() {
            let sum: f64 = MASSES.iter().map(|name| floats(&part, name)[row].unwrap()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "{}", sum);
        }
        for measure in ["jsd_full", "jsd_no_sink", "jsd_input", "overlap"] {
            prop_assert_eq!(value(&there, measure).to_bits(), value(&back, measure).to_bits());
            prop_assert!((0.0..=1.0).contains(&value(&there, measure)));
        }
        prop_assert!(value(&there, "jsd_full") <= 1.0 - value(&there, "overlap") + 1e-14);
    }
}

use aqlens::stages::similarity::Config;
use aqlens::table::schema::SIMILARITY;

use super::fixture::{FakePrompt, FakeRun, Numbers, noise, prompt, valid};

const COLUMNS: [&str; 9] =
    ["scenario", "input", "layer", "task_a", "task_b", "measure", "value", "n", "status"];

fn similarity() -> aqlens::stages::similarity::Similarity {
    valid(|at, facts, problems| Config::default().validate(at, facts, problems))
}

/// Numbers that depend on the task, the input, the layer and the place, and only on these.
fn activations(prompt: &FakePrompt, layer: i16, position: usize) -> Vec<f32> {
    let seed = |text: &str| text.bytes().map(u64::from).sum::<u64>();
    let base = seed(&prompt.task) * 31 + seed(&prompt.input) + layer as u64 * 1009;
    (0..4).map(|d| noise(base * 4096 + position as u64 * 4 + d) + 0.5).collect()
}

fn write(run: &FakeRun, prompts: &[FakePrompt]) {
    write_with(run, prompts, &activations);
}

fn write_with(
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
}

/// The rows as `input layer task_a task_b value n status`.
fn rows(run: &FakeRun) -> Vec<String> {
    let part = run.read(&SIMILARITY, 0, &COLUMNS);
    let text = |name| part.texts(name).unwrap();
    (0..part.rows())
        .map(|row| {
            let value = part.float64s("value").unwrap();
            let value = value.iter().nth(row).unwrap().map_or("null".into(), |v| format!("{v:.4}"));
            format!(
                "{} {} {} {} {value} {} {}",
                text("input").value(row),
                part.int16s("layer").unwrap().value(row),
                text("task_a").value(row),
                text("task_b").value(row),
                part.int64s("n").unwrap().value(row),
                text("status").value(row),
            )
        })
        .collect()
}

/// The notebook's number, written as the notebook writes it.
fn notebook(a: &FakePrompt, b: &FakePrompt, layer: i16) -> f64 {
    let flat = |p: &FakePrompt| -> Vec<f64> {
        let tokens = 0..p.tokens.len();
        tokens.flat_map(|t| activations(p, layer, t)).map(f64::from).collect()
    };
    let (a, b) = (flat(a), flat(b));
    let n = a.len().min(b.len());
    let dot: f64 = a[..n].iter().zip(&b[..n]).map(|(a, b)| a * b).sum();
    let norm = |v: &[f64]| v[..n].iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-8);
    dot / (norm(&a) * norm(&b))
}

#[test]
fn every_pair_has_the_notebooks_cosine_on_every_layer() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "c", 3), prompt("i", "a", 5), prompt("i", "b", 4)];
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let part = run.read(&SIMILARITY, 0, &COLUMNS);
    let values: Vec<f64> = part.float64s("value").unwrap().iter().flatten().collect();
    let expected: Vec<f64> = [0, 2]
        .into_iter()
        .flat_map(|layer| {
            [(0, 1), (0, 2), (1, 2)].map(|(a, b)| notebook(&prompts[a], &prompts[b], layer))
        })
        .collect();
    assert_eq!(values.len(), expected.len());
    for (value, expected) in values.iter().zip(&expected) {
        assert!((value - expected).abs() < 1e-14, "{values:?} {expected:?}");
    }
    let n: Vec<i64> = part.int64s("n").unwrap().values().to_vec();
    assert_eq!(n, [12, 12, 16, 12, 12, 16], "numbers of the shorter prompt");
}

#[test]
fn position_0s_share_is_the_mean_of_both_prompts_over_what_is_compared() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "a", 3), prompt("i", "b", 5), prompt("i", "c", 9).skipped()];
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let part = run.read(&SIMILARITY, 0, &["position_0_share"]);
    let found: Vec<Option<f64>> = part.float64s("position_0_share").unwrap().iter().collect();
    let share = |prompt: &FakePrompt, layer: i16| {
        let square = |at: usize| -> f64 {
            activations(prompt, layer, at).iter().map(|x| f64::from(*x).powi(2)).sum()
        };
        square(0) / (0..3).map(square).sum::<f64>()
    };
    for (place, layer) in [(0, 0), (3, 2)] {
        let expected = f64::midpoint(share(&prompts[0], layer), share(&prompts[1], layer));
        assert!((found[place].unwrap() - expected).abs() < 1e-15, "{found:?} {expected}");
        assert_eq!(found[place + 1..place + 3], [None, None]);
    }
}

#[test]
fn rows_stand_by_input_then_layer_then_pair_in_the_pipelines_order() {
    let run = FakeRun::new();
    let names = ["z", "a", "m"];
    let prompts: Vec<FakePrompt> =
        ["two", "one"].iter().flat_map(|i| names.map(|t| prompt(i, t, 2))).collect();
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let places: Vec<String> =
        rows(&run).iter().map(|row| row.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect();
    let pairs = ["z a", "z m", "a m"];
    let expected: Vec<String> = ["two 0", "two 2", "one 0", "one 2"]
        .iter()
        .flat_map(|place| pairs.map(|pair| format!("{place} {pair}")))
        .collect();
    assert_eq!(places, expected);
}

#[test]
fn a_skipped_prompt_leaves_its_pairs_null_and_the_others_right() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "a", 2), prompt("i", "b", 99).skipped(), prompt("i", "c", 3)];
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let right = format!("i 0 a c {:.4} 8 ok", notebook(&prompts[0], &prompts[2], 0));
    assert_eq!(
        rows(&run)[..3],
        ["i 0 a b null 0 skipped".into(), right, "i 0 b c null 0 skipped".into()]
    );
}

#[test]
fn further_wordings_are_left_to_other_measures() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "a", 2), prompt("i", "a", 4).wording(1), prompt("i", "b", 3)];
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let right = format!("i 0 a b {:.4} 8 ok", notebook(&prompts[0], &prompts[2], 0));
    assert_eq!(rows(&run), [right.clone(), rows(&run)[1].clone()], "one pair on each layer");
    assert_eq!(rows(&run)[0], right);
}

#[test]
fn a_zero_vector_has_no_value() {
    let run = FakeRun::new();
    let zero_b = |p: &FakePrompt, l: i16, t: usize| {
        if p.task == "b" { vec![0.0; 4] } else { activations(p, l, t) }
    };
    write_with(&run, &[prompt("i", "a", 2), prompt("i", "b", 2)], &zero_b);
    run.run(&similarity(), 0).unwrap();
    assert_eq!(rows(&run)[0], "i 0 a b null 8 zero_norm");
}

#[test]
fn one_input_id_in_two_scenarios_is_two_inputs() {
    let run = FakeRun::new();
    let prompts = [
        prompt("i", "a", 2),
        prompt("i", "b", 2),
        prompt("i", "a", 2).of("other"),
        prompt("i", "c", 2).of("other"),
    ];
    write(&run, &prompts);
    run.run(&similarity(), 0).unwrap();
    let pairs: Vec<String> = rows(&run)
        .iter()
        .map(|row| row.split(' ').skip(2).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(pairs, ["a b", "a b", "a c", "a c"]);
}

#[test]
fn a_value_that_is_not_finite_is_refused_by_name() {
    let run = FakeRun::new();
    let broken = |p: &FakePrompt, l: i16, t: usize| {
        if p.task == "b" && l == 2 { vec![f32::NAN; 4] } else { activations(p, l, t) }
    };
    write_with(&run, &[prompt("i", "a", 2), prompt("i", "b", 2)], &broken);
    let message = run.run(&similarity(), 0).unwrap_err().to_string();
    assert!(message.contains("not finite") && message.contains("s/i"), "{message}");
    assert!(message.contains("layer-002"), "{message}");
}

#[test]
fn activations_of_other_prompts_are_refused() {
    let run = FakeRun::new();
    let prompts = [prompt("i", "a", 2), prompt("i", "b", 2)];
    write(&run, &prompts);
    let mut swapped = prompts.clone();
    swapped[1].tokens = vec![7, 8];
    let other = FakeRun::new();
    write(&other, &swapped);
    let name = "tables/activations/part-00000-layer-000.parquet";
    run.store.write(name, &other.store.read(name).unwrap()).unwrap();
    let message = run.run(&similarity(), 0).unwrap_err().to_string();
    assert!(message.contains("another token in row 2"), "{message}");

    write(&other, &prompts[..1]);
    run.store.write(name, &other.store.read(name).unwrap()).unwrap();
    let message = run.run(&similarity(), 0).unwrap_err().to_string();
    assert!(message.contains("has 2 rows where table 'prompts' has 4 tokens"), "{message}");
}

#[test]
fn one_task_alone_gives_an_empty_table() {
    let run = FakeRun::new();
    write(&run, &[prompt("i", "a", 2)]);
    run.run(&similarity(), 0).unwrap();
    assert!(rows(&run).is_empty());
}

//! Every number of the notebook, as `export/reference.py` got it from PyTorch, against our tables.

use std::collections::{BTreeMap, BTreeSet};

use aqlens::table::Table;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{
    ACTIVATIONS, ATTENTION, ATTENTION_FOCUS, ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, PROMPTS,
    SIMILARITY, VERDICT,
};
use aqlens::table::writer::PartAddress;
use arrow_array::Array as _;
use serde_json::Value;

use crate::support::{Run, file};

/// Cosines, probabilities and attention weights against PyTorch.
const TOLERANCE: f64 = 1e-5;
/// Against float64 from our own stored activations.
const OWN_TOLERANCE: f64 = 2e-6;
/// A printed digit may differ, and a focus set too, when the number is this near to the boundary.
const BOUNDARY: f64 = 1e-6;

struct Case {
    run: Run,
    reference: Value,
}

impl Case {
    fn new(pipeline: &str, reference: &str, extra: &[&str]) -> Self {
        let text = std::fs::read(file(reference)).unwrap();
        Self { run: Run::of(pipeline, extra), reference: serde_json::from_slice(&text).unwrap() }
    }

    fn parts(&self, table: &'static Table, columns: &[&str]) -> Vec<Part> {
        let files = self.run.store.list(&table.folder()).unwrap();
        let read = |part| read_part(&self.run.store, PartAddress::new(table, part), columns);
        (0..files.len() as u32).map(|part| read(part).unwrap()).collect()
    }

    fn scenarios(&self) -> &Vec<Value> {
        self.reference["scenarios"].as_array().unwrap()
    }

    /// Whether rounding could swap the rank of a prompt's next token, as the reference says.
    fn may_swap(&self, key: &[String; 3], printed: &Value) -> bool {
        let mut calls = self.reference["close_calls"].as_array().unwrap().iter().map(text);
        let (of, printed) = (format!(" of {}", key.join("/")), format!(" {printed} "));
        let is = |call: &str| call.starts_with("next-token prob") && call.ends_with(&of);
        calls.any(|call| is(call) && call.contains(" and ") && call.contains(&printed))
    }

    /// (scenario, input, prompt of the reference)
    fn prompts(&self) -> Vec<(&str, &str, &Value)> {
        let mut all = Vec::new();
        for scenario in self.scenarios() {
            for input in scenario["inputs"].as_array().unwrap() {
                for prompt in input["prompts"].as_array().unwrap() {
                    all.push((text(&scenario["name"]), text(&input["input"]), prompt));
                }
            }
        }
        all
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} is not {theirs}");
}

/// Printed with `digits`, equal unless the number is within 1e-6 of a rounding boundary.
fn prints(ours: f64, printed: &str, digits: usize, what: &str) {
    let scale = 10_f64.powi(digits as i32);
    let boundary = ((ours * scale).fract().abs() - 0.5).abs() / scale;
    if boundary > BOUNDARY {
        assert_eq!(format!("{ours:.digits$}"), printed, "{what}: {ours}");
    }
}

fn cell(part: &Part, column: &str, row: usize) -> String {
    part.texts(column).unwrap().value(row).to_owned()
}

type Pair = (String, String, String, String);

/// value and status by (scenario, input, pair of tasks), for each layer
fn pairs(case: &Case, table: &'static Table) -> BTreeMap<(i16, Pair), (Option<f64>, String)> {
    let columns = ["scenario", "input", "layer", "task_a", "task_b", "value", "status"];
    let mut all = BTreeMap::new();
    for part in case.parts(table, &columns) {
        for row in 0..part.rows() {
            let [scenario, input, a, b, status] =
                ["scenario", "input", "task_a", "task_b", "status"].map(|c| cell(&part, c, row));
            let values = part.float64s("value").unwrap();
            let value = (!values.is_null(row)).then(|| values.value(row));
            let layer = part.int16s("layer").unwrap().value(row);
            let twice = all.insert((layer, (scenario, input, a, b)), (value, status));
            assert!(twice.is_none(), "a pair stands twice in {}", table.name);
        }
    }
    all
}

fn check_prompts(case: &Case) {
    let parts =
        case.parts(&PROMPTS, &["scenario", "input", "task", "wording", "text", "token_ids"]);
    let mut ours = BTreeMap::new();
    for part in &parts {
        for row in 0..part.rows() {
            if part.int16s("wording").unwrap().value(row) != 0 {
                continue;
            }
            let key = ["scenario", "input", "task"].map(|c| cell(part, c, row));
            let ids = part.lists("token_ids").unwrap().value(row);
            let ids = ids.as_any().downcast_ref::<arrow_array::Int32Array>().unwrap();
            ours.insert(key, (cell(part, "text", row), ids.values().to_vec()));
        }
    }
    let theirs = case.prompts();
    assert_eq!(ours.len(), theirs.len());
    for (scenario, input, prompt) in theirs {
        let key = [scenario, input, text(&prompt["task"])].map(str::to_owned);
        let (text_of, ids) = &ours[&key];
        assert_eq!(text_of, text(&prompt["text"]));
        let reference: Vec<i64> =
            prompt["token_ids"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        assert_eq!(ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>(), reference, "{key:?}");
    }
}

fn check_similarity(case: &Case) {
    let ours = pairs(case, &SIMILARITY);
    let mut compared = 0;
    for scenario in case.scenarios() {
        let tasks = scenario["tasks"].as_array().unwrap();
        for input in scenario["inputs"].as_array().unwrap() {
            for (layer, matrix) in input["similarity"].as_object().unwrap() {
                for a in 0..tasks.len() {
                    for b in a + 1..tasks.len() {
                        let names = [&scenario["name"], &input["input"], &tasks[a], &tasks[b]];
                        let [s, i, a_name, b_name] = names.map(|v| text(v).to_owned());
                        let key = (layer.parse().unwrap(), (s, i, a_name, b_name));
                        let (value, status) = &ours[&key];
                        assert_eq!(status, "ok");
                        close(
                            value.unwrap(),
                            number(&matrix[a][b]),
                            TOLERANCE,
                            &format!("{key:?}"),
                        );
                        compared += 1;
                    }
                }
            }
            for printed in input["printed_similarity"].as_array().into_iter().flatten() {
                let names =
                    [&scenario["name"], &input["input"], &printed["task_a"], &printed["task_b"]];
                let [s, i, a, b] = names.map(|v| text(v).to_owned());
                let layer = printed["layer"].as_i64().unwrap() as i16;
                let value = ours[&(layer, (s, i, a, b))].0.unwrap();
                prints(value, text(&printed["printed"]), 4, "cross-context similarity");
            }
        }
    }
    assert_eq!(compared, ours.len(), "every row of similarity has its number in the reference");
}

fn check_divergence_and_verdict(case: &Case) {
    let mut means = BTreeMap::new();
    for part in case.parts(&DIVERGENCE, &["scenario", "layer", "mean"]) {
        for row in 0..part.rows() {
            let layer = part.int16s("layer").unwrap().value(row);
            let mean = part.float64s("mean").unwrap().value(row);
            means.insert((cell(&part, "scenario", row), layer), mean);
        }
    }
    let verdicts = case.parts(&VERDICT, &["scenario", "verdict", "layer", "value"]);
    for scenario in case.scenarios() {
        let name = text(&scenario["name"]).to_owned();
        for (layer, mean) in scenario["mean_similarity"].as_object().unwrap() {
            let ours = means[&(name.clone(), layer.parse().unwrap())];
            close(ours, number(mean), TOLERANCE, &format!("mean of {name} at {layer}"));
            prints(ours, text(&scenario["printed"][layer]), 4, &format!("{name} layer {layer}"));
        }
        let part = &verdicts[0];
        let row = (0..part.rows()).find(|row| cell(part, "scenario", *row) == name).unwrap();
        let supported = scenario["supported"].as_bool().unwrap();
        let word = if supported { "supported" } else { "not_supported" };
        assert_eq!(cell(part, "verdict", row), word, "{name}");
        let value = part.float64s("value").unwrap().value(row);
        close(value, number(&scenario["late_similarity"]), TOLERANCE, &name);
    }
}

fn check_attention(case: &Case) {
    let columns = ["scenario", "input", "task", "wording", "layer", "head", "query", "weights"];
    let mut rows = BTreeMap::new();
    for part in case.parts(&ATTENTION, &columns) {
        for row in 0..part.rows() {
            if part.int16s("wording").unwrap().value(row) != 0 {
                continue;
            }
            let key = ["scenario", "input", "task"].map(|c| cell(&part, c, row));
            let place = ["layer", "head"].map(|c| part.int16s(c).unwrap().value(row));
            let weights = part.lists("weights").unwrap().value(row);
            let weights = weights.as_any().downcast_ref::<arrow_array::Float32Array>().unwrap();
            rows.insert((key, place), weights.values().to_vec());
        }
    }
    let mut compared = 0;
    for (scenario, input, prompt) in case.prompts() {
        let key = [scenario, input, text(&prompt["task"])].map(str::to_owned);
        for (layer, heads) in prompt["attention"].as_object().unwrap() {
            for (head, weights) in heads.as_array().unwrap().iter().enumerate() {
                let place = [layer.parse().unwrap(), head as i16];
                let ours = &rows[&(key.clone(), place)];
                let theirs = weights.as_array().unwrap();
                assert_eq!(ours.len(), theirs.len());
                for (a, b) in ours.iter().zip(theirs) {
                    close(f64::from(*a), number(b), TOLERANCE, &format!("{key:?} {place:?}"));
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, rows.len(), "every row of attention has its weights in the reference");
}

fn check_focus(case: &Case) {
    let columns = ["scenario", "input", "task", "wording", "position", "weight"];
    let mut sets: BTreeMap<[String; 3], Vec<(i32, f64)>> = BTreeMap::new();
    for part in case.parts(&ATTENTION_FOCUS, &columns) {
        for row in 0..part.rows() {
            if part.int16s("wording").unwrap().value(row) == 0 {
                let key = ["scenario", "input", "task"].map(|c| cell(&part, c, row));
                let position = part.int32s("position").unwrap().value(row);
                let weight = part.float64s("weight").unwrap().value(row);
                sets.entry(key).or_default().push((position, weight));
            }
        }
    }
    let mut firm = BTreeMap::new();
    for (scenario, input, prompt) in case.prompts() {
        let key = [scenario, input, text(&prompt["task"])].map(str::to_owned);
        let focus = &prompt["focus"];
        let gap = focus["gap"].as_f64();
        let mut ours: Vec<i64> = sets[&key].iter().map(|(p, _)| i64::from(*p)).collect();
        ours.sort_unstable();
        let theirs: Vec<i64> =
            focus["positions"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        let is_firm = gap.is_none_or(|gap| gap >= BOUNDARY);
        if is_firm {
            assert_eq!(ours, theirs, "{key:?}");
        }
        for ((_, a), b) in sets[&key].iter().zip(focus["weights"].as_array().unwrap()) {
            close(*a, number(b), TOLERANCE, &format!("focus weight {key:?}"));
        }
        let n_tokens = prompt["token_ids"].as_array().unwrap().len();
        firm.insert(key, (is_firm, n_tokens));
    }
    check_jaccard(case, &firm);
}

fn check_jaccard(case: &Case, firm: &BTreeMap<[String; 3], (bool, usize)>) {
    let ours: BTreeMap<Pair, (Option<f64>, String)> =
        pairs(case, &ATTENTION_OVERLAP).into_iter().map(|((_, pair), v)| (pair, v)).collect();
    let k = case.reference["top_k"]["attention"].as_u64().unwrap() as usize;
    let mut compared = 0;
    for scenario in case.scenarios() {
        for input in scenario["inputs"].as_array().unwrap() {
            for pair in input["jaccard"].as_array().unwrap() {
                let names = [&scenario["name"], &input["input"], &pair["task_a"], &pair["task_b"]];
                let [s, i, a, b] = names.map(|v| text(v).to_owned());
                let of = |task: &String| firm[&[s.clone(), i.clone(), task.clone()]];
                let ((firm_a, n_a), (firm_b, n_b)) = (of(&a), of(&b));
                let (value, status) = &ours[&(s.clone(), i.clone(), a, b)];
                compared += 1;
                if n_a <= k || n_b <= k {
                    // The notebook stops with an error, or compares whole prompts.
                    assert_eq!((value, status.as_str()), (&None, "too_few_keys"));
                } else if firm_a && firm_b {
                    close(value.unwrap(), number(&pair["value"]), 1e-12, "jaccard");
                    prints(value.unwrap(), text(&pair["printed"]), 3, "jaccard");
                }
            }
        }
    }
    assert_eq!(compared, ours.len());
}

fn check_next_tokens(case: &Case) {
    let columns =
        ["scenario", "input", "task", "wording", "rank", "token_id", "token", "probability"];
    let mut ours: BTreeMap<[String; 3], Vec<(i32, String, f64)>> = BTreeMap::new();
    for part in case.parts(&NEXT_TOKENS, &columns) {
        for row in 0..part.rows() {
            if part.int16s("wording").unwrap().value(row) == 0 {
                let key = ["scenario", "input", "task"].map(|c| cell(&part, c, row));
                let id = part.int32s("token_id").unwrap().value(row);
                let p = part.float64s("probability").unwrap().value(row);
                ours.entry(key).or_default().push((id, cell(&part, "token", row), p));
            }
        }
    }
    for (scenario, input, prompt) in case.prompts() {
        let key = [scenario, input, text(&prompt["task"])].map(str::to_owned);
        let (ours, theirs) = (&ours[&key], prompt["next_tokens"].as_array().unwrap());
        assert_eq!(ours.len(), theirs.len());
        for (i, ((id, token, p), other)) in ours.iter().zip(theirs).enumerate() {
            let rank = format!("{key:?} rank {i}");
            close(*p, number(&other["probability"]), TOLERANCE, &rank);
            prints(*p, text(&other["printed_probability"]), 4, &rank);
            if !case.may_swap(&key, &other["probability"]) {
                assert_eq!(i64::from(*id), other["token_id"].as_i64().unwrap(), "{rank}");
                assert_eq!(token, text(&other["token"]), "{rank}");
            }
        }
    }
}

/// The notebook's cosine in float64, straight from the stored activations.
fn check_own_activations(case: &Case) {
    let ours = pairs(case, &SIMILARITY);
    let mut compared = 0;
    for part in 0..case.run.store.list("tables/prompts").unwrap().len() as u32 {
        let columns = ["scenario", "input", "task", "wording", "n_tokens"];
        let address = PartAddress::new(&PROMPTS, part);
        let prompts = read_part(&case.run.store, address, &columns).unwrap();
        for layer in ours.keys().map(|(layer, _)| *layer).collect::<BTreeSet<_>>() {
            let address = PartAddress { table: &ACTIVATIONS, layer: Some(layer), part };
            let rows = read_part(&case.run.store, address, &["values"]).unwrap();
            let (values, d) = rows.vectors("values").unwrap();
            let mut start = 0;
            let mut vectors = BTreeMap::new();
            for row in 0..prompts.rows() {
                let n = prompts.int32s("n_tokens").unwrap().value(row) as usize * d;
                if prompts.int16s("wording").unwrap().value(row) == 0 {
                    let key = ["scenario", "input", "task"].map(|c| cell(&prompts, c, row));
                    vectors.insert(key, &values[start..start + n]);
                }
                start += n;
            }
            assert_eq!(start, values.len());
            for ((_, (s, i, a, b)), (value, _)) in ours.iter().filter(|((l, _), _)| *l == layer) {
                let of = |task: &String| vectors.get(&[s.clone(), i.clone(), task.clone()]);
                let (Some(x), Some(y)) = (of(a), of(b)) else { continue };
                let dot = |x: &[f32], y: &[f32]| -> f64 {
                    x.iter().zip(y).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let n = x.len().min(y.len());
                let (x, y) = (&x[..n], &y[..n]);
                let cosine = dot(x, y) / (dot(x, x).sqrt() * dot(y, y).sqrt());
                close(value.unwrap(), cosine, OWN_TOLERANCE, "own activations");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, ours.len());
}

fn check_all(case: &Case) {
    check_prompts(case);
    check_similarity(case);
    check_divergence_and_verdict(case);
    check_attention(case);
    check_focus(case);
    check_next_tokens(case);
    check_own_activations(case);
}

#[test]
fn a_random_model_of_another_shape_gives_the_numbers_of_pytorch() {
    check_all(&Case::new("tests/fixtures/tiny.yml", "tests/fixtures/reference/tiny.json", &[]));
}

#[test]
fn the_demo_model_gives_the_numbers_of_the_notebook() {
    check_all(&Case::new(
        "pipelines/experiment-037.yml",
        "tests/fixtures/reference/experiment-037.json",
        &[],
    ));
}

#[test]
fn many_small_shards_give_the_numbers_of_pytorch_too() {
    check_all(&Case::new(
        "tests/fixtures/tiny.yml",
        "tests/fixtures/reference/tiny.json",
        &["--set", "shard_inputs=1", "--set", "stages.extract.batch_tokens=40"],
    ));
}

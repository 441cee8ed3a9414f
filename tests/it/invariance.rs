//! What a prompt gives does not depend on what runs beside it: alone, among longer and shorter
//! ones, in another order, over other padding.

use aqlens::model::{Batch, Engine, Wanted};
use aqlens::stages::extract::Config;
use aqlens::table::schema::{ACTIVATIONS, ATTENTION, LOGITS};
use arrow_array::Array as _;
use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

use crate::support::tiny::{self, Extraction, prompts};

/// Largest difference allowed, as a share of a vector's own norm.
const SHARE: f64 = 1e-5;

/// What one prompt gives: block outputs by layer, last-query attention by layer and head, logits.
#[derive(Debug, Clone)]
struct Given {
    hidden: Vec<Vec<f32>>,
    attention: Vec<Vec<f32>>,
    logits: Vec<f32>,
}

fn run(engine: &Engine, rows: &[usize], texts: &[Vec<i32>], pad_id: i64) -> Vec<(usize, Given)> {
    let batch = Batch::pad(rows, texts, pad_id);
    let layers: Vec<i16> = (0..5).collect();
    let wanted = Wanted { hidden: layers.clone(), attention: layers, ..Wanted::default() };
    let mut all = Vec::new();
    engine
        .run(&batch, &wanted, &mut |outputs| {
            for (i, (&row, &length)) in batch.rows.iter().zip(&batch.lengths).enumerate() {
                let seq = batch.seq;
                let real = |layer: &&[f32]| layer[i * seq * 27..][..length * 27].to_vec();
                let last = |layer: &&[f32], head: usize| {
                    layer[((i * 3 + head) * seq + length - 1) * seq..][..seq].to_vec()
                };
                let attention: Vec<Vec<f32>> = outputs
                    .attention
                    .iter()
                    .flat_map(|layer| (0..3).map(move |head| last(layer, head)))
                    .collect();
                for weights in &attention {
                    assert!(weights[length..].iter().all(|w| *w == 0.0), "padding is attended to");
                }
                let given = Given {
                    hidden: outputs.hidden.iter().map(real).collect(),
                    attention: attention.iter().map(|w| w[..length].to_vec()).collect(),
                    logits: outputs.logits[i * 320..(i + 1) * 320].to_vec(),
                };
                all.push((row, given));
            }
        })
        .unwrap();
    all
}

fn assert_close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let norm = a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let difference = (f64::from(*x) - f64::from(*y)).abs();
        assert!(difference <= SHARE * norm, "{what}, number {i}: {x} and {y}, norm {norm}");
    }
}

fn top(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap()
}

fn assert_same(a: &Given, b: &Given, what: &str) {
    for (layer, (x, y)) in a.hidden.iter().zip(&b.hidden).enumerate() {
        for (position, (x, y)) in x.chunks(27).zip(y.chunks(27)).enumerate() {
            assert_close(x, y, &format!("{what}, layer {layer}, position {position}"));
        }
    }
    for (x, y) in a.attention.iter().zip(&b.attention) {
        assert_close(x, y, &format!("{what}, attention"));
    }
    assert_close(&a.logits, &b.logits, &format!("{what}, logits"));
    assert_eq!(top(&a.logits), top(&b.logits), "{what}, top token");
}

fn texts() -> impl Strategy<Value = Vec<Vec<i32>>> {
    prop::collection::vec(prop::collection::vec(0..320, 1..=64), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_prompt_gives_the_same_alone_and_in_any_batch_and_order(texts in texts()) {
        let engine = shared();
        let rows: Vec<usize> = (0..texts.len()).collect();
        let backwards: Vec<usize> = rows.iter().rev().copied().collect();
        let forward = run(engine, &rows, &texts, 0);
        for (row, given) in run(engine, &backwards, &texts, 0) {
            assert_same(&forward[row].1, &given, &format!("prompt {row} in another order"));
            let alone = run(engine, &[row], &texts, 0);
            assert_same(&alone[0].1, &given, &format!("prompt {row} alone and in a batch"));
        }
    }

    #[test]
    fn the_padding_token_changes_nothing(texts in texts(), pad_id in 1_i64..320) {
        let engine = shared();
        let rows: Vec<usize> = (0..texts.len()).collect();
        let zero = run(engine, &rows, &texts, 0);
        for (row, given) in run(engine, &rows, &texts, pad_id) {
            let other = &zero[row].1;
            assert_eq!(other.hidden, given.hidden, "prompt {row}, padded with {pad_id}");
            assert_eq!(other.attention, given.attention);
            assert_eq!(other.logits, given.logits);
        }
    }
}

fn shared() -> &'static Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(tiny::engine)
}

#[test]
fn tables_hold_what_each_prompt_gives_alone_whatever_the_batches() {
    // Some of them twice: such a prompt has the numbers of the other one.
    let texts = [
        "the red ball",
        "?",
        "日本語の表",
        "the red ball",
        "a cup\r\n\r\na ball",
        "b",
        "red<|endoftext|>blue",
        "b",
        "the red ball",
    ];
    let tokenizer = tiny::tokenizer();
    let ids: Vec<Vec<i32>> =
        texts.iter().map(|text| tokenizer.encode(text, 0..0).unwrap().ids).collect();
    for batch_tokens in [0, 1, 24] {
        let config = Config { batch_tokens, ..Config::default() };
        let extraction = Extraction::of(shared(), config, &prompts(&texts));
        let found = tables(&extraction, &ids);
        assert_eq!(extraction.result.as_ref().unwrap().repeats, 3);
        for (row, found) in found.iter().enumerate() {
            let alone = run(shared(), &[row], &ids, 0).remove(0).1;
            assert_same(&alone, found, &format!("prompt {row}, batches of {batch_tokens}"));
        }
    }
}

/// What the tables hold of each prompt, in the order of the prompts.
fn tables(extraction: &Extraction, ids: &[Vec<i32>]) -> Vec<Given> {
    let names: Vec<String> = (0..ids.len()).map(|i| format!("input-{i}")).collect();
    let mut given: Vec<Given> = Vec::new();
    let logits = extraction.part(&LOGITS, None, &["input", "values"]);
    for (i, (input, row)) in logits
        .texts("input")
        .unwrap()
        .iter()
        .zip(logits.vectors("values").unwrap().0.chunks(320))
        .enumerate()
    {
        assert_eq!(input, Some(names[i].as_str()));
        given.push(Given { hidden: Vec::new(), attention: Vec::new(), logits: row.to_vec() });
    }
    for layer in 0..5 {
        let part = extraction.part(
            &ACTIVATIONS,
            Some(layer),
            &["input", "position", "token_id", "values"],
        );
        let (inputs, values) = (part.texts("input").unwrap(), part.vectors("values").unwrap().0);
        let (positions, tokens) =
            (part.int32s("position").unwrap(), part.int32s("token_id").unwrap());
        let mut at = 0;
        for (i, ids) in ids.iter().enumerate() {
            for (position, id) in ids.iter().enumerate() {
                let row = at + position;
                assert_eq!(inputs.value(row), names[i]);
                assert_eq!((positions.value(row), tokens.value(row)), (position as i32, *id));
            }
            given[i].hidden.push(values[at * 27..(at + ids.len()) * 27].to_vec());
            at += ids.len();
        }
        assert_eq!(at, part.rows());
    }
    let part = extraction.part(&ATTENTION, None, &["input", "layer", "head", "query", "weights"]);
    let weights = part.lists("weights").unwrap();
    assert_eq!(part.rows(), ids.len() * 5 * 3);
    for row in 0..part.rows() {
        let (prompt, layer, head) = (row / 15, row / 3 % 5, row % 3);
        assert_eq!(part.texts("input").unwrap().value(row), names[prompt]);
        assert_eq!(part.int16s("layer").unwrap().value(row), layer as i16);
        assert_eq!(part.int16s("head").unwrap().value(row), head as i16);
        assert_eq!(part.int32s("query").unwrap().value(row), ids[prompt].len() as i32 - 1);
        let values = weights.value(row);
        let values = values.as_any().downcast_ref::<arrow_array::Float32Array>().unwrap();
        given[prompt].attention.push(values.values().to_vec());
    }
    given
}

#[test]
fn a_second_extraction_writes_the_same_bytes() {
    let texts = ["the red ball", "?", "a cup\r\n\r\na ball", "b"];
    let parts = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let engine = tiny::engine();
        let extraction =
            pool.install(|| Extraction::of(&engine, Config::default(), &prompts(&texts)));
        extraction.result.unwrap().parts
    };
    assert_eq!(parts(1), parts(8));
}

#[test]
fn the_same_bytes_come_from_one_batch_at_a_time_and_from_several() {
    let texts = ["the red ball", "?", "a cup\r\n\r\na ball", "b", "the red ball and the red cup"];
    let parts = |threads: usize, at_once: usize| {
        let engine = tiny::engine_with_threads(threads);
        assert_eq!(engine.at_once().unwrap(), at_once);
        let config = Config { batch_tokens: 20, ..Config::default() };
        Extraction::of(&engine, config, &prompts(&texts)).result.unwrap().parts
    };
    let one = parts(1, 1);
    assert_eq!(parts(2, 2), one);
    assert_eq!(parts(8, 8), one);
}

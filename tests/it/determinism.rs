//! The analyses give the same bytes whatever the number of threads.

use std::collections::BTreeMap;

use aqlens::stage::Stage;
use aqlens::stages::{
    attention, divergence, lens, outputs, segments, similarity, sinks, summary, surprisal, tokens,
};
use aqlens::store::hex_sha256;

use crate::stage::fixture::{FakePrompt, FakeRun, Numbers, noise, prompt, valid};

const D_MODEL: usize = 48;
const VOCAB: usize = 400;

fn seed(prompt: &FakePrompt) -> u64 {
    let text = prompt.input.bytes().chain(prompt.task.bytes());
    text.fold(7, |seed: u64, byte| seed.wrapping_mul(131).wrapping_add(u64::from(byte)))
}

fn numbers() -> Numbers<'static> {
    Numbers {
        activations: &|p, layer, position| {
            let base = seed(p) ^ ((layer as u64) << 40) ^ ((position as u64) << 20);
            // A shared offset, as in a real model: sums then lose digits in every order.
            (0..D_MODEL as u64).map(|d| noise(base.wrapping_add(d)) * 30.0 + 100.0).collect()
        },
        attention: &|p, layer, head| {
            let base = seed(p) ^ ((layer as u64) << 40) ^ ((head as u64) << 20);
            let n = p.tokens.len();
            (0..n as u64).map(|t| (noise(base + t) + 1.0) / n as f32).collect()
        },
        logits: &|p| (0..VOCAB as u64).map(|id| noise(seed(p) ^ (id << 30)) * 20.0).collect(),
    }
}

/// Eight inputs under five tasks of different lengths, one of them too long, in two shards.
fn shards() -> [Vec<FakePrompt>; 2] {
    [0..5, 5..8].map(|inputs| {
        inputs
            .flat_map(|i| {
                (0..5).map(move |t| {
                    let prompt =
                        prompt(&format!("input-{i}"), &format!("task-{t}"), 12 + i * 3 + t);
                    // All inputs have six tokens, so that they can be compared.
                    let rest = "e".repeat(prompt.tokens.len() - 9);
                    let mut prompt = prompt.segments(&format!("tffiiiiii{rest}"));
                    if t == 1 {
                        prompt.tokens[4] = 9;
                    }
                    if (i, t) == (3, 2) { prompt.skipped() } else { prompt }
                })
            })
            .collect()
    })
}

/// SHA-256 of every file that the stages write.
fn analyse(threads: usize) -> BTreeMap<String, String> {
    let mut run = FakeRun::new();
    (run.card.d_model, run.card.vocab_size) = (D_MODEL, VOCAB);
    (run.card.n_layer, run.card.n_head) = (6, 4);
    // Few rows at a time, so that several calls of the head make a part.
    run = run.with_head(24);
    run.layers = vec![0, 2, 4, 5];
    run.shards = 2;
    let heads = attention::Config {
        layers: attention::Layers::Captured,
        heads: attention::Heads::All,
        aligned: true,
        ..attention::Config::default()
    };
    let by_shard: [Box<dyn Stage>; 8] = [
        Box::new(valid(|a, f, p| similarity::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| heads.validate(a, f, p))),
        Box::new(valid(|a, f, p| tokens::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| surprisal::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| lens::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| outputs::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| segments::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| sinks::Config::default().validate(a, f, p))),
    ];
    let over_run: [Box<dyn Stage>; 2] = [
        Box::new(valid(|a, f, p| divergence::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| summary::Config::default().validate(a, f, p))),
    ];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut hashes = BTreeMap::new();
    let work = || {
        let mut run_stage = |stage: &dyn Stage, part| {
            for part in run.run(stage, part).unwrap().parts {
                let found = hex_sha256(&run.store.read(&part.file.path).unwrap());
                assert_eq!(found, part.file.sha256);
                hashes.insert(part.file.path, found);
            }
        };
        for (part, prompts) in (0..).zip(&shards()) {
            run.write_shard(part, prompts, &numbers());
            for stage in &by_shard {
                run_stage(stage.as_ref(), part);
            }
        }
        for stage in &over_run {
            run_stage(stage.as_ref(), 0);
        }
    };
    pool.install(work);
    let summary = run.store.read("summary.json").unwrap();
    hashes.insert("summary.json".into(), hex_sha256(&summary));
    hashes
}

#[test]
fn one_thread_and_eight_give_the_same_bytes() {
    let one = analyse(1);
    assert_eq!(one.len(), 2 * 17 + 2 + 1, "{:?}", one.keys());
    for _ in 0..3 {
        assert_eq!(analyse(8), one);
    }
}

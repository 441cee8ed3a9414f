//! A run directory made of made-up numbers, in any shape.

use std::sync::Arc;

use aqlens::store::Store;
use aqlens::table::schema;
use aqlens::table::writer::{PartAddress, write_part};
use aqlens::table::{Dims, Table};
use arrow_array::{ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, StringArray};

use super::fake_prompts::FakePrompts;

pub(crate) const HEADS: i16 = 3;
pub(crate) const K: usize = 5;

/// One scenario: its tasks and inputs, as (id, text).
#[derive(Clone)]
pub(crate) struct FakeScenario {
    pub(crate) name: String,
    pub(crate) tasks: Vec<(String, String)>,
    pub(crate) inputs: Vec<(String, String)>,
}

/// A run of several scenarios, one shard an input.
pub(crate) struct FakeRun {
    pub(crate) scenarios: Vec<FakeScenario>,
    pub(crate) layers: Vec<i16>,
    /// How far the last layer falls below 1.
    pub(crate) fall: f64,
    /// Leave out tables that the report can do without.
    pub(crate) without: &'static [&'static str],
    /// Tables whose folder is there without files, as a run that released them leaves it.
    pub(crate) empty: &'static [&'static str],
    /// `scenario/input/task` of a prompt that was not run.
    pub(crate) skipped: Option<&'static str>,
}

impl FakeScenario {
    pub(crate) fn new(name: &str, tasks: &[(&str, &str)], inputs: &[(&str, &str)]) -> Self {
        let own = |list: &[(&str, &str)]| {
            list.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
        };
        Self { name: name.to_owned(), tasks: own(tasks), inputs: own(inputs) }
    }
}

/// A scenario, a layer and all similarities there.
type Reduced<'a> = (&'a FakeScenario, i16, Vec<f64>);

/// A number between 0 and 1 that depends on everything named.
pub(crate) fn chance(words: &[&str], n: usize) -> f64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64 ^ n as u64;
    for byte in words.iter().flat_map(|w| w.bytes().chain([0])) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    state = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// Tokens of a prompt: words with their leading space, line ends one by one.
pub(crate) fn tokens(task: &str, input: &str) -> Vec<String> {
    let text = format!("{task}\n\nContext: {input}\n\nAnswer:");
    let mut tokens: Vec<String> = Vec::new();
    for c in text.chars() {
        let joins = c.is_alphanumeric()
            && tokens
                .last()
                .is_some_and(|t| t.ends_with(|l: char| l.is_alphanumeric() || l == ' '));
        match tokens.last_mut() {
            Some(last) if joins => last.push(c),
            _ => tokens.push(c.to_string()),
        }
    }
    tokens
}

/// The made-up tokenizer: all tokens of the run, sorted; a token's id is its place.
pub(crate) fn vocabulary(run: &FakeRun) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for s in &run.scenarios {
        for (_, input) in &s.inputs {
            for (_, task) in &s.tasks {
                all.extend(tokens(task, input));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

pub(crate) fn texts(rows: &[String]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows))
}

fn write(store: &Store, table: &'static Table, part: u32, columns: Vec<ArrayRef>) {
    let dims = Dims { d_model: 4, vocab_size: 8 };
    write_part(store, PartAddress::new(table, part), dims, columns).unwrap();
}

impl FakeRun {
    /// How many shards it has.
    pub(crate) fn shards(&self) -> u32 {
        self.scenarios.iter().map(|s| s.inputs.len() as u32).sum()
    }

    pub(crate) fn similarity(&self, s: &str, input: &str, layer: i16, a: &str, b: &str) -> f64 {
        let last = f64::from(*self.layers.last().unwrap()).max(1.0);
        let depth = f64::from(layer + 1) / (last + 1.0);
        1.0 - self.fall * depth * (0.4 + 0.6 * chance(&[s, input, a, b], 0))
    }

    pub(crate) fn is_skipped(&self, s: &str, input: &str, task: &str) -> bool {
        self.skipped == Some(format!("{s}/{input}/{task}").as_str())
    }

    /// Writes all tables.
    pub(crate) fn write(&self, store: &Store) {
        let vocabulary = vocabulary(self);
        let mut part = 0;
        for scenario in &self.scenarios {
            for input in &scenario.inputs {
                FakePrompts::of(self, scenario, input, &vocabulary).write(self, store, part);
                self.write_pairs(store, part, scenario, &input.0);
                part += 1;
            }
        }
        self.write_reduced(store);
        for name in self.empty {
            std::fs::create_dir_all(store.path("tables").join(name)).unwrap();
        }
    }

    fn write_pairs(&self, store: &Store, part: u32, s: &FakeScenario, input: &str) {
        let pairs = || {
            let tasks = s.tasks.iter().enumerate();
            tasks.flat_map(|(i, a)| s.tasks[i + 1..].iter().map(move |b| (&a.0, &b.0)))
        };
        let (mut layers, mut a, mut b) = (Vec::new(), Vec::new(), Vec::new());
        let (mut values, mut status) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            for (task_a, task_b) in pairs() {
                let skipped = self.is_skipped(&s.name, input, task_a)
                    || self.is_skipped(&s.name, input, task_b);
                layers.push(*layer);
                a.push(task_a.clone());
                b.push(task_b.clone());
                let value = self.similarity(&s.name, input, *layer, task_a, task_b);
                values.push((!skipped).then_some(value));
                status.push(if skipped { "skipped" } else { "ok" }.to_owned());
            }
        }
        let n = layers.len();
        let same = |text: &str, n: usize| texts(&vec![text.to_owned(); n]);
        write(
            store,
            &schema::SIMILARITY,
            part,
            vec![
                same(&s.name, n),
                same(input, n),
                Arc::new(Int16Array::from(layers)),
                texts(&a),
                texts(&b),
                same("flat", n),
                Arc::new(Float64Array::from(values)),
                Arc::new(Int64Array::from(vec![112; n])),
                Arc::new(Float64Array::from(vec![0.0625; n])),
                texts(&status),
            ],
        );
        let n = pairs().count();
        let jaccard: Vec<f64> = pairs()
            .map(|(a, b)| (chance(&[&s.name, input, a, b], 9) * 6.0).floor())
            .map(|shared| shared / (2.0 * K as f64 - shared))
            .collect();
        let columns: Vec<ArrayRef> = vec![
            same(&s.name, n),
            same(input, n),
            Arc::new(Int16Array::from(vec![*self.layers.last().unwrap(); n])),
            Arc::new(Int16Array::from(vec![-1; n])),
            texts(&pairs().map(|p| p.0.clone()).collect::<Vec<_>>()),
            texts(&pairs().map(|p| p.1.clone()).collect::<Vec<_>>()),
            same("jaccard", n),
            Arc::new(Float64Array::from(jaccard)),
            Arc::new(Int32Array::from(vec![K as i32; n])),
            same("ok", n),
        ];
        self.put(store, &schema::ATTENTION_OVERLAP, part, columns);
    }

    fn write_reduced(&self, store: &Store) {
        let rows: Vec<Reduced<'_>> = self
            .scenarios
            .iter()
            .flat_map(|s| self.layers.iter().map(move |l| (s, *l, self.values(s, *l))))
            .collect();
        let measure = |f: &dyn Fn(&[f64]) -> Option<f64>| -> ArrayRef {
            Arc::new(rows.iter().map(|(_, _, v)| f(v)).collect::<Float64Array>())
        };
        let some = |v: &[f64], x: f64| (!v.is_empty()).then_some(x);
        let count = |f: &dyn Fn(&Reduced<'_>) -> usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| f(r) as i64)))
        };
        let names: Vec<String> = rows.iter().map(|r| r.0.name.clone()).collect();
        let n = rows.len();
        write(
            store,
            &schema::DIVERGENCE,
            0,
            vec![
                texts(&names),
                Arc::new(Int16Array::from_iter_values(rows.iter().map(|r| r.1))),
                texts(&vec!["flat".to_owned(); n]),
                count(&|r| r.0.inputs.len()),
                count(&|r| r.2.len()),
                measure(&|v| some(v, mean(v))),
                measure(&|v| (v.len() > 1).then(|| deviation(v))),
                measure(&|v| some(v, v.iter().copied().fold(f64::INFINITY, f64::min))),
                measure(&|v| some(v, v.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
                measure(&|v| some(v, 0.0625)),
            ],
        );
        let last: Vec<_> = rows.iter().filter(|r| r.1 == *self.layers.last().unwrap()).collect();
        let n = last.len();
        let reason = |r: &&Reduced<'_>| format!("{} values at layer {}", r.2.len(), r.1);
        let word = |v: &[f64]| match v {
            [] => "not_testable",
            v if mean(v) < 0.9 => "supported",
            _ => "not_supported",
        };
        let columns: Vec<ArrayRef> = vec![
            texts(&last.iter().map(|r| r.0.name.clone()).collect::<Vec<_>>()),
            texts(&vec!["flat".to_owned(); n]),
            Arc::new(Int16Array::from_iter_values(last.iter().map(|r| r.1))),
            Arc::new(last.iter().map(|r| some(&r.2, mean(&r.2))).collect::<Float64Array>()),
            Arc::new(Float64Array::from(vec![0.9; n])),
            texts(&last.iter().map(|r| word(&r.2).to_owned()).collect::<Vec<_>>()),
            texts(&last.iter().map(reason).collect::<Vec<_>>()),
        ];
        // Ends of intervals, sizes and p: the notebook's verdict has none.
        let empty = || -> ArrayRef { Arc::new(Float64Array::from(vec![None; n])) };
        let counts = || -> ArrayRef { Arc::new(Int64Array::from(vec![1; n])) };
        let columns = columns.into_iter().chain((0..9).map(|_| empty()));
        let columns =
            columns.chain((0..3).map(|_| counts())).chain([texts(&vec![String::new(); n])]);
        let columns = columns.collect();
        self.put(store, &schema::VERDICT, 0, columns);
    }

    /// All similarities of a scenario at a layer.
    pub(crate) fn values(&self, s: &FakeScenario, layer: i16) -> Vec<f64> {
        let mut values = Vec::new();
        for (input, _) in &s.inputs {
            for (i, (a, _)) in s.tasks.iter().enumerate() {
                for (b, _) in &s.tasks[i + 1..] {
                    let skipped = [a, b].iter().any(|t| self.is_skipped(&s.name, input, t));
                    if !skipped {
                        values.push(self.similarity(&s.name, input, layer, a, b));
                    }
                }
            }
        }
        values
    }

    pub(crate) fn put(
        &self,
        store: &Store,
        table: &'static Table,
        part: u32,
        columns: Vec<ArrayRef>,
    ) {
        if !self.without.contains(&table.name) {
            write(store, table, part, columns);
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let m = mean(values);
    let squares: f64 = values.iter().map(|v| (v - m).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

//! The tables with rows per prompt of a made-up run.

use std::sync::Arc;

use aqlens::store::Store;
use aqlens::table::schema;
use arrow_array::builder::{Float32Builder, Int32Builder, ListBuilder};
use arrow_array::{ArrayRef, Float64Array, Int16Array, Int32Array, StringArray};
use arrow_schema::{DataType, Field};

use super::fake::{FakeRun, FakeScenario, HEADS, K, chance, texts, tokens};

/// All prompts of one input, table by table.
pub(crate) struct FakePrompts<'a> {
    scenario: &'a str,
    input: &'a str,
    prompts: Prompts,
    attention: Attention,
    focus: Focus,
    next: Next,
}

impl<'a> FakePrompts<'a> {
    /// The input under each task; what was not run has a row in `prompts` alone.
    pub(crate) fn of(
        run: &FakeRun,
        scenario: &'a FakeScenario,
        input: &'a (String, String),
        vocabulary: &[String],
    ) -> Self {
        let mut all = Self {
            scenario: &scenario.name,
            input: &input.0,
            prompts: Prompts::new(),
            attention: Attention::new(),
            focus: Focus::default(),
            next: Next::default(),
        };
        for (task, question) in &scenario.tasks {
            let tokens = tokens(question, &input.1);
            let is_skipped = run.is_skipped(&scenario.name, &input.0, task);
            all.prompts.add(task, &tokens, is_skipped, vocabulary);
            if !is_skipped {
                let mean = all.attention.add(task, &[&scenario.name, &input.0, task], tokens.len());
                all.focus.add(task, &tokens, &mean, vocabulary);
                all.next.add(task, &scenario.name, vocabulary);
            }
        }
        all
    }

    /// Writes them as one part.
    pub(crate) fn write(self, run: &FakeRun, store: &Store, part: u32) {
        let (scenario, input) = (self.scenario, self.input);
        let last = *run.layers.last().unwrap();
        let put = |table, tasks: &[String], columns: Vec<ArrayRef>| {
            let same = |text: &str| texts(&vec![text.to_owned(); tasks.len()]);
            let wording: ArrayRef = Arc::new(Int16Array::from(vec![0; tasks.len()]));
            let mut all = vec![same(scenario), same(input), texts(tasks), wording];
            all.extend(columns);
            run.put(store, table, part, all);
        };
        put(&schema::PROMPTS, &self.prompts.task.clone(), self.prompts.columns());
        put(&schema::ATTENTION, &self.attention.task.clone(), self.attention.columns(last));
        put(&schema::ATTENTION_FOCUS, &self.focus.task.clone(), self.focus.columns(last));
        put(&schema::NEXT_TOKENS, &self.next.task.clone(), self.next.columns());
    }
}

fn item(kind: DataType) -> Field {
    Field::new("item", kind, false)
}

struct Prompts {
    task: Vec<String>,
    length: Vec<i32>,
    start: Vec<i32>,
    ids: ListBuilder<Int32Builder>,
    status: Vec<String>,
}

impl Prompts {
    fn new() -> Self {
        let ids = ListBuilder::new(Int32Builder::new()).with_field(item(DataType::Int32));
        Self { task: Vec::new(), length: Vec::new(), start: Vec::new(), ids, status: Vec::new() }
    }

    fn add(&mut self, task: &str, tokens: &[String], is_skipped: bool, vocabulary: &[String]) {
        self.task.push(task.to_owned());
        self.length.push(tokens.len() as i32);
        self.start.push(input_start(tokens));
        for token in tokens {
            self.ids.values().append_value(vocabulary.binary_search(token).unwrap() as i32);
        }
        self.ids.append(true);
        self.status.push(if is_skipped { "too_long" } else { "ok" }.to_owned());
    }

    fn columns(mut self) -> Vec<ArrayRef> {
        let n = self.task.len();
        vec![
            texts(&vec!["task".to_owned(); n]),
            Arc::new(Int16Array::from(vec![0; n])),
            texts(&vec!["input".to_owned(); n]),
            Arc::new(StringArray::new_null(n)),
            texts(&vec!["hash".to_owned(); n]),
            texts(&vec!["plain".to_owned(); n]),
            texts(&vec!["text".to_owned(); n]),
            Arc::new(Int32Array::from(self.length)),
            Arc::new(self.ids.finish()),
            Arc::new(Int32Array::from(self.start)),
            Arc::new(Int32Array::from(vec![1; n])),
            texts(&vec!["segments".to_owned(); n]),
            Arc::new(Int32Array::from(vec![0; n])),
            texts(&self.status),
        ]
    }
}

/// The position after "Context:".
pub(crate) fn input_start(tokens: &[String]) -> i32 {
    tokens.iter().position(|token| token == "Context").unwrap() as i32 + 2
}

struct Attention {
    task: Vec<String>,
    head: Vec<i16>,
    query: Vec<i32>,
    weights: ListBuilder<Float32Builder>,
}

impl Attention {
    fn new() -> Self {
        let weights = ListBuilder::new(Float32Builder::new()).with_field(item(DataType::Float32));
        Self { task: Vec::new(), head: Vec::new(), query: Vec::new(), weights }
    }

    /// Adds every head's weights and gives their mean over the heads.
    fn add(&mut self, task: &str, words: &[&str], n_tokens: usize) -> Vec<f64> {
        let mut mean = vec![0.0_f64; n_tokens];
        for head in 0..HEADS {
            let raw = |t: usize| {
                let sink = if t == 0 { 25.0 } else { 1.0 };
                sink * chance(words, t * 7 + head as usize).powi(3)
            };
            let sum: f64 = (0..n_tokens).map(raw).sum();
            for (t, mean) in mean.iter_mut().enumerate() {
                let weight = (raw(t) / sum) as f32;
                self.weights.values().append_value(weight);
                *mean += f64::from(weight) / f64::from(HEADS);
            }
            self.weights.append(true);
            self.task.push(task.to_owned());
            self.head.push(head);
            self.query.push(n_tokens as i32 - 1);
        }
        mean
    }

    fn columns(mut self, layer: i16) -> Vec<ArrayRef> {
        vec![
            Arc::new(Int16Array::from(vec![layer; self.head.len()])),
            Arc::new(Int16Array::from(self.head)),
            Arc::new(Int32Array::from(self.query)),
            Arc::new(self.weights.finish()),
        ]
    }
}

#[derive(Default)]
struct Focus {
    task: Vec<String>,
    rank: Vec<i16>,
    position: Vec<i32>,
    id: Vec<i32>,
    token: Vec<String>,
    weight: Vec<f64>,
    gap: Vec<Option<f64>>,
}

impl Focus {
    fn add(&mut self, task: &str, tokens: &[String], mean: &[f64], vocabulary: &[String]) {
        let mut order: Vec<usize> = (0..mean.len()).collect();
        order.sort_by(|a, b| mean[*b].total_cmp(&mean[*a]).then(a.cmp(b)));
        let gap = order.get(K).map(|next| mean[order[K - 1]] - mean[*next]);
        for (rank, at) in order.iter().take(K).enumerate() {
            self.task.push(task.to_owned());
            self.rank.push(rank as i16 + 1);
            self.position.push(*at as i32);
            self.id.push(vocabulary.binary_search(&tokens[*at]).unwrap() as i32);
            self.token.push(tokens[*at].clone());
            self.weight.push(mean[*at]);
            self.gap.push(gap);
        }
    }

    fn columns(self, layer: i16) -> Vec<ArrayRef> {
        let n = self.task.len();
        vec![
            Arc::new(Int16Array::from(vec![layer; n])),
            Arc::new(Int16Array::from(vec![-1; n])),
            Arc::new(Int16Array::from(self.rank)),
            Arc::new(Int32Array::from(self.position)),
            Arc::new(Int32Array::from(self.id)),
            texts(&self.token),
            Arc::new(Float64Array::from(self.weight)),
            Arc::new(Float64Array::from(self.gap)),
        ]
    }
}

#[derive(Default)]
struct Next {
    task: Vec<String>,
    rank: Vec<i16>,
    id: Vec<i32>,
    token: Vec<String>,
    probability: Vec<f64>,
}

impl Next {
    fn add(&mut self, task: &str, scenario: &str, vocabulary: &[String]) {
        let mut left = 1.0;
        for rank in 0..K {
            let id = (chance(&[scenario, task, "next"], rank) * vocabulary.len() as f64) as usize;
            let probability = left * (0.35 + 0.5 * chance(&[scenario, task, "p"], 0));
            left -= probability;
            self.task.push(task.to_owned());
            self.rank.push(rank as i16 + 1);
            self.id.push(id as i32);
            self.token.push(vocabulary[id].clone());
            self.probability.push(probability);
        }
    }

    fn columns(self) -> Vec<ArrayRef> {
        let logs: Vec<f64> = self.probability.iter().map(|p| p.ln()).collect();
        vec![
            Arc::new(Int16Array::from(self.rank)),
            Arc::new(Int32Array::from(self.id)),
            texts(&self.token),
            Arc::new(Float64Array::from(self.probability)),
            Arc::new(Float64Array::from(logs)),
        ]
    }
}

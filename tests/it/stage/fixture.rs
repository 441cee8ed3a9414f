//! A run directory with made-up prompts and raw tables, for stages to run on without a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqlens::model::{Engine, HeadBackend, ModelCard, ModelError, Scores, Tokenizer};
use aqlens::monitor::VoidMonitor;
use aqlens::prompt::Role;
use aqlens::stage::{Context, Facts, Outcome, Stage, StageError};
use aqlens::store::Store;
use aqlens::table::Table;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, PROMPTS, REFERENCE};
use aqlens::table::status;
use aqlens::table::writer::{PartAddress, write_part};
use aqlens::yaml;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{
    Array as _, ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, ListArray, StringArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use crate::support::{engine_options, tiny};

/// A made-up prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakePrompt {
    pub(crate) scenario: &'static str,
    pub(crate) input: String,
    pub(crate) task: String,
    pub(crate) wording: i16,
    pub(crate) base_wording: i16,
    pub(crate) tokens: Vec<i32>,
    /// As in table `prompts`.
    pub(crate) segments: String,
    pub(crate) status: &'static str,
}

/// A prompt `s/INPUT/TASK` of so many tokens, numbered from 10; the first one is the input.
pub(crate) fn prompt(input: &str, task: &str, n_tokens: i32) -> FakePrompt {
    FakePrompt {
        scenario: "s",
        input: input.to_owned(),
        task: task.to_owned(),
        wording: 0,
        base_wording: 0,
        tokens: (10..10 + n_tokens).collect(),
        segments: "i".to_owned() + &"e".repeat(n_tokens as usize - 1),
        status: status::OK,
    }
}

impl FakePrompt {
    pub(crate) fn skipped(self) -> Self {
        Self { status: status::TOO_LONG, ..self }
    }

    /// Says what each token is part of, as column `segments`.
    pub(crate) fn segments(self, segments: &str) -> Self {
        assert_eq!(segments.len(), self.tokens.len());
        Self { segments: segments.to_owned(), ..self }
    }

    /// A control, below 0, is made from the first wording.
    pub(crate) fn wording(self, wording: i16) -> Self {
        Self { wording, base_wording: wording.max(0), ..self }
    }

    /// Says which wording a control is made from.
    pub(crate) fn made_from(self, base_wording: i16) -> Self {
        Self { base_wording, ..self }
    }

    pub(crate) fn of(self, scenario: &'static str) -> Self {
        Self { scenario, ..self }
    }
}

/// Makes the raw numbers of a prompt.
pub(crate) struct Numbers<'a> {
    /// From prompt, layer and position: `d_model` numbers.
    pub(crate) activations: &'a dyn Fn(&FakePrompt, i16, usize) -> Vec<f32>,
    /// From prompt, layer and head: a weight for each token.
    pub(crate) attention: &'a dyn Fn(&FakePrompt, i16, i16) -> Vec<f32>,
    /// From prompt: `vocab_size` scores.
    pub(crate) logits: &'a dyn Fn(&FakePrompt) -> Vec<f32>,
}

/// A run directory that is removed in the end.
pub(crate) struct FakeRun {
    _dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) card: ModelCard,
    tokenizer: Tokenizer,
    engine: Engine,
    pub(crate) layers: Vec<i16>,
    pub(crate) fractions: BTreeMap<String, f64>,
    pub(crate) shards: u32,
}

impl FakeRun {
    /// Captured layers 0 and 2 of a model with 4 layers, 2 heads, 4 dimensions and 8 tokens.
    pub(crate) fn new() -> Self {
        let mut card = tiny::card();
        (card.n_layer, card.n_head, card.d_model, card.vocab_size) = (4, 2, 4, 8);
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::create(dir.path()).unwrap(),
            tokenizer: tiny::tokenizer(),
            engine: Engine::new(card.clone(), engine_options()),
            _dir: dir,
            card,
            layers: vec![0, 2],
            fractions: BTreeMap::new(),
            shards: 1,
        }
    }

    /// The same with a head that takes `rows` at a time: a token's odds are 2 to the power of its
    /// place in the activation, and even where the activation ends.
    pub(crate) fn with_head(mut self, rows: usize) -> Self {
        let engine = Engine::new(self.card.clone(), engine_options());
        let powers = Powers { width: self.card.d_model, vocab: self.card.vocab_size };
        self.engine = engine.with_head(Box::new(powers), rows);
        self
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(crate) fn context(&self, part: u32) -> Context<'_> {
        Context {
            store: &self.store,
            part,
            shards: self.shards,
            prompts: &[],
            fractions: &self.fractions,
            layers: &self.layers,
            seed: 37,
            made_by: "",
            card: &self.card,
            tokenizer: &self.tokenizer,
            engine: &self.engine,
            monitor: &VoidMonitor,
            model_is_spare: &|| {},
        }
    }

    pub(crate) fn run(&self, stage: &dyn Stage, part: u32) -> Result<Outcome, StageError> {
        stage.run(&self.context(part))
    }

    /// Reads a part of a table that a stage wrote.
    pub(crate) fn read(&self, table: &'static Table, part: u32, columns: &[&str]) -> Part {
        read_part(&self.store, PartAddress::new(table, part), columns).unwrap()
    }

    /// Writes the raw tables of a shard as stage `extract` does.
    pub(crate) fn write_shard(&self, part: u32, prompts: &[FakePrompt], numbers: &Numbers<'_>) {
        self.write_prompts(part, prompts);
        let ran: Vec<&FakePrompt> = prompts.iter().filter(|p| p.status == status::OK).collect();
        for &layer in &self.layers {
            self.write_activations(part, layer, &ran, numbers);
        }
        self.write_attention(part, &ran, numbers);
        let mut columns = keys(&ran);
        let values = ran.iter().flat_map(|p| (numbers.logits)(p)).collect();
        columns.push(vectors(values, self.card.vocab_size));
        self.write(PartAddress::new(&LOGITS, part), columns);
    }

    pub(crate) fn write(&self, address: PartAddress, columns: Vec<ArrayRef>) {
        write_part(&self.store, address, self.context(0).dims(), columns).unwrap();
    }

    /// Writes table `reference` of scenario `s` as stage `reference` does: mean and standard deviation
    /// by layer and dimension.
    pub(crate) fn write_reference(&self, of: &dyn Fn(i16, usize) -> (f64, f64)) {
        let dimensions = || 0..self.card.d_model;
        let places = || self.layers.iter().flat_map(|l| dimensions().map(move |d| (*l, d)));
        let n = places().count();
        let wide = |of: &dyn Fn(i16, usize) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(places().map(|(l, d)| of(l, d))))
        };
        let columns = vec![
            texts((0..n).map(|_| "s")),
            int16s(places().map(|(layer, _)| layer)),
            int32s(places().map(|(_, dimension)| dimension as i32)),
            wide(&|layer, dimension| of(layer, dimension).0),
            wide(&|layer, dimension| of(layer, dimension).1),
            Arc::new(Int64Array::from(vec![200; n])),
            Arc::new(Int64Array::from(vec![10; n])),
            texts((0..n).map(|_| status::OK)),
        ];
        self.write(PartAddress::new(&REFERENCE, 0), columns);
    }

    /// Writes table `prompts`. Inputs whose names are equal up to a `#` have one text.
    pub(crate) fn write_prompts(&self, part: u32, prompts: &[FakePrompt]) {
        let all: Vec<&FakePrompt> = prompts.iter().collect();
        let mut columns = keys(&all);
        let lengths = || prompts.iter().map(|p| p.tokens.len());
        let asked = prompts.iter().map(|p| format!("{} {} {}", p.task, p.wording, p.input));
        let asked: Vec<String> = asked.collect();
        let ids = prompts.iter().flat_map(|p| p.tokens.iter().copied());
        columns.extend([
            texts(prompts.iter().map(|p| Role::of_wording(p.wording).name())),
            int16s(prompts.iter().map(|p| p.base_wording)),
            texts(prompts.iter().map(|p| p.input.as_str())),
            Arc::new(StringArray::new_null(prompts.len())),
            texts(prompts.iter().map(|p| p.input.split('#').next().unwrap_or_default())),
            texts(prompts.iter().map(|_| "plain")),
            texts(asked.iter().map(String::as_str)),
            int32s(lengths().map(|n| n as i32)),
            list(int32s(ids), lengths()),
            int32s(prompts.iter().map(|p| p.segments.find('i').unwrap() as i32)),
            int32s(prompts.iter().map(|p| p.segments.matches('i').count() as i32)),
            texts(prompts.iter().map(|p| p.segments.as_str())),
            int32s(prompts.iter().map(|_| 0)),
            texts(prompts.iter().map(|p| p.status)),
        ]);
        self.write(PartAddress::new(&PROMPTS, part), columns);
    }

    fn write_activations(&self, part: u32, layer: i16, ran: &[&FakePrompt], numbers: &Numbers<'_>) {
        let tokens: Vec<(&FakePrompt, usize)> =
            ran.iter().flat_map(|p| (0..p.tokens.len()).map(|t| (*p, t))).collect();
        let mut columns = keys(&tokens.iter().map(|(p, _)| *p).collect::<Vec<_>>());
        let values = tokens.iter().flat_map(|(p, t)| (numbers.activations)(p, layer, *t)).collect();
        columns.extend([
            int16s(tokens.iter().map(|_| layer)),
            int32s(tokens.iter().map(|(_, t)| *t as i32)),
            int32s(tokens.iter().map(|(p, t)| p.tokens[*t])),
            vectors(values, self.card.d_model),
        ]);
        self.write(PartAddress { table: &ACTIVATIONS, layer: Some(layer), part }, columns);
    }

    fn write_attention(&self, part: u32, ran: &[&FakePrompt], numbers: &Numbers<'_>) {
        let mut layers = self.layers.clone();
        if layers.last() != Some(&(self.card.n_layer - 1)) {
            layers.push(self.card.n_layer - 1);
        }
        let places = || layers.iter().flat_map(|l| (0..self.card.n_head).map(move |h| (*l, h)));
        let rows: Vec<(&FakePrompt, i16, i16)> =
            ran.iter().flat_map(|p| places().map(move |(l, h)| (*p, l, h))).collect();
        let mut columns = keys(&rows.iter().map(|(p, ..)| *p).collect::<Vec<_>>());
        let weights = rows.iter().flat_map(|(p, l, h)| (numbers.attention)(p, *l, *h));
        let weights: ArrayRef = Arc::new(Float32Array::from_iter_values(weights));
        columns.extend([
            int16s(rows.iter().map(|(_, layer, _)| *layer)),
            int16s(rows.iter().map(|(.., head)| *head)),
            int32s(rows.iter().map(|(p, ..)| p.tokens.len() as i32 - 1)),
            list(weights, rows.iter().map(|(p, ..)| p.tokens.len())),
        ]);
        self.write(PartAddress::new(&ATTENTION, part), columns);
    }
}

struct Powers {
    width: usize,
    vocab: usize,
}

impl HeadBackend for Powers {
    fn run(&mut self, hidden: &[f32]) -> Result<Scores, ModelError> {
        let scores = |row: &[f32]| {
            let mut scores: Vec<f32> = row.iter().map(|x| x * std::f32::consts::LN_2).collect();
            scores.resize(self.vocab, 0.0);
            scores
        };
        let scores: Vec<f32> = hidden.chunks(self.width).flat_map(scores).collect();
        Ok(Box::new(scores))
    }
}

/// What a stage's configuration is held against in these tests.
pub(crate) fn facts() -> Facts {
    Facts {
        n_layer: Some(4),
        n_positions: Some(64),
        has_head: Some(true),
        has_past: Some(true),
        has_patch: Some(true),
        captures_last: Some(true),
        threshold: Some(0.9),
        judged: None,
    }
}

/// The problems that a validation finds, one line each.
pub(crate) fn problems_of(validate: impl FnOnce(&yaml::Path, &mut yaml::Problems)) -> Vec<String> {
    let mut problems = yaml::Problems::default();
    validate(&yaml::Path::default().key("stages").index(1), &mut problems);
    problems.into_vec().into_iter().map(|p| format!("{}: {}", p.at, p.message)).collect()
}

/// Validates a configuration that has no problems.
pub(crate) fn valid<T>(
    validate: impl FnOnce(&yaml::Path, &Facts, &mut yaml::Problems) -> Option<T>,
) -> T {
    let mut problems = yaml::Problems::default();
    let valid = validate(&yaml::Path::default(), &facts(), &mut problems);
    assert!(problems.is_empty(), "{:?}", problems.into_vec());
    valid.unwrap()
}

/// A number in -1..1 that looks random and is the same every time.
pub(crate) fn noise(seed: u64) -> f32 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

pub(crate) fn keys(prompts: &[&FakePrompt]) -> Vec<ArrayRef> {
    vec![
        texts(prompts.iter().map(|p| p.scenario)),
        texts(prompts.iter().map(|p| p.input.as_str())),
        texts(prompts.iter().map(|p| p.task.as_str())),
        int16s(prompts.iter().map(|p| p.wording)),
    ]
}

pub(crate) fn texts<'t>(values: impl Iterator<Item = &'t str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

pub(crate) fn int16s(values: impl Iterator<Item = i16>) -> ArrayRef {
    Arc::new(Int16Array::from_iter_values(values))
}

pub(crate) fn int32s(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

pub(crate) fn list(values: ArrayRef, lengths: impl Iterator<Item = usize>) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None))
}

/// A list of numbers a row, which may be null.
pub(crate) fn lists_or_null(rows: &[Option<Vec<f64>>]) -> ArrayRef {
    let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len));
    let nulls = rows.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    let values = Float64Array::from_iter_values(rows.iter().flatten().flatten().copied());
    let item = Arc::new(Field::new("item", DataType::Float64, false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(item, offsets, Arc::new(values), Some(nulls)))
}

pub(crate) fn vectors(values: Vec<f32>, width: usize) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(item, width as i32, values, None))
}

/// `input layer measure tasks values status` of every row of a table of wording pairs.
pub(crate) fn paired(run: &FakeRun, table: &'static Table) -> Vec<String> {
    let columns = ["input", "layer", "measure", "tasks", "values", "status"];
    let part = run.read(table, 0, &columns);
    let (tasks, values) = (part.lists("tasks").unwrap(), part.lists("values").unwrap());
    let row = |row: usize| {
        let tasks = tasks.value(row).as_primitive::<Int32Type>().values().to_vec();
        let of_row = values.value(row);
        let found = of_row.as_primitive::<Float64Type>().values().iter();
        let found: Vec<String> = found.map(|value| format!("{value:.4}")).collect();
        let found = if values.is_null(row) { "null".to_owned() } else { found.join(" ") };
        let text = |name: &str| part.texts(name).unwrap().value(row).to_owned();
        let layer = part.int16s("layer").unwrap().value(row);
        let (input, measure, status) = (text("input"), text("measure"), text("status"));
        format!("{input} {layer} {measure} {tasks:?} {found} {status}")
    };
    (0..part.rows()).map(row).collect()
}

//! Made-up tables of vectors and contrasts, for the stages that reduce them.

use std::sync::Arc;

use aqlens::table::schema::{CONTRAST, REFERENCE, TOKEN_SPREAD, VECTORS, WORDING_PAIRS};
use aqlens::table::status;
use aqlens::table::writer::PartAddress;
use arrow_array::{Array as _, ArrayRef, Float64Array, Int64Array};

use super::fixture::{
    FakePrompt, FakeRun, int16s, int32s, keys, list, lists_or_null, prompt, texts, vectors,
};

/// A vector of a prompt at a site of a layer; `None` where the prompt cannot be compared there.
pub(crate) type Vectors<'a> = &'a dyn Fn(&FakePrompt, i16, &str) -> Option<Vec<f32>>;

/// Writes a shard's prompts, and their vectors as stage `vectors` does; every input is one token long.
pub(crate) fn write_vectors(run: &FakeRun, part: u32, prompts: &[FakePrompt], of: Vectors<'_>) {
    run.write_prompts(part, prompts);
    write_token_spread(run, part, prompts, 1, &|_, _| vec![0.0; run.card.d_model]);
    for &layer in &run.layers {
        let rows: Vec<(&FakePrompt, &str)> =
            prompts.iter().flat_map(|p| [(p, "span"), (p, "last")]).collect();
        let of_row = |(p, site): &(&FakePrompt, &str)| of(p, layer, site);
        let width = run.card.d_model;
        let values = rows.iter().flat_map(|row| of_row(row).unwrap_or_else(|| vec![0.0; width]));
        let word = |row| if of_row(row).is_some() { status::OK } else { status::NO_ALIGNMENT };
        let mut columns = keys(&rows.iter().map(|(p, _)| *p).collect::<Vec<_>>());
        columns.extend([
            int16s(rows.iter().map(|_| layer)),
            texts(rows.iter().map(|(_, site)| *site)),
            vectors(values.collect(), width),
            texts(rows.iter().map(word)),
        ]);
        run.write(PartAddress { table: &VECTORS, layer: Some(layer), part }, columns);
    }
}

/// What the tokens of an input vary by, from its name and the part's.
pub(crate) type Within<'a> = &'a dyn Fn(&str, &str) -> Vec<f32>;

/// Writes what the tokens of a shard's inputs vary by, so many in each.
pub(crate) fn write_token_spread(
    run: &FakeRun,
    part: u32,
    prompts: &[FakePrompt],
    n_tokens: i32,
    of: Within<'_>,
) {
    for &layer in &run.layers {
        let inputs = prompts.chunk_by(|a, b| a.input == b.input).map(|prompts| &prompts[0]);
        let parts = |p| ["input", "task", "wording"].map(|part| (p, part));
        let rows: Vec<(&FakePrompt, &str)> = inputs.flat_map(parts).collect();
        let columns = vec![
            texts(rows.iter().map(|(p, _)| p.scenario)),
            texts(rows.iter().map(|(p, _)| p.input.as_str())),
            int16s(rows.iter().map(|_| layer)),
            texts(rows.iter().map(|(_, part)| *part)),
            int32s(rows.iter().map(|_| n_tokens)),
            vectors(
                rows.iter().flat_map(|(p, part)| of(&p.input, part)).collect(),
                run.card.d_model,
            ),
            texts(rows.iter().map(|_| status::OK)),
        ];
        run.write(PartAddress { table: &TOKEN_SPREAD, layer: Some(layer), part }, columns);
    }
}

/// Writes a reference set of scenario `s` with these standard deviations on every layer.
pub(crate) fn write_reference(run: &FakeRun, sd: &[f64]) {
    let rows: Vec<(i16, usize)> =
        run.layers.iter().flat_map(|layer| (0..sd.len()).map(move |d| (*layer, d))).collect();
    let n = rows.len();
    let counts = |count: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![count; n])) };
    let columns = vec![
        texts(rows.iter().map(|_| "s")),
        int16s(rows.iter().map(|(layer, _)| *layer)),
        int32s(rows.iter().map(|(_, dimension)| *dimension as i32)),
        floats(rows.iter().map(|_| Some(0.5))),
        floats(rows.iter().map(|(_, dimension)| Some(sd[*dimension]))),
        counts(300),
        counts(20),
        texts(rows.iter().map(|_| status::OK)),
    ];
    run.write(PartAddress::new(&REFERENCE, 0), columns);
}

/// The cosine of two prompts of an input, on a layer.
pub(crate) type Cosine<'a> = &'a dyn Fn(&str, i16, (usize, usize), (usize, usize)) -> f64;

/// The kinds of pairs that [`write_contrasts`] knows.
const KINDS: [&str; 4] = ["between", "paraphrase", "neutral", "other_input"];

/// Writes a shard's contrasts and pairs of one measure as stage `contrast` does, from the cosines of
/// `tasks` x `wordings` prompts (task, wording); the neutral control is everybody's task 9, another input
/// everybody's task 8, in the wordings in turn. Inputs whose names are equal up to a `#` are copies.
pub(crate) fn write_contrasts(
    run: &FakeRun,
    part: u32,
    inputs: &[String],
    (tasks, wordings): (usize, usize),
    cosine: Cosine<'_>,
) {
    let cells: Vec<(usize, usize)> =
        (0..tasks).flat_map(|task| (0..wordings).map(move |wording| (task, wording))).collect();
    let pairs: Vec<((usize, usize), (usize, usize))> = (0..cells.len())
        .flat_map(|a| (a + 1..cells.len()).map(move |b| (a, b)))
        .map(|(a, b)| (cells[a], cells[b]))
        .collect();
    write_asked(run, part, inputs, &cells);
    let rows: Vec<(&str, i16)> = inputs
        .iter()
        .flat_map(|input| run.layers.iter().map(move |layer| (input.as_str(), *layer)))
        .collect();
    let values = |(input, layer): (&str, i16), kind: &str| -> Vec<f64> {
        let of = |(a, b): ((usize, usize), (usize, usize))| cosine(input, layer, a, b);
        match kind {
            "between" => pairs.iter().copied().filter(|(a, b)| a.0 != b.0).map(of).collect(),
            "paraphrase" => pairs.iter().copied().filter(|(a, b)| a.0 == b.0).map(of).collect(),
            "other_input" => {
                let turn = turn_of(input, wordings);
                (0..tasks).map(|task| of(((task, turn), (8, turn)))).collect()
            }
            _ => (0..tasks).map(|task| of(((task, 0), (9, 0)))).collect(),
        }
    };
    let long: Vec<Contrasted<'_>> = rows
        .iter()
        .flat_map(|row| KINDS.map(|kind| (row.0, row.1, kind, values(*row, kind))))
        .collect();
    run.write(PartAddress::new(&CONTRAST, part), contrasts(&long, wordings));
    let all = rows.iter().flat_map(|(input, layer)| {
        pairs.iter().map(|(a, b)| cosine(input, *layer, *a, *b)).collect::<Vec<_>>()
    });
    let all: ArrayRef = Arc::new(Float64Array::from_iter_values(all));
    let tasks = rows.iter().flat_map(|_| cells.iter().map(|(task, _)| *task as i32));
    let columns = vec![
        texts(rows.iter().map(|_| "s")),
        texts(rows.iter().map(|(input, _)| *input)),
        int16s(rows.iter().map(|(_, layer)| *layer)),
        texts(rows.iter().map(|_| "span")),
        list(int32s(tasks), rows.iter().map(|_| cells.len())),
        list(all, rows.iter().map(|_| pairs.len())),
        texts(rows.iter().map(|_| status::OK)),
    ];
    run.write(PartAddress::new(&WORDING_PAIRS, part), columns);
}

/// Input, layer, contrast and the cosines of its pairs.
type Contrasted<'a> = (&'a str, i16, &'a str, Vec<f64>);

/// The columns of table `contrast`.
fn contrasts(long: &[Contrasted<'_>], wordings: usize) -> Vec<ArrayRef> {
    let mean = |values: &[f64]| {
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let counts = long.iter().map(|(.., values)| values.len() as i64);
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(counts));
    let word = |values: &[f64]| if values.is_empty() { status::NO_PAIRS } else { status::OK };
    let is_control = |kind: &str| !["between", "paraphrase"].contains(&kind);
    let places: Vec<Vec<i32>> = long
        .iter()
        .map(|(input, _, kind, values)| {
            let first = if *kind == "other_input" { turn_of(input, wordings) } else { 0 };
            let of_tasks = (0..values.len()).map(|task| (task * wordings + first) as i32);
            if is_control(kind) { of_tasks.collect() } else { Vec::new() }
        })
        .collect();
    let each: Vec<Option<Vec<f64>>> =
        long.iter().map(|(_, _, kind, values)| is_control(kind).then(|| values.clone())).collect();
    vec![
        texts(long.iter().map(|_| "s")),
        texts(long.iter().map(|(input, ..)| *input)),
        int16s(long.iter().map(|(_, layer, ..)| *layer)),
        texts(long.iter().map(|_| "span")),
        texts(long.iter().map(|(_, _, kind, _)| *kind)),
        floats(long.iter().map(|(.., values)| mean(values))),
        counts,
        list(int32s(places.iter().flatten().copied()), places.iter().map(Vec::len)),
        lists_or_null(&each),
        texts(long.iter().map(|(.., values)| word(values))),
    ]
}

/// Which wording an input takes of that many: by the last letter of its text.
fn turn_of(input: &str, wordings: usize) -> usize {
    let text = input.split('#').next().unwrap();
    usize::from(*text.as_bytes().last().unwrap()) % wordings
}

/// Writes the prompts of these wordings (task, wording), each longer than the one before it.
fn write_asked(run: &FakeRun, part: u32, inputs: &[String], cells: &[(usize, usize)]) {
    let prompts = inputs.iter().flat_map(|input| {
        let of_cell = |(task, wording): &(usize, usize)| {
            prompt(input, &format!("t{task}"), 4 + *wording as i32)
                .segments(&("i".to_owned() + &"t".repeat(3 + wording)))
                .wording(*wording as i16)
        };
        cells.iter().map(of_cell).collect::<Vec<_>>()
    });
    run.write_prompts(part, &prompts.collect::<Vec<_>>());
}

pub(crate) fn floats(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

/// A part of a reduced table, read by column and row.
pub(crate) struct Rows(pub(crate) aqlens::table::reader::Part);

impl Rows {
    pub(crate) fn text(&self, column: &str, row: usize) -> String {
        self.0.texts(column).unwrap().value(row).to_owned()
    }

    pub(crate) fn number(&self, column: &str, row: usize) -> Option<f64> {
        let column = self.0.float64s(column).unwrap();
        column.is_valid(row).then(|| column.value(row))
    }

    pub(crate) fn count(&self, column: &str, row: usize) -> i64 {
        self.0.int64s(column).unwrap().value(row)
    }

    pub(crate) fn layer(&self, row: usize) -> i16 {
        self.0.int16s("layer").unwrap().value(row)
    }

    pub(crate) fn near(&self, column: &str, row: usize, expected: f64) {
        let value = self.number(column, row).unwrap();
        let close = (value - expected).abs() < 1e-9 * expected.abs().max(1.0);
        assert!(close, "{column} is {value} and not {expected}");
    }
}

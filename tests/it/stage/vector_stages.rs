//! What holds for every stage that reads activations: threads and shards do not show, and all of
//! them end when asked to.

use std::collections::BTreeMap;
use std::fs::File;

use aqlens::stage::Stage;
use aqlens::stage::compare::vector_measure::Choice;
use aqlens::stages::{alignment, contrast, divergence, explain, similarity, vectors};
use aqlens::store::hex_sha256;
use aqlens::table::reader::read_part;
use aqlens::table::schema::{
    ALIGNMENT, CONTRAST, DIVERGENCE, SEED_EXPLAIN, SIMILARITY, TOKEN_SPREAD, VECTORS, WORDING_PAIRS,
};
use aqlens::table::writer::PartAddress;
use aqlens::table::{Kind, Table};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use polars_io::prelude::{ParquetReader, SerReader as _};

use super::fixture::{FakePrompt, FakeRun, Numbers, noise, prompt, valid};
use super::interrupt;

const D_MODEL: usize = 40;

fn stages() -> [Box<dyn Stage>; 5] {
    let all = || vec![Choice::All];
    [
        Box::new(valid(|a, f, p| alignment::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| similarity::Config { measures: all() }.validate(a, f, p))),
        Box::new(valid(|a, f, p| contrast::Config { measures: all() }.validate(a, f, p))),
        Box::new(valid(|a, f, p| vectors::Config::default().validate(a, f, p))),
        Box::new(valid(|a, f, p| explain::Config::default().validate(a, f, p))),
    ]
}

/// Twelve inputs under three tasks in two wordings with all controls; one prompt is too long.
fn inputs() -> Vec<Vec<FakePrompt>> {
    let of_input = |i: i32| -> Vec<FakePrompt> {
        let one = |t: i32, wording: i16| {
            let (task, span) = (3 + t + i32::from(wording.rem_euclid(2)), 4 + i);
            let segments = "t".repeat(task as usize) + &"i".repeat(span as usize) + "e";
            let mut prompt = prompt(&format!("input-{i}"), &format!("task-{t}"), task + span + 1);
            prompt.tokens = (0..task).map(|n| 100 + n * (t + 1)).collect();
            prompt.tokens.extend(10..10 + span);
            prompt.tokens.push(7);
            let prompt = prompt.segments(&segments).wording(wording);
            if (i, t, wording) == (5, 1, 1) { prompt.skipped() } else { prompt }
        };
        (0..3).flat_map(|t| [0, 1, -1, -2, -3].map(|wording| one(t, wording))).collect()
    };
    (0..12).map(of_input).collect()
}

fn activations(prompt: &FakePrompt, layer: i16, position: usize) -> Vec<f32> {
    let names = prompt.input.bytes().chain(prompt.task.bytes());
    let base = names.fold(7_u64, |seed, byte| seed.wrapping_mul(131).wrapping_add(byte.into()));
    let place = (layer as u64) << 40 ^ (position as u64) << 20 ^ (prompt.wording as u64) << 50;
    (0..D_MODEL as u64).map(|d| noise((base ^ place).wrapping_add(d)) * 30.0 + 100.0).collect()
}

/// The stages on the inputs, cut into shards of so many.
fn analyse(threads: usize, shard_inputs: usize) -> (FakeRun, BTreeMap<String, String>) {
    let mut run = FakeRun::new();
    run.card.d_model = D_MODEL;
    run.layers = vec![0, 2, 3];
    run.fractions.insert("s".to_owned(), 0.7);
    run.write_reference(&|layer, d| (100.0 + d as f64, f64::from(layer) + 0.5));
    let inputs = inputs();
    run.shards = inputs.chunks(shard_inputs).len() as u32;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut hashes = BTreeMap::new();
    pool.install(|| {
        let numbers = Numbers {
            activations: &activations,
            attention: &|p, _, _| vec![0.5; p.tokens.len()],
            logits: &|_| vec![0.0; 8],
        };
        for (part, inputs) in (0..).zip(inputs.chunks(shard_inputs)) {
            run.write_shard(part, &inputs.concat(), &numbers);
            for stage in stages() {
                for part in run.run(stage.as_ref(), part).unwrap().parts {
                    let bytes = run.store.read(&part.file.path).unwrap();
                    hashes.insert(part.file.path, hex_sha256(&bytes));
                }
            }
        }
        let divergence = valid(|a, f, p| divergence::Config::default().validate(a, f, p));
        run.run(&divergence, 0).unwrap();
    });
    (run, hashes)
}

#[test]
fn one_thread_and_eight_give_the_same_bytes() {
    let (_, one) = analyse(1, 5);
    assert_eq!(one.len(), 3 * (1 + 1 + 2 + 2 * 3 + 1), "{:?}", one.keys());
    for _ in 0..2 {
        assert_eq!(analyse(8, 5).1, one);
    }
}

/// The rows of a part, without lists: every digit that tells two float64 apart.
fn rows(run: &FakeRun, table: &'static Table, part: u32, layer: Option<i16>) -> Vec<String> {
    let is_plain = |kind| !matches!(kind, Kind::ModelVector | Kind::ListInt32 | Kind::ListFloat64);
    let columns = table.columns.iter().filter(|column| is_plain(column.kind));
    let names: Vec<&str> = columns.map(|column| column.name).collect();
    let path = run.store.path(&PartAddress { table, layer, part }.file());
    let names = names.into_iter().map(str::to_owned).collect();
    let reader = ParquetReader::new(File::open(path).unwrap());
    let frame = reader.with_columns(Some(names)).set_rechunk(true).finish().unwrap();
    (0..frame.height()).map(|row| format!("{:?}", frame.get(row).unwrap())).collect()
}

/// All numbers of column `values` of a part, one after the other.
fn values(run: &FakeRun, table: &'static Table, part: u32, layer: Option<i16>) -> Vec<u64> {
    let address = PartAddress { table, layer, part };
    let part = read_part(&run.store, address, &["values"]).unwrap();
    if let Ok((values, _)) = part.vectors("values") {
        return values.iter().map(|value| u64::from(value.to_bits())).collect();
    }
    let lists = part.lists("values").unwrap().values();
    lists.as_primitive::<Float64Type>().values().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_cut_into_shards_does_not_show() {
    let (whole, cut) = (analyse(2, 12).0, analyse(2, 5).0);
    assert_eq!((whole.shards, cut.shards), (1, 3));
    let mut parts: Vec<(&Table, Option<i16>)> = vec![
        (&ALIGNMENT, None),
        (&SIMILARITY, None),
        (&CONTRAST, None),
        (&WORDING_PAIRS, None),
        (&SEED_EXPLAIN, None),
    ];
    parts.extend([0, 2, 3].map(|layer| (&VECTORS, Some(layer))));
    parts.extend([0, 2, 3].map(|layer| (&TOKEN_SPREAD, Some(layer))));
    for (table, layer) in parts {
        let table = Table::named(table.name).unwrap();
        let found: Vec<String> = (0..3).flat_map(|p| rows(&cut, table, p, layer)).collect();
        assert!(!found.is_empty() && found == rows(&whole, table, 0, layer), "{}", table.name);
        if table.columns.iter().any(|column| column.name == "values") {
            let found: Vec<u64> = (0..3).flat_map(|p| values(&cut, table, p, layer)).collect();
            assert!(!found.is_empty() && found == values(&whole, table, 0, layer));
        }
    }
    let reduced = rows(&cut, &DIVERGENCE, 0, None);
    assert_eq!(reduced, rows(&whole, &DIVERGENCE, 0, None));
    assert_eq!(reduced.len(), 3 * 19, "every layer and measure");
}

#[test]
fn each_asks_between_its_inputs_and_layers_whether_to_stop() {
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &|_, _, _| vec![0.2, 0.3, 0.5],
        logits: &|_| vec![0.0; 8],
    };
    let prompts: Vec<FakePrompt> = (0..3)
        .flat_map(|input| ["a", "b"].map(|task| prompt(&format!("i{input}"), task, 3)))
        .collect();
    let run = FakeRun::new();
    run.write_shard(0, &prompts, &numbers);
    for (stage, polls) in stages().iter().zip([3, 8, 8, 8, 8]) {
        interrupt::asks(&run, stage.as_ref(), polls);
    }
}

use aqlens::stages::variance::{Config, Variance};
use aqlens::table::schema::VARIANCE_PARTITION;
use aqlens::table::writer::PartAddress;

use super::evidence::{Rows, write_reference, write_token_spread, write_vectors};
use super::fixture::{FakePrompt, FakeRun, problems_of, prompt, valid};

/// `measures.md` section 5: N=4, K=3, D=2.
const GOLDEN: [[[f32; 2]; 3]; 4] = [
    [[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
    [[3.0, 1.0], [1.0, 3.0], [2.0, 1.0]],
    [[0.0, 0.0], [0.0, 2.0], [1.0, 0.0]],
    [[1.0, 4.0], [2.0, 4.0], [2.0, 6.0]],
];

fn variance(config: &Config) -> Variance {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// Prompts `s/i0/a`, `s/i0/b`, ... of four inputs and three tasks.
fn prompts() -> Vec<FakePrompt> {
    let of = |input: String| ["a", "b", "c"].map(|task| prompt(&input, task, 2));
    (0..4).flat_map(|i| of(format!("i{i}"))).collect()
}

fn golden(prompt: &FakePrompt) -> Vec<f32> {
    let input: usize = prompt.input[1..].parse().unwrap();
    let task = "abc".find(&prompt.task).unwrap();
    let [x, y] = GOLDEN[input][task];
    vec![x, y, 0.0, 0.0]
}

/// Layer 0, site `last`: the golden vectors; layer 2: all prompts of an input alike; site `span`:
/// nothing can be compared.
fn vectors(prompt: &FakePrompt, layer: i16, site: &str) -> Option<Vec<f32>> {
    match (site, layer) {
        ("span", _) => None,
        (_, 0) => Some(golden(prompt)),
        _ => Some(golden(&FakePrompt { task: "a".to_owned(), ..prompt.clone() })),
    }
}

fn read(run: &FakeRun) -> Rows {
    let columns: Vec<&str> = VARIANCE_PARTITION.columns.iter().map(|column| column.name).collect();
    Rows(run.read(&VARIANCE_PARTITION, 0, &columns))
}

/// Cuts the prompts into shards and runs the stage.
fn reduce(shards: &[&[FakePrompt]], sd: Option<&[f64]>, config: &Config) -> FakeRun {
    let mut run = FakeRun::new();
    run.shards = shards.len() as u32;
    for (part, prompts) in (0..).zip(shards) {
        write_vectors(&run, part, prompts, &vectors);
    }
    if let Some(sd) = sd {
        write_reference(&run, sd);
    }
    run.run(&variance(config), 0).unwrap();
    run
}

#[test]
fn the_golden_design_has_its_row() {
    let rows = read(&reduce(&[&prompts()], None, &Config::default()));
    let key = |row| [rows.text("site", row), rows.text("space", row), rows.text("status", row)];
    assert_eq!(rows.0.rows(), 12);
    // Scenario, layer, site, space.
    assert_eq!(key(0), ["span", "raw", "no_alignment"]);
    assert_eq!(key(1), ["span", "standardised", "no_alignment"]);
    assert_eq!(key(2), ["last", "raw", "ok"]);
    assert_eq!(key(3), ["last", "standardised", "no_reference"]);
    assert_eq!(key(4), ["token", "raw", "no_alignment"]);
    assert_eq!(key(8), ["last", "raw", "constant"]);
    assert_eq!([0, 6].map(|row| rows.layer(row)), [0, 2]);
    for (column, value) in [
        ("ss_total", 307.0 / 6.0),
        ("ss_input", 223.0 / 6.0),
        ("ss_task", 14.0 / 3.0),
        ("ss_interaction", 28.0 / 3.0),
        ("r2_task", 28.0 / 307.0),
        ("partial_eta2", 1.0 / 3.0),
        ("f_task", 1.5),
        ("p", 63.0 / 216.0),
        // The other layer has no test, so nothing is corrected for.
        ("p_max_t", 63.0 / 216.0),
    ] {
        rows.near(column, 2, value);
    }
    for column in ["ss_wording", "ss_rest", "r2_wording", "f_interaction", "p_wording"] {
        assert_eq!(rows.number(column, 2), None, "{column} needs a second wording");
    }
    let counts = ["n_inputs", "n_units", "n_tasks", "n_wordings", "n_permutations", "n_cells"];
    assert_eq!(counts.map(|column| rows.count(column, 2)), [4, 4, 3, 1, 216, 3]);
    assert_eq!(counts.map(|column| rows.count(column, 0)), [0, 0, 3, 1, 0, 3]);
    assert_eq!(["n_clusters", "n_reassignments"].map(|c| rows.count(c, 2)), [4, 0]);
    for row in [0, 1, 3, 4, 5, 6, 8] {
        assert_eq!((rows.number("ss_task", row), rows.number("p", row)), (None, None));
    }
}

#[test]
fn standardising_divides_by_the_reference_and_leaves_out_what_does_not_vary() {
    let run = reduce(&[&prompts()], Some(&[2.0, 0.0, 1.0, 1.0]), &Config::default());
    let rows = read(&run);
    assert_eq!(rows.text("status", 3), "ok");
    // The first dimension alone, halved: by numpy on GOLDEN[..., 0] / 2.
    rows.near("ss_input", 3, 59.0 / 48.0);
    rows.near("ss_task", 3, 3.0 / 8.0);
    rows.near("ss_interaction", 3, 23.0 / 24.0);
    rows.near("p", 3, 14.0 / 27.0);
}

#[test]
fn controls_and_inputs_with_a_prompt_that_failed_are_left_out() {
    let mut more = prompts();
    more.extend(["a", "b", "c"].map(|task| prompt("i0", task, 2).wording(-1)));
    // The rows of an input stand together.
    more.sort_by(|a, b| a.input.cmp(&b.input));
    let run = FakeRun::new();
    let failed = ["a", "b", "c"].map(|task| prompt("j", task, 2));
    more.extend(failed);
    write_vectors(
        &run,
        0,
        &more,
        &|p, layer, site| match (p.input.as_str(), &*p.task, p.wording) {
            ("j", "b", _) => None,
            ("j", ..) | (_, _, -1) => Some(vec![9.0, -9.0, 5.0, 7.0]),
            _ => vectors(p, layer, site),
        },
    );
    run.run(&variance(&Config::default()), 0).unwrap();
    let rows = read(&run);
    assert_eq!((rows.text("site", 2), rows.count("n_inputs", 2)), ("last".to_owned(), 4));
    rows.near("ss_total", 2, 307.0 / 6.0);
}

#[test]
fn wordings_are_a_part_of_their_own() {
    let two = |p: FakePrompt| [p.clone().wording(0), p.wording(1)];
    let all: Vec<FakePrompt> = prompts().into_iter().flat_map(two).collect();
    let run = FakeRun::new();
    // The second wording is a step to the side, another one for each task.
    write_vectors(&run, 0, &all, &|p, _, _| {
        let mut vector = golden(p);
        vector[2] = f32::from(p.wording) * f32::from(p.task.as_bytes()[0] - b'a');
        Some(vector)
    });
    run.run(&variance(&Config::default()), 0).unwrap();
    let rows = read(&run);
    // By hand: in the third dimension prompts are 0 0, 0 1, 0 2 and their means 0, 1/2, 1.
    rows.near("ss_wording", 0, 4.0 * (0.5 + 2.0));
    rows.near("ss_task", 0, 2.0 * 14.0 / 3.0 + 8.0 * 0.5);
    rows.near("f_task", 0, (14.0 / 3.0 + 2.0) / (10.0 / 3.0));
    assert_eq!(rows.number("f_interaction", 0), None, "nothing is left to hold it against");
    assert_eq!(rows.number("ss_rest", 0), Some(0.0));
    assert_eq!(rows.count("n_wordings", 0), 2);
}

#[test]
fn tasks_of_unequal_wordings_use_all_of_them() {
    let count =
        |p: FakePrompt| (0..if p.task == "a" { 3 } else { 2 }).map(move |w| p.clone().wording(w));
    let all: Vec<FakePrompt> = prompts().into_iter().flat_map(count).collect();
    let run = FakeRun::new();
    write_vectors(&run, 0, &all, &|p, _, _| {
        let mut vector = golden(p);
        vector[2] = f32::from(p.wording);
        Some(vector)
    });
    run.run(&variance(&Config::default()), 0).unwrap();
    let rows = read(&run);
    // By hand: wordings 0 1 2, 0 1, 0 1 around their means.
    rows.near("ss_wording", 0, 4.0 * (2.0 + 0.5 + 0.5));
    let counts = ["n_wordings", "n_cells", "n_reassignments"];
    assert_eq!(counts.map(|column| rows.count(column, 0)), [2, 7, 105]);
    let [task, wording] = ["ss_task", "ss_wording"].map(|c| rows.number(c, 0).unwrap());
    rows.near("f_task", 0, (task / 2.0) / (wording / 4.0));
}

#[test]
fn tokens_count_one_by_one_and_labels_are_exchanged_by_input() {
    let two = |p: FakePrompt| [p.clone().wording(0), p.wording(1)];
    let all: Vec<FakePrompt> = prompts().into_iter().flat_map(two).collect();
    let run = FakeRun::new();
    write_vectors(&run, 0, &all, &|p, _, _| Some(golden(p)));
    // In the third dimension: 2 for the token, 3 for token and task, 1 for token and wording.
    write_token_spread(&run, 0, &all, 5, &|_, part| {
        let root = ["input", "task", "wording"].iter().position(|own| *own == part).unwrap();
        vec![0.0, 0.0, [2.0, 3.0, 1.0][root], 0.0]
    });
    run.run(&variance(&Config::default()), 0).unwrap();
    let rows = read(&run);
    assert_eq!((rows.text("site", 4), rows.count("n_units", 4)), ("token".to_owned(), 20));
    // Five tokens and two wordings each, and four inputs.
    rows.near("ss_input", 4, 10.0 * 223.0 / 6.0 + 4.0 * 4.0);
    rows.near("ss_task", 4, 10.0 * 14.0 / 3.0);
    rows.near("ss_interaction", 4, 10.0 * 28.0 / 3.0 + 4.0 * 9.0);
    rows.near("ss_rest", 4, 4.0);
    assert_eq!(rows.count("n_permutations", 4), 216);
    rows.near("p", 4, 63.0 / 216.0);
}

#[test]
fn the_table_is_the_same_however_the_inputs_are_cut_into_shards() {
    let all = prompts();
    let bytes = |shards: &[&[FakePrompt]]| {
        let run = reduce(shards, Some(&[1.0, 2.0, 1.0, 0.5]), &Config::default());
        run.store.read(&PartAddress::new(&VARIANCE_PARTITION, 0).file()).unwrap()
    };
    assert_eq!(bytes(&[&all]), bytes(&[&all[..3], &all[3..9], &all[9..]]));
}

#[test]
fn settings_that_cannot_show_anything_are_refused() {
    let config = Config { permutations: 10, max_inputs: 3 };
    assert_eq!(
        problems_of(|at, problems| {
            config.validate(at, &super::fixture::facts(), problems);
        }),
        [
            "stages[1].permutations: permutations 10 is not from 99 to 1000000",
            "stages[1].max_inputs: max_inputs 3 is below 8",
        ]
    );
}

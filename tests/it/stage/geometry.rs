use aqlens::stages::geometry::{Config, Geometry};
use aqlens::table::schema::{GEOMETRY, GEOMETRY_WORDING_PAIRS};

use super::evidence::{Rows, write_vectors};
use super::fixture::{FakePrompt, FakeRun, facts, noise, paired, problems_of, prompt, valid};

/// `measures.md` section 5, filled up with zeros.
const X: [[f32; 4]; 6] = [
    [1.0, 0.0, 2.0, 0.0],
    [0.0, 1.0, 1.0, 0.0],
    [2.0, 1.0, 0.0, 0.0],
    [1.0, 3.0, 1.0, 0.0],
    [0.0, 2.0, 2.0, 0.0],
    [3.0, 0.0, 1.0, 0.0],
];
const Y: [[f32; 4]; 6] = [
    [1.0, 1.0, 0.0, 0.0],
    [0.0, 2.0, 0.0, 0.0],
    [2.0, 0.0, 0.0, 0.0],
    [1.0, 3.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 0.0],
    [2.0, 2.0, 0.0, 0.0],
];

const CONFIG: Config = Config { neighbours: 2, permutations: 999, max_inputs: 200 };

fn geometry(config: &Config) -> Geometry {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

fn prompts(n: usize, tasks: &[&str]) -> Vec<FakePrompt> {
    let of = |i: usize| tasks.iter().map(move |task| prompt(&format!("i{i}"), task, 2));
    (0..n).flat_map(of).collect()
}

fn run_on(prompts: &[FakePrompt], of: super::evidence::Vectors<'_>) -> FakeRun {
    let run = FakeRun::new();
    run.write_prompts(0, prompts);
    write_vectors(&run, 0, prompts, of);
    run.run(&geometry(&CONFIG), 0).unwrap();
    run
}

fn reduce(prompts: &[FakePrompt], of: super::evidence::Vectors<'_>) -> Rows {
    let run = run_on(prompts, of);
    let columns: Vec<&str> = GEOMETRY.columns.iter().map(|column| column.name).collect();
    Rows(run.read(&GEOMETRY, 0, &columns))
}

fn place(prompt: &FakePrompt) -> usize {
    prompt.input[1..].parse().unwrap()
}

fn measures(rows: &Rows, from: usize) -> [String; 4] {
    std::array::from_fn(|i| rows.text("measure", from + i))
}

/// By numpy and scipy: `chance` of `cka_biased` is its mean over all 720 orders of the rows of Y.
#[test]
fn the_golden_rows_have_their_measures() {
    let rows = reduce(&prompts(6, &["x", "y"]), &|p, _, site| {
        let table = if p.task == "x" { X } else { Y };
        (site == "last").then(|| table[place(p)].to_vec())
    });
    assert_eq!(rows.0.rows(), 16, "two layers, two sites, four measures");
    let names = ["dcka", "cka_biased", "rsa_spearman", "mutual_knn"];
    assert_eq!(measures(&rows, 4), names);
    assert_eq!([rows.text("site", 4), rows.text("status", 4)], ["last", "ok"]);
    assert_eq!([rows.text("task_a", 4), rows.text("task_b", 4)], ["x", "y"]);
    rows.near("value", 4, 0.219_780_851_694_836_85);
    rows.near("value", 5, 0.500_139_326_175_166_9);
    rows.near("value", 7, 0.75);
    rows.near("chance", 4, 0.0);
    rows.near("chance", 7, 0.4);
    rows.near("value", 6, 0.564_829_441_649_246_3);
    rows.near("chance", 5, 0.394_449_506_304_188_3);
    rows.near("se", 4, 0.518_377_486_327_519_9);
    let p = rows.number("p", 4).unwrap();
    assert!((p - 0.284_722).abs() < 0.05, "1 + 999 arrangements estimate {p}");
    let filled = |column| [4, 5, 6, 7].map(|row| rows.number(column, row).is_some());
    assert_eq!(filled("se"), [true, false, false, false]);
    assert_eq!(filled("p"), [true, false, true, false]);
    assert_eq!([4, 5].map(|row| rows.count("n_permutations", row)), [1000, 0]);
    assert_eq!([rows.count("n_inputs", 4), rows.count("n_clusters", 4)], [6, 6]);
    // Nothing can be compared at the other site, and its rows are there.
    assert_eq!((rows.text("status", 0), rows.count("n_inputs", 0)), ("no_alignment".into(), 0));
    assert_eq!(rows.number("value", 0), None);
}

/// Task y = task x and a shift that is the same for all inputs; task z has nothing to do with them.
#[test]
fn a_shift_does_not_show_and_noise_does() {
    let rows = reduce(&prompts(30, &["x", "y", "z"]), &|p, layer, _| {
        let seed = if p.task == "z" { 8000 } else { 0 } + 100 * place(p) as u64;
        let shift = if p.task == "y" { 40.0 } else { 0.0 };
        Some((0..4).map(|d| noise(seed + d + layer as u64 * 9000) + shift).collect())
    });
    let pair = |row| format!("{}{}", rows.text("task_a", row), rows.text("task_b", row));
    assert_eq!([0, 4, 8].map(pair), ["xy", "xz", "yz"]);
    let value = |row| rows.number("value", row).unwrap();
    // The shift costs the float32 numbers digits.
    assert!(value(0) > 0.999 && rows.number("p", 0).unwrap() < 0.005);
    for row in [4, 8] {
        assert!(value(row).abs() < 0.2 && rows.number("p", row).unwrap() > 0.05, "{}", value(row));
        let (biased, chance) = (value(row + 1), rows.number("chance", row + 1).unwrap());
        assert!(biased > 0.05 && (biased - chance).abs() < 0.15, "{biased} by chance {chance}");
    }
}

/// The second wording of x is x turned round and moved, which changes no arrangement; y is another one.
#[test]
fn all_wordings_are_compared_and_their_inputs_average_to_the_jackknifed_measure() {
    let prompts: Vec<FakePrompt> = (0..6)
        .flat_map(|i| {
            let of = |task| prompt(&format!("i{i}"), task, 2);
            [of("x"), of("x").wording(1), of("x").wording(-1), of("y")]
        })
        .collect();
    let run = run_on(&prompts, &|p, _, site| {
        let row = if p.task == "x" { X[place(p)] } else { Y[place(p)] };
        let turned = [row[1] + 5.0, -row[0], row[2], row[3]];
        (site == "last").then(|| if p.wording == 1 { turned } else { row }.to_vec())
    });
    let rows = paired(&run, &GEOMETRY_WORDING_PAIRS);
    // Two layers; the other site has no inputs.
    assert_eq!(rows.len(), 2 * 6);
    let values = |row: &String| -> Vec<f64> {
        let start = " geometry_dcka_last [0, 0, 1] ";
        let found = row.split(start).nth(1).unwrap().strip_suffix(" ok").unwrap();
        found.split(' ').map(|value| value.parse().unwrap()).collect()
    };
    let of: Vec<Vec<f64>> = rows[..6].iter().map(values).collect();
    assert!(of.iter().all(|found| found[0].abs() < 1e-4), "{rows:?}");
    assert!(of.iter().all(|found| (found[1] - found[2]).abs() < 2e-4), "{rows:?}");
    // By numpy: 1 - (6 θ - 5 mean of θ without each), with θ of the golden rows.
    let mean = of.iter().map(|found| found[1]).sum::<f64>() / 6.0;
    assert!((mean - 0.762_226).abs() < 1e-4, "{mean}");
    // The golden se, from the pseudo-values.
    let squares = of.iter().map(|found| (found[1] - mean).powi(2)).sum::<f64>();
    assert!(((squares / 30.0).sqrt() - 0.518_377).abs() < 1e-3);
}

/// Every input twice, with the same text: the copies say nothing more.
#[test]
fn copies_of_inputs_are_resampled_together() {
    let prompts: Vec<FakePrompt> = (0..12)
        .flat_map(|i| ["x", "y"].map(|task| prompt(&format!("i{}#{}", i % 6, i / 6), task, 2)))
        .collect();
    let of = |p: &FakePrompt| p.input[1..2].parse::<usize>().unwrap();
    let run =
        run_on(&prompts, &|p, _, _| Some(if p.task == "x" { X[of(p)] } else { Y[of(p)] }.to_vec()));
    let columns: Vec<&str> = GEOMETRY.columns.iter().map(|column| column.name).collect();
    let rows = Rows(run.read(&GEOMETRY, 0, &columns));
    assert_eq!([rows.count("n_inputs", 0), rows.count("n_clusters", 0)], [12, 6]);
    // By numpy, with both copies left out at once, and over all 720 exchanges of pairs of rows.
    rows.near("value", 0, 0.416_160_761_121_500_6);
    rows.near("se", 0, 0.260_463_816_175);
    let p = rows.number("p", 0).unwrap();
    assert!((p - 0.2625).abs() < 0.05, "{p}");
    let pairs = paired(&run, &GEOMETRY_WORDING_PAIRS);
    let values = |row: &String| row.rsplit(' ').nth(1).unwrap().to_owned();
    assert_eq!(values(&pairs[0]), values(&pairs[6]));
    assert_ne!(values(&pairs[0]), values(&pairs[1]));
}

#[test]
fn rows_say_why_they_have_no_value() {
    let few = reduce(&prompts(3, &["x", "y"]), &|p, _, _| Some(X[place(p)].to_vec()));
    assert_eq!(few.text("status", 0), "n_too_small");
    let run = run_on(&prompts(4, &["x", "y"]), &|p, _, _| Some(X[place(p)].to_vec()));
    let found = paired(&run, &GEOMETRY_WORDING_PAIRS);
    assert!(found.len() == 16 && found[0] == "i0 0 geometry_dcka_span [0, 1] null n_too_small");
    let equal = reduce(&prompts(6, &["x", "y"]), &|p, _, _| {
        Some(if p.task == "x" { X[place(p)].to_vec() } else { vec![1.0, 2.0, 3.0, 4.0] })
    });
    assert_eq!([0, 1, 2].map(|row| equal.text("status", row)), ["constant"; 3]);
    assert_eq!(equal.text("status", 3), "ok", "neighbours are found among equals, by their order");
    let zero = reduce(&prompts(6, &["x", "y"]), &|p, _, _| {
        Some(if place(p) == 2 { vec![0.0; 4] } else { X[place(p)].to_vec() })
    });
    assert_eq!([0, 3].map(|row| zero.text("status", row)), ["ok", "zero_norm"]);
}

#[test]
fn settings_that_cannot_show_anything_are_refused() {
    let config = Config { neighbours: 0, permutations: 1, max_inputs: 0 };
    let found = problems_of(|at, problems| {
        config.validate(at, &facts(), problems);
    });
    assert_eq!(
        found,
        [
            "stages[1].permutations: permutations 1 is not from 99 to 1000000",
            "stages[1].max_inputs: max_inputs 0 is below 8",
            "stages[1].neighbours: neighbours 0 leaves no neighbour to share",
        ]
    );
}

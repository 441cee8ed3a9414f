use aqlens::stages::effect::{Config, Effect};
use aqlens::table::schema::EFFECT;
use aqlens::table::writer::PartAddress;

use super::evidence::{Cosine, Rows, write_contrasts};
use super::fixture::{FakeRun, facts, noise, problems_of, valid};

const CONFIG: Config = Config { permutations: 9999, bootstrap: 10_000, max_inputs: 1000 };

fn effect(config: &Config) -> Effect {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

fn inputs(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("i{i}")).collect()
}

fn place(input: &str) -> usize {
    input[1..].parse().unwrap()
}

/// One shard of `n` inputs.
fn reduce(n: usize, design: (usize, usize), cosine: Cosine<'_>) -> Rows {
    let run = FakeRun::new();
    write_contrasts(&run, 0, &inputs(n), design, cosine);
    run.run(&effect(&CONFIG), 0).unwrap();
    read(&run)
}

fn read(run: &FakeRun) -> Rows {
    let columns: Vec<&str> = EFFECT.columns.iter().map(|column| column.name).collect();
    Rows(run.read(&EFFECT, 0, &columns))
}

/// Eight inputs; what is added to the dissimilarity between tasks on layer 0.
const DELTAS: [f64; 8] = [0.09, 0.02, -0.05, 0.19, 0.09, 0.04, -0.01, 0.12];

/// 0.3 apart within a task, more by DELTAS between tasks on layer 0, and twice that on layer 2; 0.2
/// from the neutral control.
fn cosine(input: &str, layer: i16, a: (usize, usize), b: (usize, usize)) -> f64 {
    let delta = DELTAS[place(input)] * if layer == 0 { 1.0 } else { 2.0 };
    match (a.0, b.0) {
        (_, 9) => 1.0 - 0.2,
        (_, 8) => 1.0 - 0.8,
        (a, b) if a == b => 1.0 - 0.3,
        _ => 1.0 - 0.3 - delta,
    }
}

/// numpy, and `scipy.stats.permutation_test` as in the tests of `math::inference`.
#[test]
fn deltas_are_held_against_their_signs() {
    let rows = reduce(8, (3, 2), &cosine);
    let key =
        |row| [rows.text("measure", row), rows.text("contrast", row), rows.text("status", row)];
    assert_eq!(rows.0.rows(), 6, "two layers, three baselines");
    assert_eq!(key(0), ["span", "paraphrase", "ok"]);
    assert_eq!(key(2), ["span", "neutral", "ok"]);
    assert_eq!([0, 1].map(|row| rows.layer(row)), [0, 2]);
    rows.near("between", 0, 0.361_25);
    rows.near("baseline", 0, 0.3);
    rows.near("delta", 0, 0.061_25);
    rows.near("delta", 2, 0.161_25);
    rows.near("d_z", 0, 0.797_527_780_141_157);
    rows.near("d_z", 1, 0.797_527_780_141_157);
    // 6 of 8 lie above 0.3, where all of the others lie.
    rows.near("auc", 0, 0.75);
    rows.near("cliffs_delta", 0, 0.5);
    rows.near("p", 0, 9.0 / 256.0);
    // Twice the same deltas: no more is found in two layers than in one.
    rows.near("p_max_t", 0, 9.0 / 256.0);
    rows.near("p", 2, 1.0 / 256.0);
    // One delta is 0: its sign does not matter.
    rows.near("p", 3, 2.0 / 256.0);
    // Against another input, 0.8 away, no delta is above 0, and one that is 0 on no layer: p 1, 1; the
    // others in ascending order are 1, 2, 9, 9 of 256.
    rows.near("q", 2, 6.0 / 256.0);
    rows.near("q", 3, 6.0 / 256.0);
    rows.near("q", 0, 13.5 / 256.0);
    assert_eq!(["n_inputs", "n_permutations"].map(|c| rows.count(c, 0)), [8, 256]);
    let [low, high] = ["ci_inputs_low", "ci_inputs_high"].map(|end| rows.number(end, 0).unwrap());
    assert_eq!(rows.text("ci_inputs_method", 0), "bca");
    // `scipy.stats.bootstrap(method='BCa', confidence_level=0.9885)`, 200,000 resamples.
    assert!((low - 0.0012).abs() < 0.004 && (high - 0.1288).abs() < 0.004, "{low} {high}");
}

#[test]
fn tasks_are_held_against_their_wordings() {
    let rows = reduce(8, (3, 2), &cosine);
    // Three tasks of two wordings: 15 ways, and the pipeline's own is the best alone.
    rows.near("p_wording", 0, 1.0 / 15.0);
    rows.near("p_wording_max_t", 0, 1.0 / 15.0);
    assert_eq!(["n_reassignments", "n_wordings"].map(|c| rows.count(c, 0)), [15, 2]);
    assert_eq!(rows.number("p_wording", 2), None, "other baselines have no wordings to deal out");
    assert_eq!(rows.count("n_reassignments", 2), 0);
}

/// By numpy from the formulas of `math::inference::crossed`: wordings do not vary here, so all of the
/// variance is over inputs, with 7 degrees of freedom.
#[test]
fn a_size_stands_on_the_scale_from_a_wording_to_another_input() {
    let rows = reduce(8, (3, 2), &cosine);
    let half = 2.364_624_251_592_785 * 0.061_25 / 0.797_527_780_141_157 / 8.0_f64.sqrt();
    rows.near("ci_low", 0, 0.061_25 - half);
    rows.near("ci_high", 0, 0.061_25 + half);
    rows.near("df", 0, 7.0);
    rows.near("var_wordings", 0, 0.0);
    // Another input is 0.5 further away than another wording, for every input.
    rows.near("relative", 0, 0.061_25 / 0.5);
    rows.near("relative_low", 0, (0.061_25 - half) / 0.5);
    rows.near("median", 0, 0.065);
    rows.near("prevalence", 0, 6.0 / 8.0);
    // A tenth of 0.5 matters: 0.09, 0.19, 0.09, 0.12 and -0.05 are compared with it.
    rows.near("smallest", 0, 0.05);
    assert_eq!((rows.count("n_clusters", 0), rows.text("ci_method", 0)), (8, "crossed".to_owned()));
    let beyond: Vec<String> = serde_json::from_str(&rows.text("beyond", 0)).unwrap();
    assert_eq!(beyond, ["i0", "i3", "i4", "i7"]);
    assert_eq!(rows.count("n_beyond", 0), 4);
    assert_eq!(["ci_low", "relative", "prevalence"].map(|c| rows.number(c, 2)), [None; 3]);
}

/// By numpy: another input is 0.1 further away in second wordings, which every other input is put in.
#[test]
fn the_scale_has_wordings_that_are_random_too() {
    let rows = reduce(8, (3, 2), &|input, layer, a, b| {
        let further = if b.0 == 8 && b.1 == 1 { 0.1 } else { 0.0 };
        cosine(input, layer, a, b) - further
    });
    rows.near("relative", 0, 0.111_363_636_363_636_36);
    rows.near("relative_low", 0, -0.004_896_963_704_403_692);
    rows.near("relative_high", 0, 0.224_237_126_975_390_47);
    rows.near("var_wordings", 0, 0.0);
}

/// Inputs whose names are equal up to a `#` have one text.
#[test]
fn copies_of_an_input_change_nothing_but_how_many_inputs_there_are() {
    let of = |names: Vec<String>| {
        let run = FakeRun::new();
        // Inputs differ in how far their wordings are apart.
        let cosine = |input: &str, layer, a: (usize, usize), b: (usize, usize)| {
            let input = input.split('#').next().unwrap();
            let pair = (a.0 * 2 + a.1) * 20 + b.0 * 2 + b.1;
            cosine(input, layer, a, b) - 0.02 * f64::from(noise((place(input) * 400 + pair) as u64))
        };
        write_contrasts(&run, 0, &names, (3, 2), &cosine);
        run.run(&effect(&CONFIG), 0).unwrap();
        read(&run)
    };
    let copies = ["i0#a", "i0#b", "i3#a"].map(str::to_owned);
    let (alone, copied) = (of(inputs(8)), of([inputs(8), copies.into()].concat()));
    assert_eq!(["n_inputs", "n_clusters"].map(|column| copied.count(column, 0)), [11, 8]);
    let columns = [
        "between",
        "delta",
        "ci_low",
        "ci_high",
        "ci_inputs_low",
        "relative",
        "relative_low",
        "var_clusters",
        "var_wordings",
        "median",
        "prevalence",
        "mde",
        "p",
        "p_max_t",
        "p_wording",
        "smallest",
    ];
    for row in 0..alone.0.rows() {
        for column in columns {
            match alone.number(column, row) {
                Some(value) => copied.near(column, row, value),
                None => assert_eq!(copied.number(column, row), None, "{column}"),
            }
        }
    }
}

/// Every wording goes its own way, so pairs of the same task are no nearer than others.
#[test]
fn tasks_that_differ_no_more_than_wordings_are_not_told_apart() {
    let cosine = |input: &str, layer: i16, a: (usize, usize), b: (usize, usize)| {
        let own = |(task, wording): (usize, usize)| task as u64 * 10 + wording as u64;
        let pair = noise(own(a) * 100 + own(b)) + 0.1 * noise(place(input) as u64 + layer as u64);
        0.5 + 0.1 * f64::from(pair)
    };
    let rows = reduce(40, (3, 3), &cosine);
    assert_eq!(rows.count("n_reassignments", 0), 280);
    let p = rows.number("p_wording", 0).unwrap();
    assert!(p > 0.05, "{p}");
    assert!(rows.number("p_wording_max_t", 0).unwrap() >= p);
}

#[test]
fn one_wording_leaves_nothing_to_hold_tasks_against() {
    let rows = reduce(8, (3, 1), &cosine);
    let row = 0;
    assert_eq!(rows.text("contrast", row), "paraphrase");
    assert_eq!(rows.text("status", row), "no_pairs");
    assert_eq!([rows.number("delta", row), rows.number("p_wording", row)], [None, None]);
    let methods = ["ci_method", "ci_inputs_method"].map(|column| rows.text(column, row));
    assert_eq!((methods, rows.count("n_wordings", row)), (["none"; 2].map(str::to_owned), 1));
    assert_eq!(rows.text("status", 2), "ok", "the controls are still there");
}

#[test]
fn few_inputs_have_no_interval_and_equal_deltas_no_size() {
    let rows = reduce(4, (2, 2), &cosine);
    assert_eq!(rows.text("ci_inputs_method", 0), "none");
    assert_eq!(rows.number("ci_inputs_low", 0), None);
    assert_eq!(rows.text("status", 0), "ok");
    let five = reduce(5, (2, 2), &cosine);
    assert_eq!(five.text("ci_inputs_method", 0), "percentile");
    let alike = reduce(8, (2, 2), &|_, _, _, _| 0.75);
    assert_eq!(alike.text("status", 0), "constant");
    let ends = ["ci_low", "ci_high", "ci_inputs_low", "ci_inputs_high"];
    assert_eq!(ends.map(|column| alike.number(column, 0)), [Some(0.0); 4]);
    assert_eq!(alike.number("delta", 0), Some(0.0));
    assert_eq!(alike.text("ci_method", 0), "constant");
    assert_eq!(["d_z", "p", "q", "p_max_t"].map(|column| alike.number(column, 0)), [None; 4]);
}

#[test]
fn the_table_is_the_same_for_any_shards_and_threads() {
    let cosine = |input: &str, layer: i16, a: (usize, usize), b: (usize, usize)| {
        let seed = place(input) * 1000 + a.0 * 100 + b.0 * 10 + a.1 * 3 + b.1 + layer as usize;
        f64::from(noise(seed as u64))
    };
    let all = inputs(40);
    let bytes = |shards: &[&[String]], threads: usize| {
        let mut run = FakeRun::new();
        run.shards = shards.len() as u32;
        for (part, inputs) in (0..).zip(shards) {
            write_contrasts(&run, part, inputs, (3, 2), &cosine);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run.run(&effect(&CONFIG), 0)).unwrap();
        run.store.read(&PartAddress::new(&EFFECT, 0).file()).unwrap()
    };
    let one = bytes(&[&all], 1);
    assert_eq!(one, bytes(&[&all], 8));
    assert_eq!(one, bytes(&[&all[..7], &all[7..9], &all[9..]], 3));
}

/// A seeded half of the inputs: rows say how many entered.
#[test]
fn no_more_inputs_are_taken_in_than_the_share_says() {
    let mut run = FakeRun::new();
    run.fractions.insert("s".to_owned(), 0.5);
    let cosine = |input: &str, layer, a, b| cosine(&format!("i{}", place(input) % 8), layer, a, b);
    write_contrasts(&run, 0, &inputs(200), (2, 2), &cosine);
    run.run(&effect(&CONFIG), 0).unwrap();
    let n = read(&run).count("n_inputs", 0);
    assert!((70..130).contains(&n), "{n}");
}

#[test]
fn settings_that_cannot_show_anything_are_refused() {
    let config = Config { permutations: 1, bootstrap: 5, max_inputs: 0 };
    let found = problems_of(|at, problems| {
        config.validate(at, &facts(), problems);
    });
    assert_eq!(
        found,
        [
            "stages[1].permutations: permutations 1 is not from 99 to 1000000",
            "stages[1].bootstrap: bootstrap 5 is not from 1000 to 1000000",
            "stages[1].max_inputs: max_inputs 0 is below 8",
        ]
    );
}

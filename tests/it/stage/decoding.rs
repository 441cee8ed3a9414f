use aqlens::stages::decoding::{Config, Decoding};
use aqlens::table::schema::DECODING;
use aqlens::table::writer::PartAddress;

use super::evidence::{Rows, write_vectors};
use super::fixture::{FakePrompt, FakeRun, noise, problems_of, prompt, valid};

fn decoding(config: &Config) -> Decoding {
    valid(|at, facts, problems| config.validate(at, facts, problems))
}

/// Prompts of inputs under two tasks with so many wordings each.
fn prompts(inputs: &[String], wordings: [i16; 2]) -> Vec<FakePrompt> {
    let of = |input: &String| {
        let task = |(task, n): (&'static str, i16)| {
            let input = input.clone();
            (0..n).map(move |wording| prompt(&input, task, 2).wording(wording))
        };
        [("a", wordings[0]), ("b", wordings[1])].into_iter().flat_map(task).collect::<Vec<_>>()
    };
    inputs.iter().flat_map(of).collect()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("i{i}")).collect()
}

/// Layer 0: the task shifts every vector, whatever the wording; other layers: each wording has its own
/// shift. Site `span` cannot be compared.
fn vector(prompt: &FakePrompt, layer: i16, site: &str) -> Option<Vec<f32>> {
    let letter = u64::from(prompt.task.as_bytes()[0]);
    let input: u64 = prompt.input[1..].split('#').next().unwrap().parse().unwrap();
    let shift = |d: u64| match layer {
        0 => letter as f32 * 9.0,
        _ => 9.0 * noise(letter * 1000 + prompt.wording as u64 * 100 + d),
    };
    let own = |d: u64| noise(input * 10_000 + letter * 1000 + prompt.wording as u64 * 10 + d);
    (site == "last").then(|| (0..4).map(|d| shift(d) + noise(input * 7 + d) + own(d)).collect())
}

fn run_on(shards: &[&[FakePrompt]], config: &Config) -> FakeRun {
    let mut run = FakeRun::new();
    run.shards = shards.len() as u32;
    for (part, prompts) in (0..).zip(shards) {
        run.write_prompts(part, prompts);
        write_vectors(&run, part, prompts, &vector);
    }
    run.run(&decoding(config), 0).unwrap();
    run
}

fn rows(run: &FakeRun) -> Rows {
    let columns: Vec<&str> = DECODING.columns.iter().map(|column| column.name).collect();
    Rows(run.read(&DECODING, 0, &columns))
}

#[test]
fn a_task_is_told_and_texts_are_not() {
    let rows = rows(&run_on(&[&prompts(&names(12), [4, 4])], &Config::default()));
    assert_eq!(rows.0.rows(), 4);
    let key = |row| (rows.layer(row), rows.text("site", row), rows.text("status", row));
    let of = |layer: i16, site: &str, status: &str| (layer, site.to_owned(), status.to_owned());
    assert_eq!([key(0), key(1)], [of(0, "span", "no_alignment"), of(0, "last", "ok")]);
    assert_eq!([key(2), key(3)], [of(2, "span", "no_alignment"), of(2, "last", "ok")]);
    assert_eq!([rows.number("accuracy", 0), rows.number("p", 0)], [None; 2]);
    for (column, value) in [
        ("accuracy", 1.0),
        ("accuracy_seen", 1.0),
        ("gap", 0.0),
        ("chance", 0.5),
        ("ci_high", 1.0),
        ("p", 1.0 / 35.0),
        ("p_max_t", 1.0 / 35.0),
    ] {
        rows.near(column, 1, value);
    }
    let low = rows.number("ci_low", 1).unwrap();
    assert!(low > 0.7 && low < 0.75, "8 of 8 wordings are not all there are: {low}");
    let counts = ["n_inputs", "n_clusters", "n_tasks", "n_wordings", "n_splits", "n_reassignments"];
    assert_eq!(counts.map(|column| rows.count(column, 1)), [12, 12, 2, 4, 16, 35]);
    let [accuracy, seen] =
        ["accuracy", "accuracy_seen"].map(|column| rows.number(column, 3).unwrap());
    rows.near("gap", 3, seen - accuracy);
    assert!(seen > accuracy, "{seen} {accuracy}");
    assert!(
        rows.number("accuracy", 3).unwrap() < 0.8,
        "wordings of layer 2 have no task in common"
    );
    let p = ["p", "p_max_t"].map(|column| rows.number(column, 3).unwrap());
    assert!(p[0] > 0.1 && p[1] >= p[0], "{p:?}");
}

#[test]
fn copies_of_an_input_are_one_cluster_in_one_fold() {
    let inputs: Vec<String> =
        (0..6).flat_map(|i| (0..3).map(move |copy| format!("i{i}#{copy}"))).collect();
    let rows = rows(&run_on(&[&prompts(&inputs, [3, 3])], &Config::default()));
    assert_eq!([rows.count("n_inputs", 1), rows.count("n_clusters", 1)], [18, 6]);
    let alone: Vec<String> = (0..6).map(|i| format!("i{i}#0")).collect();
    let once = self::rows(&run_on(&[&prompts(&alone, [3, 3])], &Config::default()));
    // Copies add nothing: the same estimate with the same interval, but for the covariance.
    for row in [1, 3] {
        let width = |rows: &Rows| {
            rows.number("ci_high", row).unwrap() - rows.number("ci_low", row).unwrap()
        };
        assert!((width(&rows) - width(&once)).abs() < 0.1, "{} {}", width(&rows), width(&once));
    }
}

#[test]
fn few_wordings_have_no_interval_or_no_accuracy() {
    let two = rows(&run_on(&[&prompts(&names(9), [2, 5])], &Config::default()));
    assert_eq!(two.text("status", 1), "ok");
    assert!(two.number("accuracy", 1).is_some() && two.number("ci_low", 1).is_none());
    assert_eq!([two.count("n_splits", 1), two.count("n_reassignments", 1)], [10, 21]);
    let one = rows(&run_on(&[&prompts(&names(9), [1, 3])], &Config::default()));
    assert_eq!(one.text("status", 1), "no_pairs");
    assert_eq!([one.number("accuracy", 1), one.number("gap", 1), one.number("p", 1)], [None; 3]);
    assert!(one.number("accuracy_seen", 1).is_some());
    let few = rows(&run_on(&[&prompts(&names(2), [3, 3])], &Config::default()));
    assert_eq!(few.text("status", 1), "n_too_small");
}

#[test]
fn shards_do_not_matter() {
    let all = prompts(&names(10), [3, 4]);
    let bytes = |shards: &[&[FakePrompt]]| {
        let run = run_on(shards, &Config::default());
        run.store.read(&PartAddress::new(&DECODING, 0).file()).unwrap()
    };
    let whole = bytes(&[&all]);
    assert_eq!(bytes(&[&all[..28], &all[28..]]), whole);
}

#[test]
fn settings_without_a_meaning_are_refused() {
    for (config, message) in [
        (Config { folds: 1, ..Config::default() }, "folds 1 is not from 2 to 100"),
        (
            Config { shrinkage: Some(0.0), ..Config::default() },
            "shrinkage 0 is not from 0.0001 to 1",
        ),
        (Config { permutations: 9, ..Config::default() }, "permutations 9 is not"),
        (Config { max_inputs: 3, ..Config::default() }, "max_inputs 3 is below"),
    ] {
        let problems = problems_of(|at, problems| {
            config.validate(at, &super::fixture::facts(), problems);
        });
        assert!(problems.iter().any(|problem| problem.contains(message)), "{problems:?}");
    }
    let wrong = Config { shrinkage: Some(f64::NAN), ..Config::default() };
    assert!(
        !problems_of(|at, problems| {
            wrong.validate(at, &super::fixture::facts(), problems);
        })
        .is_empty()
    );
}

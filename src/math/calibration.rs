//! Do the tests and intervals keep what they promise? Simulated data, whose truth is known.
//!
//! 1,000 seeded experiments each: with no effect, at most 5 % may be found "significant at 5 %", and
//! an interval at 95 % must hold the truth in 95 %. What is counted must lie within the interval that
//! holds 99 % of binomial counts: 33 to 69 of 1,000, and 931 to 967 (`scipy.stats.binom.ppf`).
//! `cargo test calibration -- --nocapture` prints the figures, and the power on known effects.

use rayon::prelude::*;

use super::{
    CentredCells, CentredGram, Gram, IntervalMethod, PermutationTest, Rdm, Reassignments,
    Relabellings, Resamples, RowClusters, Side, SignFlips, Stream, exchange_tests, max_t,
    mean_interval,
};

const EXPERIMENTS: u64 = 1000;
/// 200 statistics with the observed one: p = 10/200 is exactly 0.05.
const DRAWS: usize = 199;

/// How many of the experiments are found.
fn found(experiment: impl Fn(u64) -> bool + Sync) -> u64 {
    found_of(EXPERIMENTS, experiment)
}

fn found_of(experiments: u64, experiment: impl Fn(u64) -> bool + Sync) -> u64 {
    (0..experiments).into_par_iter().map(|seed| u64::from(experiment(seed))).sum()
}

fn keeps_its_level(name: &str, experiment: impl Fn(u64) -> bool + Sync) {
    let found = found(experiment);
    println!("{name}: {found} of {EXPERIMENTS} found without an effect");
    assert!((33..=69).contains(&found), "{name}: {found} is not within 33 to 69");
}

/// More are found the larger the effect is; the largest nearly always. Of 300 experiments each, 99 %
/// of binomial counts at 5 % are at most 25.
fn has_power(name: &str, effects: [f64; 5], experiment: impl Fn(u64, f64) -> bool + Sync) {
    let counts = effects.map(|effect| found_of(300, |seed| experiment(seed, effect)));
    let point = |(effect, &count): (&f64, &u64)| format!("{effect}: {:.0} %", count as f64 / 3.0);
    let curve: Vec<String> = effects.iter().zip(&counts).map(point).collect();
    println!("{name}, found at effect {}", curve.join(", "));
    assert!(counts.is_sorted() && counts[0] <= 25 && counts[4] >= 285, "{name}: {counts:?}");
}

fn significant(test: &PermutationTest) -> bool {
    test.p() <= 0.05
}

/// Differences of `n` inputs around `effect`: a skewed distribution made even, as a difference of two
/// dissimilarities is when nothing distinguishes them.
fn differences(seed: u64, n: usize, effect: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "differences", 0);
    let mut skewed = || stream.normal().exp();
    (0..n).map(|_| (skewed() - skewed()) / 3.0 + effect).collect()
}

fn flips(seed: u64, differences: &[f64]) -> PermutationTest {
    SignFlips::new(differences.len(), DRAWS, seed, "calibration").test(differences).unwrap()
}

/// N x K x W vectors of two numbers: an input's own place, its answer to each prompt, `task` times a
/// shift of each task and `wording` times one of each prompt, the same on all inputs.
fn vectors(
    seed: u64,
    [n, k, w]: [usize; 3],
    task: f64,
    wording: f64,
) -> (CentredCells, Relabellings) {
    let mut stream = Stream::new(seed, "vectors", 0);
    let mut two = |size: f64| [size * stream.normal(), size * stream.normal()];
    let tasks: Vec<[f64; 2]> = (0..k).map(|_| two(task)).collect();
    let wordings: Vec<[f64; 2]> = (0..k * w).map(|_| two(wording)).collect();
    let mut cells = CentredCells::new(&vec![w; k], 2);
    for _ in 0..n {
        let place = two(3.0);
        let vector = |prompt: usize, own: [f64; 2]| {
            let x = |d: usize| place[d] + own[d] + tasks[prompt / w][d] + wordings[prompt][d];
            vec![x(0) as f32, x(1) as f32]
        };
        let input: Vec<Vec<f32>> = (0..k * w).map(|prompt| vector(prompt, two(1.0))).collect();
        cells.push_input(&input.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    (cells, Relabellings::new(n, k, DRAWS, seed, "calibration"))
}

fn task_test(cells: &CentredCells, relabellings: &Relabellings) -> PermutationTest {
    cells.spread().task_tests(relabellings, &[None]).remove(0).unwrap()
}

fn task_found(seed: u64, design: [usize; 3], task: f64) -> bool {
    let (cells, relabellings) = vectors(seed, design, task, 0.0);
    significant(&task_test(&cells, &relabellings))
}

fn wordings_found(seed: u64, [n, k, w]: [usize; 3], task: f64) -> bool {
    let (cells, _) = vectors(seed, [n, k, w], task, 1.0);
    let ways = Reassignments::new(&vec![w; k], DRAWS, seed, "calibration").unwrap();
    significant(&ways.test(&cells.wording_distances()).unwrap())
}

/// Six layers, each like the one before: differences of inputs that a walk from layer to layer adds
/// to.
fn layers(seed: u64, n: usize) -> Vec<PermutationTest> {
    let mut sums = vec![0.0; n];
    (0..6)
        .map(|layer| {
            for (sum, step) in sums.iter_mut().zip(differences(6 * seed + layer, n, 0.0)) {
                *sum += step;
            }
            flips(seed, &sums)
        })
        .collect()
}

#[test]
fn permuting_tasks_within_inputs_keeps_its_level() {
    keeps_its_level("tasks within inputs, W = 1", |seed| task_found(seed, [8, 3, 1], 0.0));
    keeps_its_level("tasks within inputs, W = 2", |seed| task_found(seed, [8, 3, 2], 0.0));
}

#[test]
fn flipping_signs_keeps_its_level() {
    keeps_its_level("sign flips, all counted", |seed| {
        significant(&flips(seed, &differences(seed, 7, 0.0)))
    });
    keeps_its_level("sign flips, drawn", |seed| {
        significant(&flips(seed, &differences(seed, 30, 0.0)))
    });
}

/// Wordings differ, the same way on all inputs, and tasks do not differ more than they: the case
/// that a test within inputs takes for an effect of the task.
#[test]
fn sorting_wordings_again_keeps_its_level_where_wordings_differ() {
    keeps_its_level("wordings, all counted", |seed| wordings_found(seed, [6, 3, 3], 0.0));
    keeps_its_level("wordings, drawn", |seed| wordings_found(seed, [6, 5, 3], 0.0));
    let within = found(|seed| {
        let (cells, relabellings) = vectors(seed, [8, 3, 2], 0.0, 1.0);
        significant(&task_test(&cells, &relabellings))
    });
    println!("tasks within inputs, where only wordings differ: {within} of {EXPERIMENTS}");
    assert!(within > 700, "this test speaks about these wordings, not about tasks: {within}");
}

/// Two sides of `n` rows that arrange them independently of each other, but for `shared` of their
/// variance; both sides' rows come from skewed numbers, as norms of activations do.
fn arranged(seed: u64, n: usize, shared: f64) -> [PermutationTest; 2] {
    let mut stream = Stream::new(seed, "arranged", 0);
    let mut row = |d: usize| (0..d).map(|_| stream.normal().exp()).collect::<Vec<f64>>();
    let common: Vec<Vec<f64>> = (0..n).map(|_| row(3)).collect();
    let mut side = |d: usize| {
        let own = |common: &Vec<f64>| {
            let mixed = row(d)
                .into_iter()
                .enumerate()
                .map(|(i, x)| ((1.0 - shared).sqrt() * x + shared.sqrt() * common[i % 3]) as f32);
            mixed.collect::<Vec<f32>>()
        };
        let rows: Vec<Vec<f32>> = common.iter().map(own).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let gram = CentredGram::of(&Gram::of_rows(&rows)).unwrap();
        Side::new(n, Some(&gram), Some(&Rdm::pearson(&rows).unwrap()))
    };
    let (a, b) = (side(4), side(6));
    let clusters = RowClusters::single(n);
    let tests = exchange_tests(&[a], &b, &clusters, DRAWS, (seed, "calibration")).remove(0);
    [tests.cka.unwrap(), tests.rsa.unwrap()]
}

#[test]
fn exchanging_inputs_of_one_side_keeps_its_level() {
    for n in [6, 12] {
        for (measure, name) in ["debiased CKA", "RSA"].into_iter().enumerate() {
            keeps_its_level(&format!("{name} of {n} inputs"), |seed| {
                significant(&arranged(seed, n, 0.0)[measure])
            });
        }
    }
    for (measure, name) in ["debiased CKA", "RSA"].into_iter().enumerate() {
        has_power(&format!("{name} of 20 inputs"), [0.0, 0.3, 0.5, 0.7, 0.95], |seed, shared| {
            significant(&arranged(seed, 20, shared)[measure])
        });
    }
}

#[test]
fn the_corrected_p_keeps_its_level_over_a_family_of_layers() {
    keeps_its_level("any of six layers, corrected", |seed| {
        let tests = layers(seed, 20);
        max_t(&tests.iter().collect::<Vec<_>>()).into_iter().any(|p| p <= 0.05)
    });
    let uncorrected = found(|seed| layers(seed, 20).iter().any(significant));
    println!("any of six layers, not corrected: {uncorrected} of {EXPERIMENTS}");
    assert!(uncorrected > 69, "without a correction too many are found: {uncorrected}");
}

/// How often the interval holds the true mean, which is 1.
fn held(n: usize, value: impl Fn(f64) -> f64 + Sync) -> u64 {
    found(|seed| {
        let mut stream = Stream::new(seed, "coverage", 0);
        let values: Vec<f64> = (0..n).map(|_| value(stream.normal())).collect();
        let interval =
            mean_interval(&values, 0.95, &Resamples::new(n, 599, seed, "calibration")).unwrap();
        assert_eq!(interval.method, IntervalMethod::Bca);
        interval.low <= 1.0 && 1.0 <= interval.high
    })
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let (normal, skewed) = (|z: f64| 1.0 + z, |z: f64| z * z);
    for (name, n, held) in [
        ("normal", 8, held(8, normal)),
        ("normal", 20, held(20, normal)),
        ("chi-squared", 100, held(100, skewed)),
    ] {
        println!("{name} of {n}: the interval held the mean {held} of {EXPERIMENTS} times");
        assert!((931..=967).contains(&held), "{name} of {n}: {held} is not within 931 to 967");
    }
    // Few values of a heavy tail are more than any bootstrap can mend: said, not promised.
    println!("chi-squared of 8: {} of {EXPERIMENTS}", held(8, skewed));
}

#[test]
fn power_rises_with_the_effect() {
    has_power("sign flips, n = 20", [0.0, 0.3, 0.6, 1.2, 2.4], |seed, effect| {
        significant(&flips(seed, &differences(seed, 20, effect)))
    });
    has_power("tasks within inputs, N = 8, K = 3", [0.0, 0.25, 0.5, 1.0, 4.0], |seed, effect| {
        task_found(seed, [8, 3, 1], effect)
    });
    has_power("wordings, K = 3, W = 3", [0.0, 0.5, 1.0, 2.0, 6.0], |seed, effect| {
        wordings_found(seed, [6, 3, 3], effect)
    });
}

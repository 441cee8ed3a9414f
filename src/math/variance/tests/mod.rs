use proptest::prelude::*;

use super::*;
use crate::math::{PermutationTest, Reassignments, Stream, Undefined};

mod unequal;

/// N=4, K=3, D=2; `measures.md` section 5.
const GOLDEN: [[[f32; 2]; 3]; 4] = [
    [[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
    [[3.0, 1.0], [1.0, 3.0], [2.0, 1.0]],
    [[0.0, 0.0], [0.0, 2.0], [1.0, 0.0]],
    [[1.0, 4.0], [2.0, 4.0], [2.0, 6.0]],
];

/// `inputs[i]` holds the vectors of input i, task after task, wording after wording.
fn cells(inputs: &[Vec<Vec<f32>>], wordings: usize) -> CentredCells {
    let (prompts, width) = (inputs[0].len(), inputs[0][0].len());
    let mut cells = CentredCells::new(&vec![wordings; prompts / wordings], width);
    for input in inputs {
        cells.push_input(&input.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    cells
}

fn golden() -> CentredCells {
    cells(&GOLDEN.map(|input| input.map(|vector| vector.to_vec()).to_vec()), 1)
}

fn partition(cells: &CentredCells) -> Result<Partition, Undefined> {
    cells.spread().partition(None)
}

fn task_test(
    cells: &CentredCells,
    relabellings: &Relabellings,
) -> Result<PermutationTest, Undefined> {
    cells.spread().task_tests(relabellings, &[None]).remove(0)
}

/// N x (K W) vectors of `width` normal numbers.
fn noise(seed: u64, n: usize, prompts: usize, width: usize) -> Vec<Vec<Vec<f32>>> {
    let mut stream = Stream::new(seed, "noise", 0);
    let mut vector = || (0..width).map(|_| stream.normal() as f32).collect::<Vec<_>>();
    (0..n).map(|_| (0..prompts).map(|_| vector()).collect()).collect()
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{value} != {expected}");
}

#[test]
fn the_golden_design_has_its_golden_partition() {
    let partition = partition(&golden()).unwrap();
    near(partition.total(), 307.0 / 6.0);
    near(partition.input, 223.0 / 6.0);
    near(partition.task, 14.0 / 3.0);
    near(partition.interaction, 28.0 / 3.0);
    let share = |part| (partition.share(part).unwrap() * 1e5).round() / 1e5;
    near(share(partition.input), 0.726_38);
    near(share(partition.task), 0.091_21);
    near(share(partition.interaction), 0.182_41);
    near(partition.partial_eta2().unwrap(), 1.0 / 3.0);
    near(partition.f_task().unwrap(), 1.5);
    assert_eq!((partition.wording, partition.f_interaction()), (None, None));
}

#[test]
fn the_golden_design_has_its_golden_p() {
    let test = task_test(&golden(), &Relabellings::new(4, 3, 99, 1, "golden")).unwrap();
    assert!(test.is_exact() && test.draws().len() == 216);
    near(test.p(), 63.0 / 216.0);
    near(test.observed(), 1.0 / 3.0);
    near(test.draws()[0], 1.0 / 3.0);
    let drawn = Relabellings::new(4, 3, 99, 1, "golden");
    assert_eq!(task_test(&golden(), &drawn), Ok(test));
}

#[test]
fn drawn_relabellings_are_the_partition_of_relabelled_vectors() {
    // Wider than one block of columns, and not a whole number of them.
    let inputs = noise(5, 8, 3, 20);
    let relabellings = Relabellings::new(8, 3, 4000, 2, "drawn");
    let test = task_test(&cells(&inputs, 1), &relabellings).unwrap();
    assert!(!test.is_exact());
    // The same statistic, relabelled by hand.
    for (way, &draw) in test.draws().iter().enumerate().take(20) {
        let order = relabellings.cells(way);
        let relabelled: Vec<Vec<Vec<f32>>> = (0..8)
            .map(|i| (0..3).map(|k| inputs[i][order[k * 8 + i] as usize].clone()).collect())
            .collect();
        near(draw, partition(&cells(&relabelled, 1)).unwrap().partial_eta2().unwrap());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = pool.install(|| task_test(&cells(&inputs, 1), &relabellings));
    assert_eq!(alone, Ok(test));
}

/// Every mean taken of the whole array, as the formulas say.
fn by_definition(inputs: &[Vec<Vec<f32>>], sizes: &[usize]) -> [f64; 6] {
    let (n, k, d) = (inputs.len(), sizes.len(), inputs[0][0].len());
    let first = |task: usize| sizes[..task].iter().sum::<usize>();
    let at = |i: usize, task: usize, wording: usize, x: usize| {
        f64::from(inputs[i][first(task) + wording][x])
    };
    let mean = |i: Option<usize>, task: Option<usize>, wording: Option<usize>, x: usize| {
        let all = |fixed: Option<usize>, n: usize| fixed.map_or(0..n, |at| at..at + 1);
        let (mut sum, mut count) = (0.0, 0.0);
        for i in all(i, n) {
            for task in all(task, k) {
                for wording in all(wording, sizes[task]) {
                    sum += at(i, task, wording, x);
                    count += 1.0;
                }
            }
        }
        sum / count
    };
    let mut sums = [0.0; 6];
    for i in 0..n {
        for (task, &size) in sizes.iter().enumerate() {
            for wording in 0..size {
                for x in 0..d {
                    let (grand, input) = (mean(None, None, None, x), mean(Some(i), None, None, x));
                    let of_task = mean(None, Some(task), None, x);
                    let cell = mean(Some(i), Some(task), None, x);
                    let prompt = mean(None, Some(task), Some(wording), x);
                    let value = at(i, task, wording, x);
                    let parts = [
                        value - grand,
                        input - grand,
                        of_task - grand,
                        cell - input - of_task + grand,
                        prompt - of_task,
                        value - cell - prompt + of_task,
                    ];
                    for (sum, part) in sums.iter_mut().zip(parts) {
                        *sum += part * part;
                    }
                }
            }
        }
    }
    sums
}

proptest! {
    #[test]
    fn sums_of_squares_are_those_of_the_formulas(
        seed in 0_u64..500, n in 2_usize..6, k in 2_usize..4, w in 1_usize..4, d in 1_usize..4,
    ) {
        let inputs = noise(seed, n, k * w, d);
        let [total, input, task, inter, wording, rest] = by_definition(&inputs, &vec![w; k]);
        let partition = partition(&cells(&inputs, w)).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * total;
        prop_assert!(close(partition.total(), total));
        prop_assert!(close(partition.input, input));
        prop_assert!(close(partition.task, task));
        prop_assert!(close(partition.interaction, inter));
        prop_assert!(close(partition.wording.unwrap_or(0.0), wording));
        prop_assert!(close(partition.rest.unwrap_or(0.0), rest));
        let (n, k, w) = (n as f64, k as f64, w as f64);
        if w > 1.0 {
            let f = (task / (k - 1.0)) / (wording / (k * (w - 1.0)));
            prop_assert!((partition.f_task().unwrap() / f - 1.0).abs() < 1e-8);
            let f = (inter / ((n - 1.0) * (k - 1.0))) / (rest / ((n - 1.0) * k * (w - 1.0)));
            prop_assert!((partition.f_interaction().unwrap() / f - 1.0).abs() < 1e-8);
        }
        let f = (task / (k - 1.0)) / (inter / ((n - 1.0) * (k - 1.0)));
        prop_assert!((partition.f_blocked().unwrap() / f - 1.0).abs() < 1e-8);
    }
}

#[test]
fn identical_prompts_are_constant_and_have_no_p() {
    let inputs: Vec<Vec<Vec<f32>>> =
        noise(3, 7, 1, 5).into_iter().map(|input| vec![input[0].clone(); 6]).collect();
    for wordings in [1, 2, 3] {
        let cells = cells(&inputs, wordings);
        let relabellings = Relabellings::new(7, 6 / wordings, 9, 1, "constant");
        assert_eq!(partition(&cells), Err(Undefined::Constant));
        assert_eq!(task_test(&cells, &relabellings), Err(Undefined::Constant));
    }
}

#[test]
fn two_tasks_with_the_same_wordings_are_constant() {
    let inputs: Vec<Vec<Vec<f32>>> = noise(4, 7, 3, 5)
        .into_iter()
        .map(|three| three.iter().chain(&three).cloned().collect())
        .collect();
    assert_eq!(partition(&cells(&inputs, 3)), Err(Undefined::Constant));
}

#[test]
fn the_same_shift_on_every_input_has_a_size_and_no_p() {
    let shift = [0.5, 2.0, -1.0];
    // Eighths and small numbers: no rounding hides that the shift is the same.
    let inputs: Vec<Vec<Vec<f32>>> = (0..5_u8)
        .map(|i| shift.iter().map(|s| vec![f32::from(i) + s, 2.0 * f32::from(i) - s]).collect())
        .collect();
    let cells = cells(&inputs, 1);
    let partition = partition(&cells).unwrap();
    assert!(partition.task > 1.0);
    assert_eq!((partition.f_task(), partition.partial_eta2()), (None, Some(1.0)));
    let relabellings = Relabellings::new(5, 3, 9, 1, "shift");
    assert_eq!(task_test(&cells, &relabellings), Err(Undefined::Constant));
}

#[test]
fn too_small_designs_have_no_partition() {
    let of = |n, k| partition(&cells(&noise(1, n, k, 2), 1)).map(|_| ());
    assert_eq!(
        [of(1, 3), of(3, 1), of(2, 2)],
        [Err(Undefined::TooFew), Err(Undefined::TooFew), Ok(())]
    );
}

/// A dimension of size 3000 that all share, as the first token's in GPT-2.
#[test]
fn a_massive_dimension_hides_nothing_once_it_is_scaled() {
    let inputs: Vec<Vec<Vec<f32>>> = noise(8, 6, 3, 4)
        .into_iter()
        .map(|input| {
            input
                .into_iter()
                .map(|mut v| {
                    v[0] = 3000.0 + 300.0 * v[0];
                    v
                })
                .collect()
        })
        .collect();
    let scale = [1.0 / 300.0, 1.0, 1.0, 0.0];
    let scaled = cells(&inputs, 1).spread();
    let by_hand: Vec<Vec<Vec<f32>>> = noise(8, 6, 3, 4)
        .into_iter()
        .map(|input| input.into_iter().map(|v| v[..3].to_vec()).collect())
        .collect();
    let by_hand = cells(&by_hand, 1).spread();
    let (a, b) = (scaled.partition(Some(&scale)).unwrap(), by_hand.partition(None).unwrap());
    // The offset costs the float32 numbers digits.
    assert!((a.task / b.task - 1.0).abs() < 1e-5);
    assert!((a.interaction / b.interaction - 1.0).abs() < 1e-5);
    let relabellings = Relabellings::new(6, 3, 99, 1, "scaled");
    let tests = scaled.task_tests(&relabellings, &[None, Some(&scale)]);
    let raw = scaled.task_tests(&relabellings, &[None]);
    let alone = by_hand.task_tests(&relabellings, &[None]);
    assert_eq!(tests[0], raw[0]);
    let draws = |test: &Result<PermutationTest, _>| test.as_ref().unwrap().draws().to_vec();
    for (a, b) in draws(&tests[1]).iter().zip(draws(&alone[0])) {
        assert!((a / b - 1.0).abs() < 1e-5, "{a} {b}");
    }
    assert_ne!(draws(&tests[1]), draws(&tests[0]));
}

/// Sorting wordings again by their distances orders the ways as F against wordings does.
#[test]
fn sorting_wordings_by_distance_is_the_test_of_f() {
    let inputs = noise(9, 4, 6, 3);
    let all = cells(&inputs, 2);
    let ways = Reassignments::new(&[2; 3], 99, 1, "wordings").unwrap();
    let test = ways.test(&all.wording_distances()).unwrap();
    assert_eq!(test.draws().len(), 15);
    let observed = partition(&all).unwrap().f_task().unwrap();
    let mut at_least = 0;
    for order in orders_of_six() {
        let sorted: Vec<Vec<Vec<f32>>> = inputs
            .iter()
            .map(|input| order.iter().map(|&cell| input[cell].clone()).collect())
            .collect();
        let f = partition(&cells(&sorted, 2)).unwrap().f_task().unwrap();
        at_least += usize::from(f >= observed * (1.0 - 1e-9));
    }
    near(test.p(), at_least as f64 / 15.0);
}

/// The 15 ways to make three pairs of six.
fn orders_of_six() -> Vec<[usize; 6]> {
    let mut orders = Vec::new();
    for a in 1..6 {
        let rest: Vec<usize> = (1..6).filter(|&x| x != a).collect();
        for b in 1..4 {
            let last: Vec<usize> = (1..4).filter(|&x| x != b).map(|x| rest[x]).collect();
            orders.push([0, a, rest[0], rest[b], last[0], last[1]]);
        }
    }
    orders
}

//! The classifier on made-up vectors whose answer is known, and what its interval and test promise.

use rayon::prelude::*;

use super::*;
use crate::math::Stream;

/// Vectors of `n` inputs in `width` dimensions: an input's own place, its answer to each prompt, and
/// shifts of tasks and wordings that are the same for all inputs.
struct Made {
    vectors: Vec<Vec<Vec<f32>>>,
    sizes: Vec<usize>,
}

impl Made {
    fn new(seed: u64, n: usize, width: usize, sizes: &[usize], [task, wording]: [f64; 2]) -> Self {
        let mut stream = Stream::new(seed, "decoding", 0);
        let mut some =
            |size: f64| -> Vec<f64> { (0..width).map(|_| size * stream.normal()).collect() };
        let tasks: Vec<Vec<f64>> = sizes.iter().map(|_| some(task)).collect();
        let mut shifts = Vec::new();
        for (task, size) in tasks.iter().zip(sizes) {
            for _ in 0..*size {
                let own = some(wording);
                shifts.push(own.iter().zip(task).map(|(a, b)| a + b).collect::<Vec<f64>>());
            }
        }
        let input = |_| {
            let place = some(2.0);
            let vector = |shift: &Vec<f64>| {
                let own = some(1.0);
                (0..width).map(|d| (place[d] + own[d] + shift[d]) as f32).collect()
            };
            shifts.iter().map(vector).collect()
        };
        Self { vectors: (0..n).map(input).collect(), sizes: sizes.to_vec() }
    }

    fn decoding(&self) -> Decoding {
        self.in_folds(5)
    }

    fn in_folds(&self, folds: usize) -> Decoding {
        let n = self.vectors.len();
        let fold_of: Vec<usize> = (0..n).map(|i| i % folds).collect();
        let clusters: Vec<usize> = (0..n).collect();
        Decoding::new(&self.inputs(), &self.sizes, &fold_of, &clusters, None).unwrap()
    }

    fn inputs(&self) -> Vec<Vec<&[f32]>> {
        self.vectors.iter().map(|cells| cells.iter().map(Vec::as_slice).collect()).collect()
    }
}

/// A design's numbers by the definition: every fold, every split, every distance.
struct Plainly<'a> {
    made: &'a Made,
    fold: usize,
    folds: usize,
    /// Row after row.
    covariance: Vec<Vec<f64>>,
}

impl Plainly<'_> {
    fn trained(&self) -> Vec<usize> {
        (0..self.made.vectors.len()).filter(|i| i % self.folds != self.fold).collect()
    }

    fn mean(&self, cells: &[usize]) -> Vec<f64> {
        let trained = self.trained();
        let width = self.made.vectors[0][0].len();
        let mut mean = vec![0.0; width];
        for (&input, &cell) in trained.iter().flat_map(|i| cells.iter().map(move |c| (i, c))) {
            let vector = &self.made.vectors[input][cell];
            mean.iter_mut().zip(vector).for_each(|(m, x)| *m += f64::from(*x));
        }
        mean.iter().map(|x| x / (trained.len() * cells.len()) as f64).collect()
    }

    fn distance(&self, x: &[f32], mean: &[f64]) -> f64 {
        let off: Vec<f64> = x.iter().zip(mean).map(|(x, m)| f64::from(*x) - m).collect();
        let solved = gauss(self.covariance.clone(), off.clone());
        off.iter().zip(solved).map(|(a, b)| a * b).sum()
    }
}

/// Gaussian elimination without pivots.
fn gauss(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in i + 1..n {
            let share = a[j][i] / a[i][i];
            let above = a[i].clone();
            for (own, above) in a[j].iter_mut().zip(above) {
                *own -= share * above;
            }
            b[j] -= share * b[i];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}

fn covariance(plainly: &Plainly<'_>) -> Vec<Vec<f64>> {
    let (vectors, trained) = (&plainly.made.vectors, plainly.trained());
    let (cells, width) = (vectors[0].len(), vectors[0][0].len());
    let mut sum = vec![vec![0.0; width]; width];
    for (cell, mean) in (0..cells).map(|cell| (cell, plainly.mean(&[cell]))) {
        for &input in &trained {
            let own = vectors[input][cell].iter().zip(&mean);
            let off: Vec<f64> = own.map(|(x, mean)| f64::from(*x) - mean).collect();
            for (row, a) in sum.iter_mut().zip(&off) {
                for (sum, b) in row.iter_mut().zip(&off) {
                    *sum += a * b;
                }
            }
        }
    }
    let freedom = ((trained.len() - 1) * cells) as f64;
    let sd: Vec<f64> = (0..width).map(|d| (sum[d][d] / freedom).sqrt()).collect();
    let correlation = |a: usize, b: usize| sum[a][b] / freedom / (sd[a] * sd[b]);
    let pairs = || (0..width).flat_map(|a| (0..width).map(move |b| (a, b)));
    let alpha =
        pairs().map(|(a, b)| correlation(a, b).powi(2)).sum::<f64>() / (width * width) as f64;
    let s = (alpha + 1.0) / ((trained.len() + 1) as f64 * (alpha - 1.0 / width as f64));
    let shrunk = |a: usize, b: usize| {
        let own = if a == b { s.min(1.0) } else { 0.0 };
        ((1.0 - s.min(1.0)) * correlation(a, b) + own) * sd[a] * sd[b]
    };
    (0..width).map(|a| (0..width).map(|b| shrunk(a, b)).collect()).collect()
}

/// The accuracy by the definition, of two or three tasks.
fn plain_accuracy(made: &Made, folds: usize) -> f64 {
    let (sizes, k) = (&made.sizes, made.sizes.len());
    let first = |task: usize| sizes[..task].iter().sum::<usize>();
    let m = sizes.iter().min().unwrap() - 1;
    let splits: usize = sizes.iter().product();
    let mut right = 0.0;
    for fold in 0..folds {
        let mut plainly = Plainly { made, fold, folds, covariance: Vec::new() };
        plainly.covariance = covariance(&plainly);
        for split in 0..splits {
            let mut digits = split;
            let left_out: Vec<usize> = sizes
                .iter()
                .map(|size| {
                    let own = digits % size;
                    digits /= size;
                    own
                })
                .collect();
            let class = |task: usize| {
                let place = |step: usize| first(task) + (left_out[task] + step) % sizes[task];
                plainly.mean(&(1..=m).map(place).collect::<Vec<_>>())
            };
            let classes: Vec<Vec<f64>> = (0..k).map(class).collect();
            for input in (0..made.vectors.len()).filter(|i| i % folds == fold) {
                for task in 0..k {
                    let x = &made.vectors[input][first(task) + left_out[task]];
                    let distances: Vec<f64> =
                        classes.iter().map(|mean| plainly.distance(x, mean)).collect();
                    let is_right = distances.iter().all(|d| *d >= distances[task]);
                    right += f64::from(u8::from(is_right));
                }
            }
        }
    }
    right / (splits * made.vectors.len() * k) as f64
}

#[test]
fn all_splits_at_once_are_all_splits_one_by_one() {
    for (seed, sizes) in [(1, &[3, 3][..]), (2, &[2, 2, 2]), (3, &[3, 5]), (4, &[2, 4, 3])] {
        let made = Made::new(seed, 11, 4, sizes, [0.6, 0.6]);
        let expected = plain_accuracy(&made, 3);
        let found = mean(&made.in_folds(3).accuracies().unwrap());
        assert!((found - expected).abs() < 1e-12, "{sizes:?}: {found} {expected}");
        assert!(found > 0.1 && found < 0.95, "{found}");
    }
}

/// One dimension, two tasks 2 apart, spread 1: the best line between them is right in Φ(1) = 0.8413
/// of the cases. 400 inputs in 6 cells: standard error 0.0075.
#[test]
fn two_normal_distributions_are_told_as_often_as_theory_says() {
    let mut stream = Stream::new(1, "normal", 0);
    let mut vector = |cell: i32| vec![(stream.normal() + f64::from(cell / 3) * 2.0) as f32];
    let vectors = (0..400).map(|_| (0..6).map(&mut vector).collect()).collect();
    let decoding = Made { vectors, sizes: vec![3, 3] }.decoding();
    let accuracies = decoding.accuracies().unwrap();
    assert!((mean(&accuracies) - 0.8413).abs() < 0.0225, "{}", mean(&accuracies));
    assert!((mean(&decoding.seen()) - mean(&accuracies)).abs() < 0.005);
    let (low, high) = decoding.interval(&accuracies, 0.95).unwrap();
    // Wordings that do not differ at all: what is left of its width is what six wordings cannot rule out.
    assert!(0.58 < low && low < 0.8413 && 0.8413 < high, "{low} {high}");
}

#[test]
fn where_only_texts_differ_they_are_told_when_seen_and_tasks_are_not() {
    for (sizes, ways) in [(&[4, 4][..], 35), (&[2, 2, 2], 15), (&[3, 3, 3], 280)] {
        let decoding = Made::new(5, 20, 60, sizes, [0.0, 20.0]).decoding();
        assert!(mean(&decoding.seen()) > 0.9);
        let dealings = Reassignments::new(sizes, 99, 1, "test").unwrap();
        let accuracy = mean(&decoding.accuracies().unwrap());
        let test = decoding.test(&dealings, accuracy);
        assert!((test.draws()[0] - accuracy).abs() < 1e-12, "the first is the pipeline's own");
        // Every left-out cell is as often in one task as in another.
        let chance = test.draws().iter().sum::<f64>() / test.draws().len() as f64;
        assert_eq!(test.count(), ways);
        assert!((chance - 1.0 / sizes.len() as f64).abs() < 1e-12, "{chance}");
    }
}

#[test]
fn tasks_far_apart_are_always_told_and_the_interval_has_a_width_all_the_same() {
    let made = Made::new(6, 20, 6, &[4, 4], [50.0, 1.0]);
    let decoding = made.decoding();
    let accuracies = decoding.accuracies().unwrap();
    assert!(accuracies.iter().all(|a| (*a - 1.0).abs() < 1e-12));
    let (low, high) = decoding.interval(&accuracies, 0.95).unwrap();
    // t with 6 degrees 2.446912, times the root of (10/12)(2/12)/12.
    assert!((low - (1.0 - 2.446_911_851 * (5.0_f64 / 432.0).sqrt())).abs() < 1e-6, "{low}");
    assert!((high - 1.0).abs() < 1e-12);
    let dealings = Reassignments::new(&[4, 4], 99, 1, "test").unwrap();
    assert!((decoding.test(&dealings, 1.0).p() - 1.0 / 35.0).abs() < 1e-12);
}

/// Equal texts as wordings of three tasks: nothing but lots can choose.
#[test]
fn among_equal_classes_the_lot_decides() {
    let mut made = Made::new(7, 12, 3, &[2, 2, 2], [0.0, 0.0]);
    for input in &mut made.vectors {
        let first = input[0].clone();
        input.fill(first);
    }
    let decoding = made.decoding();
    for accuracies in [decoding.accuracies().unwrap(), decoding.seen()] {
        assert!(accuracies.iter().all(|a| (a - 1.0 / 3.0).abs() < 1e-12), "{accuracies:?}");
    }
}

#[test]
fn the_unit_of_a_dimension_does_not_matter_and_one_without_variance_is_left_out() {
    let made = Made::new(8, 15, 4, &[3, 3], [0.5, 0.5]);
    let accuracies = made.decoding().accuracies().unwrap();
    let mut scaled = Made { vectors: made.vectors.clone(), sizes: made.sizes.clone() };
    for vector in scaled.vectors.iter_mut().flatten() {
        vector.iter_mut().zip([1024.0, 0.25, 1.0, 8.0]).for_each(|(x, unit)| *x *= unit);
        vector.push(3.0);
    }
    let other = scaled.decoding().accuracies().unwrap();
    assert!(accuracies.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-12));
}

#[test]
fn what_cannot_be_told_says_why() {
    let made = Made::new(9, 6, 3, &[1, 3], [1.0, 1.0]);
    let decoding = made.in_folds(3);
    assert_eq!(decoding.accuracies(), None);
    assert_eq!(decoding.seen().len(), 6);
    let two = Made::new(9, 6, 3, &[2, 3], [1.0, 1.0]).in_folds(3);
    let accuracies = two.accuracies().unwrap();
    assert_eq!(two.interval(&accuracies, 0.95), Err(Undefined::TooFew));
    let inputs = made.inputs();
    let refused = |clusters: [usize; 6], folds: [usize; 6]| {
        Decoding::new(&inputs, &[1, 3], &folds, &clusters, None).unwrap_err()
    };
    assert_eq!(refused([0; 6], [0, 1, 2, 0, 1, 2]), Undefined::TooFew);
    assert_eq!(refused([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]), Undefined::TooFew);
    let same = vec![inputs[0].clone(); 6];
    let refused = Decoding::new(&same, &[1, 3], &[0, 1, 2, 0, 1, 2], &[0, 1, 2, 3, 4, 5], None);
    assert_eq!(refused.unwrap_err(), Undefined::Constant);
}

const EXPERIMENTS: u64 = 200;

/// How often the interval holds the truth, and p is at most .05 where it is asked for; the truth of a
/// simulated population of wordings and inputs is the mean accuracy.
fn calibrated(sizes: &[usize], effect: [f64; 2], is_tested: bool) -> [f64; 3] {
    let dealings = Reassignments::new(sizes, 99, 1, "calibration").unwrap();
    let of = |seed: u64| {
        let decoding = Made::new(1000 + seed, 10, 3, sizes, effect).decoding();
        let accuracies = decoding.accuracies().unwrap();
        let accuracy = mean(&accuracies);
        let interval = decoding.interval(&accuracies, 0.95).unwrap();
        let p = is_tested.then(|| decoding.test(&dealings, accuracy).p());
        (accuracy, interval, p)
    };
    let all: Vec<_> = (0..EXPERIMENTS).into_par_iter().map(of).collect();
    let share = |count: usize| count as f64 / EXPERIMENTS as f64;
    let truth = all.iter().map(|(accuracy, ..)| accuracy).sum::<f64>() / EXPERIMENTS as f64;
    let held = all.iter().filter(|(_, (low, high), _)| *low <= truth && truth <= *high).count();
    let found = all.iter().filter(|(.., p)| p.is_some_and(|p| p <= 0.05)).count();
    let [found, held] = [share(found), share(held)];
    println!("{sizes:?}, {effect:?}: accuracy {truth:.3}, p <= .05 {found:.3}, interval {held:.3}");
    [truth, found, held]
}

/// 99 % of binomial counts at 5 % of 200 are at most 18: 9 %.
#[test]
fn calibration_of_decoding_where_tasks_are_nothing_but_wordings() {
    for (sizes, is_tested) in [(&[4, 4][..], true), (&[3, 5], true), (&[3, 3, 3], false)] {
        let [truth, found, held] = calibrated(sizes, [0.0, 1.0], is_tested);
        assert!((truth - 1.0 / sizes.len() as f64).abs() < 0.05, "{sizes:?}: {truth}");
        assert!(found <= 0.09 && held >= 0.93, "{sizes:?}: {found} {held}");
    }
}

#[test]
fn calibration_of_decoding_where_tasks_matter() {
    for (sizes, effect) in [(&[4, 4][..], 1.0), (&[4, 4], 3.0), (&[3, 3, 3], 1.5)] {
        let [_, _, held] = calibrated(sizes, [effect, 1.0], false);
        assert!(held >= 0.85, "{sizes:?} {effect}: {held}");
    }
}

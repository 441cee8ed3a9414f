use proptest::prelude::*;

use super::*;
use crate::math::{Stream, Undefined};

/// `measures.md` section 5.
pub(super) const GOLDEN_X: [[f32; 3]; 6] = [
    [1.0, 0.0, 2.0],
    [0.0, 1.0, 1.0],
    [2.0, 1.0, 0.0],
    [1.0, 3.0, 1.0],
    [0.0, 2.0, 2.0],
    [3.0, 0.0, 1.0],
];
pub(super) const GOLDEN_Y: [[f32; 2]; 6] =
    [[1.0, 1.0], [0.0, 2.0], [2.0, 0.0], [1.0, 3.0], [0.0, 1.0], [2.0, 2.0]];

pub(super) fn rows(rows: &[Vec<f32>]) -> Vec<&[f32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// n rows of d standard normal numbers.
pub(super) fn noise(seed: u64, n: usize, d: usize) -> Vec<Vec<f32>> {
    let row = |i: usize| {
        let mut stream = Stream::new(seed, "noise", i as u64);
        (0..d).map(|_| stream.normal() as f32).collect()
    };
    (0..n).map(row).collect()
}

fn centred(x: &[Vec<f32>]) -> Result<CentredGram, Undefined> {
    CentredGram::of(&Gram::of_rows(&rows(x)))
}

fn cka(x: &[Vec<f32>], y: &[Vec<f32>]) -> f64 {
    debiased_cka(&centred(x).unwrap(), &centred(y).unwrap())
}

fn golden() -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    (GOLDEN_X.map(|row| row.to_vec()).to_vec(), GOLDEN_Y.map(|row| row.to_vec()).to_vec())
}

/// dCKA = √(84/1739), from HSIC₁ = 7/15, 329/90 and 37/30; `measures.md` section 5.
#[test]
fn the_golden_rows_have_their_golden_cka() {
    let (x, y) = golden();
    assert!((cka(&x, &y) - 0.219_780_851_694_836_85).abs() < 1e-15);
    let biased = biased_cka(&Gram::of_rows(&rows(&x)), &Gram::of_rows(&rows(&y))).unwrap();
    assert!((biased - 0.500_139_326_175_166_9).abs() < 1e-15);
    assert!((cka(&x[..4], &y[..4]) - 0.188_982_236_504_613_54).abs() < 1e-15);
    assert_eq!(centred(&x[..3]), Err(Undefined::TooFew));
}

/// HSIC₁ as Song et al. write it, from raw dot products.
#[test]
fn u_centring_is_the_unbiased_estimator() {
    let (x, y) = golden();
    let n = x.len();
    let gram = |x: &[Vec<f32>]| {
        let dot = |i: usize, j: usize| {
            if i == j {
                0.0
            } else {
                x[i].iter().zip(&x[j]).map(|(a, b)| f64::from(a * b)).sum::<f64>()
            }
        };
        Symmetric::from_entries(n, dot)
    };
    let hsic = |k: &Symmetric, l: &Symmetric| {
        let sum = |m: &Symmetric| m.values.iter().sum::<f64>();
        let rows = |m: &Symmetric, i: usize| m.row(i).iter().sum::<f64>();
        let trace: f64 = k.values.iter().zip(&l.values).map(|(a, b)| a * b).sum();
        let cross: f64 = (0..n).map(|i| rows(k, i) * rows(l, i)).sum();
        let n = n as f64;
        (trace + sum(k) * sum(l) / ((n - 1.0) * (n - 2.0)) - 2.0 / (n - 2.0) * cross)
            / (n * (n - 3.0))
    };
    let (k, l) = (gram(&x), gram(&y));
    assert!((hsic(&k, &l) - 7.0 / 15.0).abs() < 1e-14);
    assert!((hsic(&k, &k) - 329.0 / 90.0).abs() < 1e-14);
    assert!((hsic(&l, &l) - 37.0 / 30.0).abs() < 1e-14);
}

/// 14 rows of 768 dimensions, the notebook's own shape, that have nothing to do with each other.
#[test]
fn noise_looks_alike_only_to_the_biased_estimator() {
    let mut values = Vec::new();
    for seed in 0..20 {
        let (x, y) = (noise(2 * seed, 14, 768), noise(2 * seed + 1, 14, 768));
        let biased = biased_cka(&Gram::of_rows(&rows(&x)), &Gram::of_rows(&rows(&y))).unwrap();
        assert!(biased > 0.97, "{biased}");
        values.push(cka(&x, &y));
    }
    let mean = values.iter().sum::<f64>() / 20.0;
    assert!(mean.abs() < 0.08, "{mean} of {values:?}");
}

#[test]
fn rows_that_do_not_vary_have_no_cka() {
    let equal = vec![vec![0.1, 0.7, 0.3]; 5];
    assert_eq!(centred(&equal), Err(Undefined::Constant));
    let even: Vec<Vec<f32>> = (0..5).map(|i| (0..5).map(|j| f32::from(i == j)).collect()).collect();
    assert_eq!(centred(&even), Err(Undefined::Constant));
    let gram = Gram::of_rows(&rows(&equal));
    assert_eq!(biased_cka(&gram, &gram), Err(Undefined::Constant));
}

#[test]
fn biased_cka_by_chance_is_its_mean_over_all_orders() {
    let (x, y) = (noise(5, 5, 3), noise(6, 5, 2));
    let gram = |x: &[Vec<f32>]| Gram::of_rows(&rows(x));
    let mut values = Vec::new();
    for order in 0..5_usize.pow(5) {
        let order: Vec<usize> = (0..5).map(|i| order / 5_usize.pow(i) % 5).collect();
        if (0..5).all(|i| order.contains(&i)) {
            let other: Vec<Vec<f32>> = order.iter().map(|&i| y[i].clone()).collect();
            values.push(biased_cka(&gram(&x), &gram(&other)).unwrap());
        }
    }
    assert_eq!(values.len(), 120);
    let mean = values.iter().sum::<f64>() / 120.0;
    assert!((biased_cka_by_chance(&gram(&x), &gram(&y)).unwrap() - mean).abs() < 1e-14);
}

proptest! {
    #[test]
    fn cka_ignores_shift_rotation_and_scale(
        seed in 0_u64..1000, n in 4_usize..12, angle in 0.0_f64..6.0, scale in 0.1_f32..9.0,
        shift in -50.0_f32..50.0,
    ) {
        let (x, y) = (noise(seed, n, 3), noise(seed + 1000, n, 4));
        let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
        let moved: Vec<Vec<f32>> = x
            .iter()
            .map(|r| vec![
                scale * (cos * r[0] - sin * r[1]) + shift,
                scale * (sin * r[0] + cos * r[1]) - shift,
                scale * r[2] + 2.0 * shift,
            ])
            .collect();
        // The rows themselves are float32: the shift costs them digits.
        prop_assert!((cka(&x, &y) - cka(&moved, &y)).abs() < 2e-3);
        prop_assert!((cka(&x, &moved) - 1.0).abs() < 2e-3);
        prop_assert!((cka(&x, &x) - 1.0).abs() < 1e-14);
        prop_assert_eq!(cka(&x, &y).to_bits(), cka(&y, &x).to_bits());
        prop_assert!(cka(&x, &y).abs() <= 1.0 + 1e-14);
    }
}

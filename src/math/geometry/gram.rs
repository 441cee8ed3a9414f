//! Centred kernel alignment of two sets of rows, debiased and biased.
//!
//! With the linear kernels `K = XXᵀ` and `L = YYᵀ` of the column-centred rows:
//!
//! ```text
//! biased CKA   = <K, L> / (‖K‖ ‖L‖)
//! debiased CKA = <K̃, L̃> / (‖K̃‖ ‖L̃‖)
//! K̃_ij = K_ij - r_i/(n-2) - r_j/(n-2) + ΣK/((n-1)(n-2)),  K_ii and K̃_ii = 0,  r_i = Σ_j K_ij
//! ```
//!
//! which is `HSIC₁(K,L) / √(HSIC₁(K,K) HSIC₁(L,L))` of Song et al. 2012 in U-centred form (Székely and
//! Rizzo 2014). With fewer rows than dimensions the biased one is near 1 for pure noise (Murphy et
//! al. 2024): report it only beside the debiased.

use super::{LEAST_ROWS, Symmetric, wide};
use crate::math::Undefined;
use crate::math::dot::dot_wide;

/// A sum of squares below this part of the sum it was cancelled from is rounding.
pub(super) const ROUNDING: f64 = 1e-20;

/// Dot products of every row with every other, after centring the columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    products: Symmetric,
}

impl Gram {
    /// Of `rows`, one an input, all of one width. In parallel.
    pub fn of_rows(rows: &[&[f32]]) -> Self {
        let mut rows = wide(rows);
        let mut mean = vec![0.0; rows.first().map_or(0, Vec::len)];
        for row in &rows {
            for (mean, x) in mean.iter_mut().zip(row) {
                *mean += x;
            }
        }
        for mean in &mut mean {
            *mean /= rows.len() as f64;
        }
        for row in &mut rows {
            for (x, mean) in row.iter_mut().zip(&mean) {
                *x -= mean;
            }
        }
        Self { products: Symmetric::of_dots(&rows) }
    }

    /// How many rows there are.
    pub fn n(&self) -> usize {
        self.products.n
    }
}

/// A [`Gram`] without what its diagonal and its row sums bring in by themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct CentredGram {
    products: Symmetric,
    norm: f64,
}

impl CentredGram {
    /// U-centres `gram`. [`Undefined::TooFew`] below four rows, [`Undefined::Constant`] when all
    /// rows are equal or all are equally far apart.
    pub fn of(gram: &Gram) -> Result<Self, Undefined> {
        let (n, gram) = (gram.n(), &gram.products);
        if n < LEAST_ROWS {
            return Err(Undefined::TooFew);
        }
        let sums: Vec<f64> =
            (0..n).map(|i| gram.row(i).iter().sum::<f64>() - gram.at(i, i)).collect();
        let (less_two, less_one) = (n as f64 - 2.0, n as f64 - 1.0);
        let all = sums.iter().sum::<f64>() / (less_one * less_two);
        let products = Symmetric::from_entries(n, |i, j| {
            if i == j { 0.0 } else { gram.at(i, j) - sums[i] / less_two - sums[j] / less_two + all }
        });
        let squares = dot_wide(&products.values, &products.values);
        if squares <= ROUNDING * dot_wide(&gram.values, &gram.values) {
            return Err(Undefined::Constant);
        }
        Ok(Self { products, norm: squares.sqrt() })
    }

    /// How many rows there are.
    pub fn n(&self) -> usize {
        self.products.n
    }

    /// The products of row i with every other.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        self.products.row(i)
    }

    /// The U-centred products below the diagonal, and the root of the sum of their squares.
    pub(super) fn below(&self) -> (impl Iterator<Item = f64>, f64) {
        (self.products.below(), self.norm / std::f64::consts::SQRT_2)
    }
}

/// CKA with the diagonal, 0..1: near 1 for noise when rows are few and dimensions many.
/// [`Undefined::Constant`] when one side's rows are all equal.
///
/// # Panics
///
/// When the two do not have the same number of rows, as all functions here do.
pub fn biased_cka(a: &Gram, b: &Gram) -> Result<f64, Undefined> {
    assert_eq!(a.n(), b.n(), "both sides have the same rows");
    let dot = |a: &Gram, b: &Gram| dot_wide(&a.products.values, &b.products.values);
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { Ok(dot(a, b) / norms) } else { Err(Undefined::Constant) }
}

/// What [`biased_cka`] is on average when the rows of one side are given to other inputs at random:
/// `tr K tr L / ((n-1) ‖K‖ ‖L‖)`, exact. Errors as there.
pub fn biased_cka_by_chance(a: &Gram, b: &Gram) -> Result<f64, Undefined> {
    assert_eq!(a.n(), b.n(), "both sides have the same rows");
    let trace = |gram: &Gram| (0..gram.n()).map(|i| gram.products.at(i, i)).sum::<f64>();
    let norm = |gram: &Gram| dot_wide(&gram.products.values, &gram.products.values).sqrt();
    let norms = norm(a) * norm(b);
    let by_chance = trace(a) * trace(b) / ((a.n() as f64 - 1.0) * norms);
    if norms > 0.0 { Ok(by_chance) } else { Err(Undefined::Constant) }
}

/// Debiased CKA, -1..1; around 0 for sides that have nothing to do with each other.
pub fn debiased_cka(a: &CentredGram, b: &CentredGram) -> f64 {
    assert_eq!(a.n(), b.n(), "both sides have the same rows");
    dot_wide(&a.products.values, &b.products.values) / (a.norm * b.norm)
}

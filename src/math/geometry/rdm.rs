//! Representational similarity analysis: do two sides rank the distances between inputs alike?
//!
//! A table of dissimilarities (RDM) holds `1 - Pearson(x_i, x_j)` or `‖x_i - x_j‖²` for every pair of
//! rows; two tables are compared by Spearman's correlation over the n(n-1)/2 pairs, ties sharing
//! their average rank (Kriegeskorte, Mur and Bandettini 2008). Cosine of whitened squared-Euclid
//! tables would be biased CKA under another name, so it is not here.

use super::super::Undefined;
use super::super::dot::dot_wide;
use super::super::ranks::average_ranks;
use super::{LEAST_ROWS, Symmetric, wide};

/// Dissimilarities of every pair of rows, with their ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Rdm {
    n: usize,
    /// Pairs (0,1), (0,2), (1,2), (0,3), ...
    values: Vec<f64>,
    ranks: Vec<f64>,
}

impl Rdm {
    /// 1 - Pearson correlation of every pair of rows, over their dimensions; 0..2.
    /// [`Undefined::Constant`] also when a row has the same number in every dimension.
    pub fn pearson(rows: &[&[f32]]) -> Result<Self, Undefined> {
        let mut rows = wide(rows);
        for row in &mut rows {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            for x in &mut *row {
                *x -= mean;
            }
            let norm = dot_wide(row, row).sqrt();
            // A NaN is no norm either: a row without dimensions.
            if norm.is_nan() || norm <= 0.0 {
                return Err(Undefined::Constant);
            }
            for x in &mut *row {
                *x /= norm;
            }
        }
        Self::of(&Symmetric::from_entries(rows.len(), |i, j| 1.0 - dot_wide(&rows[i], &rows[j])))
    }

    /// Squared Euclidean distance of every pair of rows.
    pub fn squared_euclid(rows: &[&[f32]]) -> Result<Self, Undefined> {
        let rows = wide(rows);
        // From differences: exact ties stay ties, which dot products would part by rounding.
        let distance = |i: usize, j: usize| {
            rows[i].iter().zip(&rows[j]).map(|(x, y)| (x - y).powi(2)).sum::<f64>()
        };
        Self::of(&Symmetric::from_entries(rows.len(), distance))
    }

    /// [`Undefined::TooFew`] below four rows, [`Undefined::Constant`] when all pairs are equally far
    /// apart but for rounding.
    fn of(distances: &Symmetric) -> Result<Self, Undefined> {
        let n = distances.n;
        if n < LEAST_ROWS {
            return Err(Undefined::TooFew);
        }
        let values: Vec<f64> = (1..n).flat_map(|i| &distances.row(i)[..i]).copied().collect();
        let (min, max) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)));
        if max - min <= 1e-12 * max.abs().max(min.abs()) {
            return Err(Undefined::Constant);
        }
        let ranks = average_ranks(&values);
        Ok(Self { n, values, ranks })
    }

    /// Dissimilarities of the pairs (0,1), (0,2), (1,2), (0,3), ...
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// Spearman's correlation of two tables of dissimilarities, -1..1.
///
/// # Panics
///
/// When the two do not have the same number of rows.
pub fn rsa(a: &Rdm, b: &Rdm) -> f64 {
    assert_eq!(a.n, b.n, "both sides have the same rows");
    correlation(&a.ranks, &b.ranks)
}

/// Pearson's correlation of two lists of one length that both vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let centred = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| value - mean).collect::<Vec<f64>>()
    };
    let (a, b) = (centred(a), centred(b));
    dot_wide(&a, &b) / (dot_wide(&a, &a) * dot_wide(&b, &b)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOLDEN_X, GOLDEN_Y, rows};
    use super::*;

    /// `scipy.stats.spearmanr` and `pearsonr` of the two tables; `measures.md` section 5.
    #[test]
    fn the_golden_rows_have_their_golden_rsa() {
        let (x, y) = (GOLDEN_X.map(|row| row.to_vec()), GOLDEN_Y.map(|row| row.to_vec()));
        let of = |x: &[Vec<f32>]| Rdm::squared_euclid(&rows(x)).unwrap();
        assert!((rsa(&of(&x), &of(&y)) - 0.306_068_892_388_991_8).abs() < 1e-14);
        let pearson = correlation(of(&x).values(), of(&y).values());
        assert!((pearson - 0.124_965_137_358_128_3).abs() < 1e-14);
    }

    #[test]
    fn what_has_no_ranking_has_no_rsa() {
        let few = [vec![1.0, 2.0], vec![2.0, 1.0], vec![0.0, 3.0]];
        assert_eq!(Rdm::squared_euclid(&rows(&few)), Err(Undefined::TooFew));
        let even: Vec<Vec<f32>> =
            (0..4).map(|i| (0..4).map(|j| f32::from(i == j)).collect()).collect();
        assert_eq!(Rdm::squared_euclid(&rows(&even)), Err(Undefined::Constant));
        assert_eq!(Rdm::pearson(&rows(&even)), Err(Undefined::Constant));
        let flat = [vec![1.0, 2.0], vec![2.0, 1.0], vec![0.0, 3.0], vec![5.0, 5.0]];
        assert_eq!(Rdm::pearson(&rows(&flat)), Err(Undefined::Constant));
        assert!(Rdm::squared_euclid(&rows(&flat)).is_ok());
    }

    #[test]
    fn correlation_distance_ignores_what_is_common_to_a_row() {
        let x = GOLDEN_X.map(|row| row.to_vec());
        let scaled = GOLDEN_X.map(|row| row.iter().map(|v| 3.0 * v + 7.0).collect::<Vec<_>>());
        let (a, b) = (Rdm::pearson(&rows(&x)).unwrap(), Rdm::pearson(&rows(&scaled)).unwrap());
        assert!(a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

//! Representational similarity analysis: do two sides rank the distances between inputs alike?
//!
//! A table of dissimilarities (RDM) holds `1 - Pearson(x_i, x_j)` for every pair of rows; two
//! tables are compared by Spearman's correlation over the n(n-1)/2 pairs, ties sharing their average
//! rank (Kriegeskorte, Mur and Bandettini 2008). Cosine of whitened squared-Euclid tables would be
//! biased CKA under another name, so it is not here.

use super::{LEAST_ROWS, Symmetric, wide};
use crate::math::Undefined;
use crate::math::dot::dot_wide;
use crate::math::ranks::average_ranks;

/// Correlations this near to each other (2⁻⁴⁰, about 1e-12) count as equal.
const TIE: f64 = 1.0 / (1_u64 << 40) as f64;
/// Added to a number below 2⁵¹ and taken off again, it leaves the nearest whole number.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// Dissimilarities of every pair of rows, with their ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Rdm {
    n: usize,
    /// Pairs (1,0), (2,0), (2,1), (3,0), ...
    values: Vec<f64>,
    /// The rank of each pair, less the mean rank.
    ranks: Vec<f64>,
    /// Root of the sum of the squared ranks.
    norm: f64,
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
        // Distances that differ only by rounding are ties.
        let distance = |dot: f64| (((1.0 - dot) / TIE + WHOLE) - WHOLE) * TIE;
        Self::of(rows.len(), Symmetric::of_dots(&rows).below().map(distance).collect())
    }

    /// [`Undefined::TooFew`] below four rows, [`Undefined::Constant`] when all pairs are equally far
    /// apart but for rounding.
    fn of(n: usize, values: Vec<f64>) -> Result<Self, Undefined> {
        if n < LEAST_ROWS {
            return Err(Undefined::TooFew);
        }
        let (min, max) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)));
        if max - min <= 1e-12 * max.abs().max(min.abs()) {
            return Err(Undefined::Constant);
        }
        let mut ranks = average_ranks(&values);
        // Ties share their places, so the mean is that of 1, 2, ...
        let mean = f64::midpoint(ranks.len() as f64, 1.0);
        for rank in &mut ranks {
            *rank -= mean;
        }
        let norm = dot_wide(&ranks, &ranks).sqrt();
        Ok(Self { n, values, ranks, norm })
    }

    /// How many rows there are.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The rank of each pair less the mean rank, and the root of the sum of their squares.
    pub(super) fn ranks(&self) -> (&[f64], f64) {
        (&self.ranks, self.norm)
    }

    /// Dissimilarities of the pairs (1,0), (2,0), (2,1), (3,0), ...
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
    dot_wide(&a.ranks, &b.ranks) / (a.norm * b.norm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::geometry::tests::{GOLDEN_X, GOLDEN_Y, rows};

    /// Squared Euclidean distance of every pair of rows.
    fn squared_euclid(rows: &[Vec<f32>]) -> Result<Rdm, Undefined> {
        // From differences: exact ties stay ties, which dot products would part by rounding.
        let distance = |i: usize, j: usize| {
            let differences =
                rows[i].iter().zip(&rows[j]).map(|(x, y)| f64::from(*x) - f64::from(*y));
            differences.map(|d| d.powi(2)).sum::<f64>()
        };
        let pairs = (1..rows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        Rdm::of(rows.len(), pairs.map(|(i, j)| distance(i, j)).collect())
    }

    /// `scipy.stats.spearmanr` and `pearsonr` of the two tables; `measures.md` section 5.
    #[test]
    fn the_golden_rows_have_their_golden_rsa() {
        let (x, y) = (GOLDEN_X.map(|row| row.to_vec()), GOLDEN_Y.map(|row| row.to_vec()));
        let of = |x: &[Vec<f32>]| squared_euclid(x).unwrap();
        assert!((rsa(&of(&x), &of(&y)) - 0.306_068_892_388_991_8).abs() < 1e-14);
    }

    #[test]
    fn what_has_no_ranking_has_no_rsa() {
        let few = [vec![1.0, 2.0], vec![2.0, 1.0], vec![0.0, 3.0]];
        assert_eq!(squared_euclid(&few), Err(Undefined::TooFew));
        let even: Vec<Vec<f32>> =
            (0..4).map(|i| (0..4).map(|j| f32::from(i == j)).collect()).collect();
        assert_eq!(squared_euclid(&even), Err(Undefined::Constant));
        assert_eq!(Rdm::pearson(&rows(&even)), Err(Undefined::Constant));
        let flat = [vec![1.0, 2.0], vec![2.0, 1.0], vec![0.0, 3.0], vec![5.0, 5.0]];
        assert_eq!(Rdm::pearson(&rows(&flat)), Err(Undefined::Constant));
        assert!(squared_euclid(&flat).is_ok());
    }

    #[test]
    fn correlation_distance_ignores_what_is_common_to_a_row() {
        let x = GOLDEN_X.map(|row| row.to_vec());
        let scaled = GOLDEN_X.map(|row| row.iter().map(|v| 3.0 * v + 7.0).collect::<Vec<_>>());
        let (a, b) = (Rdm::pearson(&rows(&x)).unwrap(), Rdm::pearson(&rows(&scaled)).unwrap());
        assert!(a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

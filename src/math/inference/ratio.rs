//! How sure a ratio of two means is when both inputs and wordings are random.
//!
//! A scale that is measured is itself unsure, and a ratio with it is skewed: an interval of the same
//! length on both sides ends too early on the side away from 0. Fieller's (1954) has all ratios R for which
//! `numerator - R denominator` could be 0:
//!
//! ```text
//! (numerator - R denominator)² <= t² Var(numerator - R denominator)
//! ```
//!
//! with the variance over clusters and wordings and the degrees of freedom of [`super::crossed`], at the
//! estimate. Where the denominator itself could be 0 it has no ends, and there is none.

use super::crossed::Crossed;
use super::student::student_quantile;
use crate::math::Undefined;

impl Crossed {
    /// Of `means[0] / means[1]`, with both for each cluster, and for each task both without each of its
    /// wordings. Its variances are those of the ratio, to first order. `None` where the interval has no
    /// ends; [`Undefined::TooFew`] as [`Crossed::of`].
    pub fn of_ratio(
        means: [f64; 2],
        clusters: &[[f64; 2]],
        without: &[Vec<[f64; 2]>],
        level: f64,
    ) -> Result<Option<Self>, Undefined> {
        let ratio = means[0] / means[1];
        // How far the ratio moves with them, to first order.
        let moved = |own: &[f64; 2]| (own[0] - ratio * own[1]) / means[1];
        let influences: Vec<f64> = clusters.iter().map(moved).collect();
        let of_wordings: Vec<Vec<f64>> =
            without.iter().map(|own| own.iter().map(moved).collect()).collect();
        let linear = Self::of(ratio, &influences, &of_wordings, level)?;
        if linear.freedom.is_infinite() {
            return Ok(Some(linear));
        }
        let t = student_quantile(f64::midpoint(1.0, level), linear.freedom);
        let [numerator, both, denominator] = covariance(clusters, without).map(|v| t * t * v);
        // a R² - 2 b R + c <= 0.
        let a = means[1] * means[1] - denominator;
        let b = means[0] * means[1] - both;
        let c = means[0] * means[0] - numerator;
        let root = (b * b - a * c).max(0.0).sqrt();
        let ends = Self { low: (b - root) / a, high: (b + root) / a, ..linear };
        Ok((a > 0.0).then_some(ends))
    }
}

/// Variance of the numerator, covariance, variance of the denominator: over clusters and wordings.
fn covariance(clusters: &[[f64; 2]], without: &[Vec<[f64; 2]>]) -> [f64; 3] {
    let n = clusters.len() as f64;
    let mut sums = products(clusters).map(|product| product / (n - 1.0) / n);
    for own in without {
        let w = own.len() as f64;
        for (sum, product) in sums.iter_mut().zip(products(own)) {
            *sum += product * (w - 1.0) / w;
        }
    }
    sums
}

/// Sums of squares and products around the means.
fn products(pairs: &[[f64; 2]]) -> [f64; 3] {
    let mean = |i: usize| pairs.iter().map(|pair| pair[i]).sum::<f64>() / pairs.len() as f64;
    let means = [mean(0), mean(1)];
    let product = |i: usize, j: usize| {
        pairs.iter().map(|pair| (pair[i] - means[i]) * (pair[j] - means[j])).sum()
    };
    [product(0, 0), product(0, 1), product(1, 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTERS: [[f64; 2]; 6] =
        [[0.3, 0.9], [0.5, 1.1], [0.45, 1.3], [0.2, 0.8], [0.62, 1.0], [0.38, 1.2]];

    fn without() -> Vec<Vec<[f64; 2]>> {
        vec![
            vec![[0.41, 1.05], [0.39, 1.1], [0.45, 1.0]],
            vec![[0.4, 1.0], [0.43, 1.08], [0.42, 1.04], [0.37, 1.06]],
        ]
    }

    /// numpy and `scipy.stats.t.ppf`, from the formulas.
    #[test]
    fn the_interval_is_fiellers() {
        let means = [0.408, 1.05];
        let found = Crossed::of_ratio(means, &CLUSTERS, &without(), 0.95).unwrap().unwrap();
        let near = |value: f64, expected: f64| {
            assert!((value / expected - 1.0).abs() < 1e-9, "{value} {expected}");
        };
        near(found.low, 0.179_213_414_131_687_43);
        near(found.high, 0.653_933_346_303_166_1);
        near(found.freedom, 4.334_301_859_313_125_5);
        let estimate = means[0] / means[1];
        assert!(found.high - estimate > estimate - found.low, "longer away from 0");
        // Each end is a ratio that the data could just have.
        let v = covariance(&CLUSTERS, &without());
        let t = student_quantile(0.975, found.freedom);
        for end in [found.low, found.high] {
            let variance = v[0] - 2.0 * end * v[1] + end * end * v[2];
            near((means[0] - end * means[1]).abs(), t * variance.sqrt());
        }
    }

    #[test]
    fn a_denominator_that_may_be_nothing_has_no_interval() {
        let clusters = [[0.3, 2.0], [0.3, -1.5], [0.3, 1.0], [0.3, -1.0]];
        let found = Crossed::of_ratio([0.3, 0.125], &clusters, &without(), 0.95);
        assert_eq!(found, Ok(None));
    }

    #[test]
    fn a_denominator_that_does_not_vary_leaves_students_interval() {
        let flat = |pair: &[f64; 2]| [pair[0], 1.0];
        let clusters: Vec<[f64; 2]> = CLUSTERS.iter().map(flat).collect();
        let without: Vec<Vec<[f64; 2]>> =
            without().iter().map(|own| own.iter().map(flat).collect()).collect();
        let found = Crossed::of_ratio([0.408, 1.0], &clusters, &without, 0.95).unwrap().unwrap();
        let numerators = clusters.iter().map(|pair| pair[0]).collect::<Vec<_>>();
        let of_wordings: Vec<Vec<f64>> =
            without.iter().map(|own| own.iter().map(|pair| pair[0]).collect()).collect();
        let students = Crossed::of(0.408, &numerators, &of_wordings, 0.95).unwrap();
        assert!((found.low - students.low).abs() < 1e-12, "{found:?} {students:?}");
        assert!((found.high - students.high).abs() < 1e-12, "{found:?} {students:?}");
    }
}

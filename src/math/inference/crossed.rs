//! How sure an estimate is when both inputs and wordings are random.
//!
//! A study sees a task through the few wordings that somebody wrote down, and these are a sample as
//! the inputs are (Clark 1973): an interval over inputs alone says what these very wordings do, and is
//! far too narrow for what the tasks do. Inputs (or clusters of them) and wordings are crossed, so the
//! variance of an estimate is about the sum of two:
//!
//! ```text
//! over clusters   var(influences of the clusters) / C                     C - 1 degrees of freedom
//! over wordings   for each task (W - 1)/W times the sum of squares of the estimates without one of its
//!                 wordings around their mean, summed: the jackknife
//!                                                                         least W - 1 degrees in all
//! interval        estimate -+ t √variance      t: Student's with Satterthwaite's degrees of freedom
//!                 df = variance² / Σ (part² / its degrees)
//! ```
//!
//! The wordings' part has the degrees of one task, not of all together: every pair of different tasks has
//! a wording of each, so the tasks' jackknives move together, and where one task's wordings vary most the
//! others add nothing (with the tasks' degrees summed, five tasks of two wordings of a random model held 0
//! in .65 of draws). So the interval is wide for two or three wordings: that is what so few show. `make calibrate`
//! counts how often it holds the truth; docs/measures/effect.md has the figures. The jackknife of
//! independent samples: Efron and Stein 1981 (it is too wide rather than too narrow on average);
//! degrees of freedom: Satterthwaite 1946.

use super::student::student_quantile;
use crate::math::Undefined;

/// The power that [`detectable`] asks for.
const POWER: f64 = 0.8;

/// A variance below this part of the squared estimate is rounding.
const ROUNDING: f64 = 1e-26;

/// How sure an estimate is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossed {
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Variance of the estimate over clusters of inputs.
    pub var_clusters: f64,
    /// Variance over wordings.
    pub var_wordings: f64,
    /// Satterthwaite's degrees of freedom; infinite where nothing varies.
    pub freedom: f64,
}

impl Crossed {
    /// Of an estimate, with one influence for each cluster (of a mean: the cluster's value; only
    /// their spread counts), and for each sample of wordings (a task's, or pairs of two tasks') the
    /// estimates without each of them; without any sample the interval is over clusters alone.
    /// [`Undefined::TooFew`] below two clusters, or two wordings of a sample.
    pub fn of(
        estimate: f64,
        influences: &[f64],
        without: &[Vec<f64>],
        level: f64,
    ) -> Result<Self, Undefined> {
        let n = influences.len() as f64;
        if influences.len() < 2 || without.iter().any(|own| own.len() < 2) {
            return Err(Undefined::TooFew);
        }
        let var_clusters = squares(influences) / (n - 1.0) / n;
        let of_task = |own: &Vec<f64>| squares(own) * (own.len() as f64 - 1.0) / own.len() as f64;
        let var_wordings: f64 = without.iter().map(of_task).sum();
        let fewest = without.iter().map(Vec::len).min().unwrap_or(2) as f64;
        let variance = var_clusters + var_wordings;
        if variance <= ROUNDING * estimate * estimate {
            let (low, high) = (estimate, estimate);
            return Ok(Self { low, high, var_clusters, var_wordings, freedom: f64::INFINITY });
        }
        let parts = [(var_clusters, n - 1.0), (var_wordings, fewest - 1.0)];
        let freedom = satterthwaite(parts.into_iter());
        let half = student_quantile(f64::midpoint(1.0, level), freedom) * variance.sqrt();
        let (low, high) = (estimate - half, estimate + half);
        Ok(Self { low, high, var_clusters, var_wordings, freedom })
    }

    /// Standard error of the estimate.
    pub fn error(&self) -> f64 {
        (self.var_clusters + self.var_wordings).sqrt()
    }
}

/// Sum of squares around the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|x| (x - mean).powi(2)).sum()
}

/// Degrees of freedom of a sum of variances, each with its own: at least 1.
pub(in crate::math) fn satterthwaite(parts: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, shares) = parts.fold((0.0, 0.0), |(sum, shares), (variance, freedom)| {
        (sum + variance, shares + variance * variance / freedom)
    });
    (sum * sum / shares).max(1.0)
}

/// The smallest true difference that an interval at `level` lies above 0 for with power
/// 0.8, where the estimate has that standard error with so many degrees of freedom:
/// `(t_{(1 + level)/2} + t_{0.8}) se`.
pub fn detectable(error: f64, freedom: f64, level: f64) -> f64 {
    let quantile = |p| student_quantile(p, freedom);
    (quantile(f64::midpoint(1.0, level)) + quantile(POWER)) * error
}

/// What a design would do: the two variances of one that was run, and its sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planned {
    /// Variance over clusters times their number.
    pub of_cluster: f64,
    /// Variance over wordings times the wordings of a task.
    pub of_wording: f64,
}

impl Planned {
    /// [`detectable`] with `clusters` and `wordings` of each task in place of those that were run.
    pub fn detectable(&self, clusters: f64, wordings: f64, level: f64) -> f64 {
        let (inputs, words) = (self.of_cluster / clusters, self.of_wording / wordings);
        let parts = [(inputs, clusters - 1.0), (words, wordings - 1.0)];
        detectable((inputs + words).sqrt(), satterthwaite(parts.into_iter()), level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy and `scipy.stats.t.ppf`, from the formulas.
    #[test]
    fn the_interval_is_students_with_satterthwaites_degrees() {
        let influences = [0.3, 0.5, 0.45, 0.2, 0.62, 0.38];
        let without = [vec![0.41, 0.39, 0.45], vec![0.4, 0.43, 0.42, 0.37]];
        let crossed = Crossed::of(0.408, &influences, &without, 0.95).unwrap();
        let near = |value: f64, expected: f64| {
            assert!((value / expected - 1.0).abs() < 1e-9, "{value} {expected}");
        };
        near(crossed.var_clusters, 0.003_696_111_111_111_111_4);
        near(crossed.var_wordings, 0.002_819_444_444_444_444_3);
        near(crossed.freedom, 6.329_688_042_927_242);
        near(crossed.low, 0.212_954_889_878_927);
        near(crossed.high, 0.603_045_110_121_073);
        near(detectable(crossed.error(), crossed.freedom, 0.95), 0.267_866_221_171_908_8);
    }

    #[test]
    fn one_wording_or_one_cluster_has_no_interval_and_what_does_not_vary_no_width() {
        let two = [vec![0.1, 0.1], vec![0.1, 0.1]];
        assert_eq!(Crossed::of(0.1, &[0.1], &two, 0.95), Err(Undefined::TooFew));
        let one = [vec![0.1], vec![0.1, 0.1]];
        assert_eq!(Crossed::of(0.1, &[0.1, 0.2], &one, 0.95), Err(Undefined::TooFew));
        let point = Crossed::of(0.1, &[0.1, 0.1], &two, 0.95).unwrap();
        assert!(point.low.to_bits() == point.high.to_bits() && point.freedom.is_infinite());
    }

    #[test]
    fn more_wordings_show_smaller_differences_where_wordings_vary() {
        let planned = Planned { of_cluster: 0.01, of_wording: 0.04 };
        let at = |clusters, wordings| planned.detectable(clusters, wordings, 0.95);
        assert!(at(20.0, 8.0) < 0.7 * at(20.0, 4.0));
        assert!(at(2000.0, 4.0) > 0.9 * at(20.0, 4.0), "inputs do not replace wordings");
    }
}

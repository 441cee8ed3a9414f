//! How large a difference is.

use crate::math::Undefined;
use crate::math::ranks::average_ranks;

/// A standard deviation below this part of the largest value is rounding.
const ROUNDING: f64 = 1e-13;

/// How far apart two samples lie that have one value for each input: dissimilarity between tasks,
/// and dissimilarity within a baseline (another wording, a neutral prefix, ...).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// How many inputs.
    pub n: usize,
    /// Mean over inputs of the first sample.
    pub between: f64,
    /// Mean of the second.
    pub within: f64,
    /// Mean of the inputs' differences, first less second.
    pub delta: f64,
    /// `delta` in standard deviations (n - 1) of the differences; `None` when they do not vary.
    pub d_z: Option<f64>,
    /// Probability that a value of the first sample is above one of the second, ties counting half.
    pub auc: f64,
}

impl Effect {
    /// Of the two samples, in the same order of inputs. [`Undefined::TooFew`] without inputs.
    ///
    /// # Panics
    ///
    /// When they do not have the same inputs.
    pub fn of(between: &[f64], within: &[f64]) -> Result<Self, Undefined> {
        assert_eq!(between.len(), within.len(), "both samples have the same inputs");
        let n = between.len();
        if n == 0 {
            return Err(Undefined::TooFew);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
        let differences: Vec<f64> = between.iter().zip(within).map(|(b, w)| b - w).collect();
        let delta = mean(&differences);
        let squares: f64 = differences.iter().map(|x| (x - delta).powi(2)).sum();
        let sd = (squares / (n as f64 - 1.0)).sqrt();
        let largest = differences.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        // A single input has no deviation: 0/0 is above nothing.
        let d_z = (sd > ROUNDING * largest).then(|| delta / sd);
        let pooled: Vec<f64> = between.iter().chain(within).copied().collect();
        let ranks: f64 = average_ranks(&pooled)[..n].iter().sum();
        let auc = (ranks - (n * (n + 1)) as f64 / 2.0) / (n * n) as f64;
        Ok(Self { n, between: mean(between), within: mean(within), delta, d_z, auc })
    }

    /// Cliff's delta, -1..1: how much likelier the first sample is above the second than below it.
    pub fn cliffs_delta(&self) -> f64 {
        2.0 * self.auc - 1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// numpy: `d.mean()`, `d.mean() / d.std(ddof=1)`; scipy: `mannwhitneyu(b, w).statistic / 36`.
    #[test]
    fn the_effect_equals_numpys_and_scipys() {
        let between = [0.31, 0.42, 0.25, 0.5, 0.38, 0.29];
        let within = [0.22, 0.4, 0.3, 0.31, 0.29, 0.25];
        let effect = Effect::of(&between, &within).unwrap();
        assert!((effect.delta - 0.063_333_333_333_333_32).abs() < 1e-15);
        assert!((effect.d_z.unwrap() - 0.782_748_478_059_814_4).abs() < 1e-14);
        assert!((effect.auc - 0.708_333_333_333_333_4).abs() < 1e-15);
    }

    #[test]
    fn differences_that_do_not_vary_have_no_d_z() {
        let same = Effect::of(&[0.3, 0.4], &[0.1, 0.2]).unwrap();
        assert_eq!(same.d_z, None);
        assert!((same.delta - 0.2).abs() < 1e-15);
        assert_eq!(Effect::of(&[0.3], &[0.1]).unwrap().d_z, None);
        assert_eq!(Effect::of(&[0.3, 0.3], &[0.3, 0.3]).unwrap().d_z, None);
        assert_eq!(Effect::of(&[], &[]), Err(Undefined::TooFew));
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_won(
            pairs in prop::collection::vec((0_i8..9, 0_i8..9), 1..30),
        ) {
            let (b, w): (Vec<f64>, Vec<f64>) =
                pairs.into_iter().map(|(b, w)| (f64::from(b), f64::from(w))).unzip();
            let won = |x: f64, y: f64| if x > y { 1.0 } else if x < y { 0.0 } else { 0.5 };
            let all: f64 = b.iter().flat_map(|&x| w.iter().map(move |&y| won(x, y))).sum();
            let effect = Effect::of(&b, &w).unwrap();
            prop_assert!((effect.auc - all / (b.len() * w.len()) as f64).abs() < 1e-12);
            let back = Effect::of(&w, &b).unwrap();
            prop_assert!((effect.cliffs_delta() + back.cliffs_delta()).abs() < 1e-12);
        }
    }
}

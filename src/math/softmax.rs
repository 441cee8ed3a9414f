//! Scores to probabilities.

/// What a softmax needs beside a score: the largest score and the sum of all exponentials. Holds no
/// vector, so only the probabilities that are asked for are computed.
#[derive(Debug, Clone, Copy)]
pub struct Softmax {
    max: f64,
    /// Σ exp(score - max), at least 1.
    sum: f64,
}

impl Softmax {
    /// Over all of `scores`, none of them NaN; `None` when there are none.
    pub fn over(scores: &[f32]) -> Option<Self> {
        let max = scores.iter().copied().reduce(f32::max)?;
        let max = f64::from(max);
        let sum = scores.iter().map(|&score| (f64::from(score) - max).exp()).sum();
        Some(Self { max, sum })
    }

    /// The same with the entropy of the distribution in nats, in one pass: ln Σ - Σ e·(score - max)/Σ
    /// with e = exp(score - max). `None` also when a score is NaN or plus infinity.
    pub fn with_entropy(scores: &[f32]) -> Option<(Self, f64)> {
        let max = f64::from(scores.iter().copied().reduce(f32::max)?);
        let (mut sum, mut weighted) = (0.0, 0.0);
        for &score in scores {
            let below = f64::from(score) - max;
            let e = below.exp();
            sum += e;
            // A token that is ruled out adds nothing: 0 times minus infinity is no number.
            weighted += if e == 0.0 { 0.0 } else { e * below };
        }
        let entropy = sum.ln() - weighted / sum;
        (sum.is_finite() && entropy.is_finite()).then(|| (Self { max, sum }, entropy.max(0.0)))
    }

    /// Probability of a score, 0..1.
    pub fn probability(&self, score: f32) -> f64 {
        (f64::from(score) - self.max).exp() / self.sum
    }

    /// Natural logarithm of [`Self::probability`], exact also where that is too small to be more
    /// than 0.
    pub fn logprob(&self, score: f32) -> f64 {
        (f64::from(score) - self.max) - self.sum.ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::math::Distribution;

    proptest! {
        #[test]
        fn probabilities_add_up_to_one(scores in prop::collection::vec(-80.0_f32..80.0, 1..300)) {
            let softmax = Softmax::over(&scores).unwrap();
            let sum: f64 = scores.iter().map(|&s| softmax.probability(s)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-12);
            for &score in &scores {
                let (p, log) = (softmax.probability(score), softmax.logprob(score));
                prop_assert!((p.ln() - log).abs() < 1e-12 * log.abs().max(1.0));
            }
        }

        #[test]
        fn one_pass_gives_the_entropy_that_the_whole_distribution_has(
            scores in prop::collection::vec(-80.0_f32..80.0, 1..300),
        ) {
            let (softmax, entropy) = Softmax::with_entropy(&scores).unwrap();
            let whole = Distribution::from_logits(&scores).unwrap();
            prop_assert!((entropy - whole.entropy()).abs() < 1e-12 * whole.entropy().max(1.0));
            for (&score, log) in scores.iter().zip(whole.logs()) {
                prop_assert_eq!(softmax.logprob(score).to_bits(), log.to_bits());
            }
        }

        #[test]
        fn a_shift_of_all_scores_changes_nothing(scores in prop::collection::vec(-8_i16..8, 1..50)) {
            let shifted: Vec<f32> = scores.iter().map(|&s| f32::from(s) + 1024.0).collect();
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let (a, b) = (Softmax::over(&scores).unwrap(), Softmax::over(&shifted).unwrap());
            prop_assert_eq!(a.probability(scores[0]).to_bits(), b.probability(shifted[0]).to_bits());
        }
    }

    #[test]
    fn extreme_scores_neither_overflow_nor_lose_their_logarithm() {
        let softmax = Softmax::over(&[1000.0, 0.0, -1000.0]).unwrap();
        let both = |score| Some((softmax.probability(score), softmax.logprob(score)));
        assert_eq!(both(1000.0), Some((1.0, 0.0)));
        assert_eq!(both(-1000.0), Some((0.0, -2000.0)));
    }

    #[test]
    fn scores_that_are_no_numbers_have_no_entropy_and_ruled_out_tokens_have_none() {
        let entropy = |scores: &[f32]| Softmax::with_entropy(scores).map(|(_, entropy)| entropy);
        assert_eq!(entropy(&[0.0, f32::NAN]), None);
        assert_eq!(entropy(&[0.0, f32::INFINITY]), None);
        assert_eq!(entropy(&[f32::NEG_INFINITY; 2]), None);
        assert_eq!(entropy(&[]), None);
        assert_eq!(entropy(&[7.0, f32::NEG_INFINITY, -1000.0]), Some(0.0));
        assert_eq!(entropy(&[3.0, 3.0]), Some(2.0_f64.ln()));
    }

    #[test]
    fn two_equal_scores_share_evenly() {
        let softmax = Softmax::over(&[3.0, 3.0]).unwrap();
        let both = Some((softmax.probability(3.0), softmax.logprob(3.0)));
        assert_eq!(both, Some((0.5, -(2.0_f64.ln()))));
    }

    #[test]
    fn nothing_has_no_softmax() {
        assert!(Softmax::over(&[]).is_none());
    }
}

//! Scores to probabilities.

use super::elementary::exp_each;
use super::lanes::{BLOCK, Lanes, blocks};

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
        let max = f64::from(largest(scores)?);
        let (mut sum, mut terms) = (Lanes::default(), [0.0; BLOCK]);
        for block in blocks(scores.len()) {
            let scores = &scores[block];
            let terms = &mut terms[..scores.len()];
            for (term, score) in terms.iter_mut().zip(scores) {
                *term = f64::from(*score) - max;
            }
            exp_each(terms);
            sum.add(terms);
        }
        Some(Self { max, sum: sum.total() })
    }

    /// The same with the entropy of the distribution in nats, in one pass: ln Σ - Σ e·(score - max)/Σ
    /// with e = exp(score - max). `None` also when a score is NaN or plus infinity.
    pub fn with_entropy(scores: &[f32]) -> Option<(Self, f64)> {
        let max = f64::from(largest(scores)?);
        let (mut sum, mut weighted) = (Lanes::default(), Lanes::default());
        let (mut terms, mut parts) = ([0.0; BLOCK], [0.0; BLOCK]);
        for block in blocks(scores.len()) {
            let scores = &scores[block];
            let (terms, parts) = (&mut terms[..scores.len()], &mut parts[..scores.len()]);
            for (term, score) in terms.iter_mut().zip(scores) {
                *term = f64::from(*score) - max;
            }
            parts.copy_from_slice(terms);
            exp_each(terms);
            for (part, term) in parts.iter_mut().zip(&*terms) {
                // A token that is ruled out adds nothing: 0 times minus infinity is no number.
                *part = if *term == 0.0 { 0.0 } else { term * *part };
            }
            sum.add(terms);
            weighted.add(parts);
        }
        let (sum, weighted) = (sum.total(), weighted.total());
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

/// The largest score; `None` when there are none. A NaN counts for nothing.
pub(super) fn largest(scores: &[f32]) -> Option<f32> {
    /// Compared side by side.
    const LANES: usize = 16;
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = scores.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (lane, score) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, *score);
        }
    }
    let all = lanes.into_iter().chain(rest.iter().copied());
    (!scores.is_empty()).then(|| all.fold(f32::NEG_INFINITY, larger))
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
    fn the_largest_score_is_found_wherever_it_stands() {
        let scores: Vec<f32> = (0..40_u8).map(f32::from).collect();
        for place in 0..scores.len() {
            let mut scores = scores.clone();
            scores[place] = 99.0;
            assert_eq!(largest(&scores), Some(99.0), "{place}");
        }
        assert_eq!((largest(&[]), largest(&[f32::NEG_INFINITY])), (None, Some(f32::NEG_INFINITY)));
    }

    #[test]
    fn nothing_has_no_softmax() {
        assert!(Softmax::over(&[]).is_none());
    }
}

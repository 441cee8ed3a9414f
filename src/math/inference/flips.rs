//! Does a difference hold over inputs?

use rayon::prelude::*;

use super::{EXACT_LIMIT, PermutationTest};
use crate::math::{Stream, Undefined};

/// Inputs whose signs stand in one byte of a flip.
const BYTE: usize = 8;
/// Bytes in a word of signs.
const BYTES: usize = 8;

/// Which signs every flip turns round, made once for all rows of as many inputs.
///
/// All 2ⁿ flips when they are at most [`EXACT_LIMIT`], else `draws` random ones; draw m depends on
/// (`seed`, `purpose`, m) and the number of inputs alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignFlips {
    inputs: usize,
    /// 64 inputs a word.
    words: usize,
    /// Flip after flip; a bit that is set turns its input's sign round.
    signs: Vec<u64>,
    exact: bool,
}

impl SignFlips {
    /// For that many inputs. One bit an input and flip.
    pub fn new(inputs: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let words = inputs.div_ceil(64);
        let all = u32::try_from(inputs).ok().and_then(|n| 1_usize.checked_shl(n));
        let exact = all.filter(|&all| all <= EXACT_LIMIT);
        let signs = if let Some(all) = exact {
            // Flip 0 is the identity.
            (0..all as u64).collect()
        } else {
            let mut signs = vec![0; draws * words];
            signs.par_chunks_mut(words).enumerate().for_each(|(draw, signs)| {
                let mut stream = Stream::new(seed, purpose, draw as u64);
                signs.fill_with(|| stream.bits());
            });
            signs
        };
        Self { inputs, words, signs, exact: exact.is_some() }
    }

    /// The sign-flip test of the inputs' differences, upper tail: were there no effect, each would be
    /// as likely the other way round. The statistic is `Σ x / √(Σ x²)`: by flips alone it varies with
    /// standard deviation 1 whatever is measured, so layers can stand beside each other in
    /// [`max_t`](super::max_t). The smallest p is 2⁻ⁿ: below five inputs none is under 0.05.
    ///
    /// [`Undefined::TooFew`] without inputs, [`Undefined::Constant`] when every difference is 0.
    ///
    /// # Panics
    ///
    /// When the flips were made for another number of inputs.
    pub fn test(&self, differences: &[f64]) -> Result<PermutationTest, Undefined> {
        assert_eq!(differences.len(), self.inputs, "the flips are of these inputs");
        if differences.is_empty() {
            return Err(Undefined::TooFew);
        }
        let norm = differences.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm <= 0.0 {
            return Err(Undefined::Constant);
        }
        let tables: Vec<[f64; 256]> = differences.chunks(BYTE).map(sums_of_signs).collect();
        let statistic = |signs: &[u64]| flipped(signs, &tables) / norm;
        let draws = self.signs.par_chunks(self.words).with_min_len(1024).map(statistic).collect();
        let identity = vec![0; self.words];
        Ok(PermutationTest::new(statistic(&identity), draws, self.exact))
    }
}

/// The sum of at most [`BYTE`] values under each way to flip their signs. Bits of places after the
/// last value are drawn too and flip nothing.
fn sums_of_signs(values: &[f64]) -> [f64; 256] {
    let mut sums = [0.0; 256];
    let values = values.iter().copied().chain(std::iter::repeat(0.0)).take(BYTE);
    for (i, value) in values.enumerate() {
        let (kept, turned) = sums.split_at_mut(1 << i);
        for (kept, turned) in kept.iter_mut().zip(turned) {
            *turned = *kept - value;
            *kept += value;
        }
    }
    sums
}

/// The sum under one flip, byte by byte. One running sum for each byte of a word: none waits for the
/// one before it, and the order never changes.
fn flipped(signs: &[u64], tables: &[[f64; 256]]) -> f64 {
    let mut sums = [0.0; BYTES];
    for (signs, tables) in signs.iter().zip(tables.chunks(BYTES)) {
        for ((byte, table), sum) in signs.to_le_bytes().iter().zip(tables).zip(&mut sums) {
            *sum += table[usize::from(*byte)];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words of signs, the second one not full.
    #[test]
    fn a_flip_turns_the_sign_of_each_input_by_its_own_bit() {
        let differences: Vec<f64> = (1..=77).map(|i| f64::from(i).sqrt() - 4.0).collect();
        let norm = differences.iter().map(|x| x * x).sum::<f64>().sqrt();
        let test = SignFlips::new(77, 50, 3, "bits").test(&differences).unwrap();
        for (draw, value) in test.draws().iter().enumerate() {
            let mut stream = Stream::new(3, "bits", draw as u64);
            let words = [stream.bits(), stream.bits()];
            let signed = |(i, x): (usize, &f64)| {
                if words[i / 64] >> (i % 64) & 1 == 0 { *x } else { -*x }
            };
            let expected = differences.iter().enumerate().map(signed).sum::<f64>() / norm;
            assert!((value - expected).abs() < 1e-13, "{value} {expected}");
        }
        assert!((test.observed() - differences.iter().sum::<f64>() / norm).abs() < 1e-13);
    }
}

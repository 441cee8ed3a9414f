//! Does a difference hold over inputs?

use rayon::prelude::*;

use super::super::{Stream, Undefined};
use super::{EXACT_LIMIT, PermutationTest};

/// The sign-flip test of the inputs' differences, upper tail: were there no effect, each would be as
/// likely the other way round. The statistic is `Σ x / √(Σ x²)`: by flips alone it varies with
/// standard deviation 1 whatever is measured, so layers can stand beside each other in
/// [`max_t`](super::max_t). The smallest p is 2⁻ⁿ: below five inputs none is under 0.05.
///
/// All 2ⁿ flips when they are at most [`EXACT_LIMIT`], else `draws` random ones; draw m depends on
/// (`seed`, `purpose`, m) and n alone. [`Undefined::TooFew`] without inputs, [`Undefined::Constant`]
/// when every difference is 0.
pub fn sign_flips(
    differences: &[f64],
    draws: usize,
    seed: u64,
    purpose: &str,
) -> Result<PermutationTest, Undefined> {
    let n = differences.len();
    if n == 0 {
        return Err(Undefined::TooFew);
    }
    let norm = differences.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm <= 0.0 {
        return Err(Undefined::Constant);
    }
    let flipped = |signs: &mut dyn FnMut() -> u64| {
        let mut sum = 0.0;
        for block in differences.chunks(64) {
            let bits = signs();
            for (i, x) in block.iter().enumerate() {
                sum += if bits >> i & 1 == 0 { *x } else { -*x };
            }
        }
        sum / norm
    };
    let all = u32::try_from(n).ok().and_then(|n| 1_usize.checked_shl(n));
    let exact = all.filter(|&all| all <= EXACT_LIMIT);
    let values = match exact {
        // Flip 0 is the identity.
        Some(all) => (0..all as u64).map(|flip| flipped(&mut || flip)).collect(),
        None => (0..draws as u64)
            .into_par_iter()
            .map(|draw| {
                let mut stream = Stream::new(seed, purpose, draw);
                flipped(&mut || stream.bits())
            })
            .collect(),
    };
    Ok(PermutationTest::new(flipped(&mut || 0), values, exact.is_some()))
}

//! Sums in one fixed order that a processor can work at side by side.

#![allow(clippy::inline_always, reason = "only what is inlined has the steps of who calls it")]

use std::ops::Range;

/// Sums that run side by side: place i belongs to lane i modulo their number.
const LANES: usize = 8;

/// How many terms are made before they are added up: a multiple of [`LANES`], small enough for the
/// fastest cache.
pub(super) const BLOCK: usize = 64;

/// A sum on its way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lanes([f64; LANES]);

impl Lanes {
    /// Adds the next terms; all but the last time a multiple of [`BLOCK`].
    #[inline(always)]
    pub(super) fn add(&mut self, terms: &[f64]) {
        let (blocks, rest) = terms.as_chunks::<LANES>();
        for block in blocks {
            for (sum, term) in self.0.iter_mut().zip(block) {
                *sum += term;
            }
        }
        for (sum, term) in self.0.iter_mut().zip(rest) {
            *sum += term;
        }
    }

    /// The lanes added up as a tree.
    #[inline(always)]
    pub(super) fn total(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// The places 0 to n - 1 in blocks.
#[inline(always)]
pub(super) fn blocks(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(BLOCK).map(move |first| first..n.min(first + BLOCK))
}

/// The sum of `n` terms, which `fill` writes block by block.
#[inline]
pub(super) fn sum(n: usize, mut fill: impl FnMut(Range<usize>, &mut [f64])) -> f64 {
    let mut lanes = Lanes::default();
    let mut terms = [0.0; BLOCK];
    for block in blocks(n) {
        let terms = &mut terms[..block.len()];
        fill(block, terms);
        lanes.add(terms);
    }
    lanes.total()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_is_added_once_whatever_their_number() {
        for n in [0, 1, 7, 8, 63, 64, 65, 200] {
            let found = sum(n, |block, terms| {
                for (term, place) in terms.iter_mut().zip(block) {
                    *term = place as f64 + 1.0;
                }
            });
            assert_eq!(found.to_bits(), ((n * (n + 1) / 2) as f64).to_bits(), "{n}");
        }
    }
}

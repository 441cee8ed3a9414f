//! Rank-biased overlap: how far two rankings agree, the first places counting most.
//!
//! With `X_d` the number of names shared by the first d places of both, and a reader who continues to
//! the next place with probability p:
//!
//! ```text
//! RBO = (1-p) Σ_{d=1..∞} p^(d-1) · X_d / d
//! ```
//!
//! Two lists that end at place k leave the rest unknown. `minimum` supposes that nothing further is
//! shared, `minimum + residual` that everything is, `extrapolated` that the agreement stays what it is
//! at place k. Webber, Moffat and Zobel 2010, equations 11, 30 and 32.

use std::collections::BTreeSet;

/// The persistence that goes with [`DEPTH`]: 86 % of the weight lies on the first ten places.
pub const PERSISTENCE: f64 = 0.9;
/// How many places of a ranking are compared.
pub const DEPTH: usize = 100;

/// The rank-biased overlap of two rankings, each number 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankBiasedOverlap {
    /// When nothing further is shared.
    pub minimum: f64,
    /// How much the unknown rest could add.
    pub residual: f64,
    /// When the rest agrees as far as what is known.
    pub extrapolated: f64,
}

impl RankBiasedOverlap {
    /// Of two rankings, best first, both cut to the shorter one; neither names anything twice.
    /// `persistence` lies between 0 and 1, both excluded. `None` when one is empty: there is nothing
    /// to agree on.
    pub fn between<T: Ord>(a: &[T], b: &[T], persistence: f64) -> Option<Self> {
        let p = persistence;
        let shared = shared_by_depth(a, b);
        let depth = shared.len();
        let at_end = *shared.last()? as f64;
        // Σ_{d<=k} (X_d/d) p^d and Σ_{d<=k} p^d/d, ending with p^k.
        let (mut overlap, mut weight, mut power) = (0.0, 0.0, 1.0);
        for (place, &count) in shared.iter().enumerate() {
            power *= p;
            let d = (place + 1) as f64;
            overlap += count as f64 / d * power;
            weight += power / d;
        }
        let odds = (1.0 - p) / p;
        let to_the_end = -(-p).ln_1p();
        let minimum = odds * (overlap - at_end * weight + at_end * to_the_end);
        // Place f: where both lists would be shared completely if all that follows were.
        let full = 2 * depth - shared[depth - 1];
        let (mut beyond, mut power_full) = (0.0, power);
        for d in depth + 1..=full {
            power_full *= p;
            beyond += power_full / d as f64;
        }
        let unknown = 2.0 * depth as f64 * beyond + at_end * (to_the_end - weight - beyond);
        let residual = 2.0 * power - power_full - odds * unknown;
        let extrapolated = at_end / depth as f64 * power + odds * overlap;
        Some(Self {
            minimum: minimum.clamp(0.0, 1.0),
            residual: residual.clamp(0.0, 1.0),
            extrapolated: extrapolated.clamp(0.0, 1.0),
        })
    }
}

/// `X_1, X_2, ...`: how many names the first d places share.
fn shared_by_depth<T: Ord>(a: &[T], b: &[T]) -> Vec<usize> {
    let (mut only_a, mut only_b) = (BTreeSet::new(), BTreeSet::new());
    let mut shared = 0;
    // A name waits in its side's set until the other side names it too.
    a.iter()
        .zip(b)
        .map(|(x, y)| {
            if x == y {
                shared += 1;
            } else {
                shared += usize::from(only_b.remove(x)) + usize::from(only_a.remove(y));
                only_a.insert(x);
                only_b.insert(y);
            }
            shared
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rbo(a: &str, b: &str, p: f64) -> RankBiasedOverlap {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        RankBiasedOverlap::between(&letters(a), &letters(b), p).unwrap()
    }

    fn near(value: f64, expected: f64, digits: i32) {
        let half = 0.5 * 10.0_f64.powi(-digits);
        assert!((value - expected).abs() <= half, "{value} != {expected}");
    }

    /// Python package `rbo` 0.1.3 (`rbo_ext`) and the formulas in Python; `measures.md` section 5.
    #[test]
    fn the_golden_rankings_have_their_golden_overlaps() {
        let nine = rbo("abcde", "badfc", 0.9);
        near(nine.minimum, 0.461_146_152_441_798_1, 14);
        near(nine.residual, 0.380_506_847_558_202_1, 14);
        near(nine.extrapolated, 0.723_555, 14);
        let half = rbo("abcde", "badfc", 0.5);
        near(half.minimum, 0.423_630_388_9, 10);
        near(half.residual, 0.012_827_944_4, 10);
        near(half.extrapolated, 0.430_208_333_3, 10);
        let same = rbo("abcde", "abcde", 0.9);
        near(same.minimum, 0.671_988_940_6, 10);
        near(same.residual, 0.328_011_059_4, 10);
        near(same.extrapolated, 1.0, 14);
        let none = rbo("abc", "xyz", 0.9);
        near(none.residual, 0.679_428, 6);
        assert!(none.minimum.abs() < 1e-15 && none.extrapolated.abs() < 1e-15);
    }

    #[test]
    fn names_shared_by_depth_are_counted_wherever_they_stand() {
        assert_eq!(
            shared_by_depth(&["a", "b", "c", "d", "e"], &["b", "a", "d", "f", "c"]),
            [0, 2, 2, 3, 4]
        );
    }

    #[test]
    fn empty_rankings_have_no_overlap() {
        assert_eq!(RankBiasedOverlap::between::<u8>(&[], &[], 0.9), None);
        assert_eq!(RankBiasedOverlap::between(&[1], &[], 0.9), None);
    }

    /// What the residual promises, by going on for 2,000 places.
    fn by_definition(shared: impl Fn(usize) -> usize, p: f64) -> f64 {
        let term = |d: usize| shared(d) as f64 / d as f64 * p.powi(d as i32 - 1);
        (1.0 - p) * (1..=2000).map(term).sum::<f64>()
    }

    proptest! {
        #[test]
        fn the_bounds_are_what_the_best_and_worst_rest_would_give(
            a in Just((0..30_u8).collect::<Vec<_>>()).prop_shuffle(),
            b in Just((0..30_u8).collect::<Vec<_>>()).prop_shuffle(),
            depth in 1_usize..12, p in 0.1_f64..0.95,
        ) {
            let (a, b) = (&a[..depth], &b[..depth]);
            let rbo = RankBiasedOverlap::between(a, b, p).unwrap();
            prop_assert_eq!(Some(rbo), RankBiasedOverlap::between(b, a, p));
            let shared = shared_by_depth(a, b);
            let at = |d: usize| shared[d.min(depth) - 1];
            let worst = by_definition(at, p);
            // At best every new place names what the other side named before, two more a place.
            let best = by_definition(|d| d.min(at(d) + 2 * d.saturating_sub(depth)), p);
            let steady = by_definition(
                |d| if d <= depth { at(d) * 1_000_000 } else { at(d) * 1_000_000 * d / depth }, p,
            ) / 1e6;
            prop_assert!((rbo.minimum - worst).abs() < 1e-12);
            prop_assert!((rbo.minimum + rbo.residual - best).abs() < 1e-12);
            prop_assert!((rbo.extrapolated - steady).abs() < 1e-5);
            prop_assert!(rbo.minimum <= rbo.extrapolated + 1e-12);
            prop_assert!(rbo.extrapolated <= rbo.minimum + rbo.residual + 1e-12);
        }
    }
}

//! Distances between two probability distributions: of the next token, or of attention.
//!
//! With `m = (p + q) / 2`, over every outcome, `0 ln 0 = 0`:
//!
//! ```text
//! JSD = ½ Σ [p ln(p/m) + q ln(q/m)]      here in bits, 0..1; its root is a metric
//! KL  = Σ p ln(p/q)                      nats, infinite where q = 0 < p
//! TV  = ½ Σ |p - q|                      0..1
//! H   = -Σ p ln p                        nats or bits
//! Hellinger = √(½ Σ (√p - √q)²)          0..1
//! ```
//!
//! Lin 1991 for JSD, Endres and Schindelin 2003 for its root. `scipy.spatial.distance.jensenshannon`
//! is that root, in nats by default.

#![allow(clippy::inline_always, reason = "only what is inlined has the steps of who calls it")]

use std::f64::consts::LN_2;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::Undefined;
use super::elementary::{exp_each, ln_each};
use super::lanes;
use super::lanes::{BLOCK, Lanes};
use super::softmax::largest;

/// Less than this much of a distribution is too little to renormalise: what is left is rounding.
pub const MASS_FLOOR: f64 = 1e-3;

/// Probabilities with their natural logarithms, which hold more than a probability can near 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    logs: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Distribution {
    /// Softmax of `logits`, in float64. [`Undefined::NotFinite`] when one is NaN or plus infinity,
    /// or none is above minus infinity; [`Undefined::TooFew`] when there are none.
    pub fn from_logits(logits: &[f32]) -> Result<Self, Undefined> {
        let max = largest(logits).ok_or(Undefined::TooFew)?;
        let nans: usize = logits.iter().map(|logit| usize::from(logit.is_nan())).sum();
        if !max.is_finite() || nans > 0 {
            return Err(Undefined::NotFinite);
        }
        let max = f64::from(max);
        let mut probabilities = vec![0.0; logits.len()];
        let sum = lanes::sum(logits.len(), |block, terms| {
            for (term, logit) in terms.iter_mut().zip(&logits[block.clone()]) {
                *term = f64::from(*logit) - max;
            }
            exp_each(terms);
            probabilities[block].copy_from_slice(terms);
        });
        for power in &mut probabilities {
            *power /= sum;
        }
        let log_sum = sum.ln();
        let logs = logits.iter().map(|&logit| (f64::from(logit) - max) - log_sum).collect();
        Ok(Self { logs, probabilities })
    }

    /// `masses` divided by their sum: a part of a distribution made a whole one, as when the sink is
    /// left out of an attention row. [`Undefined::LowMass`] when the sum is below [`MASS_FLOOR`],
    /// [`Undefined::NotFinite`] when a mass is negative or not a number, [`Undefined::TooFew`] when
    /// there are none.
    pub fn from_masses(masses: &[f64]) -> Result<Self, Undefined> {
        let total = total(masses)?;
        let probabilities: Vec<f64> = masses.iter().map(|mass| mass / total).collect();
        let mut logs = probabilities.clone();
        ln_each(&mut logs);
        Ok(Self { logs, probabilities })
    }

    /// The probabilities.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Their natural logarithms; minus infinity where an outcome is impossible.
    pub fn logs(&self) -> &[f64] {
        &self.logs
    }

    /// How evenly it spreads: 0 for one certain outcome, ln n for n equally likely ones. Nats.
    pub fn entropy(&self) -> f64 {
        let entropy = lanes::sum(self.logs.len(), |block, terms| {
            let of = self.probabilities[block.clone()].iter().zip(&self.logs[block]);
            for (term, (&p, &log)) in terms.iter_mut().zip(of) {
                *term = if p > 0.0 { p * -log } else { 0.0 };
            }
        });
        // Not `-sum`: a certain outcome has the entropy 0, not -0.
        entropy.max(0.0)
    }

    /// [`Self::entropy`] in bits.
    pub fn entropy_bits(&self) -> f64 {
        self.entropy() / LN_2
    }

    /// KL(self‖other) alone, as [`Divergences::kl_ab`]: nats.
    ///
    /// # Panics
    ///
    /// When the two do not have the same number of outcomes.
    pub fn kl(&self, other: &Self) -> f64 {
        assert_eq!(self.logs.len(), other.logs.len(), "both range over the same outcomes");
        let nats = lanes::sum(self.logs.len(), |block, terms| {
            let logs = self.logs[block.clone()].iter().zip(&other.logs[block.clone()]);
            let of = self.probabilities[block].iter().zip(logs);
            for (term, (&p, (&a, &b))) in terms.iter_mut().zip(of) {
                *term = if p > 0.0 { p * (a - b) } else { 0.0 };
            }
        });
        nats.max(0.0)
    }
}

/// [`Distribution::entropy_bits`] of `masses` divided by their sum, without what else such a
/// distribution holds; undefined as [`Distribution::from_masses`].
pub fn entropy_bits(masses: &[f32]) -> Result<f64, Undefined> {
    let total = total(masses)?;
    let mut logs = [0.0; BLOCK];
    let nats = lanes::sum(masses.len(), |block, terms| {
        let logs = &mut logs[..block.len()];
        for (term, mass) in terms.iter_mut().zip(&masses[block]) {
            *term = f64::from(*mass) / total;
        }
        logs.copy_from_slice(terms);
        ln_each(logs);
        for (term, log) in terms.iter_mut().zip(logs) {
            *term = if *term > 0.0 { *term * -*log } else { 0.0 };
        }
    });
    Ok(nats.max(0.0) / LN_2)
}

/// The sum of masses that make a distribution.
fn total<T: Copy + Into<f64>>(masses: &[T]) -> Result<f64, Undefined> {
    if masses.is_empty() {
        return Err(Undefined::TooFew);
    }
    let is_wrong = |mass: f64| !(0.0..f64::INFINITY).contains(&mass);
    if masses.iter().map(|mass| u32::from(is_wrong((*mass).into()))).sum::<u32>() > 0 {
        return Err(Undefined::NotFinite);
    }
    let total = lanes::sum(masses.len(), |block, terms| {
        for (term, mass) in terms.iter_mut().zip(&masses[block]) {
            *term = (*mass).into();
        }
    });
    if total < MASS_FLOOR { Err(Undefined::LowMass) } else { Ok(total) }
}

/// How far apart two distributions over the same outcomes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergences {
    /// Jensen-Shannon divergence, bits, 0..1. The same to the last bit when the sides are swapped.
    pub jsd_bits: f64,
    /// Kullback-Leibler divergence of the second from the first, KL(a‖b), nats; may be infinite.
    pub kl_ab: f64,
    /// KL(b‖a), nats; may be infinite.
    pub kl_ba: f64,
    /// Total variation, 0..1; 1 less this is the overlap Σ min(p, q).
    pub total_variation: f64,
    /// Hellinger distance, 0..1.
    pub hellinger: f64,
}

impl Divergences {
    /// Of `a` and `b`, which range over the same outcomes in the same order.
    ///
    /// # Panics
    ///
    /// When they do not have the same number of outcomes.
    pub fn between(a: &Distribution, b: &Distribution) -> Self {
        let roots = of_pairs(a, b, |p, q| {
            let apart = p.sqrt() - q.sqrt();
            apart * apart
        });
        Self {
            jsd_bits: jsd_bits(a, b),
            kl_ab: a.kl(b),
            kl_ba: b.kl(a),
            total_variation: total_variation(a, b),
            hellinger: (0.5 * roots).sqrt().clamp(0.0, 1.0),
        }
    }
}

/// [`Divergences::total_variation`] alone.
///
/// # Panics
///
/// When the two do not have the same number of outcomes.
pub fn total_variation(a: &Distribution, b: &Distribution) -> f64 {
    (0.5 * of_pairs(a, b, |p, q| (p - q).abs())).clamp(0.0, 1.0)
}

/// [`Divergences::jsd_bits`] alone, for those who compare many.
///
/// # Panics
///
/// When the two do not have the same number of outcomes.
pub fn jsd_bits(a: &Distribution, b: &Distribution) -> f64 {
    outcomes(a, b);
    (Arch::new().dispatch(JsdNats(a, b)) / LN_2).clamp(0.0, 1.0)
}

/// The sum over all outcomes, with the widest steps that this processor has. Each number comes out of the
/// same operations in the same order, none of them fused with another: the same bits everywhere.
struct JsdNats<'d>(&'d Distribution, &'d Distribution);

impl WithSimd for JsdNats<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let Self(a, b) = self;
        let (mut sum, mut terms) = (Lanes::default(), [0.0; BLOCK]);
        for block in lanes::blocks(a.logs.len()) {
            let terms = &mut terms[..block.len()];
            jsd_terms(a, b, block, terms);
            sum.add(terms);
        }
        sum.total()
    }
}

/// What each outcome adds to [`Divergences::jsd_bits`], bits, none below 0: the outcomes that
/// distinguish the two. Which way an outcome changed is seen from its two probabilities.
///
/// # Panics
///
/// When the two do not have the same number of outcomes.
pub fn jsd_contributions(a: &Distribution, b: &Distribution) -> Vec<f64> {
    let mut terms = vec![0.0; outcomes(a, b)];
    for block in lanes::blocks(terms.len()) {
        jsd_terms(a, b, block.clone(), &mut terms[block]);
    }
    for term in &mut terms {
        *term /= LN_2;
    }
    terms
}

/// How many outcomes both have.
fn outcomes(a: &Distribution, b: &Distribution) -> usize {
    assert_eq!(a.logs.len(), b.logs.len(), "both range over the same outcomes");
    a.logs.len()
}

/// Σ term(p, q) over all outcomes.
#[inline]
fn of_pairs(a: &Distribution, b: &Distribution, term: impl Fn(f64, f64) -> f64) -> f64 {
    lanes::sum(outcomes(a, b), |block, terms| {
        let pairs = a.probabilities[block.clone()].iter().zip(&b.probabilities[block]);
        for (made, (&p, &q)) in terms.iter_mut().zip(pairs) {
            *made = term(p, q);
        }
    })
}

/// c[0] + c[1]·x + c[2]·x² + ...: even and odd powers by themselves, since each step of such a sum
/// waits for the one before it.
#[inline(always)]
fn polynomial(coefficients: &[f64; 14], x: f64) -> f64 {
    let square = x * x;
    let (pairs, _) = coefficients.as_chunks::<2>();
    let sums = pairs.iter().rev();
    let (even, odd) =
        sums.fold((0.0, 0.0), |(even, odd), [e, o]| (even * square + e, odd * square + o));
    odd * x + even
}

/// By powers of t²: [(1+t) ln(1+t) + (1-t) ln(1-t)] / t², for |t| up to ½.
const NEAR: [f64; 14] = [
    1.0,
    0.166_666_666_666_667_2,
    0.066_666_666_666_525_71,
    0.035_714_285_728_644_51,
    0.022_222_221_461_121_34,
    0.015_151_539_238_651_83,
    0.010_988_519_115_057_728,
    0.008_340_115_990_989_274,
    0.006_471_220_885_298_011,
    0.005_693_991_460_180_982,
    0.002_347_099_168_030_579_5,
    0.009_724_823_035_477_87,
    -0.008_597_816_773_574_178,
    0.014_167_249_944_602_09,
];

/// By powers of r: [(1+r) ln(2/(1+r)) - ln 2] / r, for r from 0 to a third.
const FAR: [f64; 14] = [
    -0.306_852_819_440_054_7,
    -0.499_999_999_999_998_6,
    0.166_666_666_666_393_9,
    -0.083_333_333_312_241_45,
    0.049_999_999_146_063_19,
    -0.033_333_312_539_196_82,
    0.023_809_194_073_883_114,
    -0.017_853_569_160_486_533,
    0.013_861_630_037_623_146,
    -0.010_962_445_142_916_23,
    0.008_508_103_767_041_813,
    -0.005_939_082_139_169_89,
    0.003_147_131_149_111_747,
    -0.000_893_003_118_350_974_3,
];

/// ½ [p ln(p/m) + q ln(q/m)] of each outcome of a block of at most [`BLOCK`], nats; the same to the
/// last bit when the sides are swapped. With b the larger of p and q and a the smaller one it is
///
/// ```text
/// ¼ (b + a) [(1+t) ln(1+t) + (1-t) ln(1-t)]     t = (b - a)/(b + a), where a is above b/3: nothing
///                                               cancels out there, and equal sides give exactly 0
/// ½ b [r ln r + (1+r) ln(2/(1+r))]              r = a/b, elsewhere: ln r is known
/// ```
///
/// Each loop is a few steps without a branch, which the compiler turns into steps on several outcomes
/// at once; in a single loop it does not.
#[inline(always)]
fn jsd_terms(p: &Distribution, q: &Distribution, block: Range<usize>, terms: &mut [f64]) {
    let n = block.len();
    let (ps, qs) = (&p.probabilities[block.clone()], &q.probabilities[block.clone()]);
    let (logs_p, logs_q) = (&p.logs[block.clone()], &q.logs[block]);
    let (mut ratio, mut scale) = ([0.0; BLOCK], [0.0; BLOCK]);
    let (mut near, mut far) = ([0.0; BLOCK], [0.0; BLOCK]);
    for i in 0..n {
        let (a, b) = sorted(ps[i], qs[i]);
        let (above, below) = if is_near(a, b) { (b - a, b + a) } else { (a, b) };
        ratio[i] = above / below;
        scale[i] = 0.5 * below;
    }
    for (near, x) in near[..n].iter_mut().zip(&ratio) {
        let square = x * x;
        *near = 0.5 * (square * polynomial(&NEAR, square));
    }
    for (far, x) in far[..n].iter_mut().zip(&ratio) {
        *far = LN_2 + x * polynomial(&FAR, *x);
    }
    for i in 0..n {
        // Where a is 0 its logarithm is minus infinity: 0 ln 0 = 0.
        let (a, log) = (sorted(ps[i], qs[i]).0, -(logs_p[i] - logs_q[i]).abs());
        far[i] += if a > 0.0 { ratio[i] * log } else { 0.0 };
    }
    for i in 0..n {
        let (a, b) = sorted(ps[i], qs[i]);
        let term = scale[i] * if is_near(a, b) { near[i] } else { far[i] };
        terms[i] = if b > 0.0 { term } else { 0.0 };
    }
}

/// The smaller one first.
#[inline(always)]
fn sorted(p: f64, q: f64) -> (f64, f64) {
    (if p < q { p } else { q }, if p < q { q } else { p })
}

/// Whether two probabilities, the smaller one first, are compared by how they differ.
#[inline(always)]
fn is_near(a: f64, b: f64) -> bool {
    3.0 * a > b
}

/// How many of the first `k` of two rankings are shared, over `k`; 0..1. A ranking that ends before
/// `k` counts with all it has, and `k` is then the length of the longer one; `None` when both are
/// empty or `k` is 0. Neither ranking names anything twice.
pub fn overlap_at<T: Ord>(a: &[T], b: &[T], k: usize) -> Option<f64> {
    let (a, b) = (&a[..k.min(a.len())], &b[..k.min(b.len())]);
    let k = a.len().max(b.len());
    let names: std::collections::BTreeSet<&T> = a.iter().collect();
    let shared = b.iter().filter(|name| names.contains(name)).count();
    (k > 0).then(|| shared as f64 / k as f64)
}

#[cfg(test)]
mod tests;

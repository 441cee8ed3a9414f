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
//! is that root, in nats unless told otherwise.

use std::f64::consts::LN_2;

use super::Undefined;

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
        let max = logits.iter().copied().reduce(f32::max).ok_or(Undefined::TooFew)?;
        // A NaN is not below infinity either.
        if !max.is_finite() || !logits.iter().all(|&logit| logit < f32::INFINITY) {
            return Err(Undefined::NotFinite);
        }
        let max = f64::from(max);
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
        let log_sum = sum.ln();
        let logs: Vec<f64> =
            logits.iter().map(|&logit| (f64::from(logit) - max) - log_sum).collect();
        let probabilities = logs.iter().map(|log| log.exp()).collect();
        Ok(Self { logs, probabilities })
    }

    /// `masses` divided by their sum: a part of a distribution made a whole one, as when the sink is
    /// left out of an attention row. [`Undefined::LowMass`] when the sum is below [`MASS_FLOOR`],
    /// [`Undefined::NotFinite`] when a mass is negative or not a number, [`Undefined::TooFew`] when
    /// there are none.
    pub fn from_masses(masses: &[f64]) -> Result<Self, Undefined> {
        if masses.is_empty() {
            return Err(Undefined::TooFew);
        }
        if !masses.iter().all(|&mass| mass >= 0.0 && mass.is_finite()) {
            return Err(Undefined::NotFinite);
        }
        let total: f64 = masses.iter().sum();
        if total < MASS_FLOOR {
            return Err(Undefined::LowMass);
        }
        let probabilities: Vec<f64> = masses.iter().map(|mass| mass / total).collect();
        let logs = probabilities.iter().map(|p| p.ln()).collect();
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
        let terms = self.probabilities.iter().zip(&self.logs);
        // Not `-sum`: a certain outcome has the entropy 0, not -0.
        terms.map(|(&p, &log)| if p > 0.0 { p * -log } else { 0.0 }).sum::<f64>().max(0.0)
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
        let logs = self.logs.iter().zip(&other.logs);
        let terms = self.probabilities.iter().zip(logs).map(|(&p, (&a, &b))| kl_term(p, a, b));
        terms.sum::<f64>().max(0.0)
    }
}

/// How far two distributions over the same outcomes lie apart.
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
        assert_eq!(a.logs.len(), b.logs.len(), "both range over the same outcomes");
        let (mut jsd, mut kl_ab, mut kl_ba, mut apart, mut roots) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for i in 0..a.logs.len() {
            let (p, q) = (a.probabilities[i], b.probabilities[i]);
            jsd += jsd_term(p, q);
            kl_ab += kl_term(p, a.logs[i], b.logs[i]);
            kl_ba += kl_term(q, b.logs[i], a.logs[i]);
            apart += (p - q).abs();
            roots += (p.sqrt() - q.sqrt()).powi(2);
        }
        Self {
            jsd_bits: (jsd / LN_2).clamp(0.0, 1.0),
            kl_ab: kl_ab.max(0.0),
            kl_ba: kl_ba.max(0.0),
            total_variation: (0.5 * apart).clamp(0.0, 1.0),
            hellinger: (0.5 * roots).sqrt().clamp(0.0, 1.0),
        }
    }
}

/// [`Divergences::jsd_bits`] alone, for those who compare many.
///
/// # Panics
///
/// When the two do not have the same number of outcomes.
pub fn jsd_bits(a: &Distribution, b: &Distribution) -> f64 {
    assert_eq!(a.logs.len(), b.logs.len(), "both range over the same outcomes");
    let pairs = a.probabilities.iter().zip(&b.probabilities);
    let nats: f64 = pairs.map(|(&p, &q)| jsd_term(p, q)).sum();
    (nats / LN_2).clamp(0.0, 1.0)
}

/// What each outcome adds to [`Divergences::jsd_bits`], bits, none below 0: the outcomes that tell
/// the two apart. Which way an outcome went is seen from its two probabilities.
///
/// # Panics
///
/// When the two do not have the same number of outcomes.
pub fn jsd_contributions(a: &Distribution, b: &Distribution) -> Vec<f64> {
    assert_eq!(a.logs.len(), b.logs.len(), "both range over the same outcomes");
    let pairs = a.probabilities.iter().zip(&b.probabilities);
    pairs.map(|(&p, &q)| jsd_term(p, q) / LN_2).collect()
}

/// ½ [p ln(p/m) + q ln(q/m)], nats. Where p and q are near each other the logarithms are taken as
/// ln(1 ± t), t = (p - q)/(p + q): exact there, and exactly 0 where p and q are equal.
fn jsd_term(p: f64, q: f64) -> f64 {
    let sum = p + q;
    if sum == 0.0 {
        return 0.0;
    }
    let t = (p - q) / sum;
    let part = |x: f64, t: f64| match x {
        0.0 => 0.0,
        _ if t.abs() < 0.5 => x * t.ln_1p(),
        _ => x * (2.0 * x / sum).ln(),
    };
    (0.5 * (part(p, t) + part(q, -t))).max(0.0)
}

/// p ln(p/q), nats, from p and both logarithms.
fn kl_term(p: f64, log_p: f64, log_q: f64) -> f64 {
    if p > 0.0 { p * (log_p - log_q) } else { 0.0 }
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

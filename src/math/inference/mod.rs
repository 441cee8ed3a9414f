//! Is a difference more than chance, and how sure is its size?
//!
//! The unit of inference is the input (and the wording): tokens, heads, layers and pairs of tasks are
//! never drawn as if they were independent. A test compares what was observed with what the same
//! numbers give when labels that would not matter without an effect are exchanged:
//!
//! | test | what is exchanged | what a small p says |
//! |---|---|---|
//! | [`SignFlips`] | the sign of each input's difference | the difference holds over inputs |
//! | [`Reassignments`] | which wordings belong to which task | tasks differ more than wordings |
//! | [`Relabellings`](super::Relabellings) | tasks within each input | vectors move with the task the same way on all inputs |
//!
//! All are one-sided, upper tail. Where all exchanges can be counted they are, the identity among
//! them: p = b/m. Otherwise p = (b+1)/(m+1) over m random ones (Phipson and Smyth 2010).

mod bootstrap;
mod crossed;
mod effect;
mod flips;
mod form;
mod grouped;
mod normal;
mod ratio;
mod student;
mod wordings;

pub use bootstrap::{
    BOOTSTRAP_DRAWS, Interval, IntervalMethod, Resamples, mean_interval, mean_intervals,
};
pub(super) use crossed::satterthwaite;
pub use crossed::{Crossed, Planned, detectable};
pub use effect::Effect;
pub use flips::SignFlips;
pub use form::{Form, Orders};
pub use grouped::grouped_interval;
pub(super) use student::student_quantile;
pub use wordings::{Reassignments, Way, ways_to_deal};

use super::Undefined;

/// When there are no more exchanges than this, all of them are counted.
pub const EXACT_LIMIT: usize = 20_000;
/// How many are drawn otherwise.
pub const PERMUTATION_DRAWS: usize = 9_999;

/// Two statistics this near to each other, in parts of the largest, are equal but for rounding. An
/// exchange that changes nothing must count as no smaller than what was observed.
const TIE: f64 = 1e-11;

/// What was observed, and what the same statistic is under exchanges.
#[derive(Debug, Clone, PartialEq)]
pub struct PermutationTest {
    observed: f64,
    draws: Vec<f64>,
    exact: bool,
}

impl PermutationTest {
    /// `exact` says that `draws` holds every exchange once, with the identity.
    pub(super) fn new(observed: f64, draws: Vec<f64>, exact: bool) -> Self {
        Self { observed, draws, exact }
    }

    /// The statistic as observed.
    pub fn observed(&self) -> f64 {
        self.observed
    }

    /// The statistic under each exchange.
    pub fn draws(&self) -> &[f64] {
        &self.draws
    }

    /// Whether every exchange was counted.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// How often chance does at least as well.
    pub fn p(&self) -> f64 {
        share_at_least(self.observed, &self.draws, self.exact)
    }

    /// How many exchanges are counted, the identity among them: 1 over this is the smallest p that
    /// they can give.
    pub fn count(&self) -> usize {
        self.draws.len() + usize::from(!self.exact)
    }

    /// The same test on the scale of its own chance distribution (mean 0, standard deviation 1),
    /// so that it can stand beside others in [`max_t`]. [`Undefined::Constant`] when every exchange
    /// gives the same.
    pub fn standardised(self) -> Result<Self, Undefined> {
        let n = self.draws.len() as f64;
        let mean = self.draws.iter().sum::<f64>() / n;
        let sd = (self.draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let largest = self.draws.iter().fold(self.observed.abs(), |max, x| max.max(x.abs()));
        if sd <= TIE * largest {
            return Err(Undefined::Constant);
        }
        let scale = |x: f64| (x - mean) / sd;
        let draws = self.draws.into_iter().map(scale).collect();
        Ok(Self { observed: scale(self.observed), draws, exact: self.exact })
    }
}

/// p of a statistic: larger ones count against it.
fn share_at_least(observed: f64, draws: &[f64], exact: bool) -> f64 {
    let largest = draws.iter().fold(observed.abs(), |max, x| max.max(x.abs()));
    let least = observed - TIE * largest;
    let count = draws.iter().filter(|&&draw| draw >= least).count();
    let identity = usize::from(!exact);
    (count + identity) as f64 / (draws.len() + identity) as f64
}

/// Tests made together, of which only the largest statistic under each exchange is kept: single-step
/// max-T (Westfall and Young 1993; over layers and heads as in Nichols and Holmes 2002).
///
/// The corrected p of a test says how often the *largest* of all statistics does as well under the
/// same exchange, and controls the probability of any false finding whatever the dependence between
/// the tests, because draw m of each was made by the same exchange. The statistics are on one scale:
/// shares, t values, or [`PermutationTest::standardised`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    maxima: Vec<f64>,
    exact: bool,
    n: usize,
}

impl Family {
    /// Takes in one more test.
    ///
    /// # Panics
    ///
    /// When it does not have the exchanges of the others.
    pub fn add(&mut self, test: &PermutationTest) {
        if self.n == 0 {
            (self.maxima, self.exact) = (test.draws.clone(), test.exact);
        }
        let shape = (test.draws.len(), test.exact);
        assert_eq!(shape, (self.maxima.len(), self.exact), "all tests have the same exchanges");
        for (max, draw) in self.maxima.iter_mut().zip(&test.draws) {
            *max = max.max(*draw);
        }
        self.n += 1;
    }

    /// The corrected p of a test that was taken in, by what it observed.
    pub fn p(&self, observed: f64) -> f64 {
        share_at_least(observed, &self.maxima, self.exact)
    }
}

/// The corrected p of each of some tests, as [`Family`] gives them.
pub fn max_t(tests: &[&PermutationTest]) -> Vec<f64> {
    let mut family = Family::default();
    for test in tests {
        family.add(test);
    }
    tests.iter().map(|test| family.p(test.observed)).collect()
}

/// Benjamini and Hochberg's q of every p, in the order given: the expected share of false findings
/// among all with a q at most as large. For exploration; [`max_t`] is the stricter one. Equals
/// `scipy.stats.false_discovery_control(p)`.
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut q = vec![0.0; p.len()];
    let mut least = 1.0_f64;
    for (from_last, &i) in order.iter().enumerate() {
        let rank = p.len() - from_last;
        least = least.min(p[i] * (p.len() as f64 / rank as f64));
        q[i] = least;
    }
    q
}

#[cfg(test)]
mod tests;

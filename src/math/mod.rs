//! Pure numerics on slices: no I/O, nothing of this crate.
//!
//! Everything is computed in float64 from the stored float32, and every sum has one fixed order, so
//! the same numbers give the same bits on any number of threads.

mod decoding;
mod disjoint;
mod distribution;
mod dot;
mod elementary;
mod geometry;
mod inference;
mod lanes;
mod random;
mod ranks;
mod rbo;
mod sets;
mod softmax;
mod stats;
mod top_k;
mod variance;

#[cfg(test)]
mod calibration;

pub use decoding::Decoding;
pub use disjoint::DisjointSets;
pub use distribution::{
    Distribution, Divergences, MASS_FLOOR, entropy_bits, jsd_bits, jsd_contributions, overlap_at,
    total_variation,
};
pub use dot::{
    NORM_FLOOR, cosine, dot, dot_wide, largest_products, norm, squared_distance, squared_norm,
};
pub use geometry::{
    CentredGram, Exchanged, Gram, Jackknife, LeftOut, MutualNeighbours, Neighbours, Rdm,
    RowClusters, Side, biased_cka, biased_cka_by_chance, debiased_cka, exchange_tests,
    mutual_neighbours, rsa,
};
pub use inference::{
    BOOTSTRAP_DRAWS, Crossed, EXACT_LIMIT, Effect, Family, Form, Interval, IntervalMethod, Orders,
    PERMUTATION_DRAWS, PermutationTest, Planned, Reassignments, Resamples, SignFlips, Way,
    detectable, false_discovery, grouped_interval, max_t, mean_interval, mean_intervals,
    ways_to_deal,
};
pub use random::Stream;
pub use rbo::{DEPTH as RBO_DEPTH, PERSISTENCE as RBO_PERSISTENCE, RankBiasedOverlap};
pub use sets::{jaccard, pairs};
pub use softmax::Softmax;
pub use stats::{Statistics, median};
pub use top_k::top_k;
pub use variance::{CentredCells, Design, Partition, Relabellings, Spread, Units, within_units};

/// Why a number cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undefined {
    /// There is too little to compute it from.
    TooFew,
    /// What is compared does not vary, so nothing can vary with it.
    Constant,
    /// A vector has no direction.
    ZeroNorm,
    /// Too little of a distribution is left.
    LowMass,
    /// A number is NaN, infinite, or negative where none can be.
    NotFinite,
}

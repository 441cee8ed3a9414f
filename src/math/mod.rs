//! Pure numerics on slices: no I/O, nothing of this crate.
//!
//! Everything is computed in float64 from the stored float32, and every sum has one fixed order, so
//! the same numbers give the same bits on any number of threads.

mod dot;
mod sets;
mod softmax;
mod stats;
mod top_k;

pub use dot::{NORM_FLOOR, cosine, dot, prefix_squared_norms, squared_norm};
pub use sets::jaccard;
pub use softmax::Softmax;
pub use stats::Statistics;
pub use top_k::top_k;

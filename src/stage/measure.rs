//! Names in the `measure` columns, and the threshold that goes with the notebook's.

/// The notebook's similarity: cosine of the flattened activations, cut to the shorter prompt.
pub const FLAT: &str = "flat";
/// The notebook's overlap of two focus sets: shared over all, on absolute positions.
pub const JACCARD: &str = "jaccard";

/// The notebook's threshold for the mean of [`FLAT`]: arbitrary, and kept as its own.
pub const NOTEBOOK_THRESHOLD: f64 = 0.9;

//! Names in the `measure` columns.

/// The notebook's similarity: cosine of the flattened activations, cut to the shorter prompt.
pub const FLAT: &str = "flat";
/// The notebook's overlap of two focus sets: shared over all, on absolute positions.
pub const JACCARD: &str = "jaccard";

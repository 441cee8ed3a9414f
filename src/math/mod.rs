//! Pure numerics on slices: no I/O, nothing of this crate.

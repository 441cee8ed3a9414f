//! Every stage on made-up tables: one file a stage, named as its source.

mod alignment;
mod attention;
mod contrast;
mod decoding;
mod divergence;
mod effect;
mod evidence;
mod explain;
pub(crate) mod fixture;
mod geometry;
mod interrupt;
mod lens;
mod outputs;
mod segments;
mod similarity;
mod sinks;
mod summary;
mod surprisal;
mod tokens;
mod variance;
mod vector_measures;
mod vector_stages;
mod vectors;
mod verdict;

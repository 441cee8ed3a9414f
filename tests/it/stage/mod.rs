//! Every stage on made-up tables: one file a stage, named as its source.

mod attention;
mod divergence;
pub(crate) mod fixture;
mod interrupt;
mod lens;
mod outputs;
mod segments;
mod similarity;
mod summary;
mod surprisal;
mod tokens;

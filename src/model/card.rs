//! `model.json`: what a model folder says of itself.

/// The parsed `model.json` of a model folder whose file hashes were checked.
#[derive(Debug, Clone)]
pub struct ModelCard {
    /// How many transformer blocks.
    pub n_layer: i16,
    /// Attention heads a block.
    pub n_head: i16,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Longest prompt in tokens.
    pub n_positions: usize,
}

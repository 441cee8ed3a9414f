//! What computes batches: the graph under ONNX Runtime, or a stand-in in tests.

use super::{Batch, ModelError};

/// Which outputs are copied out of the runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Layers whose block output is wanted.
    pub hidden: Vec<i16>,
    /// Layers whose attention is wanted.
    pub attention: Vec<i16>,
    /// Whether the keys and values of every layer are wanted; only of an engine that takes a past.
    pub keys_values: bool,
}

/// What the graph gave for one batch, borrowed from the runtime's own buffers. Numbers at padding
/// positions are there and mean nothing.
#[derive(Debug, Clone, Default)]
pub struct Outputs<'a> {
    /// `[batch, vocab_size]`: scores at each row's last real token.
    pub logits: &'a [f32],
    /// `[batch, seq, d_model]` each, in the order of [`Wanted::hidden`].
    pub hidden: Vec<&'a [f32]>,
    /// `[batch, heads, seq, past + seq]` each (query, then key), in the order of
    /// [`Wanted::attention`]. The first `past` keys are those of [`Batch::past`], padded to the
    /// longest of its prefixes.
    pub attention: Vec<&'a [f32]>,
    /// `[batch, heads, seq, d_head]` each: for every layer its keys, then its values; when wanted.
    pub keys_values: Vec<&'a [f32]>,
}

/// Takes the outputs of one batch.
pub type Take<'t> = dyn FnMut(&Outputs<'_>) + 't;

/// Something that computes a batch: the graph, or a stand-in in tests.
pub trait Backend: Send {
    /// Computes one batch and hands the outputs to `take`, once.
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError>;

    /// Whether it takes batches with a past, and gives keys and values.
    fn takes_past(&self) -> bool {
        false
    }
}

/// Something that computes the final layer norm and the unembedding: the head graph, or a stand-in in
/// tests.
pub trait HeadBackend: Send {
    /// `[rows, vocab_size]` scores of the next token from `hidden`, `[rows, d_model]` outputs of any
    /// block.
    fn run(&mut self, hidden: &[f32]) -> Result<Vec<f32>, ModelError>;
}

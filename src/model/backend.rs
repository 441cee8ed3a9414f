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

    /// Whether it takes the position of each row's first token.
    fn places_rows(&self) -> bool {
        false
    }
}

/// Residual streams that the model is to go on from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Streams {
    /// For each row, the block whose output its stream is.
    pub layers: Vec<i64>,
    /// `[rows, seq]`: 1 for a real token, 0 for padding on the right.
    pub mask: Vec<i64>,
    /// `[rows, seq, d_model]`.
    pub values: Vec<f32>,
}

impl Streams {
    /// One row each of these, `[tokens, d_model]` with the block that it is after, padded on the right.
    ///
    /// # Panics
    /// When one is empty or not a multiple of the width.
    pub fn pad(rows: &[(i64, Vec<f32>)], d_model: usize) -> Self {
        let tokens = |values: &Vec<f32>| values.len() / d_model;
        let seq = rows.iter().map(|(_, values)| tokens(values)).max().unwrap_or(0);
        let mut streams = Self::default();
        for (layer, values) in rows {
            let real = tokens(values);
            assert!(
                real > 0 && values.len() == real * d_model,
                "a row has whole tokens, and one at least"
            );
            streams.layers.push(*layer);
            streams.mask.extend((0..seq).map(|token| i64::from(token < real)));
            streams.values.extend_from_slice(values);
            streams.values.resize(streams.layers.len() * seq * d_model, 0.0);
        }
        streams
    }

    /// Tokens of a row, padding counted.
    pub fn seq(&self) -> usize {
        self.mask.len() / self.layers.len().max(1)
    }
}

/// Something that computes a model from a residual stream on: the patch graph, or a stand-in in tests.
pub trait PatchBackend: Send {
    /// `[rows, vocab_size]` scores of the next token at each row's last real token.
    fn run(&mut self, streams: &Streams) -> Result<Vec<f32>, ModelError>;
}

/// `[rows, vocab_size]` scores, in the memory of whoever made them.
pub type Scores = Box<dyn AsRef<[f32]> + Send + Sync>;

/// Something that computes the final layer norm and the unembedding: the head graph, or a stand-in in
/// tests.
pub trait HeadBackend: Send {
    /// `[rows, vocab_size]` scores of the next token from `hidden`, `[rows, d_model]` outputs of any
    /// block.
    fn run(&mut self, hidden: &[f32]) -> Result<Scores, ModelError>;
}

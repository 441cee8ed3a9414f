//! The model from a given residual stream on.

use std::path::PathBuf;

use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};

use super::graph::{borrow, check_no_other, check_outlet};
use super::{cause, open};
use crate::model::backend::{PatchBackend, Streams};
use crate::model::options::EngineFacts;
use crate::model::{Cause, ModelCard, ModelError};

const STREAM: &str = "stream";
const LAYER: &str = "layer";
const MASK: &str = "attention_mask";

/// The open patch graph.
pub(crate) struct PatchSession {
    session: Session,
    path: PathBuf,
    d_model: usize,
    vocab_size: usize,
}

impl PatchSession {
    /// Loads the patch graph of a model folder and checks its inputs and output.
    ///
    /// # Errors
    /// When the folder has none, or ONNX Runtime refuses it.
    pub(crate) fn open(card: &ModelCard, facts: &EngineFacts) -> Result<Self, ModelError> {
        let none = || ModelError::NoPatch { path: card.folder.clone() };
        let path = card.patch_path().ok_or_else(none)?;
        let session = open(facts, facts.threads, &path)?;
        let (d_model, vocab_size) = (card.d_model, card.vocab_size);
        let (float, int) = (TensorElementType::Float32, TensorElementType::Int64);
        let inputs = session.inputs();
        check_outlet("input", inputs, STREAM, float, &[-1, -1, d_model as i64])
            .and_then(|()| check_outlet("input", inputs, LAYER, int, &[-1]))
            .and_then(|()| check_outlet("input", inputs, MASK, int, &[-1, -1]))
            .and_then(|()| check_no_other(inputs, &[STREAM, LAYER, MASK].map(str::to_owned)))
            .and_then(|()| {
                let shape = [-1, vocab_size as i64];
                check_outlet("output", session.outputs(), "logits", float, &shape)
            })
            .map_err(|problem| ModelError::Graph { path: path.clone(), problem })?;
        Ok(Self { session, path, d_model, vocab_size })
    }
}

impl PatchBackend for PatchSession {
    fn run(&mut self, streams: &Streams) -> Result<Vec<f32>, ModelError> {
        let Streams { layers, mask, values, .. } = streams;
        let (rows, seq) = (layers.len(), streams.seq());
        let failed = |source: Cause| ModelError::Patch { rows, source };
        let shape = [rows, seq, self.d_model];
        let values = TensorRef::from_array_view((shape, values.as_slice()));
        let values = values.map_err(|e| failed(cause(&e)))?;
        let layers = TensorRef::from_array_view(([rows], layers.as_slice()));
        let layers = layers.map_err(|e| failed(cause(&e)))?;
        let mask = TensorRef::from_array_view(([rows, seq], mask.as_slice()));
        let mask = mask.map_err(|e| failed(cause(&e)))?;
        let inputs = ort::inputs![STREAM => values, LAYER => layers, MASK => mask];
        let outputs = self.session.run(inputs).map_err(|e| failed(cause(&e)))?;
        let logits = borrow(&outputs, "logits", &[rows, self.vocab_size])
            .map_err(|problem| ModelError::Graph { path: self.path.clone(), problem })?;
        Ok(logits.to_vec())
    }
}

//! The head: final layer norm and unembedding.

use std::path::PathBuf;

use ort::session::Session;
use ort::value::{DynValue, TensorElementType, TensorRef};

use super::graph::{borrow, check_no_other, check_outlet};
use super::{cause, open};
use crate::model::backend::{HeadBackend, Scores};
use crate::model::options::EngineFacts;
use crate::model::{ModelCard, ModelError};

/// The open head graph.
pub(crate) struct HeadSession {
    session: Session,
    path: PathBuf,
    d_model: usize,
    vocab_size: usize,
}

impl HeadSession {
    /// Loads the head of a model folder and checks its input and output.
    ///
    /// # Errors
    /// When the folder has none, or ONNX Runtime refuses it.
    pub(crate) fn open(card: &ModelCard, facts: &EngineFacts) -> Result<Self, ModelError> {
        let none = || ModelError::NoHead { path: card.folder.clone() };
        let path = card.head_path().ok_or_else(none)?;
        let session = open(facts, facts.threads, &path)?;
        let (d_model, vocab_size) = (card.d_model, card.vocab_size);
        let float = TensorElementType::Float32;
        check_outlet("input", session.inputs(), "hidden", float, &[-1, d_model as i64])
            .and_then(|()| check_no_other(session.inputs(), &["hidden".to_owned()]))
            .and_then(|()| {
                let shape = [-1, vocab_size as i64];
                check_outlet("output", session.outputs(), "logits", float, &shape)
            })
            .map_err(|problem| ModelError::Graph { path: path.clone(), problem })?;
        Ok(Self { session, path, d_model, vocab_size })
    }
}

impl HeadBackend for HeadSession {
    fn run(&mut self, hidden: &[f32]) -> Result<Scores, ModelError> {
        let rows = hidden.len() / self.d_model;
        let failed = |source| ModelError::Head { rows, source };
        let input = TensorRef::from_array_view(([rows, self.d_model], hidden));
        let input = input.map_err(|e| failed(cause(&e)))?;
        let outputs = self.session.run(ort::inputs!["hidden" => input]);
        let mut outputs = outputs.map_err(|e| failed(cause(&e)))?;
        borrow(&outputs, "logits", &[rows, self.vocab_size])
            .map_err(|problem| ModelError::Graph { path: self.path.clone(), problem })?;
        Ok(Box::new(Logits(outputs.remove("logits").expect("they were looked at above"))))
    }
}

/// Scores where the runtime put them: no copy is made.
struct Logits(DynValue);

impl AsRef<[f32]> for Logits {
    fn as_ref(&self) -> &[f32] {
        self.0.try_extract_tensor().expect("they were looked at before").1
    }
}

//! Why a plan could not be made or followed.

use super::InputsChanged;
use crate::model::ModelError;

/// The plan could not be made or followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The tokenizer failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file of inputs is not what it was when the pipeline was loaded.
    #[error(transparent)]
    Inputs(#[from] InputsChanged),
    /// The user or the scheduler asked to stop.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

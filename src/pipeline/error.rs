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
    /// A chat template fails on a prompt.
    #[error("prompt {prompt} {problem}")]
    Chat {
        /// The prompt's name.
        prompt: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A text has a special token's text in it.
    #[error(
        "{what} of scenario {scenario} has {token} in it, which becomes a special token of the model and \
         changes what the chat says; reword it, or set `allow_special_tokens: true` below `chat:` if that \
         is meant"
    )]
    SpecialToken {
        /// The scenario, quoted.
        scenario: String,
        /// Which text.
        what: String,
        /// The special token, quoted.
        token: String,
    },
    /// The user or the scheduler asked to stop.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

//! What stages read from the tables of a run directory: prompts, vectors, attention weights.

pub(crate) mod clusters;
pub(crate) mod designs;
pub(crate) mod hidden;
pub(crate) mod prompts;
pub(crate) mod reread;
pub(crate) mod spaces;
pub(crate) mod weights;
pub(crate) mod wordings;

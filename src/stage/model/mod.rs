//! How stages run the model: batches of prompts and what they gather, the proof that batching changed
//! nothing, and the head alone.

pub(crate) mod batches;
pub(crate) mod gather;
pub(crate) mod head;
pub(crate) mod proof;
pub(crate) mod spare;
pub(crate) mod spliced;

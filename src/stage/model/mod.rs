//! How stages run the model: batches of prompts, and the head alone.

pub(crate) mod batches;
pub(crate) mod head;

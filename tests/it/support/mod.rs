//! What several tests share: folders with a pipeline, model copies, stand-ins, and the imports of
//! the source.

pub(crate) mod imports;

//! Text to token ids and back.

/// The model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {}

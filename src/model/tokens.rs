//! Text to token ids and back, as Hugging Face's tokenizer of the same file does it.
//!
//! No token is added (GPT-2 has no BOS), nothing is cut or padded, and text such as
//! `<|endoftext|>` becomes the special token it names: exactly what the notebook's tokenizer does.

use std::ops::Range;
use std::path::PathBuf;

use super::{ModelCard, ModelError};
use crate::prompt::Prompt;

/// The model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    vocab_size: usize,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<i32>,
    /// The tokens that hold at least one byte of the input; `None` when no token does.
    pub input: Option<Range<usize>>,
    /// One letter a token: `i` input, `t` task, `f` template before the input's end, `e` template
    /// after it; a token that touches two is the earlier of `i`, `t`, `f`, `e`.
    pub segments: String,
    /// Tokens of the input that also hold other characters, not counting blanks in front.
    pub edge_tokens: usize,
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder and checks that it fits the model.
    ///
    /// # Errors
    /// When it cannot be read, the tokenizers library does not understand it, or it knows more
    /// tokens than the model.
    pub fn load(card: &ModelCard) -> Result<Self, ModelError> {
        let path = card.tokenizer_path();
        let error = |problem: String| ModelError::Tokenizer { path: path.clone(), problem };
        let mut inner = tokenizers::Tokenizer::from_file(&path)
            .map_err(|e| error(format!("cannot be read: {e}")))?;
        inner.with_truncation(None).map_err(|e| error(format!("cannot be used: {e}")))?;
        inner.with_padding(None);
        // Without special tokens the post-processor's only work is to trim blanks off the offsets;
        // a token of blanks inside the input would then belong to nothing.
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
        let known = inner.get_vocab_size(true);
        if known > card.vocab_size {
            let problem =
                format!("knows {known} tokens, but the model has {} only", card.vocab_size);
            return Err(error(problem));
        }
        Ok(Self { inner, path, vocab_size: card.vocab_size })
    }

    /// Splits `text` into tokens; `input_span` is a byte range of `text`.
    ///
    /// # Errors
    /// When the tokenizer fails or gives an id that the model does not have.
    pub fn encode(&self, text: &str, input_span: Range<usize>) -> Result<Encoded, ModelError> {
        self.encode_spans(text, &input_span, &[])
    }

    /// Splits a prompt into tokens and says what each is part of.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Encoded, ModelError> {
        self.encode_spans(&prompt.text, &prompt.input_span, &prompt.task_spans)
    }

    fn encode_spans(
        &self,
        text: &str,
        input: &Range<usize>,
        tasks: &[Range<usize>],
    ) -> Result<Encoded, ModelError> {
        let encoding =
            self.inner.encode(text, false).map_err(|e| self.error(format!("fails: {e}")))?;
        if let Some(id) = encoding.get_ids().iter().find(|id| **id as usize >= self.vocab_size) {
            let problem = format!("gives id {id}, but the model has {} tokens", self.vocab_size);
            return Err(self.error(problem));
        }
        // Offsets are bytes of `text`; all tokens that share a character have the whole of it.
        let offsets = encoding.get_offsets();
        let is_input = |token: &(usize, usize)| touches(*token, input);
        let first = offsets.iter().position(is_input);
        let last = offsets.iter().rposition(is_input);
        let letter = |token: &(usize, usize)| match token {
            token if is_input(token) => 'i',
            token if tasks.iter().any(|task| touches(*token, task)) => 't',
            (start, _) if *start < input.end => 'f',
            _ => 'e',
        };
        let crosses = |&&(start, end): &&(usize, usize)| {
            let before = text.get(start..input.start).unwrap_or_default();
            end > input.end || !before.trim().is_empty()
        };
        Ok(Encoded {
            ids: encoding.get_ids().iter().map(|id| *id as i32).collect(),
            input: first.zip(last).map(|(first, last)| first..last + 1),
            segments: offsets.iter().map(letter).collect(),
            edge_tokens: offsets.iter().filter(|token| is_input(token)).filter(crosses).count(),
        })
    }

    /// One token as text: not stripped, bytes that are no whole character as U+FFFD, nothing for an
    /// id that no token has.
    pub fn decode_token(&self, id: i32) -> String {
        u32::try_from(id)
            .ok()
            .and_then(|id| self.inner.decode(&[id], false).ok())
            .unwrap_or_default()
    }

    fn error(&self, problem: String) -> ModelError {
        ModelError::Tokenizer { path: self.path.clone(), problem }
    }
}

/// Whether a token, by its bytes, holds part of the span.
fn touches((start, end): (usize, usize), span: &Range<usize>) -> bool {
    start < span.end && end > span.start && !span.is_empty()
}

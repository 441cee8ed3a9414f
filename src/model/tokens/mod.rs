//! Text to token ids and back, as Hugging Face's tokenizer of the same file does it.
//!
//! Special tokens stand before and after a text as the tokenizer's post-processor has it (GPT-2's has
//! none), unless the pipeline wants none. Nothing is cut, padded or left to chance, and text such as
//! `<|endoftext|>` becomes the special token it names: what transformers' tokenizer does.
//!
//! A tokenizer's file may come from anybody. What panics in it is an error; a text that is not done
//! in a while is one too; and a text that is too long for the model whatever its tokens is not
//! tokenised.

mod decode;
mod limits;
mod special;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokenizers::models::ModelWrapper;

use super::card::CardTokens;
use super::reference::TextProbe;
use super::{ModelCard, ModelError};
use crate::guard::{self, GivenUp};
use crate::prompt::Prompt;
use decode::Decoder;
use limits::Limits;

pub use special::{SpecialTokens, Specials};

/// How long one text may take: many times what the longest ones take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long reading the file may take: tens of megabytes take seconds.
const LOADING: Duration = Duration::from_mins(2);

/// Characters of a text that an error quotes.
const QUOTED: usize = 60;

/// The model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    file: Arc<File>,
    specials: Specials,
    patience: Duration,
    /// What it could not be waited for: it is not waited for again.
    hung: OnceLock<String>,
}

/// What a tokenizer's file says.
#[derive(Debug)]
struct File {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    vocab_size: usize,
    specials: Specials,
    limits: Limits,
    decoder: Decoder,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// Token ids, special ones among them; none at all for an empty text.
    pub ids: Vec<i32>,
    /// The tokens that hold at least one byte of the input; `None` when no token does.
    pub input: Option<Range<usize>>,
    /// One letter a token: `i` input, `t` task, `f` template before the input's end, `e` template
    /// after it; a token that touches two is the earlier of `i`, `t`, `f`, `e`. Special tokens in front
    /// of the text are `f`, those behind it `e`.
    pub segments: String,
    /// Tokens of the input that also hold other characters, not counting blanks in front.
    pub edge_tokens: usize,
}

/// Where input and task are in a text.
struct Spans<'a> {
    input: &'a Range<usize>,
    tasks: &'a [Range<usize>],
}

/// Ids, and for each the bytes of the text that it holds; all tokens that share a character have the
/// whole of it.
type Pieces = (Vec<i32>, Vec<(usize, usize)>);

impl Tokenizer {
    /// Reads the tokenizer of a model folder, checks that it is the one that the card lists and that
    /// it fits the model. It may know tokens that the model lacks, as long as no text has them.
    ///
    /// # Errors
    /// When it cannot be read, is another file, the tokenizers library does not understand it, it adds
    /// special tokens that the model lacks, or it makes other tokens of the card's texts than the model's
    /// own tokenizer did.
    pub fn load(card: &ModelCard) -> Result<Self, ModelError> {
        let bytes = card.read_tokenizer()?;
        let path = card.tokenizer_path();
        let (vocab_size, n_positions) = (card.vocab_size, card.n_positions);
        let read = {
            let path = path.clone();
            move || read(&bytes, path, vocab_size, n_positions)
        };
        let file = guard::watched(LOADING, &|| false, read)
            .map_err(|reason| format!("cannot be read: the tokenizers library {}", words(&reason)))
            .and_then(|file| file)
            .map_err(|problem| ModelError::Tokenizer { path, problem })?;
        let specials = file.specials.clone();
        let file = Arc::new(file);
        let tokenizer = Self { file, specials, patience: PATIENCE, hung: OnceLock::new() };
        tokenizer.prove(card)?;
        Ok(tokenizer)
    }

    /// Compares what it makes of texts with what the card says.
    fn prove(&self, card: &ModelCard) -> Result<(), ModelError> {
        if let Some(CardTokens { prefix_ids, suffix_ids, .. }) = &card.special_tokens {
            let Specials { before, after } = &self.file.specials;
            if (prefix_ids, suffix_ids) != (before, after) {
                return Err(self.error(format!(
                    "puts special tokens {before:?} and {after:?} around a text, and the model's own \
                     tokenizer {prefix_ids:?} and {suffix_ids:?}"
                )));
            }
        }
        let bare = self.bare();
        let texts = card.texts.iter().map(|TextProbe { text, ids }| (self, text, ids));
        // The special tokens of a chat are in its text.
        let chats = card.conversations.iter().map(|chat| (&bare, &chat.text, &chat.ids));
        for (tokenizer, text, ids) in texts.chain(chats) {
            let found = tokenizer.encode(text, 0..0)?.ids;
            if found != *ids {
                return Err(self.error(format!(
                    "makes tokens {found:?} and the model's own tokenizer {ids:?} of {}",
                    quoted(text)
                )));
            }
        }
        Ok(())
    }

    /// The same tokenizer that puts no special tokens around texts.
    #[must_use]
    pub fn bare(&self) -> Self {
        let file = Arc::clone(&self.file);
        let hung = self.hung.clone();
        Self { file, specials: Specials::default(), patience: self.patience, hung }
    }

    /// The same tokenizer, given so long for one text instead of twenty seconds.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The special tokens that stand around every text.
    pub fn specials(&self) -> &Specials {
        &self.specials
    }

    /// Those that its file adds, whether they are wanted or not.
    pub fn own_specials(&self) -> &Specials {
        &self.file.specials
    }

    /// The texts that become special tokens wherever they stand, such as `<|im_end|>`; a text may have
    /// them by accident.
    pub fn special_texts(&self) -> Vec<String> {
        let added = self.file.inner.get_added_tokens_decoder();
        let mut special: Vec<(u32, String)> = added
            .into_iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (id, token.content))
            .collect();
        special.sort_unstable();
        special.into_iter().map(|(_, text)| text).collect()
    }

    /// Why `text` has more tokens than the model has positions, as far as its bytes alone tell, to
    /// follow a prompt's name; `None` where its tokens must be counted. A text that is too long by
    /// this is never tokenised.
    pub fn too_long(&self, text: &str) -> Option<String> {
        self.file.limits.too_long(text.len(), self.specials.len())
    }

    /// Likewise for a prompt, which may have no special tokens around it.
    pub fn prompt_too_long(&self, prompt: &Prompt) -> Option<String> {
        let specials = if prompt.is_bare { 0 } else { self.specials.len() };
        self.file.limits.too_long(prompt.text.len(), specials)
    }

    /// Splits `text` into tokens; `input_span` is a byte range of `text`.
    ///
    /// # Errors
    /// When the text is too long by its bytes ([`Tokenizer::too_long`]), the tokenizer fails, does not
    /// end or gives an id that the model does not have.
    pub fn encode(&self, text: &str, input_span: Range<usize>) -> Result<Encoded, ModelError> {
        let spans = Spans { input: &input_span, tasks: &[] };
        self.encode_spans(text, &spans, &self.specials, &|| false)
    }

    /// Splits a prompt into tokens and says what each is part of.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Encoded, ModelError> {
        self.encode_prompt_unless(prompt, &|| false)
    }

    /// [`Tokenizer::encode_prompt`], given up when `stop` says so meanwhile.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`], or that it was given up.
    pub fn encode_prompt_unless(
        &self,
        prompt: &Prompt,
        stop: &dyn Fn() -> bool,
    ) -> Result<Encoded, ModelError> {
        let none = Specials::default();
        let specials = if prompt.is_bare { &none } else { &self.specials };
        let spans = Spans { input: &prompt.input_span, tasks: &prompt.task_spans };
        self.encode_spans(&prompt.text, &spans, specials, stop)
    }

    fn encode_spans(
        &self,
        text: &str,
        spans: &Spans<'_>,
        specials: &Specials,
        stop: &dyn Fn() -> bool,
    ) -> Result<Encoded, ModelError> {
        let Spans { input, tasks } = *spans;
        if let Some(reason) = self.file.limits.too_long(text.len(), specials.len()) {
            return Err(ModelError::TextTooLong { text: quoted(text), reason });
        }
        let (ids, offsets) = self.pieces(text, stop)?;
        if ids.is_empty() {
            return Ok(Encoded::default());
        }
        let Specials { before, after } = specials;
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
        let (in_front, behind) = (before.iter().map(|_| 'f'), after.iter().map(|_| 'e'));
        let shift = before.len();
        Ok(Encoded {
            ids: [before.as_slice(), &ids, after].concat(),
            input: first.zip(last).map(|(first, last)| shift + first..shift + last + 1),
            segments: in_front.chain(offsets.iter().map(letter)).chain(behind).collect(),
            edge_tokens: offsets.iter().filter(|token| is_input(token)).filter(crosses).count(),
        })
    }

    /// The text's own tokens.
    fn pieces(&self, text: &str, stop: &dyn Fn() -> bool) -> Result<Pieces, ModelError> {
        let owned = if self.file.limits.is_quick { String::new() } else { text.to_owned() };
        let quick = || self.file.pieces(text);
        let slow = move |file: &File| file.pieces(&owned);
        let pieces = self.guarded(stop, quick, slow, || format!("on {}", quoted(text)))?;
        pieces.map_err(|problem| self.error(format!("{problem} on {}", quoted(text))))
    }

    /// One token as text: not stripped, bytes that are no whole character as U+FFFD, nothing for an
    /// id that no token has, and U+FFFD for one that the tokenizer fails on.
    pub fn decode_token(&self, id: i32) -> String {
        let Ok(id) = u32::try_from(id) else { return String::new() };
        let quick = || self.file.text(id);
        let slow = move |file: &File| file.text(id);
        let text = self.guarded(&|| false, quick, slow, || format!("on token {id}"));
        text.unwrap_or_else(|_| char::REPLACEMENT_CHARACTER.to_string())
    }

    /// Calls the library, on a thread that can be given up where its file may make it slow.
    fn guarded<T: Send + 'static>(
        &self,
        stop: &dyn Fn() -> bool,
        quick: impl FnOnce() -> T,
        slow: impl FnOnce(&File) -> T + Send + 'static,
        on: impl FnOnce() -> String,
    ) -> Result<T, ModelError> {
        if let Some(problem) = self.hung.get() {
            return Err(self.error(problem.clone()));
        }
        let result = if self.file.limits.is_quick {
            guard::caught(quick).map_err(GivenUp::Panicked)
        } else {
            let file = Arc::clone(&self.file);
            guard::watched(self.patience, stop, move || slow(&file))
        };
        result.map_err(|reason| {
            let problem = format!("{} {}", words(&reason), on());
            if matches!(reason, GivenUp::TooSlow(_)) {
                let _ = self.hung.set(problem.clone());
            }
            self.error(problem)
        })
    }

    fn error(&self, problem: String) -> ModelError {
        ModelError::Tokenizer { path: self.file.path.clone(), problem }
    }
}

impl File {
    fn pieces(&self, text: &str) -> Result<Pieces, String> {
        let encoding = self.inner.encode(text, false).map_err(|e| format!("fails ({e})"))?;
        if let Some(id) = encoding.get_ids().iter().find(|id| **id as usize >= self.vocab_size) {
            return Err(format!("gives id {id}, but the model has {} tokens,", self.vocab_size));
        }
        let ids = encoding.get_ids().iter().map(|id| *id as i32).collect();
        Ok((ids, encoding.get_offsets().to_vec()))
    }

    fn text(&self, id: u32) -> String {
        self.decoder.text(&self.inner, id)
    }
}

/// Reads a tokenizer's file; the error follows its name.
fn read(
    bytes: &[u8],
    path: PathBuf,
    vocab_size: usize,
    n_positions: usize,
) -> Result<File, String> {
    let mut inner =
        tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| format!("cannot be read: {e}"))?;
    inner.with_truncation(None).map_err(|e| format!("cannot be used: {e}"))?;
    inner.with_padding(None);
    leave_nothing_to_chance(&mut inner);
    let specials = Specials::of(inner.get_post_processor())?;
    // Its other work is to trim blanks off the offsets; a token of blanks inside the input would then
    // belong to nothing.
    inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    let mut ids = specials.before.iter().chain(&specials.after);
    if let Some(id) = ids.find(|id| **id as usize >= vocab_size) {
        return Err(format!("adds special token {id}, but the model has {vocab_size} tokens"));
    }
    if specials.len() >= n_positions {
        let n = specials.len();
        return Err(format!("adds {n} special tokens, but the model reads {n_positions} at most"));
    }
    let limits = Limits::of(&inner, n_positions);
    let decoder = Decoder::of(&inner);
    Ok(File { inner, path, vocab_size, specials, limits, decoder })
}

/// Some models drop merges or draw among splits while they are trained: the same text would have other
/// tokens each time.
fn leave_nothing_to_chance(tokenizer: &mut tokenizers::Tokenizer) {
    let fixed = match tokenizer.get_model() {
        ModelWrapper::BPE(bpe) if bpe.dropout.is_some() => {
            let mut bpe = bpe.clone();
            bpe.dropout = None;
            ModelWrapper::BPE(bpe)
        }
        ModelWrapper::Unigram(unigram)
            if unigram.alpha.is_some() || unigram.nbest_size.is_some() =>
        {
            let mut unigram = unigram.clone();
            (unigram.alpha, unigram.nbest_size) = (None, None);
            ModelWrapper::Unigram(unigram)
        }
        _ => return,
    };
    tokenizer.with_model(fixed);
}

/// What a library did, to follow its name.
fn words(reason: &GivenUp) -> String {
    match reason {
        GivenUp::Panicked(words) => format!("panics ({words})"),
        GivenUp::TooSlow(patience) => {
            format!("is not done after {:.1} seconds", patience.as_secs_f64())
        }
        GivenUp::Stopped => "was stopped".to_owned(),
        GivenUp::NoThread(why) => format!("gets no thread ({why})"),
    }
}

/// The beginning of a text and how long it is.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(QUOTED).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("the text {start:?}{more} of {} bytes", text.len())
}

/// Whether a token, by its bytes, holds part of the span.
fn touches((start, end): (usize, usize), span: &Range<usize>) -> bool {
    start < span.end && end > span.start && !span.is_empty()
}

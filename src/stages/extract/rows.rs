//! The prompts of a shard with their tokens, and why some of them are left out.

use rayon::prelude::*;

use super::{Context, Extract, StageError, TooLong};
use crate::model::Encoded;
use crate::monitor::{Event, Monitor};
use crate::prompt::Prompt;
use crate::store::hex_sha256;
use crate::table::status;

/// Digits of an input's hash that are kept: that two of a million texts share them has probability 3e-8.
const HASH_DIGITS: usize = 16;

/// A prompt with its tokens.
pub(super) struct Row {
    pub(super) prompt: Prompt,
    pub(super) encoded: Encoded,
    /// First [`HASH_DIGITS`] digits of the SHA-256 of the input's text.
    pub(super) input_sha256: String,
    /// Why it has no numbers; `None` when it has.
    pub(super) refusal: Option<Refusal>,
}

/// Why a prompt has no numbers.
pub(super) struct Refusal {
    /// One of the words of `status`.
    pub(super) reason: &'static str,
    /// What was wrong, to follow the prompt's name.
    pub(super) detail: String,
}

impl Row {
    /// `ok`, or why it has no numbers.
    pub(super) fn status(&self) -> &'static str {
        self.refusal.as_ref().map_or(status::OK, |refusal| refusal.reason)
    }

    /// Leaves the prompt out, and reports that.
    pub(super) fn refuse(&mut self, monitor: &dyn Monitor, reason: &'static str, detail: String) {
        monitor.event(&Event::Skipped { key: &self.prompt.key, reason: &detail });
        self.refusal = Some(Refusal { reason, detail });
    }
}

impl Extract {
    /// Tokenises the shard's prompts; those that are too long are left out, or are an error, as the
    /// pipeline says.
    pub(super) fn tokenise(&self, context: &Context<'_>) -> Result<Vec<Row>, StageError> {
        let limit = context.card.n_positions;
        let row = |prompt: &Prompt| -> Result<(Row, Option<String>), StageError> {
            context.go_on()?;
            let mut too_long = context.tokenizer.prompt_too_long(prompt);
            let mut encoded = Encoded::default();
            // Else left without tokens: counting them takes minutes for a text of some megabytes.
            if too_long.is_none() {
                encoded = encode(context, prompt)?;
                let tokens = encoded.ids.len();
                too_long = (tokens > limit).then(|| self::too_long(tokens, limit));
            }
            self.check_length(prompt, encoded.ids.len(), too_long.as_deref())?;
            let input_sha256 = input_sha256(prompt);
            Ok((Row { prompt: prompt.clone(), encoded, input_sha256, refusal: None }, too_long))
        };
        // Collected before the first error is taken, so that it is always the plan's first one.
        let rows: Vec<Result<_, StageError>> = context.prompts.par_iter().map(row).collect();
        let rows: Vec<(Row, Option<String>)> = rows.into_iter().collect::<Result<_, _>>()?;
        let refused = |(mut row, too_long): (Row, Option<String>)| {
            if let Some(reason) = too_long {
                row.refuse(context.monitor, status::TOO_LONG, reason);
            }
            row
        };
        Ok(rows.into_iter().map(refused).collect())
    }

    /// `too_long` says that the prompt is.
    fn check_length(
        &self,
        prompt: &Prompt,
        tokens: usize,
        too_long: Option<&str>,
    ) -> Result<(), StageError> {
        let error = |problem| Err(StageError::Prompt { key: prompt.key.clone(), problem });
        match too_long {
            None if tokens == 0 => {
                error("has no tokens: its text is empty; give it a text".to_owned())
            }
            Some(reason) if self.too_long == TooLong::Error => error(format!(
                "{reason}; shorten it, or set `too_long: skip` in the extract stage to leave such \
                 prompts out (up to the pipeline's `max_skipped`)"
            )),
            _ => Ok(()),
        }
    }
}

/// The prompt's tokens; a person who stops the run does not wait for a slow tokenizer.
fn encode(context: &Context<'_>, prompt: &Prompt) -> Result<Encoded, StageError> {
    let stop = || context.monitor.is_interrupted();
    let encoded = context.tokenizer.encode_prompt_unless(prompt, &stop);
    encoded.map_err(|error| if stop() { StageError::Interrupted } else { error.into() })
}

fn too_long(tokens: usize, limit: usize) -> String {
    format!("has {tokens} tokens, and the model reads {limit} at most")
}

/// The hash of the text that the prompt has of its source input.
fn input_sha256(prompt: &Prompt) -> String {
    let mut hash = hex_sha256(prompt.text[prompt.input_span.clone()].as_bytes());
    hash.truncate(HASH_DIGITS);
    hash
}

//! The prompts of a shard with their tokens, and why some of them are left out.

use rayon::prelude::*;

use super::{Context, Extract, StageError, TooLong};
use crate::model::Encoded;
use crate::monitor::{Event, Monitor};
use crate::prompt::Prompt;
use crate::table::status;

/// A prompt with its tokens.
pub(super) struct Row {
    pub(super) prompt: Prompt,
    pub(super) encoded: Encoded,
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
        let row = |prompt: &Prompt| -> Result<Row, StageError> {
            let encoded = context.tokenizer.encode_prompt(prompt)?;
            self.check_length(prompt, encoded.ids.len(), context.card.n_positions)?;
            Ok(Row { prompt: prompt.clone(), encoded, refusal: None })
        };
        // Collected before the first error is taken, so that it is always the plan's first one.
        let rows: Vec<Result<Row, StageError>> = context.prompts.par_iter().map(row).collect();
        let mut rows: Vec<Row> = rows.into_iter().collect::<Result<_, _>>()?;
        let limit = context.card.n_positions;
        for row in &mut rows {
            let tokens = row.encoded.ids.len();
            if tokens > limit {
                row.refuse(context.monitor, status::TOO_LONG, too_long(tokens, limit));
            }
        }
        Ok(rows)
    }

    fn check_length(&self, prompt: &Prompt, tokens: usize, limit: usize) -> Result<(), StageError> {
        let error = |problem| Err(StageError::Prompt { key: prompt.key.clone(), problem });
        if tokens == 0 {
            return error("has no tokens: its text is empty; give it a text".to_owned());
        }
        if tokens > limit && self.too_long == TooLong::Error {
            return error(format!(
                "{}; shorten it, or set `too_long: skip` in the extract stage to leave such \
                 prompts out (up to the pipeline's `max_skipped`)",
                too_long(tokens, limit)
            ));
        }
        Ok(())
    }
}

fn too_long(tokens: usize, limit: usize) -> String {
    format!("has {tokens} tokens, and the model reads {limit} at most")
}

//! Where the input stands in each prompt, and whether its tokens can be compared between tasks.
//!
//! All other tables of the input's own tokens are based on this one. They can be compared when every
//! task's prompt holds the same token ids of the input and a task stands in front of it. Behind a
//! template that puts the input first, the input's states are equal under all tasks by causality:
//! such a similarity of 1 says nothing, and is refused (status `no_alignment`).
//!
//! `lexical_overlap` says how many of a task's words the input has too: words that stand in both
//! attract attention by themselves. Reads `prompts`, writes `alignment`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Tokenizer;
use crate::stage::compare::spans::{Spans, span_ids};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::store::hex_sha256;
use crate::table::schema::{ALIGNMENT, AlignmentRow, PROMPTS};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "alignment",
    version: 1,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS],
    reads_if_there: &[],
    writes: &[&ALIGNMENT],
    file: None,
    depends_on: DependsOn { layers: false, seed: false, head: false, lineage: false },
};

/// Hex digits of a hash that are kept.
const DIGITS: usize = 16;

/// Says where each input stands in its prompts and whether its tokens can be compared there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Every configuration is valid.
    pub fn validate(
        &self,
        _at: &Path,
        _facts: &Facts,
        _problems: &mut Problems,
    ) -> Option<Alignment> {
        Some(Alignment {})
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Alignment {}

impl Stage for Alignment {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.inputs();
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let hashes: Vec<Vec<String>> = inputs.iter().map(|input| span_hashes(*input)).collect();
        let mut rows = Vec::new();
        for (input, hashes) in inputs.iter().zip(&hashes) {
            context.go_on()?;
            rows.extend(align(*input, hashes, context.tokenizer));
            context.advance(&DESCRIPTION, 1);
        }
        let part = AlignmentRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// The rows of one input, whose prompts' spans have these `hashes`.
fn align<'p>(
    input: InputGroup<'p>,
    hashes: &'p [String],
    tokenizer: &Tokenizer,
) -> Vec<AlignmentRow<'p>> {
    let spans = Spans::of(input);
    let row = |(prompt, span_sha256): (&'p PromptRow, &'p String)| {
        let refusal = spans.refusal(prompt);
        AlignmentRow {
            scenario: &prompt.key.scenario,
            input: &prompt.key.input,
            task: &prompt.key.task,
            wording: prompt.key.wording,
            n_tokens: prompt.token_ids.len() as i32,
            span_start: prompt.input.as_ref().map(|span| span.start as i32),
            span_tokens: prompt.input.as_ref().map_or(0, |span| span.len() as i32),
            span_sha256,
            edge_tokens: prompt.edge_tokens as i32,
            shared_prefix: spans.shared_prefix as i32,
            lexical_overlap: lexical_overlap(prompt, tokenizer),
            status: if refusal.is_none() { status::OK } else { status::NO_ALIGNMENT },
            reason: refusal.unwrap_or_default(),
        }
    };
    input.prompts.iter().zip(hashes).map(row).collect()
}

/// For each prompt of an input the hash of its span; empty without one.
fn span_hashes(input: InputGroup<'_>) -> Vec<String> {
    input.prompts.iter().map(|prompt| span_ids(prompt).map(hash).unwrap_or_default()).collect()
}

fn hash(ids: &[i32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut hash = hex_sha256(&bytes);
    hash.truncate(DIGITS);
    hash
}

/// The share of the task's distinct words that the input has too, by tokens that hold a letter or a
/// digit, without blanks and case; `None` for a task without such a token.
fn lexical_overlap(prompt: &PromptRow, tokenizer: &Tokenizer) -> Option<f64> {
    let words = |letter: char| -> BTreeSet<String> {
        let of_letter = prompt.token_ids.iter().zip(prompt.segments.chars());
        let ids: BTreeSet<i32> =
            of_letter.filter(|(_, own)| *own == letter).map(|(id, _)| *id).collect();
        let texts = ids.into_iter().map(|id| tokenizer.decode_token(id).trim().to_lowercase());
        texts.filter(|text| text.chars().any(char::is_alphanumeric)).collect()
    };
    let (task, input) = (words('t'), words('i'));
    let shared = task.intersection(&input).count();
    (!task.is_empty()).then(|| shared as f64 / task.len() as f64)
}

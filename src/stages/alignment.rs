//! Where the input stands in each prompt, and whether its tokens can be compared between tasks.
//!
//! All other tables of the input's own tokens rest on this one. They can be compared when every
//! task's prompt holds the same token ids of the input and a task stands in front of it. Behind a
//! template that puts the input first, the input's states are equal under all tasks by causality:
//! such a similarity of 1 says nothing, and is refused (status `no_alignment`).
//!
//! `lexical_overlap` tells how many of a task's words the input has too: words that stand in both
//! attract attention by themselves. Reads `prompts`, writes `alignment`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Tokenizer;
use crate::monitor::Event;
use crate::stage::columns::Columns;
use crate::stage::compare::spans::{Spans, span_ids};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::store::hex_sha256;
use crate::table::schema::{ALIGNMENT, PROMPTS};
use crate::table::status;
use crate::table::writer::{PartAddress, write_part};
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
        context.monitor.event(&Event::StageStarted {
            stage: DESCRIPTION.kind,
            shard: Some(context.part),
            total: units,
            unit: DESCRIPTION.unit,
        });
        let mut rows = Vec::new();
        for input in inputs {
            context.go_on()?;
            rows.extend(align(input, context.tokenizer));
            context.monitor.event(&Event::Advanced { stage: DESCRIPTION.kind, amount: 1 });
        }
        let columns = Columns::of(&rows)
            .texts(|row| &row.prompt.key.scenario)
            .texts(|row| &row.prompt.key.input)
            .texts(|row| &row.prompt.key.task)
            .int16s(|row| row.prompt.key.wording)
            .int32s(|row| row.prompt.token_ids.len() as i32)
            .maybe_int32s(|row| row.prompt.input.as_ref().map(|span| span.start as i32))
            .int32s(|row| row.prompt.input.as_ref().map_or(0, |span| span.len() as i32))
            .texts(|row| &row.span_sha256)
            .int32s(|row| row.prompt.edge_tokens as i32)
            .int32s(|row| row.shared_prefix as i32)
            .float64s(|row| row.lexical_overlap)
            .texts(|row| if row.refusal.is_none() { status::OK } else { status::NO_ALIGNMENT })
            .texts(|row| row.refusal.unwrap_or_default());
        let address = PartAddress::new(&ALIGNMENT, context.part);
        let part = write_part(context.store, address, context.dims(), columns.finish())?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// One row of table `alignment`.
#[derive(Debug)]
struct Row<'p> {
    prompt: &'p PromptRow,
    span_sha256: String,
    shared_prefix: usize,
    lexical_overlap: Option<f64>,
    refusal: Option<&'static str>,
}

fn align<'p>(input: InputGroup<'p>, tokenizer: &Tokenizer) -> Vec<Row<'p>> {
    let spans = Spans::of(input);
    let row = |prompt: &'p PromptRow| Row {
        prompt,
        span_sha256: span_ids(prompt).map(hash).unwrap_or_default(),
        shared_prefix: spans.shared_prefix,
        lexical_overlap: lexical_overlap(prompt, tokenizer),
        refusal: spans.refusal(prompt),
    };
    input.prompts.iter().map(row).collect()
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

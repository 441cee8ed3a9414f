//! Stops a run in which too many prompts have no numbers: what is left would answer another
//! question.

use crate::ledger::Ledger;
use crate::prompt::PromptKey;
use crate::store::Store;
use crate::table::schema::SKIPPED;
use crate::table::{ReadRow as _, TableError, view};

/// How many of the skipped prompts the error names.
const NAMED: usize = 3;

/// More prompts have no numbers than the pipeline accepts.
#[derive(Debug, thiserror::Error)]
#[error("{}", sentence(*skipped, *prompts, *max_skipped, first))]
pub struct TooManySkipped {
    /// How many, when the run stopped.
    pub skipped: u64,
    /// How many prompts the whole run has.
    pub prompts: u64,
    /// The share of them that may be skipped.
    pub max_skipped: f64,
    /// The first of them: name and reason.
    pub first: Vec<String>,
}

/// Compares how many prompts are skipped so far with `max_skipped`, a share of the run's `prompts`;
/// gives the error, with the first of them, when there are more.
///
/// Everything comes from receipts and tables, so a resumed run that does nothing new says the same.
///
/// # Errors
/// When a part of table `skipped` cannot be read.
pub(super) fn check(
    store: &Store,
    ledger: &Ledger<'_>,
    prompts: u64,
    max_skipped: f64,
) -> Result<Option<TooManySkipped>, TableError> {
    let skipped = ledger.total().skipped;
    if !are_too_many(skipped, prompts, max_skipped) {
        return Ok(None);
    }
    let mut first = Vec::new();
    for part in ledger.parts_with_rows(&SKIPPED) {
        if first.len() < NAMED {
            first.extend(read(store, part)?);
        }
    }
    first.truncate(NAMED);
    Ok(Some(TooManySkipped { skipped, prompts, max_skipped, first }))
}

/// Whether a run of `prompts` prompts stops when `skipped` of them are skipped.
pub fn are_too_many(skipped: u64, prompts: u64, max_skipped: f64) -> bool {
    // Not `skipped > share * prompts`: 0.29 * 100 is below 29, while 29 / 100 is 0.29.
    skipped as f64 / prompts.max(1) as f64 > max_skipped
}

view! {
    /// A skipped prompt, and why it was.
    struct Skipped<'a> of [SKIPPED] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        detail: &'a str,
    }
}

/// The skipped prompts of a shard: name and reason.
fn read(store: &Store, part: u32) -> Result<Vec<String>, TableError> {
    let part = Skipped::part(store, &SKIPPED, part)?;
    let line = |row: Skipped<'_>| {
        let key = PromptKey {
            scenario: row.scenario.into(),
            input: row.input.into(),
            task: row.task.into(),
            wording: row.wording,
        };
        format!("{key} {}", row.detail)
    };
    Ok(Skipped::rows(&part)?.into_iter().map(line).collect())
}

/// The sentence about too many skipped prompts.
fn sentence(skipped: u64, prompts: u64, max_skipped: f64, first: &[String]) -> String {
    let share = 100.0 * skipped as f64 / prompts.max(1) as f64;
    let more = match skipped - (first.len() as u64).min(skipped) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    format!(
        "{skipped} of the run's {prompts} prompts ({share:.2} %) cannot be run, which is more than \
         `max_skipped: {max_skipped}` allows ({}{more}): change or take out these prompts (table \
         `skipped` of the run directory names them), or raise `max_skipped`, then run again: what \
         is done stays done",
        first.join("; ")
    )
}

//! How far the notebook's number compares the input with itself.
//!
//! Its cosine compares tokens by position, so it compares the same words of the input only where
//! the input starts at the same position in both prompts. This splits the values at the judged layer
//! into those pairs and the others: it is no other measure, only the notebook's own values in two
//! groups.

use std::collections::BTreeMap;

use super::sources::Sources;
use crate::render::page::{Alignment, PairValue};
use crate::stage::StageError;
use crate::stage::names::FIRST_WORDING;
use crate::table::schema::PROMPTS;
use crate::table::{ReadRow as _, view};

view! {
    /// Where the input starts in a prompt.
    struct Placed<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        input_start: Option<i32>,
    }
}

/// Where the input starts in each prompt of a shard, by scenario, input and task.
#[derive(Debug, Default)]
pub(super) struct InputStarts {
    starts: BTreeMap<(String, String), BTreeMap<String, i32>>,
}

impl InputStarts {
    /// Reads a shard's; empty when the run has no prompts.
    pub(super) fn read(sources: &Sources<'_>, part: u32) -> Result<Self, StageError> {
        let mut all = Self::default();
        let Some(table) = sources.optional::<Placed<'_>>(&PROMPTS, part)? else { return Ok(all) };
        let rows = Placed::rows(&table)?;
        for row in rows.iter().filter(|row| row.wording == FIRST_WORDING) {
            if let Some(start) = row.input_start {
                let key = (row.scenario.to_owned(), row.input.to_owned());
                all.starts.entry(key).or_default().insert(row.task.to_owned(), start);
            }
        }
        Ok(all)
    }

    /// Whether an input stands at the same position under two tasks; `None` when not known.
    pub(super) fn agree(&self, scenario: &str, input: &str, tasks: (&str, &str)) -> Option<bool> {
        let starts = self.starts.get(&(scenario.to_owned(), input.to_owned()))?;
        Some(starts.get(tasks.0)? == starts.get(tasks.1)?)
    }
}

/// The values of a scenario at its last layer, in two groups.
#[derive(Debug, Default)]
pub(super) struct Split {
    aligned: (f64, u64),
    shifted: (f64, u64),
}

impl Split {
    /// Adds a value to its group.
    pub(super) fn add(&mut self, is_aligned: bool, value: f64) {
        let (sum, n) = if is_aligned { &mut self.aligned } else { &mut self.shifted };
        *sum += value;
        *n += 1;
    }

    /// Both means.
    pub(super) fn means(&self, layer: i16) -> Alignment {
        let mean = |(sum, n): (f64, u64)| PairValue {
            value: (n > 0).then(|| sum / n as f64),
            n,
            missing: String::new(),
        };
        Alignment { layer, aligned: mean(self.aligned), shifted: mean(self.shifted) }
    }
}

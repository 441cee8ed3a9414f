//! How far the notebook's number compares the input with itself.
//!
//! Its cosine meets token with token by position, so it compares the same words of the input only
//! where the input starts at the same position in both prompts. This splits the values at the
//! judged layer into those pairs and the others: no other measure, only the notebook's own values
//! in two heaps.

use std::collections::BTreeMap;

use arrow::array::Array as _;

use super::sources::Sources;
use crate::render::page::{Alignment, PairValue};
use crate::stage::StageError;
use crate::stage::names::FIRST_WORDING;
use crate::table::schema::PROMPTS;

/// Where the input starts in each prompt of a shard, by scenario, input and task.
#[derive(Debug, Default)]
pub(super) struct InputStarts {
    starts: BTreeMap<(String, String), BTreeMap<String, i32>>,
}

impl InputStarts {
    /// Reads a shard's; empty when the run has no prompts.
    pub(super) fn read(sources: &Sources<'_>, part: u32) -> Result<Self, StageError> {
        let columns = ["scenario", "input", "task", "wording", "input_start"];
        let mut all = Self::default();
        let Some(table) = sources.optional(&PROMPTS, part, &columns)? else { return Ok(all) };
        let (scenario, input) = (table.texts("scenario")?, table.texts("input")?);
        let (task, wording) = (table.texts("task")?, table.int16s("wording")?);
        let start = table.int32s("input_start")?;
        for row in 0..table.rows() {
            if wording.value(row) == FIRST_WORDING && start.is_valid(row) {
                let key = (scenario.value(row).to_owned(), input.value(row).to_owned());
                let tasks = all.starts.entry(key).or_default();
                tasks.insert(task.value(row).to_owned(), start.value(row));
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

/// The values of a scenario at its last layer, in two heaps.
#[derive(Debug, Default)]
pub(super) struct Split {
    aligned: (f64, u64),
    shifted: (f64, u64),
}

impl Split {
    /// Puts a value on its heap.
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

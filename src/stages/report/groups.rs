//! Which inputs count together in an interval over inputs.
//!
//! An input is of the cluster that its file names, else of that of its text. Clusters are merged into at most [`MOST`] groups by their hash, so that memory does not grow with
//! the run: an interval over groups of clusters is as valid as one over clusters, with fewer degrees
//! of freedom.

use std::collections::BTreeMap;

use super::sources::Sources;
use crate::stage::StageError;
use crate::store::hashed_number;
use crate::table::schema::PROMPTS;
use crate::table::{ReadRow as _, view};

/// Beyond this many groups, Student's t is the normal distribution but for a hundredth.
const MOST: u64 = 240;

view! {
    /// An input of the plan.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        source_input: &'a str,
        cluster: Option<&'a str>,
        input_sha256: &'a str,
    }
}

/// The groups of a shard's inputs.
#[derive(Debug, Default)]
pub(super) struct Groups {
    of: BTreeMap<(String, String), u16>,
}

impl Groups {
    /// Of the inputs of a part; of none where the run has no prompts.
    pub(super) fn read(sources: &Sources<'_>, part: u32) -> Result<Self, StageError> {
        let Some(table) = sources.optional::<Planned<'_>>(&PROMPTS, part)? else {
            return Ok(Self::default());
        };
        let mut groups = Self::default();
        // The prompts of control `other_input` hold another input's text.
        let rows = Planned::rows(&table)?;
        for row in rows.iter().filter(|row| row.input == row.source_input) {
            let key = (row.scenario.to_owned(), row.input.to_owned());
            let cluster = row.cluster.unwrap_or(row.input_sha256);
            groups.of.entry(key).or_insert_with(|| group(cluster));
        }
        Ok(groups)
    }

    /// The group of an input.
    pub(super) fn of(&self, scenario: &str, input: &str) -> u16 {
        let key = (scenario.to_owned(), input.to_owned());
        self.of.get(&key).copied().unwrap_or_else(|| group(input))
    }
}

fn group(cluster: &str) -> u16 {
    (hashed_number(cluster.as_bytes()) % MOST) as u16
}

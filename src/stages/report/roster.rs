//! Who is in the run: scenarios, tasks and inputs, in the order of the plan.

use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};

use super::sources::Sources;
use crate::stage::StageError;
use crate::stage::names::FLAT;
use crate::table::schema::{DIVERGENCE, PROMPTS, SIMILARITY};

/// One scenario's tasks and inputs.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Ids of its tasks.
    pub(super) tasks: IndexSet<String>,
    /// How many inputs it has.
    pub(super) n_inputs: u64,
    /// The first inputs, which the page shows in full, and the shard each is in.
    pub(super) shown: IndexMap<String, u32>,
}

/// The scenarios by name.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pub(super) scenarios: IndexMap<String, Entry>,
    most_shown: usize,
}

impl Roster {
    /// Reads the keys of all shards; the first `most_shown` inputs of each scenario are shown.
    pub(super) fn read(sources: &Sources<'_>, most_shown: usize) -> Result<Self, StageError> {
        let mut roster = Self { scenarios: IndexMap::new(), most_shown };
        for part in 0..sources.shards {
            if !roster.add_prompts(sources, part)? {
                roster.add_pairs(sources, part)?;
            }
        }
        // Without prompts, a scenario of one task has no pair to be known by.
        let part = sources.needed(&DIVERGENCE, 0, &["scenario", "measure"])?;
        let (names, measures) = (part.texts("scenario")?, part.texts("measure")?);
        for row in (0..part.rows()).filter(|row| measures.value(*row) == FLAT) {
            roster.scenario(names.value(row));
        }
        Ok(roster)
    }

    /// Places of a scenario and of one of its shown inputs.
    pub(super) fn shown(&self, scenario: &str, input: &str) -> Option<(usize, usize)> {
        let (place, _, entry) = self.scenarios.get_full(scenario)?;
        Some((place, entry.shown.get_index_of(input)?))
    }

    /// Whether a shard holds a shown input.
    pub(super) fn shows_any_of(&self, part: u32) -> bool {
        self.scenarios.values().any(|entry| entry.shown.values().any(|p| *p == part))
    }

    fn add_prompts(&mut self, sources: &Sources<'_>, part: u32) -> Result<bool, StageError> {
        let columns = ["scenario", "input", "task"];
        let Some(table) = sources.optional(&PROMPTS, part, &columns)? else { return Ok(false) };
        let (scenario, input) = (table.texts("scenario")?, table.texts("input")?);
        let task = table.texts("task")?;
        let mut seen = BTreeSet::new();
        for row in 0..table.rows() {
            let (scenario, input) = (scenario.value(row), input.value(row));
            let is_new = seen.insert((scenario, input));
            self.add(scenario, is_new.then_some((input, part)), &[task.value(row)]);
        }
        Ok(true)
    }

    fn add_pairs(&mut self, sources: &Sources<'_>, part: u32) -> Result<(), StageError> {
        let table =
            sources.needed(&SIMILARITY, part, &["scenario", "input", "task_a", "task_b"])?;
        let (scenario, input) = (table.texts("scenario")?, table.texts("input")?);
        let (a, b) = (table.texts("task_a")?, table.texts("task_b")?);
        let mut seen = BTreeSet::new();
        for row in 0..table.rows() {
            let (scenario, input) = (scenario.value(row), input.value(row));
            let is_new = seen.insert((scenario, input));
            // Pairs come as (0,1), (0,2), ...: the first task, then all the others in order.
            let tasks = [a.value(row), b.value(row)];
            self.add(scenario, is_new.then_some((input, part)), &tasks);
        }
        Ok(())
    }

    fn add(&mut self, scenario: &str, new_input: Option<(&str, u32)>, tasks: &[&str]) {
        let most_shown = self.most_shown;
        let entry = self.scenario(scenario);
        if let Some((input, part)) = new_input {
            entry.n_inputs += 1;
            if entry.shown.len() < most_shown {
                entry.shown.insert(input.to_owned(), part);
            }
        }
        for task in tasks {
            if !entry.tasks.contains(*task) {
                entry.tasks.insert((*task).to_owned());
            }
        }
    }

    fn scenario(&mut self, name: &str) -> &mut Entry {
        if !self.scenarios.contains_key(name) {
            self.scenarios.insert(name.to_owned(), Entry::default());
        }
        self.scenarios.get_mut(name).expect("it was just put in")
    }
}

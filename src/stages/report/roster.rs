//! Who is in the run: scenarios, tasks and inputs, in the order of the plan.

use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};

use super::sources::Sources;
use crate::stage::StageError;
use crate::stage::names::FLAT;
use crate::table::schema::{DIVERGENCE, PROMPTS, SIMILARITY};
use crate::table::{ReadRow as _, view};

view! {
    /// A prompt of the plan.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
    }
}

view! {
    /// A pair of tasks, where the run has no prompts.
    struct Pair<'a> of [SIMILARITY] {
        scenario: &'a str,
        input: &'a str,
        task_a: &'a str,
        task_b: &'a str,
    }
}

view! {
    /// A scenario that has a curve.
    struct Reduced<'a> of [DIVERGENCE] {
        scenario: &'a str,
        measure: &'a str,
    }
}

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
    /// The first ones, which have a section each.
    pub(super) scenarios: IndexMap<String, Entry>,
    /// The others, which are only counted: nothing else is read of them.
    pub(super) others: IndexMap<String, Entry>,
    most: Most,
}

/// How much the page shows in full, of the beginning of the plan.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Most {
    pub(super) scenarios: usize,
    /// Of each scenario.
    pub(super) inputs: usize,
}

impl Roster {
    /// Reads the keys of all shards; the first of the scenarios, and of the inputs of each, are shown.
    pub(super) fn read(sources: &Sources<'_>, most: Most) -> Result<Self, StageError> {
        let mut roster = Self { most, ..Self::default() };
        for part in 0..sources.shards {
            if !roster.add_prompts(sources, part)? {
                roster.add_pairs(sources, part)?;
            }
        }
        // Without prompts, a scenario of one task has no pair to be known by.
        let part = sources.needed::<Reduced<'_>>(&DIVERGENCE, 0)?;
        for row in Reduced::rows(&part)?.iter().filter(|row| row.measure == FLAT) {
            roster.scenario(row.scenario);
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
        let Some(table) = sources.optional::<Planned<'_>>(&PROMPTS, part)? else {
            return Ok(false);
        };
        let mut seen = BTreeSet::new();
        for Planned { scenario, input, task } in Planned::rows(&table)? {
            let is_new = seen.insert((scenario, input));
            self.add(scenario, is_new.then_some((input, part)), &[task]);
        }
        Ok(true)
    }

    fn add_pairs(&mut self, sources: &Sources<'_>, part: u32) -> Result<(), StageError> {
        let table = sources.needed::<Pair<'_>>(&SIMILARITY, part)?;
        let mut seen = BTreeSet::new();
        for Pair { scenario, input, task_a, task_b } in Pair::rows(&table)? {
            let is_new = seen.insert((scenario, input));
            // Pairs come as (0,1), (0,2), ...: the first task, then all the others in order.
            self.add(scenario, is_new.then_some((input, part)), &[task_a, task_b]);
        }
        Ok(())
    }

    fn add(&mut self, scenario: &str, new_input: Option<(&str, u32)>, tasks: &[&str]) {
        let is_shown = self.scenarios.contains_key(scenario) || self.has_room();
        let most_shown = if is_shown { self.most.inputs } else { 0 };
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

    /// Whether a scenario that comes now has a section.
    fn has_room(&self) -> bool {
        self.scenarios.len() < self.most.scenarios
    }

    fn scenario(&mut self, name: &str) -> &mut Entry {
        let is_shown = self.scenarios.contains_key(name) || self.has_room();
        let among = if is_shown { &mut self.scenarios } else { &mut self.others };
        if !among.contains_key(name) {
            among.insert(name.to_owned(), Entry::default());
        }
        among.get_mut(name).expect("it was just put in")
    }
}

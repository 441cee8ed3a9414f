//! Surprisal of the inputs' tokens: means by task, and token by token for the shown inputs.

use std::collections::BTreeMap;

use super::gather::{Gathered, missing};
use super::groups::Groups;
use super::roster::Roster;
use super::sources::Sources;
use crate::render::evidence::{InputSurprisal, SurprisalMean, TokenSurprisal};
use crate::stage::StageError;
use crate::stage::names::FIRST_WORDING;
use crate::table::schema::INPUT_SURPRISAL;
use crate::table::{ReadRow as _, view};

view! {
    /// A token of an input under a task.
    struct InputToken<'a> of [INPUT_SURPRISAL] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        token_id: i32,
        surprisal_bits: Option<f64>,
        delta_neutral_bits: Option<f64>,
        status: &'a str,
    }
}

/// One task's inputs: surprisal and difference to the neutral control, bits a token.
#[derive(Debug, Default)]
struct OfTask {
    bits: Gathered,
    delta: Gathered,
}

/// Places of scenario and task, name of the scenario, id of the input.
type Key<'a> = (usize, usize, &'a str, &'a str);

/// One prompt's tokens, on their way to their means.
#[derive(Debug, Default)]
struct OfPrompt {
    bits: Gathered,
    delta: Gathered,
    /// Why the last token without a value, or without a difference, had none.
    why: [String; 2],
}

/// All scenarios.
#[derive(Debug, Default)]
pub(super) struct Surprisals {
    /// By places of scenario and task.
    tasks: BTreeMap<(usize, usize), OfTask>,
    /// By places of scenario, shown input and task.
    shown: BTreeMap<(usize, usize, usize), Vec<TokenSurprisal>>,
}

impl Surprisals {
    /// Reduces the table, part after part, rows in order: a part holds whole inputs.
    pub(super) fn read(sources: &Sources<'_>, roster: &Roster) -> Result<Self, StageError> {
        let mut all = Self::default();
        for part in 0..sources.shards {
            all.add_part(sources, roster, part)?;
        }
        Ok(all)
    }

    fn add_part(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        number: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<InputToken<'_>>(&INPUT_SURPRISAL, number)?;
        let Some(part) = table else { return Ok(()) };
        let groups = Groups::read(sources, number)?;
        // The prompt whose rows are coming in: they stand together.
        let mut open: Option<(Key<'_>, OfPrompt)> = None;
        for row in InputToken::rows(&part)?.iter().filter(|row| row.wording == FIRST_WORDING) {
            let Some((place, _, entry)) = roster.scenarios.get_full(row.scenario) else { continue };
            let Some(of_task) = entry.tasks.get_index_of(row.task) else { continue };
            let key = (place, of_task, row.scenario, row.input);
            if open.as_ref().is_none_or(|(own, _)| *own != key) {
                self.close(&groups, open.take());
            }
            let (_, prompt) = open.get_or_insert_with(|| (key, OfPrompt::default()));
            prompt.add(row.surprisal_bits, row.delta_neutral_bits, row.status);
            if let Some(shown) = entry.shown.get_index_of(row.input) {
                let tokens = self.shown.entry((place, shown, of_task)).or_default();
                tokens.push(TokenSurprisal {
                    text: (sources.decode)(row.token_id),
                    bits: row.surprisal_bits,
                    delta: row.delta_neutral_bits,
                    missing: missing(row.status),
                });
            }
        }
        self.close(&groups, open);
        Ok(())
    }

    /// Takes a finished prompt's means in.
    fn close(&mut self, groups: &Groups, prompt: Option<(Key<'_>, OfPrompt)>) {
        let Some(((scenario, task, name, input), prompt)) = prompt else { return };
        let of = self.tasks.entry((scenario, task)).or_default();
        let group = groups.of(name, input);
        of.bits.add_of(group, prompt.bits.mean().value, &prompt.why[0]);
        of.delta.add_of(group, prompt.delta.mean().value, &prompt.why[1]);
    }

    /// A scenario's tasks in their order; `None` without the table.
    pub(super) fn of_scenario(
        &self,
        scenario: usize,
        roster: &Roster,
    ) -> Option<Vec<SurprisalMean>> {
        let name = |task: usize| roster.scenarios[scenario].tasks[task].clone();
        let own = self.tasks.range((scenario, 0)..=(scenario, usize::MAX));
        let mean = |((_, task), of): (&(usize, usize), &OfTask)| SurprisalMean {
            task: name(*task),
            bits: of.bits.mean(),
            delta: of.delta.mean(),
        };
        let means: Vec<SurprisalMean> = own.map(mean).collect();
        (!means.is_empty()).then_some(means)
    }

    /// A shown input's tokens under each task.
    pub(super) fn take_input(
        &mut self,
        roster: &Roster,
        scenario: usize,
        input: usize,
    ) -> Vec<InputSurprisal> {
        let tasks = roster.scenarios[scenario].tasks.iter().enumerate();
        let own = |(place, task): (usize, &String)| {
            let tokens = self.shown.remove(&(scenario, input, place))?;
            Some(InputSurprisal { task: task.clone(), tokens })
        };
        tasks.filter_map(own).collect()
    }
}

impl OfPrompt {
    fn add(&mut self, bits: Option<f64>, delta: Option<f64>, status: &str) {
        let values = [(&mut self.bits, bits), (&mut self.delta, delta)];
        for (place, (gathered, value)) in values.into_iter().enumerate() {
            gathered.add(value, status);
            if value.is_none() {
                status.clone_into(&mut self.why[place]);
            }
        }
    }
}

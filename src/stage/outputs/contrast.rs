//! The mean divergence of an input's outputs in each contrast: between tasks, and what it must be
//! held against.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::super::measure::{BETWEEN, PARAPHRASE};
use super::super::prompts::{InputGroup, pairs};
use crate::prompt::Role;
use crate::table::status;

/// One row of table `output_contrast`.
#[derive(Debug)]
pub(super) struct ContrastRow<'p> {
    pub(super) input: InputGroup<'p>,
    pub(super) contrast: &'static str,
    pub(super) value: Option<f64>,
    pub(super) n_pairs: i64,
    pub(super) status: &'static str,
}

/// Two prompts of an input, by their places in it.
type Places = (usize, usize);

/// The rows of an input. `known` holds the JSD of pairs that were compared before, `jsd` compares
/// two prompts and gives `None` when one of them did not run.
pub(super) fn rows<'p>(
    input: InputGroup<'p>,
    known: &BTreeMap<Places, f64>,
    jsd: &(dyn Fn(usize, usize) -> Option<f64> + Sync),
) -> Vec<ContrastRow<'p>> {
    let row = |(contrast, places): (&'static str, Vec<Places>)| {
        let values = places
            .par_iter()
            .map(|place| known.get(place).copied().or_else(|| jsd(place.0, place.1)));
        let values: Vec<Option<f64>> = values.collect();
        let found: Vec<f64> = values.iter().copied().flatten().collect();
        let value = (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64);
        let status = match value {
            Some(_) => status::OK,
            None if values.is_empty() => status::NO_PAIRS,
            None => status::SKIPPED,
        };
        ContrastRow { input, contrast, value, n_pairs: found.len() as i64, status }
    };
    contrasts(input).into_iter().map(row).collect()
}

/// Every contrast with its pairs, in the order of the plan.
fn contrasts(input: InputGroup<'_>) -> Vec<(&'static str, Vec<Places>)> {
    let prompts = input.prompts;
    let of_tasks = |same: bool| -> Vec<Places> {
        let is_task = |place: usize| prompts[place].role() == Role::Task;
        let is_same = |a: usize, b: usize| prompts[a].key.task == prompts[b].key.task;
        let all = pairs(prompts.len());
        all.filter(|&(a, b)| is_task(a) && is_task(b) && is_same(a, b) == same).collect()
    };
    let of_control = |role: Role| -> Vec<Places> {
        let controls = (0..prompts.len()).filter(|&place| prompts[place].role() == role);
        let first = |control: usize| {
            let task = &prompts[control].key.task;
            prompts.iter().position(|p| p.is_first_wording() && p.key.task == *task)
        };
        controls.filter_map(|control| Some((first(control)?, control))).collect()
    };
    let of_tasks = [(BETWEEN, of_tasks(false)), (PARAPHRASE, of_tasks(true))];
    let of_controls = Role::CONTROLS.map(|role| (role.name(), of_control(role)));
    of_tasks.into_iter().chain(of_controls).collect()
}

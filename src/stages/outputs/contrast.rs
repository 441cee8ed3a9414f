//! The divergences of an input's outputs in each contrast: between tasks, and the baselines to
//! compare that with.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::prompt::Role;
use crate::stage::names::{BETWEEN, JSD_BITS, PARAPHRASE};
use crate::stage::read::prompts::{InputGroup, pairs};
use crate::table::schema::{OutputContrastRow, OutputWordingPairsRow};
use crate::table::status;

/// All pairs of an input's prompts; a row of table `output_wording_pairs`.
#[derive(Debug)]
pub(super) struct Wordings<'p> {
    pub(super) input: InputGroup<'p>,
    /// For each of the tasks' prompts the place of its task.
    pub(super) tasks: Vec<i32>,
    /// Of all their [`pairs`].
    pub(super) values: Option<Vec<f64>>,
    pub(super) status: &'static str,
}

impl Wordings<'_> {
    /// As the table has it.
    pub(super) fn row(&self) -> OutputWordingPairsRow<'_> {
        OutputWordingPairsRow {
            scenario: self.input.scenario(),
            input: self.input.input(),
            measure: JSD_BITS,
            tasks: &self.tasks,
            values: self.values.as_deref(),
            status: self.status,
        }
    }
}

/// An input's outputs in one contrast; a row of table `output_contrast`.
#[derive(Debug)]
pub(super) struct Contrasted<'p> {
    input: InputGroup<'p>,
    contrast: &'static str,
    value: Option<f64>,
    n_pairs: usize,
    /// Of the pairs with a control: the places of the tasks' prompts, controls not counted.
    places: Vec<i32>,
    /// And their values, when all have one.
    values: Option<Vec<f64>>,
    status: &'static str,
}

impl Contrasted<'_> {
    /// As the table has it.
    pub(super) fn row(&self) -> OutputContrastRow<'_> {
        OutputContrastRow {
            scenario: self.input.scenario(),
            input: self.input.input(),
            measure: JSD_BITS,
            contrast: self.contrast,
            value: self.value,
            n_pairs: self.n_pairs as i64,
            places: &self.places,
            values: self.values.as_deref(),
            status: self.status,
        }
    }
}

/// Two prompts of an input, by their places in it.
type Places = (usize, usize);

/// The rows of an input. `known` has the JSD of pairs that were compared before; `jsd` compares two
/// prompts and gives `None` when one of them did not run.
pub(super) fn rows<'p>(
    input: InputGroup<'p>,
    known: &BTreeMap<Places, f64>,
    jsd: &(dyn Fn(usize, usize) -> Option<f64> + Sync),
) -> (Vec<Contrasted<'p>>, Wordings<'p>) {
    let compare = |places: &[Places]| -> Vec<Option<f64>> {
        let value = |place: &Places| known.get(place).copied().or_else(|| jsd(place.0, place.1));
        places.par_iter().map(value).collect()
    };
    let prompts: Vec<usize> = (0..input.prompts.len())
        .filter(|&place| input.prompts[place].role() == Role::Task)
        .collect();
    let tasks = input.task_places();
    let all: Vec<Places> = pairs(prompts.len()).map(|(a, b)| (prompts[a], prompts[b])).collect();
    let values = compare(&all);
    let is_same: Vec<bool> = pairs(tasks.len()).map(|(a, b)| tasks[a] == tasks[b]).collect();
    let of_tasks = |same: bool| -> Vec<Option<f64>> {
        values
            .iter()
            .zip(&is_same)
            .filter(|(_, is)| **is == same)
            .map(|(value, _)| *value)
            .collect()
    };
    let mut contrasts = vec![
        contrast(input, BETWEEN, &of_tasks(false)),
        contrast(input, PARAPHRASE, &of_tasks(true)),
    ];
    for role in Role::CONTROLS {
        let own = with_controls(input, role);
        let values = compare(&own);
        // Prompts of tasks are in order, so where one would be inserted is its place among them.
        let place = |(base, _): &Places| prompts.partition_point(|prompt| prompt < base) as i32;
        let places: Vec<i32> = own.iter().map(place).collect();
        let each = || values.iter().copied().collect::<Option<Vec<f64>>>();
        contrasts.push(Contrasted {
            values: (!places.is_empty()).then(each).flatten(),
            places,
            ..contrast(input, role.name(), &values)
        });
    }
    let status = match values.as_slice() {
        [] => status::NO_PAIRS,
        values if values.contains(&None) => status::SKIPPED,
        _ => status::OK,
    };
    let values = values.into_iter().collect::<Option<Vec<f64>>>().filter(|all| !all.is_empty());
    (contrasts, Wordings { input, tasks, values, status })
}

/// The mean of the values that are there.
fn contrast<'p>(
    input: InputGroup<'p>,
    contrast: &'static str,
    values: &[Option<f64>],
) -> Contrasted<'p> {
    let found: Vec<f64> = values.iter().copied().flatten().collect();
    let value = (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64);
    let status = match value {
        Some(_) => status::OK,
        None if values.is_empty() => status::NO_PAIRS,
        None => status::SKIPPED,
    };
    let n_pairs = found.len();
    Contrasted { input, contrast, value, n_pairs, places: Vec::new(), values: None, status }
}

/// Each control of that role with the prompt of its task that it was made from.
fn with_controls(input: InputGroup<'_>, role: Role) -> Vec<Places> {
    let prompts = input.prompts;
    let controls = (0..prompts.len()).filter(|&place| prompts[place].role() == role);
    let base = |control: usize| prompts.iter().position(|own| own.is_base_of(&prompts[control]));
    controls.filter_map(|control| Some((base(control)?, control))).collect()
}

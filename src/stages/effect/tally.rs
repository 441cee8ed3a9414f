//! The numbers of every input, gathered part after part.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Float64Type, Int32Type};
use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;

use crate::stage::names::OUTPUT_LAYER;
use crate::stage::{Context, StageError};
use crate::table::Table;
use crate::table::reader::{Part, read_part};
use crate::table::schema::{CONTRAST, OUTPUT_CONTRAST, OUTPUT_WORDING_PAIRS, WORDING_PAIRS};
use crate::table::status;
use crate::table::writer::PartAddress;

/// The scenarios, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) scenarios: IndexMap<String, Scenario>,
}

/// One scenario.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    /// The inputs that are taken in; values stand in their order.
    inputs: IndexSet<String>,
    /// By measure and layer.
    pub(super) measures: IndexMap<String, BTreeMap<i16, Measured>>,
}

/// One measure on one layer.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// By contrast: the dissimilarity of each input.
    pub(super) contrasts: IndexMap<String, Series>,
    /// Dissimilarities of all pairs of prompts.
    pub(super) pairs: PairSums,
}

/// A number for each input.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Shorter than the list of inputs where the last ones have none.
    values: Vec<Option<f64>>,
    /// Status of the first input without a value.
    pub(super) refused: Option<String>,
}

/// Dissimilarities of all pairs of the tasks' prompts, summed over the inputs that have them all.
#[derive(Debug, Default)]
pub(super) struct PairSums {
    /// For each prompt the place of its task.
    pub(super) tasks: Vec<i32>,
    /// Pairs (0,1), (0,2), ..., (1,2), ...; empty as long as no input has them.
    sums: Vec<f64>,
    n: u64,
}

/// The values of a part's row as a dissimilarity.
type Unlike = fn(f64) -> f64;

/// Where contrasts and pairs stand, and how their values become dissimilarities.
const CONTRASTS: [(&Table, Unlike); 2] =
    [(&CONTRAST, |cosine| 1.0 - cosine), (&OUTPUT_CONTRAST, |bits| bits)];
const PAIRS: [(&Table, Unlike); 2] =
    [(&WORDING_PAIRS, |cosine| 1.0 - cosine), (&OUTPUT_WORDING_PAIRS, |bits| bits)];

/// The parts of a shard that are there, table by table.
struct Parts {
    contrasts: [Option<Part>; 2],
    pairs: [Option<Part>; 2],
}

impl Parts {
    fn read(context: &Context<'_>, part: u32) -> Result<Self, StageError> {
        let read = |table: &'static Table, columns: &[&str]| {
            read(context, PartAddress::new(table, part), columns)
        };
        let contrast = ["scenario", "input", "measure", "contrast", "value", "status"];
        let pairs = ["scenario", "input", "measure", "tasks", "values"];
        Ok(Self {
            contrasts: [read(CONTRASTS[0].0, &contrast)?, read(CONTRASTS[1].0, &contrast)?],
            pairs: [read(PAIRS[0].0, &pairs)?, read(PAIRS[1].0, &pairs)?],
        })
    }
}

impl Tally {
    /// Takes in some shards: they are read side by side, and taken in in their order.
    pub(super) fn add_parts(
        &mut self,
        context: &Context<'_>,
        parts: Range<u32>,
    ) -> Result<(), StageError> {
        let read: Vec<Result<Parts, StageError>> =
            parts.into_par_iter().map(|part| Parts::read(context, part)).collect();
        for parts in read {
            let Parts { contrasts, pairs } = parts?;
            for (part, (_, unlike)) in contrasts.iter().zip(CONTRASTS) {
                part.as_ref().map_or(Ok(()), |part| self.add_contrasts(context, part, unlike))?;
            }
            for (part, (_, unlike)) in pairs.iter().zip(PAIRS) {
                part.as_ref().map_or(Ok(()), |part| self.add_pairs(context, part, unlike))?;
            }
        }
        Ok(())
    }

    fn add_contrasts(
        &mut self,
        context: &Context<'_>,
        part: &Part,
        unlike: Unlike,
    ) -> Result<(), StageError> {
        let (contrasts, values) = (part.texts("contrast")?, part.float64s("value")?);
        let words = part.texts("status")?;
        self.visit(context, part, |row, input, measured| {
            let series = measured.contrasts.entry(contrasts.value(row).to_owned()).or_default();
            if values.is_valid(row) {
                series.set(input, unlike(values.value(row)));
            } else {
                series.refused.get_or_insert_with(|| words.value(row).to_owned());
            }
            Ok(())
        })
    }

    fn add_pairs(
        &mut self,
        context: &Context<'_>,
        part: &Part,
        unlike: Unlike,
    ) -> Result<(), StageError> {
        let (tasks, values) = (part.lists("tasks")?, part.lists("values")?);
        let wrong = || part.problem("has lists of another type than this version writes");
        self.visit(context, part, |row, _, measured| {
            if values.is_null(row) {
                return Ok(());
            }
            let (tasks, values) = (tasks.value(row), values.value(row));
            let tasks = tasks.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
            let values = values.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
            let sums = &mut measured.pairs;
            if sums.n == 0 {
                sums.tasks = tasks.values().to_vec();
                sums.sums = vec![0.0; values.len()];
            }
            if sums.tasks != tasks.values()[..] || sums.sums.len() != values.len() {
                return Err(part.problem("does not have the same prompts for every input").into());
            }
            sums.n += 1;
            for (sum, value) in sums.sums.iter_mut().zip(values.values()) {
                *sum += unlike(*value);
            }
            Ok(())
        })
    }

    /// Calls `take` for every row of an input that is taken in, with the input's place.
    fn visit(
        &mut self,
        context: &Context<'_>,
        part: &Part,
        mut take: impl FnMut(usize, usize, &mut Measured) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let (scenarios, inputs) = (part.texts("scenario")?, part.texts("input")?);
        let (measures, layers) = (part.texts("measure")?, part.int16s("layer").ok());
        // An input's rows stand together: one look at whether it is taken in is enough.
        let mut last: Option<(&str, &str, bool)> = None;
        for row in 0..part.rows() {
            let (name, input) = (scenarios.value(row), inputs.value(row));
            let known = last.filter(|(scenario, last, _)| (*scenario, *last) == (name, input));
            let is_taken = known.map_or_else(|| context.takes(name, input), |known| known.2);
            last = Some((name, input, is_taken));
            if !is_taken {
                continue;
            }
            if !self.scenarios.contains_key(name) {
                self.scenarios.insert(name.to_owned(), Scenario::default());
            }
            let scenario = &mut self.scenarios[name];
            let place = scenario.inputs.get_index_of(input);
            let place = place.unwrap_or_else(|| scenario.inputs.insert_full(input.to_owned()).0);
            let measure = measures.value(row);
            if !scenario.measures.contains_key(measure) {
                scenario.measures.insert(measure.to_owned(), BTreeMap::new());
            }
            let layer = layers.map_or(OUTPUT_LAYER, |layers| layers.value(row));
            take(row, place, scenario.measures[measure].entry(layer).or_default())?;
        }
        Ok(())
    }
}

/// The named columns of a part and its layers, when it has any; `None` without the part.
fn read(
    context: &Context<'_>,
    address: PartAddress,
    columns: &[&str],
) -> Result<Option<Part>, StageError> {
    if !address.is_there(context.store) {
        return Ok(None);
    }
    let has_layers = address.table.columns.iter().any(|column| column.name == "layer");
    let layer: &[&str] = if has_layers { &["layer"] } else { &[] };
    Ok(Some(read_part(context.store, address, &[columns, layer].concat())?))
}

impl Series {
    fn set(&mut self, input: usize, value: f64) {
        if self.values.len() <= input {
            self.values.resize(input + 1, None);
        }
        self.values[input] = Some(value);
    }

    /// The value of an input.
    pub(super) fn get(&self, input: usize) -> Option<f64> {
        self.values.get(input).copied().flatten()
    }
}

impl Scenario {
    /// How many inputs are taken in.
    pub(super) fn n_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The word for a row without values: why the first input has none.
    pub(super) fn refusal(series: &[&Series]) -> String {
        let refused = series.iter().find_map(|series| series.refused.clone());
        refused.unwrap_or_else(|| status::N_TOO_SMALL.to_owned())
    }
}

impl PairSums {
    /// Mean dissimilarities between the prompts of the tasks' first wordings, as many of each task
    /// as the task with the fewest has: the number of tasks, of wordings, and the table row after
    /// row, task after task. `None` as long as no input has them.
    pub(super) fn balanced(&self) -> Option<(usize, usize, Vec<f64>)> {
        let n_tasks = usize::try_from(*self.tasks.iter().max()?).ok()? + 1;
        let of_task = |task: usize| -> Vec<usize> {
            let places = self.tasks.iter().enumerate();
            places.filter(|(_, own)| **own as usize == task).map(|(place, _)| place).collect()
        };
        let by_task: Vec<Vec<usize>> = (0..n_tasks).map(of_task).collect();
        let wordings = by_task.iter().map(Vec::len).min()?;
        let cells: Vec<usize> =
            by_task.iter().flat_map(|places| &places[..wordings]).copied().collect();
        let mean = |(&a, &b): (&usize, &usize)| {
            let (a, b) = (a.min(b), a.max(b));
            let n = self.tasks.len();
            let place = |a: usize, b: usize| a * n - a * (a + 1) / 2 + b - a - 1;
            if a == b { 0.0 } else { self.sums[place(a, b)] / self.n as f64 }
        };
        let table = cells.iter().flat_map(|a| cells.iter().map(move |b| (a, b))).map(mean);
        Some((n_tasks, wordings, table.collect()))
    }
}

//! The numbers of every input, gathered part after part.

use std::collections::BTreeMap;
use std::ops::Range;

use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;

use crate::stage::names::OUTPUT_LAYER;
use crate::stage::{Context, StageError};
use crate::store::Store;
use crate::table::reader::Part;
use crate::table::schema::{CONTRAST, OUTPUT_CONTRAST, OUTPUT_WORDING_PAIRS, WORDING_PAIRS};
use crate::table::{ReadRow as _, TableError, status, view};

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

view! {
    /// An input's value in a contrast, on a layer.
    struct LayerContrast<'a> of [CONTRAST] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// The same of the input's outputs, which have no layer.
    struct OutputContrast<'a> of [OUTPUT_CONTRAST] {
        scenario: &'a str,
        input: &'a str,
        measure: &'a str,
        contrast: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// The values of all pairs of an input's prompts, on a layer.
    struct LayerPairs<'a> of [WORDING_PAIRS] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        measure: &'a str,
        tasks: &'a [i32],
        values: Option<&'a [f64]>,
    }
}

view! {
    /// The same of the input's outputs.
    struct OutputPairs<'a> of [OUTPUT_WORDING_PAIRS] {
        scenario: &'a str,
        input: &'a str,
        measure: &'a str,
        tasks: &'a [i32],
        values: Option<&'a [f64]>,
    }
}

impl<'a> From<OutputContrast<'a>> for LayerContrast<'a> {
    fn from(row: OutputContrast<'a>) -> Self {
        let OutputContrast { scenario, input, measure, contrast, value, status } = row;
        Self { scenario, input, layer: OUTPUT_LAYER, measure, contrast, value, status }
    }
}

impl<'a> From<OutputPairs<'a>> for LayerPairs<'a> {
    fn from(row: OutputPairs<'a>) -> Self {
        let OutputPairs { scenario, input, measure, tasks, values } = row;
        Self { scenario, input, layer: OUTPUT_LAYER, measure, tasks, values }
    }
}

/// How a value becomes a dissimilarity.
type Unlike = fn(f64) -> f64;

const OF_COSINE: Unlike = |cosine| 1.0 - cosine;
const OF_BITS: Unlike = |bits| bits;

/// The parts of a shard that are there.
struct Parts {
    contrasts: Option<Part>,
    output_contrasts: Option<Part>,
    pairs: Option<Part>,
    output_pairs: Option<Part>,
}

/// The rows of a shard, table by table.
#[derive(Default)]
struct Rows<'p> {
    contrasts: Vec<(Vec<LayerContrast<'p>>, Unlike)>,
    /// With the part that they are from, for errors.
    pairs: Vec<(&'p Part, Vec<LayerPairs<'p>>, Unlike)>,
}

/// What a row is about.
struct Subject<'a> {
    scenario: &'a str,
    input: &'a str,
    layer: i16,
    measure: &'a str,
}

impl Parts {
    fn read(store: &Store, part: u32) -> Result<Self, TableError> {
        Ok(Self {
            contrasts: LayerContrast::part_if_there(store, &CONTRAST, part)?,
            output_contrasts: OutputContrast::part_if_there(store, &OUTPUT_CONTRAST, part)?,
            pairs: LayerPairs::part_if_there(store, &WORDING_PAIRS, part)?,
            output_pairs: OutputPairs::part_if_there(store, &OUTPUT_WORDING_PAIRS, part)?,
        })
    }

    fn rows(&self) -> Result<Rows<'_>, TableError> {
        let mut all = Rows::default();
        if let Some(part) = &self.contrasts {
            all.contrasts.push((LayerContrast::rows(part)?, OF_COSINE));
        }
        if let Some(part) = &self.output_contrasts {
            let rows = OutputContrast::rows(part)?.into_iter().map(LayerContrast::from).collect();
            all.contrasts.push((rows, OF_BITS));
        }
        if let Some(part) = &self.pairs {
            all.pairs.push((part, LayerPairs::rows(part)?, OF_COSINE));
        }
        if let Some(part) = &self.output_pairs {
            let rows = OutputPairs::rows(part)?.into_iter().map(LayerPairs::from).collect();
            all.pairs.push((part, rows, OF_BITS));
        }
        Ok(all)
    }
}

impl<'a> LayerContrast<'a> {
    fn subject(&self) -> Subject<'a> {
        let Self { scenario, input, layer, measure, .. } = *self;
        Subject { scenario, input, layer, measure }
    }
}

impl<'a> LayerPairs<'a> {
    fn subject(&self) -> Subject<'a> {
        let Self { scenario, input, layer, measure, .. } = *self;
        Subject { scenario, input, layer, measure }
    }
}

impl Tally {
    /// Takes in some shards: they are read side by side, and taken in in their order.
    pub(super) fn add_parts(
        &mut self,
        context: &Context<'_>,
        parts: Range<u32>,
    ) -> Result<(), StageError> {
        let parts: Vec<Result<Parts, TableError>> =
            parts.into_par_iter().map(|part| Parts::read(context.store, part)).collect();
        let parts: Vec<Parts> = parts.into_iter().collect::<Result<_, _>>()?;
        let rows: Vec<Result<Rows<'_>, TableError>> = parts.par_iter().map(Parts::rows).collect();
        for rows in rows {
            let Rows { contrasts, pairs } = rows?;
            for (rows, unlike) in contrasts {
                self.add_contrasts(context, &rows, unlike)?;
            }
            for (part, rows, unlike) in pairs {
                self.add_pairs(context, part, &rows, unlike)?;
            }
        }
        Ok(())
    }

    fn add_contrasts(
        &mut self,
        context: &Context<'_>,
        rows: &[LayerContrast<'_>],
        unlike: Unlike,
    ) -> Result<(), StageError> {
        self.visit(context, rows, LayerContrast::subject, |row, input, measured| {
            if !measured.contrasts.contains_key(row.contrast) {
                measured.contrasts.insert(row.contrast.to_owned(), Series::default());
            }
            let series = &mut measured.contrasts[row.contrast];
            match row.value {
                Some(value) => series.set(input, unlike(value)),
                None => {
                    series.refused.get_or_insert_with(|| row.status.to_owned());
                }
            }
            Ok(())
        })
    }

    fn add_pairs(
        &mut self,
        context: &Context<'_>,
        part: &Part,
        rows: &[LayerPairs<'_>],
        unlike: Unlike,
    ) -> Result<(), StageError> {
        self.visit(context, rows, LayerPairs::subject, |row, _, measured| {
            let Some(values) = row.values else { return Ok(()) };
            let sums = &mut measured.pairs;
            if sums.n == 0 {
                sums.tasks = row.tasks.to_vec();
                sums.sums = vec![0.0; values.len()];
            }
            if sums.tasks != row.tasks || sums.sums.len() != values.len() {
                return Err(part.problem("does not have the same prompts for every input").into());
            }
            sums.n += 1;
            for (sum, value) in sums.sums.iter_mut().zip(values) {
                *sum += unlike(*value);
            }
            Ok(())
        })
    }

    /// Calls `take` for every row of an input that is taken in, with the input's place.
    fn visit<'r, R>(
        &mut self,
        context: &Context<'_>,
        rows: &[R],
        subject: impl Fn(&R) -> Subject<'r>,
        mut take: impl FnMut(&R, usize, &mut Measured) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        // An input's rows stand together: one look at whether it is taken in is enough.
        let mut last: Option<(&str, &str, bool)> = None;
        for row in rows {
            let Subject { scenario: name, input, layer, measure } = subject(row);
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
            if !scenario.measures.contains_key(measure) {
                scenario.measures.insert(measure.to_owned(), BTreeMap::new());
            }
            take(row, place, scenario.measures[measure].entry(layer).or_default())?;
        }
        Ok(())
    }
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

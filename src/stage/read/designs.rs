//! The vectors of one layer as designs: for every scenario and site, the inputs that have all their
//! vectors, with one vector for every task and wording. Controls are left out.
//!
//! Inputs are crossed with wordings, and wordings nested in tasks: every input has all wordings of
//! every task, but a task may have more of them than another.

use indexmap::IndexMap;
use rayon::prelude::*;

use super::prompts::Keys;
use crate::prompt::Role;
use crate::stage::{Context, StageError};
use crate::table::reader::{Part, read_part};
use crate::table::schema::VECTORS;
use crate::table::status;
use crate::table::writer::PartAddress;

const COLUMNS: [&str; 7] = ["scenario", "input", "task", "wording", "site", "values", "status"];

/// Parts that are read in parallel, and so are in memory at the same time.
const AT_ONCE: usize = 8;

/// By scenario and site, in the order in which the plan has them.
pub(crate) type Designs = IndexMap<(String, String), SiteVectors>;

/// The vectors of one scenario at one site.
#[derive(Debug)]
pub(crate) struct SiteVectors {
    /// The scenario's tasks, in the pipeline's order.
    pub(crate) tasks: Vec<String>,
    /// How many wordings each task has.
    pub(crate) wordings: Vec<usize>,
    /// The inputs that have all their vectors.
    pub(crate) inputs: Vec<String>,
    width: usize,
    /// Input after input, cell after cell.
    values: Vec<f32>,
    /// Status of the first vector that kept an input out.
    refused: Option<String>,
}

/// Reads the vectors of a layer, of the inputs that the stage uses.
pub(crate) fn read_designs(context: &Context<'_>, layer: i16) -> Result<Designs, StageError> {
    let mut designs = Designs::new();
    let parts: Vec<u32> = (0..context.shards).collect();
    for parts in parts.chunks(AT_ONCE) {
        context.go_on()?;
        let read = |&part: &u32| {
            read_part(
                context.store,
                PartAddress { table: &VECTORS, layer: Some(layer), part },
                &COLUMNS,
            )
        };
        for part in parts.par_iter().map(read).collect::<Vec<_>>() {
            add_part(&mut designs, &part?, context)?;
        }
    }
    Ok(designs)
}

/// Adds one shard, whose rows of one input are adjacent.
fn add_part(designs: &mut Designs, part: &Part, context: &Context<'_>) -> Result<(), StageError> {
    let (keys, sites) = (Keys::of(part)?, part.texts("site")?);
    let rows: Vec<usize> = (0..part.rows()).collect();
    let same_input = |a: &usize, b: &usize| {
        keys.input.value(*a) == keys.input.value(*b)
            && keys.scenario.value(*a) == keys.scenario.value(*b)
    };
    for input in rows.chunk_by(same_input) {
        let (scenario, name) = (keys.scenario.value(input[0]), keys.input.value(input[0]));
        if !context.takes(scenario, name) {
            continue;
        }
        // By site, then by task: the rows of its wordings.
        let mut places: IndexMap<&str, IndexMap<&str, Vec<usize>>> = IndexMap::new();
        for &row in input {
            if Role::of_wording(keys.wording[row]) == Role::Task {
                let tasks = places.entry(sites.value(row)).or_default();
                tasks.entry(keys.task.value(row)).or_default().push(row);
            }
        }
        for (site, tasks) in places {
            add_input(designs, part, (scenario, name, site), &tasks)?;
        }
    }
    Ok(())
}

/// Adds the vectors of one input at one site, unless one is missing.
fn add_input(
    designs: &mut Designs,
    part: &Part,
    (scenario, input, site): (&str, &str, &str),
    tasks: &IndexMap<&str, Vec<usize>>,
) -> Result<(), StageError> {
    let (values, width) = part.vectors("values")?;
    let words = part.texts("status")?;
    let key = (scenario.to_owned(), site.to_owned());
    let vectors = designs.entry(key).or_insert_with(|| SiteVectors {
        tasks: tasks.keys().map(|task| (*task).to_owned()).collect(),
        wordings: tasks.values().map(Vec::len).collect(),
        inputs: Vec::new(),
        width,
        values: Vec::new(),
        refused: None,
    });
    if !tasks.keys().eq(&vectors.tasks) || !tasks.values().map(Vec::len).eq(vectors.counts()) {
        return Err(part
            .problem(format!("does not have the same prompts for every input of '{scenario}'"))
            .into());
    }
    let cells = || tasks.values().flatten();
    if let Some(&row) = cells().find(|row| words.value(**row) != status::OK) {
        vectors.refused.get_or_insert_with(|| words.value(row).to_owned());
        return Ok(());
    }
    vectors.inputs.push(input.to_owned());
    for &row in cells() {
        vectors.values.extend_from_slice(&values[row * width..(row + 1) * width]);
    }
    Ok(())
}

impl SiteVectors {
    /// Length of a vector.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// How many vectors an input has: one for each task and wording.
    pub(crate) fn cells(&self) -> usize {
        self.wordings.iter().sum()
    }

    /// The task of each of an input's vectors.
    pub(crate) fn cell_tasks(&self) -> Vec<usize> {
        let tasks = self.counts().enumerate();
        tasks.flat_map(|(task, wordings)| std::iter::repeat_n(task, wordings)).collect()
    }

    /// One input's vectors: task after task, wording after wording.
    pub(crate) fn input(&self, input: usize) -> Vec<&[f32]> {
        let cells = self.cells();
        (input * cells..(input + 1) * cells).map(|cell| self.vector(cell)).collect()
    }

    /// One task's wording, in the order of [`Self::input`]: a vector for each input.
    pub(crate) fn cell(&self, cell: usize) -> Vec<&[f32]> {
        let cells = self.cells();
        (0..self.inputs.len()).map(|input| self.vector(input * cells + cell)).collect()
    }

    /// The cell of a task's first wording.
    pub(crate) fn first_cell(&self, task: usize) -> usize {
        self.counts().take(task).sum()
    }

    /// Why there is no input at all; `None` when there is one.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refused.as_deref().filter(|_| self.inputs.is_empty())
    }

    fn counts(&self) -> impl Iterator<Item = usize> + '_ {
        self.wordings.iter().copied()
    }

    fn vector(&self, cell: usize) -> &[f32] {
        &self.values[cell * self.width..(cell + 1) * self.width]
    }
}

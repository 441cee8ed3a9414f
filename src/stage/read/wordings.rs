//! The wordings of each scenario's tasks: which of them are copies of each other, and how they differ in
//! form.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::math;
use crate::prompt::{Role, alike};
use crate::stage::form::{self, Worded};
use crate::stage::{Context, StageError};
use crate::store::Store;
use crate::table::schema::PROMPTS;
use crate::table::{ReadRow as _, TableError, view};

/// Letter in column `segments` of a token of the task.
const TASK: u8 = b't';

view! {
    /// A prompt's text and tokens.
    struct Asked<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        text: &'a str,
        token_ids: &'a [i32],
        segments: &'a str,
    }
}

view! {
    /// The scenario of a prompt.
    struct Named<'a> of [PROMPTS] {
        scenario: &'a str,
    }
}

/// A prompt of a task, controls left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wording<'a> {
    /// The task's name.
    pub(crate) task: &'a str,
    /// The whole prompt.
    pub(crate) text: &'a str,
    /// The tokens of the task in it.
    pub(crate) tokens: Vec<i32>,
}

impl<'a> Wording<'a> {
    /// From the prompt's tokens and the letters that say what each is part of.
    pub(crate) fn new(task: &'a str, text: &'a str, token_ids: &[i32], segments: &str) -> Self {
        let tokens = segments.bytes().zip(token_ids);
        let of_task = tokens.filter(|(letter, _)| *letter == TASK).map(|(_, id)| *id);
        Self { task, text, tokens: of_task.collect() }
    }
}

/// The wordings of one scenario, as its first input has them. A cell is a wording that is no copy:
/// copies differ from an earlier wording of their task in blanks or case only.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wordings {
    /// For each of the tasks' prompts, controls left out, its task's place.
    tasks: Vec<i32>,
    /// The cells' places among those prompts, ascending.
    cells: Vec<usize>,
    /// The tasks' names.
    names: Vec<String>,
    /// The task's tokens of each cell.
    tokens: Vec<Vec<i32>>,
}

impl Wordings {
    /// Of the prompts of one input, in the order of the plan.
    pub(crate) fn of<'a>(prompts: impl IntoIterator<Item = Wording<'a>>) -> Self {
        let mut wordings = Self::default();
        let mut known: BTreeSet<(usize, String)> = BTreeSet::new();
        for (place, prompt) in prompts.into_iter().enumerate() {
            let names = &mut wordings.names;
            let task = names.iter().position(|name| name == prompt.task).unwrap_or(names.len());
            if task == names.len() {
                names.push(prompt.task.to_owned());
            }
            wordings.tasks.push(task as i32);
            if !known.insert((task, alike(prompt.text))) {
                continue;
            }
            wordings.cells.push(place);
            wordings.tokens.push(prompt.tokens);
        }
        wordings
    }

    /// For each of the tasks' prompts its task's place.
    pub(crate) fn tasks(&self) -> &[i32] {
        &self.tasks
    }

    /// The cells' places among the tasks' prompts.
    pub(crate) fn cells(&self) -> &[usize] {
        &self.cells
    }

    /// The task of each cell.
    pub(crate) fn cell_tasks(&self) -> Vec<usize> {
        self.cells.iter().map(|cell| self.tasks[*cell] as usize).collect()
    }

    /// How many cells each task has.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let tasks = self.cell_tasks();
        (0..self.names.len()).map(|task| tasks.iter().filter(|own| **own == task).count()).collect()
    }

    /// How different any two cells' forms are, row after row: in length, then in words.
    pub(crate) fn differences(&self) -> [Vec<f64>; 2] {
        let table = |of: fn(&[i32], &[i32]) -> f64| {
            let row = |a: &Vec<i32>| self.tokens.iter().map(|b| of(a, b)).collect::<Vec<f64>>();
            self.tokens.iter().flat_map(row).collect()
        };
        [table(form::length_difference), table(form::lexical_distance)]
    }

    /// What a reader must know of their form, in sentences.
    pub(crate) fn warning(&self) -> String {
        let of_cell =
            |(tokens, task): (&'_ Vec<i32>, usize)| (self.names[task].clone(), tokens.clone());
        let cells: Vec<(String, Vec<i32>)> =
            self.tokens.iter().zip(self.cell_tasks()).map(of_cell).collect();
        let worded: Vec<Worded<'_>> =
            cells.iter().map(|(task, tokens)| Worded { task, tokens }).collect();
        let mut warnings = form::warnings(&worded);
        let copies = self.tasks.len() - self.cells.len();
        if copies > 0 {
            warnings.push(format!(
                "{copies} of {} wordings differ from an earlier one of their task in blanks or case only and \
                 are left out",
                self.tasks.len()
            ));
        }
        warnings.join("; ")
    }

    /// The place of a pair of the tasks' prompts in a list of all pairs (0,1), (0,2), ..., (1,2), ...
    pub(crate) fn pair(&self, a: usize, b: usize) -> usize {
        let (a, b, n) = (a.min(b), a.max(b), self.tasks.len());
        a * n - a * (a + 1) / 2 + b - a - 1
    }

    /// How many pairs the tasks' prompts make.
    pub(crate) fn pairs(&self) -> usize {
        math::pairs(self.tasks.len()).count()
    }
}

/// The wordings of every scenario, in the order of the plan.
pub(crate) fn read_wordings(
    context: &Context<'_>,
) -> Result<IndexMap<String, Wordings>, StageError> {
    let mut scenarios = IndexMap::new();
    for part in 0..context.shards {
        context.go_on()?;
        add_wordings(context.store, part, &mut scenarios)?;
    }
    Ok(scenarios)
}

/// Adds the wordings of the scenarios that begin in a part; none where the run has no such part.
///
/// # Errors
/// When the part cannot be read.
pub(crate) fn add_wordings(
    store: &Store,
    part: u32,
    scenarios: &mut IndexMap<String, Wordings>,
) -> Result<(), TableError> {
    // Texts and tokens are read of the parts alone in which a scenario begins.
    let Some(named) = Named::part_if_there(store, &PROMPTS, part)? else { return Ok(()) };
    if Named::rows(&named)?.iter().all(|row| scenarios.contains_key(row.scenario)) {
        return Ok(());
    }
    let frame = Asked::part(store, &PROMPTS, part)?;
    let rows = Asked::rows(&frame)?;
    let same = |a: &Asked<'_>, b: &Asked<'_>| (a.scenario, a.input) == (b.scenario, b.input);
    for input in rows.chunk_by(same) {
        if scenarios.contains_key(input[0].scenario) {
            continue;
        }
        let own = input.iter().filter(|row| Role::of_wording(row.wording) == Role::Task);
        let own = own.map(|row| Wording::new(row.task, row.text, row.token_ids, row.segments));
        scenarios.insert(input[0].scenario.to_owned(), Wordings::of(own));
    }
    Ok(())
}

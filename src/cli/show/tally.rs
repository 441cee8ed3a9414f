//! What the small tables show by task, gathered part after part: means and counts over inputs, so
//! that memory stays flat however many inputs there are.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::math::Statistics;
use crate::run_dir::layout::part_of;
use crate::stage::names::{FIRST_WORDING, FLAT, JACCARD, MEAN_HEAD};
use crate::store::Store;
use crate::table::preview::files;
use crate::table::schema::{ATTENTION_FOCUS, ATTENTION_OVERLAP, NEXT_TOKENS, PROMPTS, SIMILARITY};
use crate::table::{ReadRow as _, TableError, view};

/// How many tokens of a task are shown.
pub(super) const RANKS: i16 = 3;

view! {
    /// A prompt of the plan.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
    }
}

view! {
    /// How much alike two tasks are.
    struct Similar<'a> of [SIMILARITY] {
        scenario: &'a str,
        layer: i16,
        task_a: &'a str,
        task_b: &'a str,
        measure: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// How far two tasks' focus agrees.
    struct Overlap<'a> of [ATTENTION_OVERLAP] {
        scenario: &'a str,
        layer: i16,
        head: i16,
        task_a: &'a str,
        task_b: &'a str,
        measure: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// What the model says next.
    struct NextToken<'a> of [NEXT_TOKENS] {
        scenario: &'a str,
        task: &'a str,
        wording: i16,
        rank: i16,
        token_id: i32,
        token: &'a str,
        probability: f64,
    }
}

view! {
    /// Where the last token looks.
    struct Focus<'a> of [ATTENTION_FOCUS] {
        scenario: &'a str,
        task: &'a str,
        wording: i16,
        layer: i16,
        head: i16,
        rank: i16,
        token: &'a str,
        weight: f64,
    }
}

/// What is known of every scenario, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By name.
    pub(super) scenarios: IndexMap<String, Scenario>,
}

/// What is known of one scenario.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    /// How many inputs it has.
    pub(super) inputs: u64,
    /// By name, in the order of the plan.
    pub(super) tasks: IndexMap<String, Task>,
    /// Similarity of each pair of tasks, the notebook's measure.
    pub(super) similarity: Pairs,
    /// Overlap of their attention focus, the notebook's measure on the mean over heads.
    pub(super) overlap: Pairs,
    /// The input whose prompts were counted last; those of one input stand together.
    last_input: Option<String>,
}

/// Values of each pair of tasks over inputs, on the last layer that has any.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// The layer.
    pub(super) layer: i16,
    /// By the places of the two tasks.
    pub(super) pairs: BTreeMap<(usize, usize), Pair>,
}

/// Values of one pair of tasks.
#[derive(Debug, Default)]
pub(super) struct Pair {
    /// Those that could be computed.
    pub(super) values: Statistics,
    /// Why the last one of the others could not.
    pub(super) status: Option<String>,
}

/// What the first wording of a task leads to.
#[derive(Debug, Default)]
pub(super) struct Task {
    /// Inputs that have a next token.
    pub(super) inputs: u64,
    /// How often a token is the most probable one, by its id.
    counts: BTreeMap<i32, (String, u64)>,
    /// The most probable tokens of the first input and their probabilities.
    pub(super) next: Vec<(String, f64)>,
    /// The most attended tokens of the first input and their weights, on the last layer looked at.
    pub(super) focus: Vec<(String, f64)>,
    focus_layer: i16,
}

impl Tally {
    /// Reads `shards` parts of the tables. `None` when there are more than `most` scenarios.
    ///
    /// # Errors
    /// When a part cannot be read.
    pub(super) fn of(store: &Store, shards: u32, most: usize) -> Result<Option<Self>, TableError> {
        let mut tally = Self::default();
        // Those that are there, not all that the record counts: it may say anything.
        let mut parts: Vec<u32> =
            files(store, &PROMPTS)?.iter().filter_map(|file| part_of(file)).collect();
        parts.retain(|part| *part < shards);
        parts.sort_unstable();
        for part in &parts {
            tally.add_prompts(store, *part)?;
            if tally.scenarios.len() > most {
                return Ok(None);
            }
        }
        for part in parts {
            tally.add_similarity(store, part)?;
            tally.add_overlap(store, part)?;
            tally.add_next(store, part)?;
            if tally.scenarios.values().any(Scenario::is_single) {
                tally.add_focus(store, part)?;
            }
        }
        Ok(Some(tally))
    }

    fn add_prompts(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(part) = Planned::part_if_there(store, &PROMPTS, part)? else { return Ok(()) };
        for row in Planned::rows(&part)? {
            let scenario = entry(&mut self.scenarios, row.scenario);
            if scenario.last_input.as_deref() != Some(row.input) {
                scenario.last_input = Some(row.input.to_owned());
                scenario.inputs += 1;
            }
            if row.wording == FIRST_WORDING {
                entry(&mut scenario.tasks, row.task);
            }
        }
        Ok(())
    }

    fn add_similarity(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(part) = Similar::part_if_there(store, &SIMILARITY, part)? else { return Ok(()) };
        for row in Similar::rows(&part)?.iter().filter(|row| row.measure == FLAT) {
            let Some(scenario) = self.scenarios.get_mut(row.scenario) else { continue };
            let pair = scenario.places(row.task_a, row.task_b);
            scenario.similarity.push(row.layer, pair, row.value, row.status);
        }
        Ok(())
    }

    fn add_overlap(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let part = Overlap::part_if_there(store, &ATTENTION_OVERLAP, part)?;
        let Some(part) = part else { return Ok(()) };
        let is_notebooks = |row: &&Overlap<'_>| row.measure == JACCARD && row.head == MEAN_HEAD;
        for row in Overlap::rows(&part)?.iter().filter(is_notebooks) {
            let Some(scenario) = self.scenarios.get_mut(row.scenario) else { continue };
            let pair = scenario.places(row.task_a, row.task_b);
            scenario.overlap.push(row.layer, pair, row.value, row.status);
        }
        Ok(())
    }

    fn add_next(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(part) = NextToken::part_if_there(store, &NEXT_TOKENS, part)? else {
            return Ok(());
        };
        let is_shown = |row: &&NextToken<'_>| row.wording == FIRST_WORDING && row.rank <= RANKS;
        for row in NextToken::rows(&part)?.iter().filter(is_shown) {
            let Some(task) = self.task(row.scenario, row.task) else { continue };
            if row.rank == 1 {
                task.inputs += 1;
                let token = || (row.token.to_owned(), 0);
                task.counts.entry(row.token_id).or_insert_with(token).1 += 1;
            }
            if task.inputs == 1 {
                task.next.push((row.token.to_owned(), row.probability));
            }
        }
        Ok(())
    }

    /// Reads the focus of scenarios with one input: of several there is no mean.
    fn add_focus(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(part) = Focus::part_if_there(store, &ATTENTION_FOCUS, part)? else {
            return Ok(());
        };
        let is_shown = |row: &&Focus<'_>| {
            row.wording == FIRST_WORDING && row.rank <= RANKS && row.head == MEAN_HEAD
        };
        for row in Focus::rows(&part)?.iter().filter(is_shown) {
            if !self.scenarios.get(row.scenario).is_some_and(Scenario::is_single) {
                continue;
            }
            let Some(task) = self.task(row.scenario, row.task) else { continue };
            if row.layer > task.focus_layer {
                task.focus.clear();
            }
            task.focus_layer = row.layer;
            task.focus.push((row.token.to_owned(), row.weight));
        }
        Ok(())
    }

    fn task(&mut self, scenario: &str, task: &str) -> Option<&mut Task> {
        self.scenarios.get_mut(scenario)?.tasks.get_mut(task)
    }
}

impl Scenario {
    /// Whether it has one input, which is shown itself.
    pub(super) fn is_single(&self) -> bool {
        self.inputs == 1
    }

    fn places(&self, task_a: &str, task_b: &str) -> Option<(usize, usize)> {
        Some((self.tasks.get_index_of(task_a)?, self.tasks.get_index_of(task_b)?))
    }
}

impl Pairs {
    /// Takes in one row of a table, unless a deeper layer has been seen.
    fn push(&mut self, layer: i16, pair: Option<(usize, usize)>, value: Option<f64>, status: &str) {
        let Some(pair) = pair.filter(|_| layer >= self.layer) else { return };
        if layer > self.layer {
            self.pairs.clear();
            self.layer = layer;
        }
        let pair = self.pairs.entry(pair).or_default();
        match value {
            Some(value) => pair.values.push(value),
            None => pair.status = Some(status.to_owned()),
        }
    }
}

impl Task {
    /// The tokens that are most often the most probable one, and their shares of the inputs.
    pub(super) fn frequent(&self) -> Vec<(&str, f64)> {
        let mut counts: Vec<&(String, u64)> = self.counts.values().collect();
        // Stable: of equally frequent ones the lower id comes first.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let counts = counts.into_iter().take(RANKS as usize);
        counts.map(|(token, count)| (token.as_str(), *count as f64 / self.inputs as f64)).collect()
    }
}

/// The value of a name, put at the end when it is new.
fn entry<'m, V: Default>(map: &'m mut IndexMap<String, V>, name: &str) -> &'m mut V {
    let place = map.get_index_of(name);
    let place = place.unwrap_or_else(|| map.insert_full(name.to_owned(), V::default()).0);
    &mut map[place]
}

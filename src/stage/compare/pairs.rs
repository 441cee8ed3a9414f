//! All pairs of an input's prompts in one measure: the rows of the tables of wording pairs.

use std::sync::Arc;

use crate::stage::read::prompts::{InputGroup, pairs};
use crate::table::schema::{
    AttentionWordingPairsRow, GeometryWordingPairsRow, LensWordingPairsRow,
    SurprisalWordingPairsRow,
};
use crate::table::status;

/// One measure of all pairs of the tasks' prompts of an input, on a layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Paired {
    pub(crate) scenario: Arc<str>,
    pub(crate) input: Arc<str>,
    pub(crate) layer: i16,
    pub(crate) measure: &'static str,
    /// For each prompt the place of its task.
    pub(crate) tasks: Arc<[i32]>,
    /// Of their [`pairs`]; `None` when one of them has no value, or there is none.
    pub(crate) values: Option<Vec<f64>>,
    pub(crate) status: &'static str,
}

/// An input of which all pairs are compared, in several measures and layers.
#[derive(Debug, Clone)]
pub(crate) struct Pairing {
    scenario: Arc<str>,
    input: Arc<str>,
    /// For each of the tasks' prompts the place of its task.
    tasks: Arc<[i32]>,
}

impl Pairing {
    pub(crate) fn of(input: InputGroup<'_>) -> Self {
        let key = &input.prompts[0].key;
        let (scenario, name) = (Arc::clone(&key.scenario), Arc::clone(&key.input));
        Self::new(scenario, name, input.task_places().into())
    }

    /// An input by its name; `tasks` has for each of the tasks' prompts the place of its task.
    pub(crate) fn new(scenario: Arc<str>, input: Arc<str>, tasks: Arc<[i32]>) -> Self {
        Self { scenario, input, tasks }
    }

    /// The pairs of prompts, by their places among the tasks' prompts.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        pairs(self.tasks.len())
    }

    /// The row for these values of all [`Self::pairs`], each with the word for why it has none.
    pub(crate) fn with(
        &self,
        layer: i16,
        measure: &'static str,
        found: &[Result<f64, &'static str>],
    ) -> Paired {
        let values: Result<Vec<f64>, &'static str> = found.iter().copied().collect();
        let status = match &values {
            Ok(values) if values.is_empty() => status::NO_PAIRS,
            Ok(_) => status::OK,
            Err(word) => word,
        };
        Paired {
            scenario: Arc::clone(&self.scenario),
            input: Arc::clone(&self.input),
            layer,
            measure,
            tasks: Arc::clone(&self.tasks),
            values: values.ok().filter(|values| !values.is_empty()),
            status,
        }
    }
}

macro_rules! rows {
    ($($row:ident),+) => {
        $(impl<'a> From<&'a Paired> for $row<'a> {
            fn from(paired: &'a Paired) -> Self {
                Self {
                    scenario: &paired.scenario,
                    input: &paired.input,
                    layer: paired.layer,
                    measure: paired.measure,
                    tasks: &paired.tasks,
                    values: paired.values.as_deref(),
                    status: paired.status,
                }
            }
        })+
    };
}

rows!(
    AttentionWordingPairsRow,
    LensWordingPairsRow,
    SurprisalWordingPairsRow,
    GeometryWordingPairsRow
);

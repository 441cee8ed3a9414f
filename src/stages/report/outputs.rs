//! How far the outputs differ: means over the inputs, and the tokens behind it for the shown inputs.

use std::collections::BTreeMap;

use arrow::array::Array as _;

use super::gather::Gathered;
use super::roster::{Entry, Roster};
use super::sources::{Sources, measure};
use crate::render::evidence::{OUTPUT_MEASURES, OutputPair, OutputToken};
use crate::stage::StageError;
use crate::table::reader::Part;
use crate::table::schema::{OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN};

/// How many tokens of a pair are shown.
const MOST_TOKENS: i16 = 5;

/// The column that holds 0 or 1, not a measure.
const SAME_TOP: &str = "same_top";

/// All scenarios.
#[derive(Debug, Default)]
pub(super) struct OutputMeans {
    /// By scenario and pair of tasks, one for each measure.
    pairs: BTreeMap<(usize, usize, usize), Vec<Gathered>>,
    /// By scenario and shown input.
    tokens: BTreeMap<(usize, usize), Vec<OutputToken>>,
    is_there: bool,
}

impl OutputMeans {
    /// Reduces both tables, part after part, rows in order.
    pub(super) fn read(sources: &Sources<'_>, roster: &Roster) -> Result<Self, StageError> {
        let mut all = Self::default();
        for part in 0..sources.shards {
            all.add_pairs(sources, roster, part)?;
            if roster.shows_any_of(part) {
                all.add_tokens(sources, roster, part)?;
            }
        }
        Ok(all)
    }

    fn add_pairs(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let mut columns = vec!["scenario", "task_a", "task_b", "status"];
        columns.extend(OUTPUT_MEASURES.map(|(name, _)| name));
        let Some(part) = sources.optional(&OUTPUT_DIVERGENCE, part, &columns)? else {
            return Ok(());
        };
        self.is_there = true;
        let (scenario, status) = (part.texts("scenario")?, part.texts("status")?);
        let (a, b) = (part.texts("task_a")?, part.texts("task_b")?);
        for row in 0..part.rows() {
            let Some((place, _, entry)) = roster.scenarios.get_full(scenario.value(row)) else {
                continue;
            };
            let Some(tasks) = pair(entry, a.value(row), b.value(row)) else { continue };
            let empty = || vec![Gathered::default(); OUTPUT_MEASURES.len()];
            let sums = self.pairs.entry((place, tasks.0, tasks.1)).or_insert_with(empty);
            for (sum, (name, _)) in sums.iter_mut().zip(OUTPUT_MEASURES) {
                sum.add(value(&part, name, row)?, status.value(row));
            }
        }
        Ok(())
    }

    fn add_tokens(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = [
            "scenario",
            "input",
            "task_a",
            "task_b",
            "rank",
            "token",
            "probability_a",
            "probability_b",
            "contribution_bits",
        ];
        let table = sources.optional(&OUTPUT_DIVERGENCE_TOKEN, part, &columns)?;
        let Some(part) = table else { return Ok(()) };
        let (scenario, input) = (part.texts("scenario")?, part.texts("input")?);
        let (a, b) = (part.texts("task_a")?, part.texts("task_b")?);
        let (rank, token) = (part.int16s("rank")?, part.texts("token")?);
        let (of_a, of_b) = (part.float64s("probability_a")?, part.float64s("probability_b")?);
        let bits = part.float64s("contribution_bits")?;
        for row in (0..part.rows()).filter(|row| rank.value(*row) <= MOST_TOKENS) {
            let Some(place) = roster.shown(scenario.value(row), input.value(row)) else { continue };
            let entry = &roster.scenarios[place.0];
            let Some(tasks) = pair(entry, a.value(row), b.value(row)) else { continue };
            self.tokens.entry(place).or_default().push(OutputToken {
                tasks,
                rank: rank.value(row),
                token: token.value(row).to_owned(),
                probabilities: (of_a.value(row), of_b.value(row)),
                bits: bits.value(row),
            });
        }
        Ok(())
    }

    /// A scenario's pairs in the order of its tasks; `None` without the table.
    pub(super) fn of_scenario(&self, scenario: usize) -> Option<Vec<OutputPair>> {
        let own = self.pairs.range((scenario, 0, 0)..=(scenario, usize::MAX, usize::MAX));
        let pair = |((_, a, b), sums): (&(usize, usize, usize), &Vec<Gathered>)| OutputPair {
            tasks: (*a, *b),
            means: sums.iter().map(Gathered::mean).collect(),
        };
        let pairs: Vec<OutputPair> = own.map(pair).collect();
        (self.is_there && !pairs.is_empty()).then_some(pairs)
    }

    /// The tokens of a shown input.
    pub(super) fn take_tokens(&mut self, scenario: usize, input: usize) -> Vec<OutputToken> {
        self.tokens.remove(&(scenario, input)).unwrap_or_default()
    }
}

/// Places of two tasks.
fn pair(entry: &Entry, a: &str, b: &str) -> Option<(usize, usize)> {
    Some((entry.tasks.get_index_of(a)?, entry.tasks.get_index_of(b)?))
}

fn value(part: &Part, name: &str, row: usize) -> Result<Option<f64>, StageError> {
    if name == SAME_TOP {
        let column = part.int16s(name)?;
        return Ok(column.is_valid(row).then(|| f64::from(column.value(row))));
    }
    Ok(measure(part.float64s(name)?, row))
}

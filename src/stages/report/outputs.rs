//! How far the outputs differ: means over the inputs, and the tokens behind it for the shown inputs.

use std::collections::BTreeMap;

use super::gather::Gathered;
use super::roster::{Entry, Roster};
use super::sources::Sources;
use crate::render::evidence::{OutputMeasure, OutputPair, OutputToken};
use crate::stage::StageError;
use crate::table::schema::{OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN};
use crate::table::{ReadRow as _, view};

/// How many tokens of a pair are shown.
const MOST_TOKENS: i16 = 5;

view! {
    /// How far the outputs of two tasks differ on an input.
    struct Divergence<'a> of [OUTPUT_DIVERGENCE] {
        scenario: &'a str,
        task_a: &'a str,
        task_b: &'a str,
        jsd_bits: Option<f64>,
        kl_ab: Option<f64>,
        kl_ba: Option<f64>,
        total_variation: Option<f64>,
        same_top: Option<i16>,
        overlap_5: Option<f64>,
        overlap_10: Option<f64>,
        rbo_ext: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// A token that makes two outputs differ.
    struct TopToken<'a> of [OUTPUT_DIVERGENCE_TOKEN] {
        scenario: &'a str,
        input: &'a str,
        task_a: &'a str,
        task_b: &'a str,
        rank: i16,
        token: &'a str,
        probability_a: f64,
        probability_b: f64,
        contribution_bits: f64,
    }
}

/// All scenarios.
#[derive(Debug, Default)]
pub(super) struct OutputMeans {
    /// By scenario and pair of tasks, one for each of [`OutputMeasure::ALL`].
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
        let table = sources.optional::<Divergence<'_>>(&OUTPUT_DIVERGENCE, part)?;
        let Some(part) = table else { return Ok(()) };
        self.is_there = true;
        for row in Divergence::rows(&part)? {
            let Some((place, _, entry)) = roster.scenarios.get_full(row.scenario) else { continue };
            let Some(tasks) = pair(entry, row.task_a, row.task_b) else { continue };
            let empty = || vec![Gathered::default(); OutputMeasure::ALL.len()];
            let sums = self.pairs.entry((place, tasks.0, tasks.1)).or_insert_with(empty);
            for (sum, measure) in sums.iter_mut().zip(OutputMeasure::ALL) {
                sum.add(row.value(measure), row.status);
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
        let table = sources.optional::<TopToken<'_>>(&OUTPUT_DIVERGENCE_TOKEN, part)?;
        let Some(part) = table else { return Ok(()) };
        for row in TopToken::rows(&part)?.iter().filter(|row| row.rank <= MOST_TOKENS) {
            let Some(place) = roster.shown(row.scenario, row.input) else { continue };
            let entry = &roster.scenarios[place.0];
            let Some(tasks) = pair(entry, row.task_a, row.task_b) else { continue };
            self.tokens.entry(place).or_default().push(OutputToken {
                tasks,
                rank: row.rank,
                token: row.token.to_owned(),
                probabilities: (row.probability_a, row.probability_b),
                bits: row.contribution_bits,
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

impl Divergence<'_> {
    fn value(&self, measure: OutputMeasure) -> Option<f64> {
        match measure {
            OutputMeasure::Jsd => self.jsd_bits,
            OutputMeasure::TotalVariation => self.total_variation,
            OutputMeasure::KlForward => self.kl_ab,
            OutputMeasure::KlBackward => self.kl_ba,
            OutputMeasure::SameTop => self.same_top.map(f64::from),
            OutputMeasure::Overlap5 => self.overlap_5,
            OutputMeasure::Overlap10 => self.overlap_10,
            OutputMeasure::RankOverlap => self.rbo_ext,
        }
    }
}

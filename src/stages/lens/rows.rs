//! The rows of the two tables, and the onset.

use super::JSD_FLOOR;
use crate::stage::read::prompts::{InputGroup, PromptRow, pairs};
use crate::table::schema::{LogitLensDivergenceRow, LogitLensRow};
use crate::table::status;

/// What can be read off one layer of one prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// Id of the most probable token; ties go to the lower id.
    pub(super) top: usize,
    pub(super) top_probability: f64,
    pub(super) entropy_bits: f64,
    /// Nats.
    pub(super) kl_to_final: f64,
    /// Rank, from 1, of the token that the whole model puts first.
    pub(super) final_rank: i32,
}

/// What is read off one layer of one prompt; a row of table `logit_lens`.
#[derive(Debug)]
pub(super) struct PromptLens<'p> {
    pub(super) prompt: &'p PromptRow,
    pub(super) layer: i16,
    /// The reading and the most probable token's text; `None` when the prompt did not run.
    pub(super) reading: Option<(Reading, String)>,
}

impl PromptLens<'_> {
    /// As the table has it.
    pub(super) fn row(&self) -> LogitLensRow<'_> {
        let key = &self.prompt.key;
        let reading = self.reading.as_ref().map(|(reading, _)| reading);
        LogitLensRow {
            scenario: &key.scenario,
            input: &key.input,
            task: &key.task,
            wording: key.wording,
            layer: self.layer,
            top_id: reading.map(|reading| reading.top as i32),
            top_token: self.reading.as_ref().map(|(_, token)| token.as_str()),
            top_probability: reading.map(|reading| reading.top_probability),
            entropy_bits: reading.map(|reading| reading.entropy_bits),
            kl_to_final: reading.map(|reading| reading.kl_to_final),
            final_rank: reading.map(|reading| reading.final_rank),
            status: if reading.is_some() { status::OK } else { status::SKIPPED },
        }
    }
}

/// The JSDs of one input, on a layer or in the end.
#[derive(Debug)]
pub(super) struct Divergences {
    /// Of the pairs of tasks, first wordings; `None` where one of the two did not run.
    pub(super) tasks: Vec<Option<f64>>,
    pub(super) baseline: Baseline,
}

/// What a difference between tasks is held against.
#[derive(Debug)]
pub(super) enum Baseline {
    /// The stage did not draw this input for it.
    NotDrawn,
    /// The JSDs of all pairs of the tasks' prompts, or why there is none.
    Of(Vec<Result<f64, &'static str>>),
}

/// How far two tasks are apart, and what two wordings of one of them make up of that. Bits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gap {
    /// Mean over all pairs of a wording of the one and a wording of the other.
    between: f64,
    /// The largest of two wordings of one of them.
    within: f64,
}

impl Gap {
    /// Of the `a`-th and the `b`-th task; or why there is none. `tasks` has for each prompt the place
    /// of its task.
    fn of(tasks: &[i32], baseline: &Baseline, (a, b): (i32, i32)) -> Result<Self, &'static str> {
        let Baseline::Of(jsds) = baseline else { return Err(status::NOT_DRAWN) };
        let (mut between, mut within) = (Vec::new(), Vec::new());
        for ((i, j), jsd) in pairs(tasks.len()).zip(jsds) {
            let own = (tasks[i], tasks[j]);
            if own == (a, b) || own == (b, a) {
                between.push((*jsd)?);
            } else if own == (a, a) || own == (b, b) {
                within.push((*jsd)?);
            }
        }
        let within = within.into_iter().reduce(f64::max).ok_or(status::NO_PAIRS)?;
        Ok(Self { between: between.iter().sum::<f64>() / between.len() as f64, within })
    }
}

/// The rows of the pairs of one input, layer after layer: `by_layer` has what is found in each of
/// `layers`, `finals` what is found in the whole model's outputs.
pub(super) fn pair_rows<'p>(
    input: InputGroup<'p>,
    layers: &[i16],
    by_layer: &[&Divergences],
    finals: &Divergences,
) -> Vec<LogitLensDivergenceRow<'p>> {
    let tasks = input.first_wordings();
    let places = input.task_places();
    // Tasks are numbered in their order, which is that of their first wordings.
    let of_pair = |divergences: &Divergences, (a, b): (usize, usize)| {
        Gap::of(&places, &divergences.baseline, (a as i32, b as i32))
    };
    let found = pairs(tasks.len()).map(|pair| {
        let gaps: Vec<_> = by_layer.iter().map(|layer| of_pair(layer, pair)).collect();
        let known: Result<Vec<Gap>, &'static str> = gaps.iter().copied().collect();
        let last = of_pair(finals, pair);
        (gaps, known.and_then(|gaps| onset(&gaps, last?)))
    });
    let found: Vec<(Vec<Result<Gap, _>>, Result<usize, _>)> = found.collect();
    let mut rows = Vec::new();
    for (place, (layer, divergences)) in layers.iter().zip(by_layer).enumerate() {
        for (pair, (a, b)) in pairs(tasks.len()).enumerate() {
            let jsd_bits = divergences.tasks[pair];
            let (gaps, onset) = &found[pair];
            let gap = gaps[place].ok();
            rows.push(LogitLensDivergenceRow {
                scenario: input.scenario(),
                input: input.input(),
                layer: *layer,
                task_a: &tasks[a].key.task,
                task_b: &tasks[b].key.task,
                jsd_bits,
                between_bits: gap.map(|gap| gap.between),
                within_bits: gap.map(|gap| gap.within),
                onset: onset.ok().map(|onset| i16::from(onset == place)),
                status: match onset {
                    _ if jsd_bits.is_none() => status::SKIPPED,
                    Ok(_) => status::OK,
                    Err(word) => word,
                },
            });
        }
    }
    rows
}

/// The place of the captured layer from which on the tasks are further apart than wordings, and at
/// least half as far as in the outputs (`last`), in every captured layer (`layers`); the number of
/// layers when even the last one is not like that. An error, with the word for it, when the outputs do
/// not differ, or by no more than wordings do.
fn onset(layers: &[Gap], last: Gap) -> Result<usize, &'static str> {
    if last.between < JSD_FLOOR {
        return Err(status::NO_DIVERGENCE);
    }
    if last.between <= last.within {
        return Err(status::WITHIN_WORDINGS);
    }
    let below = |gap: &Gap| gap.between < last.between / 2.0 || gap.between <= gap.within;
    Ok(layers.iter().rposition(below).map_or(0, |place| place + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps<const N: usize>(between: [f64; N], within: [f64; N]) -> [Gap; N] {
        std::array::from_fn(|i| Gap { between: between[i], within: within[i] })
    }

    const LAST: Gap = Gap { between: 0.6, within: 0.1 };

    #[test]
    fn the_onset_is_where_the_divergence_comes_to_stay_above_half_of_the_outputs() {
        let onset = |between: [f64; 4]| onset(&gaps(between, [0.0; 4]), LAST);
        assert_eq!(onset([0.0, 0.1, 0.4, 0.6]), Ok(2));
        // A bump before it does not count.
        assert_eq!(onset([0.5, 0.1, 0.3, 0.6]), Ok(2));
        assert_eq!(onset([0.5, 0.1, 0.2, 0.6]), Ok(3));
        assert_eq!(onset([0.3, 0.5, 0.3, 0.3]), Ok(0));
    }

    #[test]
    fn a_layer_where_wordings_differ_as_much_is_before_the_onset() {
        assert_eq!(onset(&gaps([0.5, 0.5, 0.6], [0.5, 0.4, 0.1]), LAST), Ok(1));
        assert_eq!(onset(&gaps([0.5, 0.5, 0.6], [0.4, 0.6, 0.1]), LAST), Ok(2));
        assert_eq!(onset(&gaps([0.5, 0.5, 0.6], [0.4, 0.4, 0.7]), LAST), Ok(3));
    }

    #[test]
    fn an_onset_after_the_last_captured_layer_is_none_of_them() {
        assert_eq!(onset(&gaps([0.0, 0.1], [0.0; 2]), LAST), Ok(2));
        assert_eq!(onset(&[], LAST), Ok(0));
    }

    #[test]
    fn outputs_that_differ_not_at_all_or_as_wordings_do_have_no_onset() {
        let layers = gaps([0.0, 0.5, 0.0], [0.0; 3]);
        let last = |between, within| onset(&layers, Gap { between, within });
        assert_eq!(last(0.0, 0.0), Err(status::NO_DIVERGENCE));
        assert_eq!(last(JSD_FLOOR / 2.0, 0.0), Err(status::NO_DIVERGENCE));
        assert_eq!(last(JSD_FLOOR, 0.0), Ok(3));
        assert_eq!(last(0.3, 0.3), Err(status::WITHIN_WORDINGS));
        assert_eq!(last(0.3, 0.4), Err(status::WITHIN_WORDINGS));
    }

    #[test]
    fn a_gap_is_the_mean_between_and_the_largest_within_of_its_two_tasks_alone() {
        // Tasks 0, 0, 1, 2, 2.
        let jsds = [0.2, 0.4, 9.0, 9.0, 0.6, 9.0, 9.0, 0.7, 0.5, 0.1].map(Ok).to_vec();
        let (tasks, baseline) = ([0, 0, 1, 2, 2], Baseline::Of(jsds));
        let gap = |pair| Gap::of(&tasks, &baseline, pair);
        assert_eq!(gap((0, 1)), Ok(Gap { between: 0.5, within: 0.2 }));
        assert_eq!(gap((1, 2)), Ok(Gap { between: 0.6, within: 0.1 }));
        assert_eq!(gap((0, 2)), Ok(Gap { between: 9.0, within: 0.2 }));
        assert_eq!(Gap::of(&tasks, &Baseline::NotDrawn, (0, 1)), Err(status::NOT_DRAWN));
        let alone = Baseline::Of(vec![Ok(0.3)]);
        assert_eq!(Gap::of(&[0, 1], &alone, (0, 1)), Err(status::NO_PAIRS));
        let skipped = Baseline::Of(vec![Ok(0.3), Err(status::SKIPPED), Ok(0.3)]);
        assert_eq!(Gap::of(&[0, 0, 1], &skipped, (0, 1)), Err(status::SKIPPED));
    }
}

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

/// The rows of the pairs of one input, layer after layer. `by_layer` has the JSD of every pair of
/// tasks in each of `layers`, `finals` that of the whole model's outputs; `None` where a prompt of
/// the pair did not run.
pub(super) fn pair_rows<'p>(
    input: InputGroup<'p>,
    layers: &[i16],
    by_layer: &[Vec<Option<f64>>],
    finals: &[Option<f64>],
) -> Vec<LogitLensDivergenceRow<'p>> {
    let tasks = input.first_wordings();
    let of_pair =
        |pair: usize| -> Vec<f64> { by_layer.iter().filter_map(|jsds| jsds[pair]).collect() };
    let onsets: Vec<Option<usize>> = finals
        .iter()
        .enumerate()
        .map(|(pair, last)| last.and_then(|last| onset(&of_pair(pair), last)))
        .collect();
    let mut rows = Vec::new();
    for (place, (layer, jsds)) in layers.iter().zip(by_layer).enumerate() {
        for (pair, (a, b)) in pairs(tasks.len()).enumerate() {
            let status = match (jsds[pair], onsets[pair]) {
                (None, _) => status::SKIPPED,
                (Some(_), None) => status::NO_DIVERGENCE,
                (Some(_), Some(_)) => status::OK,
            };
            rows.push(LogitLensDivergenceRow {
                scenario: input.scenario(),
                input: input.input(),
                layer: *layer,
                task_a: &tasks[a].key.task,
                task_b: &tasks[b].key.task,
                jsd_bits: jsds[pair],
                onset: onsets[pair].map(|onset| i16::from(onset == place)),
                status,
            });
        }
    }
    rows
}

/// The place of the captured layer from which on all divergences (`jsds`, one a layer) are at least
/// half of `last`, that of the outputs; the number of layers when even the last one's is not. `None`
/// when the outputs do not differ.
fn onset(jsds: &[f64], last: f64) -> Option<usize> {
    let below = |jsd: &f64| *jsd < last / 2.0;
    (last >= JSD_FLOOR).then(|| jsds.iter().rposition(below).map_or(0, |place| place + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_onset_is_where_the_divergence_comes_to_stay_above_half_of_the_outputs() {
        assert_eq!(onset(&[0.0, 0.1, 0.4, 0.6], 0.6), Some(2));
        // A bump before it does not count.
        assert_eq!(onset(&[0.5, 0.1, 0.3, 0.6], 0.6), Some(2));
        assert_eq!(onset(&[0.5, 0.1, 0.2, 0.6], 0.6), Some(3));
        assert_eq!(onset(&[0.3, 0.5], 0.6), Some(0));
    }

    #[test]
    fn an_onset_after_the_last_captured_layer_is_none_of_them() {
        assert_eq!(onset(&[0.0, 0.1], 0.6), Some(2));
        assert_eq!(onset(&[], 0.6), Some(0));
    }

    #[test]
    fn outputs_that_do_not_differ_have_no_onset() {
        assert_eq!(onset(&[0.0, 0.5, 0.0], 0.0), None);
        assert_eq!(onset(&[0.0, 0.5, 0.0], JSD_FLOOR / 2.0), None);
        assert_eq!(onset(&[0.0], JSD_FLOOR), Some(1));
    }
}

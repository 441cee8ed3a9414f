//! Focus sets and overlaps, from the stored attention rows.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::super::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
use super::super::weights::{self, Weights};
use super::super::{Context, StageError};
use crate::math;
use crate::table::{TableError, status};

/// What is looked at.
#[derive(Debug, Clone)]
pub(super) struct Scheme {
    /// Size of a focus set.
    pub(super) top_k: usize,
    /// Layers, ascending.
    pub(super) layers: Vec<i16>,
    /// Heads, ascending; -1 = the mean over all of them.
    pub(super) heads: Vec<i16>,
    /// How many heads each layer has.
    pub(super) n_head: i16,
}

/// The focus set of one prompt on one layer and head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Focus {
    pub(super) layer: i16,
    pub(super) head: i16,
    /// The positions, largest weight first.
    pub(super) positions: Vec<i32>,
    /// Their weights.
    pub(super) weights: Vec<f64>,
    /// The last weight in the set less the largest one outside; `None` when nothing is outside.
    pub(super) gap: Option<f64>,
}

/// One row of table `attention_overlap`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OverlapRow<'a> {
    pub(super) scenario: &'a str,
    pub(super) input: &'a str,
    pub(super) layer: i16,
    pub(super) head: i16,
    pub(super) task_a: &'a str,
    pub(super) task_b: &'a str,
    pub(super) value: Option<f64>,
    pub(super) k: i32,
    pub(super) status: &'static str,
}

impl Scheme {
    /// For every prompt that ran, in the order of the plan: its focus sets, by layer and head.
    pub(super) fn find(
        &self,
        context: &Context<'_>,
        prompts: &ShardPrompts,
    ) -> Result<Vec<Vec<Focus>>, StageError> {
        let part = weights::read(context)?;
        let table = Weights::of(&part, self.n_head)?;
        let spans = table.spans(prompts)?;
        let ran: Vec<&PromptRow> = prompts.ran().collect();
        ran.par_iter()
            .zip(spans)
            .map(|(prompt, rows)| {
                context.go_on()?;
                let by_layer = self.layers.iter().map(|&layer| {
                    let weights = table.of_layer(rows.clone(), layer, prompt)?;
                    Ok(self.heads.iter().map(|&head| self.focus(layer, head, &weights)).collect())
                });
                let by_layer: Vec<Vec<Focus>> = by_layer.collect::<Result<_, TableError>>()?;
                Ok(by_layer.into_iter().flatten().collect())
            })
            .collect()
    }

    /// The focus set of one head, or of their mean, from the weights of all heads of a layer.
    fn focus(&self, layer: i16, head: i16, weights: &[&[f32]]) -> Focus {
        let weights = match usize::try_from(head) {
            Ok(head) => weights[head].iter().map(|&weight| f64::from(weight)).collect(),
            Err(_) => mean(weights),
        };
        // One more than the set holds: the set's firmness is how far that one is behind.
        let mut ranked = math::top_k(&weights, self.top_k + 1);
        let next = (ranked.len() > self.top_k).then(|| ranked.pop()).flatten();
        let last = ranked.last().copied();
        Focus {
            layer,
            head,
            gap: last.zip(next).map(|(last, next)| weights[last] - weights[next]),
            weights: ranked.iter().map(|&position| weights[position]).collect(),
            positions: ranked.iter().map(|&position| position as i32).collect(),
        }
    }

    /// The overlap of every pair of tasks (first wordings): inputs in the order of the plan, then
    /// layers, heads and pairs.
    pub(super) fn overlap<'p>(
        &self,
        prompts: &'p ShardPrompts,
        foci: &[Vec<Focus>],
    ) -> Vec<OverlapRow<'p>> {
        let inputs = prompts.inputs();
        inputs.into_iter().flat_map(|input| self.overlap_input(input, foci)).collect()
    }

    fn overlap_input<'p>(&self, input: InputGroup<'p>, foci: &[Vec<Focus>]) -> Vec<OverlapRow<'p>> {
        let tasks = input.first_wordings();
        let mut rows = Vec::new();
        let places = self.layers.iter().flat_map(|l| self.heads.iter().map(move |h| (*l, *h)));
        for (place, (layer, head)) in places.enumerate() {
            for (a, b) in pairs(tasks.len()) {
                let focus =
                    |task: usize| tasks[task].ran.then(|| &foci[tasks[task].run_index][place]);
                let (value, status) = overlap(focus(a), focus(b));
                rows.push(OverlapRow {
                    scenario: input.scenario(),
                    input: input.input(),
                    layer,
                    head,
                    task_a: &tasks[a].key.task,
                    task_b: &tasks[b].key.task,
                    value,
                    k: self.top_k as i32,
                    status,
                });
            }
        }
        rows
    }
}

fn overlap(a: Option<&Focus>, b: Option<&Focus>) -> (Option<f64>, &'static str) {
    let (Some(a), Some(b)) = (a, b) else { return (None, status::SKIPPED) };
    if a.gap.is_none() || b.gap.is_none() {
        return (None, status::TOO_FEW_KEYS);
    }
    let set = |focus: &Focus| focus.positions.iter().copied().collect::<BTreeSet<i32>>();
    (math::jaccard(&set(a), &set(b)), status::OK)
}

/// Position by position over the heads, in their order.
fn mean(heads: &[&[f32]]) -> Vec<f64> {
    let mut sums = vec![0.0; heads.first().map_or(0, |head| head.len())];
    for head in heads {
        for (sum, &weight) in sums.iter_mut().zip(*head) {
            *sum += f64::from(weight);
        }
    }
    sums.into_iter().map(|sum| sum / heads.len() as f64).collect()
}

//! Focus sets and overlaps, from the stored attention rows.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::aligned::{Name, names};
use crate::math;
use crate::stage::names::{JACCARD, JACCARD_ALIGNED, JACCARD_NO_SINK};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
use crate::stage::read::weights;
use crate::stage::read::weights::Weights;
use crate::stage::{Context, StageError};
use crate::table::schema::AttentionOverlapRow;
use crate::table::{TableError, status};

/// Which focus sets there are.
#[derive(Debug, Clone)]
pub(super) struct Scheme {
    /// Size of a focus set.
    pub(super) top_k: usize,
    /// The layers, ascending.
    pub(super) layers: Vec<i16>,
    /// Heads, ascending; -1 = the mean over all of them.
    pub(super) heads: Vec<i16>,
    /// How many heads each layer has.
    pub(super) n_head: i16,
    /// Whether to compare on aligned positions too.
    pub(super) aligned: bool,
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
    /// The focus set without position 0; empty when nothing but that would be left outside.
    without_sink: Vec<i32>,
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
            without_sink: if self.aligned { self.without_sink(&weights) } else { Vec::new() },
        }
    }

    fn without_sink(&self, weights: &[f64]) -> Vec<i32> {
        let rest = weights.get(1..).unwrap_or_default();
        if rest.len() <= self.top_k {
            return Vec::new();
        }
        math::top_k(rest, self.top_k).into_iter().map(|place| place as i32 + 1).collect()
    }

    /// The overlap of every pair of tasks (first wordings): inputs in the order of the plan, then
    /// layers, heads and pairs.
    pub(super) fn overlap<'p>(
        &self,
        prompts: &'p ShardPrompts,
        foci: &[Vec<Focus>],
    ) -> Vec<AttentionOverlapRow<'p>> {
        let inputs = prompts.inputs();
        inputs.into_iter().flat_map(|input| self.overlap_input(input, foci)).collect()
    }

    fn overlap_input<'p>(
        &self,
        input: InputGroup<'p>,
        foci: &[Vec<Focus>],
    ) -> Vec<AttentionOverlapRow<'p>> {
        let tasks: Vec<Task<'p>> = input.first_wordings().into_iter().map(Task::of).collect();
        let measures: &[&str] =
            if self.aligned { &[JACCARD, JACCARD_ALIGNED, JACCARD_NO_SINK] } else { &[JACCARD] };
        let mut rows = Vec::new();
        let places = self.layers.iter().flat_map(|l| self.heads.iter().map(move |h| (*l, *h)));
        for (place, (layer, head)) in places.enumerate() {
            for (a, b) in pairs(tasks.len()) {
                for measure in measures {
                    let (value, status) = overlap(measure, place, foci, [&tasks[a], &tasks[b]]);
                    rows.push(AttentionOverlapRow {
                        scenario: input.scenario(),
                        input: input.input(),
                        layer,
                        head,
                        task_a: &tasks[a].prompt.key.task,
                        task_b: &tasks[b].prompt.key.task,
                        measure,
                        value,
                        k: self.top_k as i32,
                        status,
                    });
                }
            }
        }
        rows
    }
}

/// A task's prompt, and what its positions are called.
struct Task<'p> {
    prompt: &'p PromptRow,
    names: Vec<Name>,
    input: Vec<i32>,
}

impl<'p> Task<'p> {
    fn of(prompt: &'p PromptRow) -> Self {
        Self { prompt, names: names(prompt), input: prompt.aligned_input() }
    }
}

/// A measure of two tasks on the `place`-th layer and head.
fn overlap(
    measure: &str,
    place: usize,
    foci: &[Vec<Focus>],
    tasks: [&Task<'_>; 2],
) -> (Option<f64>, &'static str) {
    if tasks.iter().any(|task| !task.prompt.ran) {
        return (None, status::SKIPPED);
    }
    let both = tasks.map(|task| &foci[task.prompt.run_index][place]);
    let too_few = |focus: &&Focus| match measure {
        JACCARD_NO_SINK => focus.without_sink.is_empty(),
        _ => focus.gap.is_none(),
    };
    if both.iter().any(too_few) {
        return (None, status::TOO_FEW_KEYS);
    }
    if measure == JACCARD {
        let [a, b] = both.map(|focus| focus.positions.iter().copied().collect::<BTreeSet<_>>());
        return (math::jaccard(&a, &b), status::OK);
    }
    if tasks[0].input != tasks[1].input || tasks[0].input.is_empty() {
        return (None, status::NO_ALIGNMENT);
    }
    let set = |side: usize| -> BTreeSet<Name> {
        let positions = match measure {
            JACCARD_NO_SINK => &both[side].without_sink,
            _ => &both[side].positions,
        };
        positions.iter().map(|&position| tasks[side].names[position as usize]).collect()
    };
    (math::jaccard(&set(0), &set(1)), status::OK)
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

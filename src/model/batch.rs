//! Prompts into padded batches.
//!
//! Prompts of similar length run together, so little is computed for padding, and a batch holds at
//! most a budget of padded tokens, so memory is bounded. Padding is on the right only, and the mask
//! comes from lengths, never from token ids: GPT-2's padding token is also a token of texts.

use std::cmp::Reverse;
use std::sync::Arc;

/// Keys and values of several prefixes, as the graph gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefixes {
    /// Tokens of the longest, to which the others are padded.
    pub past: usize,
    /// How many there are.
    pub count: usize,
    /// `[prefixes, n_kv_head, past, d_head]` each: for every layer its keys, then its values.
    pub keys_values: Vec<Vec<f32>>,
}

/// What comes before the rows of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The prefixes that the rows choose from.
    pub prefixes: Arc<Prefixes>,
    /// For each row, which one it has.
    pub of: Vec<i64>,
    /// For each row, how many of its tokens are real: that one's length.
    pub lengths: Vec<i64>,
}

/// Padded tokens a batch on the processor, given the width inside a block's MLP: as many as keep these, the
/// widest numbers of a block, within 6 MiB, so that those of all batches that run at
/// once stay in the cache. Measured on GPT-2-small (512 of them): twice as many gave a tenth fewer
/// tokens a second, half as many the same. A narrow model has so little to compute a token that its
/// calls would count.
pub fn cpu_budget(d_ff: usize) -> usize {
    let bytes_a_token = d_ff * size_of::<f32>();
    ((6 << 20) / bytes_a_token.max(1)).clamp(256, 1024)
}

/// Padded tokens a batch on a GPU, which needs more work at once to be busy.
pub const CUDA_BUDGET: usize = 8192;

/// Keys that a batch holds for each padded token of its budget, where tokens come before its rows:
/// each row has its own copy of their keys and values.
const KEYS_PER_TOKEN: usize = 8;

/// What a call of the graph costs beside its tokens, counted in tokens. Measured on one thread: 24 of
/// GPT-2-small's, most of it for the unembedding's weights, and 28 of the demo model's.
pub(super) const CALL_TOKENS: usize = 24;

/// Groups prompts by length, longest first, ties by index, so that no batch holds more than
/// `budget` padded tokens; a prompt longer than that runs alone. Before each row come `past` tokens
/// that were computed already. Gives indices into `lengths`.
///
/// Of all such groupings it is the cheapest, padding and calls counted: batches end where lengths do.
/// Filling one after the other computed 4 % more tokens in the benchmark's shape, in 109 calls for 114.
pub fn plan_batches(lengths: &[usize], past: usize, budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| (Reverse(lengths[i]), i));
    let fits = |rows: usize, length: usize| {
        rows * length <= budget && rows * (past + length) <= budget.saturating_mul(KEYS_PER_TOKEN)
    };
    // For the first n prompts of that order: what they cost, and where their last batch begins.
    let mut cheapest = vec![(0, 0)];
    for end in 1..=order.len() {
        let ending_there = (0..end).rev().map(|start| (start, end - start, lengths[order[start]]));
        // The first prompt of a batch is its longest, so that none before it can fit either.
        let cost = ending_there
            .take_while(|&(_, rows, longest)| rows == 1 || fits(rows, longest))
            .map(|(start, rows, longest)| (cheapest[start].0 + rows * longest + CALL_TOKENS, start))
            .min();
        cheapest.push(cost.expect("a prompt can always run alone"));
    }
    let mut batches = Vec::new();
    let mut end = order.len();
    while end > 0 {
        let start = cheapest[end].1;
        batches.push(order[start..end].to_vec());
        end = start;
    }
    batches.reverse();
    batches
}

/// Prompts as one rectangle of token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which prompt each row is, by the caller's own index.
    pub rows: Vec<usize>,
    /// Real tokens of each row.
    pub lengths: Vec<usize>,
    /// Tokens of each row with padding.
    pub seq: usize,
    /// `[rows, seq]` token ids, padded on the right.
    pub ids: Vec<i64>,
    /// `[rows, seq]`: 1 for a real token, 0 for padding.
    pub mask: Vec<i64>,
    /// What comes before the rows, whose tokens then follow it.
    pub past: Option<Past>,
    /// For each row the position of its first token, where that is not the number of tokens in its past;
    /// only for an engine that [`places rows`](super::Engine::places_rows).
    pub first: Option<Vec<i64>>,
}

impl Batch {
    /// Pads the prompts `rows` of `prompts` to one length with `pad_id`, which no result depends on.
    ///
    /// # Panics
    /// When `rows` is empty or one of its prompts is: the runtime is never given an empty prompt.
    pub fn pad<P: AsRef<[i32]>>(rows: &[usize], prompts: &[P], pad_id: i64) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|&row| prompts[row].as_ref().len()).collect();
        assert!(lengths.iter().all(|n| *n > 0), "a batch holds no empty prompt");
        let seq = *lengths.iter().max().expect("a batch holds at least one prompt");
        let mut ids = vec![pad_id; rows.len() * seq];
        let mut mask = vec![0; rows.len() * seq];
        for (i, &row) in rows.iter().enumerate() {
            for (j, id) in prompts[row].as_ref().iter().enumerate() {
                ids[i * seq + j] = i64::from(*id);
                mask[i * seq + j] = 1;
            }
        }
        Self { rows: rows.to_vec(), lengths, seq, ids, mask, past: None, first: None }
    }

    /// How many tokens its prompts have, including those before its rows.
    pub fn tokens(&self) -> usize {
        let before = self.past.iter().flat_map(|past| &past.lengths).sum::<i64>();
        self.lengths.iter().sum::<usize>() + before as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_like_lengths_and_keep_the_budget() {
        let lengths = [3, 9, 1, 4, 4, 20];
        let batches = plan_batches(&lengths, 0, 12);
        assert_eq!(batches, [vec![5], vec![1], vec![3, 4, 0], vec![2]]);
    }

    #[test]
    fn batches_end_where_lengths_do_when_that_saves_more_than_a_call_costs() {
        // Filled one after the other, the first batch would hold prompts of both lengths.
        let lengths: Vec<usize> = [[30; 12], [20; 12]].concat();
        let batches = plan_batches(&lengths, 0, 512);
        assert_eq!(batches, [(0..12).collect::<Vec<_>>(), (12..24).collect()]);
        assert_eq!(plan_batches(&[30, 29, 28, 27], 0, 512), [[0, 1, 2, 3]]);
    }

    /// What the cheapest of all groupings of such prompts costs, the longest first.
    fn least(lengths: &[usize], budget: usize) -> usize {
        let of_first =
            |rows: &usize| rows * lengths[0] + CALL_TOKENS + least(&lengths[*rows..], budget);
        let fit = (1..=lengths.len()).filter(|rows| *rows == 1 || rows * lengths[0] <= budget);
        fit.map(|rows| of_first(&rows)).min().unwrap_or(0)
    }

    #[test]
    fn no_other_grouping_costs_less() {
        for seed in 1..40 {
            let mut lengths: Vec<usize> = (1..=14).map(|i| 1 + i * i * seed % 61).collect();
            lengths.sort_unstable_by_key(|length| Reverse(*length));
            let batches = plan_batches(&lengths, 0, 200);
            let cost: usize = batches.iter().map(|b| b.len() * lengths[b[0]] + CALL_TOKENS).sum();
            assert_eq!(cost, least(&lengths, 200), "{lengths:?}: {batches:?}");
        }
    }

    #[test]
    fn wide_models_get_smaller_batches() {
        assert_eq!(
            [64, 384, 768, 1024, 1600].map(|width| cpu_budget(4 * width)),
            [1024, 1024, 512, 384, 256]
        );
    }

    #[test]
    fn every_prompt_is_in_exactly_one_batch() {
        let lengths: Vec<usize> = (0..97).map(|i| 1 + (i * 31) % 40).collect();
        for budget in [1, 7, 64, 10_000] {
            let mut seen: Vec<usize> = plan_batches(&lengths, 0, budget).concat();
            seen.sort_unstable();
            assert_eq!(seen, (0..97).collect::<Vec<_>>());
        }
        assert!(plan_batches(&[], 0, 10).is_empty());
    }

    #[test]
    fn rows_after_a_long_past_are_fewer() {
        assert_eq!(plan_batches(&[2; 9], 6, 10), [vec![0, 1, 2, 3], vec![4, 5, 6, 7, 8]]);
        assert_eq!(plan_batches(&[2; 4], 38, 10), [[0, 1], [2, 3]]);
        assert_eq!(plan_batches(&[2; 3], 900, 10).len(), 3);
    }

    #[test]
    fn padding_is_on_the_right_and_masked_by_length() {
        let batch = Batch::pad(&[1, 0], &[vec![7], vec![5, 9, 9]], 9);
        assert_eq!(batch.ids, [5, 9, 9, 7, 9, 9]);
        assert_eq!(batch.mask, [1, 1, 1, 1, 0, 0]);
        assert_eq!((batch.seq, batch.tokens()), (3, 4));
        assert_eq!(batch.rows, [1, 0]);
    }
}

//! Runs whose past is put together: of keys and values that the model made elsewhere.
//!
//! What a causal model computes for a token depends on the tokens before it through their keys and
//! values alone. Put others in their place, and the rest of the prompt reads what is there: the same input
//! as it was read under another task, or nothing at all. Every run is exact; no block is approximated.
//!
//! Where a model learns positions, they are in the keys already, and stay as they were made. Where keys
//! are turned by their position, a [`Reading`] must have been made at the positions at which it is put to
//! use: [`Run::first`] moves a prompt.

use std::ops::Range;
use std::sync::Arc;

use super::batches::PAD_ID;
use crate::model::{Batch, ModelError, Past, Positions, Prefixes, Wanted, plan_batches};
use crate::stage::{Context, StageError};

/// Most bytes of keys and values that one batch is given.
pub(crate) const PAST_BYTES: usize = 64 << 20;

/// Keys and values of a prompt's first tokens, as the model made them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// How many tokens.
    tokens: usize,
    /// Width of a head.
    width: usize,
    /// `[n_kv_head, tokens, d_head]` each: for every block its keys, then its values.
    keys_values: Vec<Vec<f32>>,
}

/// In which blocks and heads a [`Piece`] is the other prompt's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Where {
    pub(crate) blocks: Range<usize>,
    /// Heads of keys and values.
    pub(crate) heads: Range<usize>,
}

/// A stretch of a past.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'r> {
    /// Whose keys and values, and from which of its tokens on.
    pub(crate) of: (&'r Reading, usize),
    /// How many tokens.
    pub(crate) count: usize,
    /// Keys and values in place of those, from which of its tokens on, and where.
    pub(crate) other: Option<(&'r Reading, usize, Where)>,
}

/// One row that the model computes.
#[derive(Debug, Clone)]
pub(crate) struct Run<'r> {
    /// What stands before its tokens.
    pub(crate) past: Vec<Piece<'r>>,
    /// Its tokens, at least one.
    pub(crate) tokens: &'r [i32],
    /// Position of the first of them.
    pub(crate) first: usize,
    /// Of how many of its tokens keys and values are kept.
    pub(crate) keep: usize,
}

/// What came of a [`Run`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Computed {
    /// Scores of the next token.
    pub(crate) logits: Vec<f32>,
    /// Of the tokens that were to be kept.
    pub(crate) reading: Reading,
}

impl Where {
    /// From that block on, in all heads.
    pub(crate) fn from(block: usize) -> Self {
        Self { blocks: block..usize::MAX, heads: 0..usize::MAX }
    }

    fn holds(&self, block: usize, head: usize) -> bool {
        self.blocks.contains(&block) && self.heads.contains(&head)
    }
}

impl<'r> Piece<'r> {
    /// Tokens of one prompt.
    pub(crate) fn own(reading: &'r Reading, tokens: Range<usize>) -> Self {
        Self { of: (reading, tokens.start), count: tokens.len(), other: None }
    }

    /// The numbers of one block (keys, or values: `which`) and head, `[count, d_head]`.
    fn values(&self, which: usize, head: usize) -> &'r [f32] {
        let (reading, start) = match &self.other {
            Some((other, start, place)) if place.holds(which / 2, head) => (*other, *start),
            _ => self.of,
        };
        let first = (head * reading.tokens + start) * reading.width;
        &reading.keys_values[which][first..first + self.count * reading.width]
    }
}

impl Run<'_> {
    fn past_tokens(&self) -> usize {
        self.past.iter().map(|piece| piece.count).sum()
    }
}

/// What a stage needs of the model folder beside a past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Prompts that are moved, where positions are relative.
    Moved,
    /// Rows that do not follow their past.
    Placed,
}

/// Whether the model folder has what a stage of that kind needs.
///
/// # Errors
/// When it has not: says what it lacks and how to get it.
pub(crate) fn check_folder(
    context: &Context<'_>,
    kind: &str,
    needs: Needs,
) -> Result<(), StageError> {
    let places_rows = context.engine.places_rows()?;
    let lack = match (needs, context.card.positions) {
        _ if !context.engine.takes_past()? => "has no past.onnx, or it is not to be used",
        (Needs::Moved, None) => "is of format 2, which does not say where positions enter",
        (Needs::Moved, Some(Positions::Learned)) => return Ok(()),
        _ if places_rows => return Ok(()),
        _ => "has a past.onnx that takes no `first_position`",
    };
    let folder = context.card.folder.display();
    Err(StageError::Given {
        problem: format!("stage `{kind}` cannot run: model folder {folder} {lack}"),
        help: "export the model again with `aqlens-export MODEL --out DIR`, or leave the stage out",
    })
}

/// Computes `runs` in batches of their own, which depend on nothing else; gives what `measure` makes of
/// each, in their order. The scores of one batch are in memory at a time: those of all would be gigabytes
/// where a vocabulary is large.
///
/// # Errors
/// When the model fails, takes no past, or cannot place rows that do not follow their past, or the run was
/// asked to stop.
pub(crate) fn compute<T>(
    context: &Context<'_>,
    runs: &[Run<'_>],
    measure: impl Fn(usize, Computed) -> T,
) -> Result<Vec<T>, StageError> {
    let places_rows = context.engine.places_rows()?;
    let mut measured: Vec<Option<T>> = runs.iter().map(|_| None).collect();
    for rows in batches(context, runs)? {
        context.go_on()?;
        let batch = batch(context, runs, &rows, places_rows);
        for (row, computed) in run(context, runs, &batch)? {
            measured[row] = Some(measure(row, computed));
        }
    }
    Ok(measured.into_iter().map(|of| of.expect("every run is in a batch")).collect())
}

/// Which runs the model computes together: of like length, and within what a batch may hold.
fn batches(context: &Context<'_>, runs: &[Run<'_>]) -> Result<Vec<Vec<usize>>, ModelError> {
    let lengths: Vec<usize> = runs.iter().map(|run| run.tokens.len()).collect();
    let past = runs.iter().map(Run::past_tokens).max().unwrap_or(0);
    let card = context.card;
    let numbers = 2 * card.n_layer as usize * card.n_kv_head as usize * card.d_head * past;
    let most = (PAST_BYTES / (size_of::<f32>() * numbers.max(1))).max(1);
    let planned = plan_batches(&lengths, past, context.engine.batch_budget()?);
    Ok(planned.iter().flat_map(|rows| rows.chunks(most)).map(<[usize]>::to_vec).collect())
}

fn batch(context: &Context<'_>, runs: &[Run<'_>], rows: &[usize], places_rows: bool) -> Batch {
    let tokens: Vec<&[i32]> = runs.iter().map(|run| run.tokens).collect();
    let mut batch = Batch::pad(rows, &tokens, PAD_ID);
    let of_rows = || rows.iter().map(|row| &runs[*row]);
    if places_rows {
        batch.first = Some(of_rows().map(|run| run.first as i64).collect());
    }
    let past = of_rows().map(Run::past_tokens).max().unwrap_or(0);
    if past > 0 {
        let heads = context.card.n_kv_head as usize;
        let of_block = |which| joined(of_rows(), which, heads, context.card.d_head, past);
        let prefixes = Prefixes {
            past,
            count: rows.len(),
            keys_values: (0..2 * context.card.n_layer as usize).map(of_block).collect(),
        };
        batch.past = Some(Past {
            prefixes: Arc::new(prefixes),
            of: (0..rows.len() as i64).collect(),
            lengths: of_rows().map(|run| run.past_tokens() as i64).collect(),
        });
    }
    batch
}

/// `[rows, heads, past, width]`: the pasts of some runs in one block, zeros behind the shorter ones.
fn joined<'r>(
    runs: impl ExactSizeIterator<Item = &'r Run<'r>>,
    which: usize,
    heads: usize,
    width: usize,
    past: usize,
) -> Vec<f32> {
    let mut all = Vec::with_capacity(runs.len() * heads * past * width);
    for run in runs {
        for head in 0..heads {
            let end = all.len() + past * width;
            for piece in &run.past {
                all.extend_from_slice(piece.values(which, head));
            }
            all.resize(end, 0.0);
        }
    }
    all
}

/// What comes of a batch, by the places of its runs.
fn run(
    context: &Context<'_>,
    runs: &[Run<'_>],
    batch: &Batch,
) -> Result<Vec<(usize, Computed)>, ModelError> {
    let mut of_batch = Vec::with_capacity(batch.rows.len());
    let (heads, width) = (context.card.n_kv_head as usize, context.card.d_head);
    let keeps = batch.rows.iter().any(|row| runs[*row].keep > 0);
    let wanted = Wanted { keys_values: keeps, ..Wanted::default() };
    context.engine.run(batch, &wanted, &mut |outputs| {
        let vocab_size = outputs.logits.len() / batch.rows.len();
        for (place, &row) in batch.rows.iter().enumerate() {
            let kept = |values: &&[f32]| {
                let first = |head: usize| (place * heads + head) * batch.seq * width;
                let of_head =
                    |head: usize| &values[first(head)..first(head) + runs[row].keep * width];
                (0..heads).map(of_head).collect::<Vec<_>>().concat()
            };
            let keys_values = outputs.keys_values.iter().map(kept).collect();
            let computed = Computed {
                logits: outputs.logits[place * vocab_size..(place + 1) * vocab_size].to_vec(),
                reading: Reading { tokens: runs[row].keep, width, keys_values },
            };
            of_batch.push((row, computed));
        }
    })?;
    Ok(of_batch)
}

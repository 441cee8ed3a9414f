//! The model's part: streams of the prompts, and what it says when it goes on from a mixed one.

use std::ops::Range;

use rayon::prelude::*;

use crate::math::Distribution;
use crate::model::{Batch, Streams, Wanted};
use crate::stage::model::batches::PAD_ID;
use crate::stage::{Context, StageError};

/// One prompt: where its segments are, its streams, and what the model says after it.
#[derive(Debug)]
pub(super) struct Prompt {
    /// The input's tokens.
    pub(super) input: Range<usize>,
    /// All of its tokens.
    pub(super) tokens: usize,
    /// For each captured layer `[tokens, d_model]`.
    streams: Vec<Vec<f32>>,
    pub(super) says: Option<Distribution>,
}

/// A stretch of a mixed stream: tokens of one prompt, and how far they go to those of another.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) prompt: usize,
    pub(super) tokens: Range<usize>,
    /// Another prompt, its first token there, and the share of the way to it.
    pub(super) towards: Option<(usize, usize, f64)>,
}

/// A stream to go on from.
#[derive(Debug, Clone)]
pub(super) struct Mixed {
    /// Place of the layer among the captured ones.
    pub(super) layer: usize,
    pub(super) pieces: Vec<Piece>,
}

impl Piece {
    pub(super) fn of(prompt: usize, tokens: Range<usize>) -> Self {
        Self { prompt, tokens, towards: None }
    }
}

impl Prompt {
    /// Its segments: before the input, the input, behind it.
    pub(super) fn segments(&self) -> [Range<usize>; 3] {
        [0..self.input.start, self.input.clone(), self.input.end..self.tokens]
    }
}

/// Runs the prompts with these tokens and the input in these places.
pub(super) fn read(
    context: &Context<'_>,
    prompts: &[(&[i32], Range<usize>)],
) -> Result<Vec<Prompt>, StageError> {
    let ids: Vec<&[i32]> = prompts.iter().map(|(ids, _)| *ids).collect();
    let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
    let wanted = Wanted { hidden: context.layers.to_vec(), ..Wanted::default() };
    let mut read: Vec<Option<Prompt>> = prompts.iter().map(|_| None).collect();
    let width = context.card.d_model;
    for rows in crate::model::plan_batches(&lengths, 0, context.engine.batch_budget()?) {
        context.go_on()?;
        let batch = Batch::pad(&rows, &ids, PAD_ID);
        context.engine.run(&batch, &wanted, &mut |outputs| {
            let vocab_size = outputs.logits.len() / rows.len();
            for (place, &row) in rows.iter().enumerate() {
                let stream = |values: &&[f32]| {
                    values[place * batch.seq * width..][..lengths[row] * width].to_vec()
                };
                let logits = &outputs.logits[place * vocab_size..][..vocab_size];
                read[row] = Some(Prompt {
                    input: prompts[row].1.clone(),
                    tokens: lengths[row],
                    streams: outputs.hidden.iter().map(stream).collect(),
                    says: Distribution::from_logits(logits).ok(),
                });
            }
        })?;
    }
    Ok(read.into_iter().flatten().collect())
}

/// What `measure` makes of what the model says when it goes on from each of these streams; `None` where that
/// is not finite. The scores of one batch are in memory at a time.
pub(super) fn go_on<T: Send>(
    context: &Context<'_>,
    prompts: &[Prompt],
    mixed: &[Mixed],
    measure: impl Fn(usize, Option<&Distribution>) -> T + Sync,
) -> Result<Vec<T>, StageError> {
    let length = |one: &Mixed| one.pieces.iter().map(|piece| piece.tokens.len()).sum::<usize>();
    let longest = mixed.iter().map(length).max().unwrap_or(1);
    let at_once = (context.engine.batch_budget()? / longest.max(1)).max(1);
    let mut measured = Vec::with_capacity(mixed.len());
    for rows in mixed.chunks(at_once) {
        context.go_on()?;
        let streams: Vec<(i64, Vec<f32>)> = rows
            .iter()
            .map(|one| {
                (i64::from(context.layers[one.layer]), stream(prompts, one, context.card.d_model))
            })
            .collect();
        let logits = context.engine.run_patch(&Streams::pad(&streams, context.card.d_model))?;
        let first = measured.len();
        measured.par_extend(logits.par_chunks(context.card.vocab_size).enumerate().map(
            |(i, scores)| measure(first + i, Distribution::from_logits(scores).ok().as_ref()),
        ));
    }
    Ok(measured)
}

fn stream(prompts: &[Prompt], mixed: &Mixed, width: usize) -> Vec<f32> {
    let mut values = Vec::new();
    for Piece { prompt, tokens, towards } in &mixed.pieces {
        let own = &prompts[*prompt].streams[mixed.layer][tokens.start * width..tokens.end * width];
        match towards {
            None => values.extend_from_slice(own),
            Some((other, first, share)) => {
                let other = &prompts[*other].streams[mixed.layer][first * width..];
                let share = *share as f32;
                values.extend(own.iter().zip(other).map(|(a, b)| a + share * (b - a)));
            }
        }
    }
    values
}

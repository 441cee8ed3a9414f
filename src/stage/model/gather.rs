//! Collects the outputs of all batches into one buffer a table column, rows in the plan's order.

use std::collections::BTreeSet;
use std::ops::Range;

use super::spare::{Lease, Spare};
use crate::model::{Batch, ModelCard, Outputs, Wanted};

/// Everything kept of a shard, laid out as the tables want it.
pub(crate) struct Gathered {
    /// For each captured layer `[tokens, d_model]`, prompt after prompt.
    pub(crate) hidden: Vec<Vec<f32>>,
    /// For each prompt, layer with attention and head: the last query's weight on each key.
    pub(crate) attention: Vec<f32>,
    /// `[prompts, vocab_size]`.
    pub(crate) logits: Vec<f32>,
    /// The lease on the memory of these.
    pub(crate) lease: Lease,
    /// Where each prompt's tokens begin, and the end of the last one.
    starts: Vec<usize>,
    layers: Vec<i16>,
    attention_layers: Vec<i16>,
    heads: usize,
    width: usize,
    vocab: usize,
}

/// A value that is not finite, found before anything is published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Which prompt, by its index among those that run.
    pub(crate) row: usize,
    /// What and where.
    pub(crate) problem: String,
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Its place in the batch.
    i: usize,
    /// Which prompt it is of.
    prompt: usize,
    /// How many tokens of the prompt stand before it.
    before: usize,
    /// Its real tokens.
    length: usize,
    /// Keys of the batch before its rows, padding among them.
    past: usize,
    /// Tokens of the batch's rows, padding among them.
    seq: usize,
}

impl Gathered {
    /// Room for prompts of these lengths.
    pub(crate) fn new(lengths: &[usize], wanted: &Wanted, card: &ModelCard) -> Self {
        Self::within(&Spare::default(), lengths, wanted, card)
    }

    /// The same, in memory that earlier shards no longer need, where there is some.
    pub(crate) fn within(
        spare: &Spare,
        lengths: &[usize],
        wanted: &Wanted,
        card: &ModelCard,
    ) -> Self {
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        let tokens = starts[lengths.len()];
        let heads = card.n_head as usize;
        let mut lease = spare.lease();
        Self {
            hidden: wanted.hidden.iter().map(|_| lease.zeros(tokens * card.d_model)).collect(),
            attention: lease.zeros(tokens * wanted.attention.len() * heads),
            logits: lease.zeros(lengths.len() * card.vocab_size),
            lease,
            starts,
            layers: wanted.hidden.clone(),
            attention_layers: wanted.attention.clone(),
            heads,
            width: card.d_model,
            vocab: card.vocab_size,
        }
    }

    /// Copies what is real of one batch, never its padding, and looks for values that are not finite
    /// on the way: gives each prompt's first one.
    pub(crate) fn take(&mut self, batch: &Batch, outputs: &Outputs<'_>) -> Vec<Flaw> {
        let rows = batch.rows.iter().zip(&batch.lengths).enumerate();
        rows.filter_map(|(i, (&prompt, &length))| {
            let (before, past) = batch
                .past
                .as_ref()
                .map_or((0, 0), |past| (past.lengths[i] as usize, past.prefixes.past));
            let row = Row { i, prompt, before, length, past, seq: batch.seq };
            let taken = self
                .take_hidden(row, outputs)
                .and_then(|()| self.take_attention(row, outputs))
                .and_then(|()| self.take_logits(row, outputs));
            taken.err().map(|problem| Flaw { row: prompt, problem })
        })
        .collect()
    }

    /// Copies the block outputs of what prompts start with to each of them: `of` names the prompts,
    /// each with its row of the batch. Looks for values that are not finite, as [`Gathered::take`].
    pub(crate) fn take_starts(
        &mut self,
        batch: &Batch,
        of: &[(usize, usize)],
        outputs: &Outputs<'_>,
    ) -> Vec<Flaw> {
        let starts = of.iter().filter_map(|&(prompt, i)| {
            let length = batch.lengths[i];
            let row = Row { i, prompt, before: 0, length, past: 0, seq: batch.seq };
            self.take_hidden(row, outputs).err().map(|problem| Flaw { row: prompt, problem })
        });
        starts.collect()
    }

    /// Gives each prompt the numbers of another one with as many tokens: `copies` names both.
    pub(crate) fn copy(&mut self, copies: &[(usize, usize)]) {
        let (starts, width, vocab) = (&self.starts, self.width, self.vocab);
        let tokens = |prompt: usize, of_token: usize| {
            starts[prompt] * of_token..starts[prompt + 1] * of_token
        };
        let weights = self.attention_layers.len() * self.heads;
        for &(to, from) in copies {
            for layer in &mut self.hidden {
                layer.copy_within(tokens(from, width), starts[to] * width);
            }
            self.attention.copy_within(tokens(from, weights), starts[to] * weights);
            self.logits.copy_within(from * vocab..(from + 1) * vocab, to * vocab);
        }
    }

    /// Each activation vector and the logits of a prompt, with its name.
    pub(crate) fn vectors(&self, row: usize) -> impl Iterator<Item = (String, &[f32])> {
        let place = self.starts[row] * self.width..self.starts[row + 1] * self.width;
        let hidden = self.layers.iter().zip(&self.hidden).flat_map(move |(layer, values)| {
            let tokens = values[place.clone()].chunks(self.width).enumerate();
            tokens.map(move |(position, vector)| {
                (format!("the activation in layer {layer}, position {position}"), vector)
            })
        });
        let logits = &self.logits[row * self.vocab..(row + 1) * self.vocab];
        hidden.chain(std::iter::once(("the vector of logits".to_owned(), logits)))
    }

    /// The attention weights of a prompt.
    pub(crate) fn weights(&self, row: usize) -> &[f32] {
        &self.attention[self.weights_of(row)]
    }

    /// Takes out the numbers of these prompts, as if they had not run.
    pub(crate) fn remove(&mut self, gone: &BTreeSet<usize>) {
        if gone.is_empty() {
            return;
        }
        let stay: Vec<usize> =
            (0..self.starts.len() - 1).filter(|row| !gone.contains(row)).collect();
        for layer in &mut self.hidden {
            let width = self.width;
            keep(layer, &stay, |row| self.starts[row] * width..self.starts[row + 1] * width);
        }
        let weights = self.attention_layers.len() * self.heads;
        keep(&mut self.attention, &stay, |row| {
            self.starts[row] * weights..self.starts[row + 1] * weights
        });
        keep(&mut self.logits, &stay, |row| row * self.vocab..(row + 1) * self.vocab);
        let mut starts = vec![0];
        for row in stay {
            starts.push(starts[starts.len() - 1] + self.starts[row + 1] - self.starts[row]);
        }
        self.starts = starts;
    }

    fn take_hidden(&mut self, row: Row, outputs: &Outputs<'_>) -> Result<(), String> {
        let width = self.width;
        let start = self.starts[row.prompt] + row.before;
        let place = start * width..(start + row.length) * width;
        for ((to, from), layer) in self.hidden.iter_mut().zip(&outputs.hidden).zip(&self.layers) {
            let from = &from[row.i * row.seq * width..][..place.len()];
            copy(from, &mut to[place.clone()]).map_err(|at| {
                let (position, dimension, value) = (row.before + at / width, at % width, from[at]);
                format!(
                    "gave {value} as activation in layer {layer}, position {position}, dimension \
                     {dimension}"
                )
            })?;
        }
        Ok(())
    }

    fn take_logits(&mut self, row: Row, outputs: &Outputs<'_>) -> Result<(), String> {
        let logits = &outputs.logits[row.i * self.vocab..(row.i + 1) * self.vocab];
        copy(logits, &mut self.logits[row.prompt * self.vocab..(row.prompt + 1) * self.vocab])
            .map_err(|at| format!("gave {} as logit of token {at}", logits[at]))
    }

    /// Copies the last token's weights: on the tokens before its row, then on those of the row. What
    /// lies between them is on padding.
    fn take_attention(&mut self, row: Row, outputs: &Outputs<'_>) -> Result<(), String> {
        let keys = row.past + row.seq;
        let mut place = self.weights_of(row.prompt).start;
        for (from, layer) in outputs.attention.iter().zip(&self.attention_layers) {
            for head in 0..self.heads {
                let start = ((row.i * self.heads + head) * row.seq + row.length - 1) * keys;
                let parts = [(0, 0, row.before), (row.past, row.before, row.length)];
                for (key, position, length) in parts {
                    let from = &from[start + key..][..length];
                    copy(from, &mut self.attention[place..place + length]).map_err(|at| {
                        let (value, position) = (from[at], position + at);
                        format!(
                            "gave {value} as attention in layer {layer}, head {head}, position \
                             {position}"
                        )
                    })?;
                    place += length;
                }
            }
        }
        Ok(())
    }

    /// Where a prompt's attention weights lie: layer after layer, head after head.
    fn weights_of(&self, row: usize) -> Range<usize> {
        let rows = self.attention_layers.len() * self.heads;
        self.starts[row] * rows..self.starts[row + 1] * rows
    }
}

/// Moves the ranges of the rows that `stay` (ascending) together and drops the rest.
fn keep(values: &mut Vec<f32>, stay: &[usize], range: impl Fn(usize) -> Range<usize>) {
    let mut end = 0;
    for &row in stay {
        let range = range(row);
        let length = range.len();
        values.copy_within(range, end);
        end += length;
    }
    values.truncate(end);
}

/// Copies finite numbers; gives the place of the first that is not.
fn copy(from: &[f32], to: &mut [f32]) -> Result<(), usize> {
    to.copy_from_slice(from);
    // Without an early end this loop is vectorised; the place is only looked for when needed.
    if from.iter().fold(true, |finite, x| finite & x.is_finite()) {
        return Ok(());
    }
    Err(from.iter().position(|x| !x.is_finite()).unwrap_or(0))
}

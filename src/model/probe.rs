//! Checks a graph by what it computes: the card's probe prompts go through it as one padded batch,
//! and every reference value from PyTorch must come out.
//!
//! A block output or a vector of logits may be off by a fraction of its own norm (norms run from 60 to
//! thousands, so absolute tolerances mislead); an attention weight by an absolute amount.

use std::path::Path;

use super::backend::{Backend, HeadBackend, Outputs, PatchBackend, Streams, Wanted};
use super::options::EngineFacts;
use super::reference::{AttentionProbe, HiddenProbe, LogitsProbe};
use super::{Batch, ModelCard, ModelError};
use crate::math::norm;

/// TF32 keeps 10 of float32's 23 bits of each factor; so it adds that many bits of error.
const TF32_SLACK: f64 = 1000.0;

/// How far apart the same prompt's numbers may be when they were computed twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Of a block output or of logits, as a fraction of the vector's norm.
    pub relative: f64,
    /// Of an attention weight.
    pub attention: f64,
}

impl Tolerance {
    pub(super) fn of(card: &ModelCard, facts: &EngineFacts) -> Self {
        let slack = if facts.tf32 { TF32_SLACK } else { 1.0 };
        Self {
            relative: card.probe.relative_tolerance * slack,
            attention: card.probe.attention_tolerance * slack,
        }
    }
}

/// Runs the probe of `card` on `backend`, the graph in the file `path`.
///
/// # Errors
/// Names the first output that is off, where, by how much, and how much was allowed.
pub(super) fn check(
    card: &ModelCard,
    path: &Path,
    facts: &EngineFacts,
    backend: &mut dyn Backend,
) -> Result<(), ModelError> {
    let rows: Vec<usize> = (0..card.probe.prompts.len()).collect();
    let batch = Batch::pad(&rows, &card.probe.prompts, 0);
    let layers: Vec<i16> = (0..card.n_layer).collect();
    let wanted = Wanted { hidden: layers.clone(), attention: layers, ..Wanted::default() };
    let allowed = Tolerance::of(card, facts);
    let mut problem = None;
    backend.run(&batch, &wanted, &mut |outputs| {
        problem = Check { card, batch: &batch, outputs, allowed }.first_problem();
    })?;
    match problem {
        None => Ok(()),
        Some(problem) => Err(ModelError::Probe { path: path.to_owned(), problem }),
    }
}

/// Runs the head's probe: `graph` computes the block outputs of the card's prompts, `head` must make
/// of the last block's what `graph` itself gives as logits, and of the others what PyTorch made.
///
/// # Errors
/// As [`check`].
pub(super) fn check_head(
    card: &ModelCard,
    facts: &EngineFacts,
    graph: &mut dyn Backend,
    head: &mut dyn HeadBackend,
) -> Result<(), ModelError> {
    let rows: Vec<usize> = (0..card.probe.prompts.len()).collect();
    let batch = Batch::pad(&rows, &card.probe.prompts, 0);
    let layers: Vec<i16> = (0..card.n_layer).collect();
    let last_layer = card.n_layer - 1;
    let ends = batch.lengths.iter().enumerate().map(|(row, length)| (last_layer, row, length - 1));
    let places: Vec<(i16, usize, usize)> = ends
        .chain(card.probe.head.iter().map(|row| (row.layer, row.prompt, row.position)))
        .collect();
    let (mut hidden, mut own) = (Vec::new(), Vec::new());
    let wanted = Wanted { hidden: layers, ..Wanted::default() };
    graph.run(&batch, &wanted, &mut |outputs| {
        own = outputs.logits.to_vec();
        for &(layer, row, position) in &places {
            let start = (row * batch.seq + position) * card.d_model;
            hidden.extend_from_slice(&outputs.hidden[layer as usize][start..][..card.d_model]);
        }
    })?;
    let scores = head.run(&hidden)?;
    let tolerance = Tolerance::of(card, facts).relative;
    let mut scores = (*scores).as_ref().chunks(card.vocab_size);
    let own = own.chunks(card.vocab_size).zip(scores.by_ref()).enumerate();
    let off_own = own.filter_map(|(row, (own, found))| {
        let at = format!("output logits on hidden.{last_layer}, prompt {row}, last position");
        let allowed = tolerance * norm(own);
        found.iter().zip(own).enumerate().find_map(|(i, (found, own))| {
            let words = "the whole model gives";
            off(&format!("{at}, number {i}"), f64::from(*found), f64::from(*own), allowed, words)
        })
    });
    // Read to the end, so that `scores` stands at the first row of the probe.
    let off_own: Vec<String> = off_own.collect();
    let off_reference = scores.zip(&card.probe.head).find_map(|(found, row)| {
        let (layer, prompt, position) = (row.layer, row.prompt, row.position);
        let at = format!("output logits on hidden.{layer}, prompt {prompt}, position {position}");
        let numbers = (row.index.as_slice(), row.value.as_slice());
        vector(&at, found, row.norm, numbers, tolerance)
    });
    match (off_own.into_iter().next().or(off_reference), card.head_path()) {
        (Some(problem), Some(path)) => Err(ModelError::Probe { path, problem }),
        _ => Ok(()),
    }
}

/// Runs the patch graph's probe: `graph` computes the block outputs of the card's prompts, and `patch` must make
/// of those of every block what `graph` itself gives as logits; rows of different blocks and lengths stand in
/// one batch.
///
/// # Errors
/// As [`check`].
pub(super) fn check_patch(
    card: &ModelCard,
    facts: &EngineFacts,
    graph: &mut dyn Backend,
    patch: &mut dyn PatchBackend,
) -> Result<(), ModelError> {
    let prompts: Vec<usize> = (0..card.probe.prompts.len()).collect();
    let batch = Batch::pad(&prompts, &card.probe.prompts, 0);
    let layers: Vec<i16> = (0..card.n_layer).collect();
    let wanted = Wanted { hidden: layers.clone(), ..Wanted::default() };
    let (mut rows, mut own, mut places) = (Vec::new(), Vec::new(), Vec::new());
    graph.run(&batch, &wanted, &mut |outputs| {
        own = outputs.logits.to_vec();
        // Every block, with another prompt for each, and every prompt.
        for i in 0..layers.len().max(prompts.len()) {
            let (layer, row) = (i % layers.len(), i % prompts.len());
            let start = row * batch.seq * card.d_model;
            let values = &outputs.hidden[layer][start..][..batch.lengths[row] * card.d_model];
            rows.push((layer as i64, values.to_vec()));
            places.push((layer, row));
        }
    })?;
    let scores = patch.run(&Streams::pad(&rows, card.d_model))?;
    let tolerance = Tolerance::of(card, facts).relative;
    let problem = scores.chunks(card.vocab_size).zip(places).find_map(|(found, (layer, row))| {
        let own = &own[row * card.vocab_size..][..card.vocab_size];
        let at = format!("output logits from hidden.{layer} on, prompt {row}");
        let allowed = tolerance * norm(own);
        found.iter().zip(own).enumerate().find_map(|(i, (found, own))| {
            let words = "the whole model gives";
            off(&format!("{at}, number {i}"), f64::from(*found), f64::from(*own), allowed, words)
        })
    });
    match (problem, card.patch_path()) {
        (Some(problem), Some(path)) => Err(ModelError::Probe { path, problem }),
        _ => Ok(()),
    }
}

struct Check<'a> {
    card: &'a ModelCard,
    batch: &'a Batch,
    outputs: &'a Outputs<'a>,
    allowed: Tolerance,
}

impl Check<'_> {
    fn first_problem(&self) -> Option<String> {
        let probe = &self.card.probe;
        let mut hidden = probe.hidden.iter().filter_map(|h| self.hidden(h));
        let mut attention = probe.attention.iter().filter_map(|a| self.attention(a));
        let mut logits = probe.logits.iter().filter_map(|l| self.logits(l));
        hidden.next().or_else(|| attention.next()).or_else(|| logits.next())
    }

    fn hidden(&self, reference: &HiddenProbe) -> Option<String> {
        let width = self.card.d_model;
        let start = (reference.prompt * self.batch.seq + reference.position) * width;
        let found = &self.outputs.hidden[reference.layer as usize][start..start + width];
        let at = format!(
            "output hidden.{}, prompt {}, position {}",
            reference.layer, reference.prompt, reference.position
        );
        let numbers = (reference.index.as_slice(), reference.value.as_slice());
        vector(&at, found, reference.norm, numbers, self.allowed.relative)
    }

    fn logits(&self, reference: &LogitsProbe) -> Option<String> {
        let width = self.card.vocab_size;
        let found = &self.outputs.logits[reference.prompt * width..][..width];
        let at = format!("output logits, prompt {}", reference.prompt);
        let numbers = (reference.index.as_slice(), reference.value.as_slice());
        vector(&at, found, reference.norm, numbers, self.allowed.relative)
    }

    fn attention(&self, reference: &AttentionProbe) -> Option<String> {
        let (seq, heads) = (self.batch.seq, self.card.n_head as usize);
        let row = (reference.prompt * heads + reference.head) * seq + reference.query;
        let found = &self.outputs.attention[reference.layer as usize][row * seq..(row + 1) * seq];
        let tolerance = self.allowed.attention;
        // Keys after the query, padding among them, must get nothing at all.
        let expected = reference.value.iter().copied().chain(std::iter::repeat(0.0));
        found.iter().zip(expected).enumerate().find_map(|(key, (found, expected))| {
            let at = format!(
                "output attention.{}, prompt {}, head {}, position {}, key {key}",
                reference.layer, reference.prompt, reference.head, reference.query
            );
            off(&at, f64::from(*found), expected, tolerance, PYTORCH)
        })
    }
}

/// Who gave the number that is expected.
const PYTORCH: &str = "PyTorch gave";

/// What is wrong when `found` does not have the reference's norm and numbers (by index), each within
/// the fraction `relative` of the norm.
fn vector(
    at: &str,
    found: &[f32],
    reference: f64,
    (index, value): (&[usize], &[f64]),
    relative: f64,
) -> Option<String> {
    let tolerance = relative * reference;
    let numbers = index
        .iter()
        .zip(value)
        .map(|(i, expected)| (format!("{at}, number {i}"), f64::from(found[*i]), *expected));
    std::iter::once((format!("{at}, norm"), norm(found), reference))
        .chain(numbers)
        .find_map(|(at, found, expected)| off(&at, found, expected, tolerance, PYTORCH))
}

/// What is wrong when `found` is not within `tolerance` of `expected`, which `whose` gave; NaN never
/// is.
fn off(at: &str, found: f64, expected: f64, tolerance: f64, whose: &str) -> Option<String> {
    let difference = (found - expected).abs();
    if difference <= tolerance {
        return None;
    }
    Some(format!(
        "{at}: {found} where {whose} {expected}, off by {difference:.3e}, allowed \
         {tolerance:.3e}"
    ))
}

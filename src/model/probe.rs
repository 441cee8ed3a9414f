//! Checks a graph by what it computes: the card's probe prompts go through it as one padded batch,
//! and every reference value from PyTorch must come out again.
//!
//! A block output or a vector of logits may be off by a share of its own norm (norms run from 60 to
//! thousands, so absolute tolerances mislead); an attention weight by an absolute amount.

use super::card::{AttentionProbe, HiddenProbe, LogitsProbe};
use super::engine::{Backend, EngineFacts, Outputs, Wanted};
use super::{Batch, ModelCard, ModelError};

/// TF32 keeps 10 of float32's 23 bits of each factor; that many more bits of error are its own.
const TF32_SLACK: f64 = 1000.0;

/// How far the same prompt's numbers may lie apart when they were computed twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Of a block output or of logits, as a share of the vector's norm.
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

/// Runs the probe of `card` on `backend`.
///
/// # Errors
/// Names the first output that is off, where, by how much, and how much was allowed.
pub(super) fn check(
    card: &ModelCard,
    facts: &EngineFacts,
    backend: &mut dyn Backend,
) -> Result<(), ModelError> {
    let rows: Vec<usize> = (0..card.probe.prompts.len()).collect();
    let batch = Batch::pad(&rows, &card.probe.prompts, 0);
    let layers: Vec<i16> = (0..card.n_layer).collect();
    let wanted = Wanted { hidden: layers.clone(), attention: layers };
    let allowed = Tolerance::of(card, facts);
    let mut problem = None;
    backend.run(&batch, &wanted, &mut |outputs| {
        problem = Check { card, batch: &batch, outputs, allowed }.first_problem();
    })?;
    match problem {
        None => Ok(()),
        Some(problem) => Err(ModelError::Probe { path: card.graph_path(), problem }),
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
        self.vector(&at, found, reference.norm, &reference.index, &reference.value)
    }

    fn logits(&self, reference: &LogitsProbe) -> Option<String> {
        let width = self.card.vocab_size;
        let found = &self.outputs.logits[reference.prompt * width..][..width];
        let at = format!("output logits, prompt {}", reference.prompt);
        self.vector(&at, found, reference.norm, &reference.index, &reference.value)
    }

    fn vector(
        &self,
        at: &str,
        found: &[f32],
        norm: f64,
        index: &[usize],
        value: &[f64],
    ) -> Option<String> {
        let tolerance = self.allowed.relative * norm;
        let found_norm = found.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let numbers = index.iter().zip(value).map(|(i, expected)| {
            (format!("{at}, number {i}"), f64::from(found[*i]), *expected, tolerance)
        });
        std::iter::once((format!("{at}, norm"), found_norm, norm, tolerance))
            .chain(numbers)
            .find_map(|(at, found, expected, tolerance)| off(&at, found, expected, tolerance))
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
            off(&at, f64::from(*found), expected, tolerance)
        })
    }
}

/// Says so when `found` is not within `tolerance` of `expected`; NaN never is.
fn off(at: &str, found: f64, expected: f64, tolerance: f64) -> Option<String> {
    let difference = (found - expected).abs();
    if difference <= tolerance {
        return None;
    }
    Some(format!(
        "{at}: {found} where PyTorch gave {expected}, off by {difference:.3e}, allowed \
         {tolerance:.3e}"
    ))
}

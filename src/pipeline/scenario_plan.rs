//! One scenario of a plan: what its prompts are made of, and how many inputs make a shard.

use std::borrow::Cow;
use std::sync::Arc;

use super::error::PlanError;
use super::form::Form;
use super::framing::Framing;
use super::{Input, Inputs, Pipeline, Survey};
use crate::prompt::{Prompt, PromptKey, Role};

/// Most prompts of a shard, unless the pipeline says `shard_inputs`: its small files cost little then.
const SHARD_PROMPTS: u64 = 512;

/// Bytes of raw tables that a shard has at most, about, likewise: two shards are in memory at once.
const SHARD_BYTES: u64 = 256 << 20;

/// Bytes of text that make a token, for the estimate: rather few, as English has more than four.
const TOKEN_BYTES: u64 = 3;

/// A whole shard, in the measure of [`ScenarioPlan::weight`].
pub(super) const SHARD_WEIGHT: u64 = 1 << 40;

/// One scenario of a plan.
#[derive(Debug)]
pub(super) struct ScenarioPlan<'p> {
    pub(super) name: Arc<str>,
    pub(super) inputs: &'p Inputs,
    pub(super) form: &'p Form,
    /// What its form is called.
    pub(super) label: Arc<str>,
    pub(super) framings: Vec<Framing>,
    /// Which inputs are of one cluster.
    pub(super) survey: Cow<'p, Survey>,
    /// What inputs whose neighbours are of their cluster take for another one.
    pub(super) first_other: Option<Input>,
    /// How much of a shard an input's prompts take, by number or by size, of [`SHARD_WEIGHT`].
    pub(super) weight: u64,
}

impl ScenarioPlan<'_> {
    /// All prompts of an input, the scenario's `i`th from 0; `other` is one of another cluster.
    pub(super) fn prompts(
        &self,
        i: u64,
        input: &Input,
        other: &Input,
    ) -> Result<Vec<Prompt>, PlanError> {
        let framings = self.framings.iter();
        framings.map(|framing| self.prompt(framing, i, input, other)).collect()
    }

    /// One of them.
    pub(super) fn prompt(
        &self,
        framing: &Framing,
        i: u64,
        input: &Input,
        other: &Input,
    ) -> Result<Prompt, PlanError> {
        let is_other = Role::of_wording(framing.wording) == Role::OtherInput;
        let source = if is_other { other } else { input };
        let (text, base_wording) = framing.text(i, self.survey.cluster(i));
        let key = PromptKey {
            scenario: Arc::clone(&self.name),
            input: input.id.as_str().into(),
            task: Arc::clone(&framing.task),
            wording: framing.wording,
        };
        let filled = self.form.fill(text, &source.text);
        let filled =
            filled.map_err(|problem| PlanError::Chat { prompt: key.to_string(), problem })?;
        Ok(Prompt {
            key,
            base_wording,
            source_input: source.id.as_str().into(),
            cluster: input.cluster.as_deref().map(Arc::from),
            form: Arc::clone(&self.label),
            text: filled.text,
            input_span: filled.input_span,
            task_spans: filled.task_spans,
            is_bare: !self.form.adds_special_tokens,
        })
    }
}

/// How much of a shard one input of the scenario takes, of [`SHARD_WEIGHT`].
pub(super) fn weight(
    pipeline: &Pipeline,
    form: &Form,
    inputs: &Inputs,
    framings: &[Framing],
) -> u64 {
    let card = &pipeline.card;
    let layers = pipeline.layers.len() as u64;
    let of_token = layers * card.d_model as u64 + (layers + 1) * card.n_head as u64;
    let around = form.text_bytes() + inputs.text_bytes() / inputs.len().max(1);
    let numbers = |framing: &Framing| {
        let tokens = (around + framing.texts[0].len() as u64) / TOKEN_BYTES + 1;
        // A longer one cannot be run.
        tokens.min(card.n_positions as u64) * of_token + card.vocab_size as u64
    };
    let numbers = framings.iter().map(numbers).fold(0, u64::saturating_add);
    let bytes = numbers.saturating_mul(size_of::<f32>() as u64);
    let by_size = bytes.saturating_mul(SHARD_WEIGHT / SHARD_BYTES);
    (framings.len() as u64 * (SHARD_WEIGHT / SHARD_PROMPTS)).max(by_size).max(1)
}

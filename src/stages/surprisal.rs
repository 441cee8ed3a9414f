//! How surprising the input's own tokens are under each task: an effect of the task on the very same
//! tokens, so nothing needs to be aligned but the tokens themselves.
//!
//! For every prompt and every token `x_s` of the input that has a token before it, with
//! `P = softmax(W_U ln_f(h))` and `h` the last block's output one position earlier:
//!
//! ```text
//! surprisal(s) = -log2 P(x_s | task, template, x_<s)                  bits
//! entropy(s)   = -Σ P(v) log2 P(v)        over the whole vocabulary    bits
//! delta(s)     = surprisal(s) - mean surprisal(s) under the task's neutral controls
//! ```
//!
//! in float64 from float32 scores. The sum of the deltas over an input is -log2 of how much more (or
//! less) probable the task makes the input than prefixes of its length that ask for nothing, in their
//! geometric mean. The
//! first token of a prompt has nothing before it and gets no value.
//!
//! What a task does must be held against what another wording of it does: `surprisal_wording_pairs`
//! has for all pairs (a, b) of the tasks' prompts, in all wordings,
//!
//! ```text
//! surprisal_bits = mean over the input's tokens of |surprisal_a(s) - surprisal_b(s)|     bits a token
//! ```
//!
//! Reads `prompts` and the last layer of `activations`, writes `input_surprisal` and
//! `surprisal_wording_pairs`. Needs the model's head, whose scores of all prompts serve both. Surprisal
//! as a measure of processing: Hale 2001, Levy 2008.

use std::f64::consts::LN_2;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::{Softmax, Statistics};
use crate::prompt::Role;
use crate::stage::compare::pairs::{Paired, Pairing};
use crate::stage::model::head;
use crate::stage::names::{OUTPUT_LAYER, SURPRISAL_BITS};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, first_equal};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{
    ACTIVATIONS, INPUT_SURPRISAL, InputSurprisalRow, PROMPTS, SURPRISAL_WORDING_PAIRS,
    SurprisalWordingPairsRow,
};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "surprisal",
    version: 3,
    scope: Scope::Shard,
    unit: "tokens",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[],
    writes: &[&INPUT_SURPRISAL, &SURPRISAL_WORDING_PAIRS],
    file: None,
    depends_on: DependsOn { layers: false, seed: false, head: true, lineage: false },
};

/// Measures how surprising the input's tokens are under each task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Valid when the model has a head and its last layer is captured.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Surprisal> {
        head::check("surprisal", at, facts, problems)?;
        if let (Some(false), Some(n_layer)) = (facts.captures_last, facts.n_layer) {
            let last = n_layer - 1;
            problems.push(
                &at.key("kind"),
                format!("`surprisal` reads layer {last}, the model's last, which is not captured"),
                format!("add {last} to the extract stage's `layers`, or leave `layers` out"),
            );
            return None;
        }
        Some(Surprisal {})
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Surprisal {}

impl Stage for Surprisal {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let units = prompts.ran().map(|prompt| places(prompt).len() as u64).sum();
        context.start(&DESCRIPTION, units);
        let readings = read_off(context, &prompts)?;
        let inputs = prompts.inputs();
        let rows: Vec<InputSurprisalRow<'_>> =
            inputs.iter().flat_map(|input| rows_of(*input, &readings)).collect();
        let paired: Vec<Paired> = inputs.iter().map(|input| paired(*input, &readings)).collect();
        let paired: Vec<_> = paired.iter().map(SurprisalWordingPairsRow::from).collect();
        let parts = vec![
            InputSurprisalRow::write(context.store, context.part, &rows)?,
            SurprisalWordingPairsRow::write(context.store, context.part, &paired)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// A token of an input whose prompt ran, with a token before it.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Its prompt, among those that ran.
    run_index: usize,
    /// Row of the token before it in a layer of `activations`.
    before: usize,
    token_id: usize,
}

/// What the model predicts where a token stands. Bits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading {
    surprisal: f64,
    entropy: f64,
}

/// The input's tokens; empty when no token holds a part of it.
fn span(prompt: &PromptRow) -> std::ops::Range<usize> {
    prompt.input.clone().unwrap_or_default()
}

/// The places of a prompt that ran.
fn places(prompt: &PromptRow) -> Vec<Place> {
    let place = |position: usize| Place {
        run_index: prompt.run_index,
        before: prompt.first_token + position - 1,
        token_id: prompt.token_ids[position] as usize,
    };
    span(prompt).filter(|position| *position > 0).map(place).collect()
}

/// The readings at all places, by prompt that ran: a prompt's stand in the order of its places.
///
/// Equal prompts of a shard, as the control `other_input` makes them, have the same ones, made once.
fn read_off(
    context: &Context<'_>,
    prompts: &ShardPrompts,
) -> Result<Vec<Vec<Reading>>, StageError> {
    let last = context.card.n_layer - 1;
    let table = head::activations(context.store, context.part, last, prompts)?;
    let (values, width) = table.vectors("values")?;
    let ran: Vec<&PromptRow> = prompts.ran().collect();
    let rows = |prompt: &PromptRow| {
        &values[prompt.first_token * width..][..prompt.token_ids.len() * width]
    };
    let is_same = |a: usize, b: usize| ran[a].input == ran[b].input && rows(ran[a]) == rows(ran[b]);
    let equal = first_equal(&ran, is_same);
    let own = ran.iter().zip(0..).filter(|(_, place)| equal[*place] == *place);
    let due: Vec<Place> = own.flat_map(|(prompt, _)| places(prompt)).collect();
    let mut readings = vec![Vec::new(); ran.len()];
    for chunk in due.chunks(context.engine.head_rows()) {
        let mut hidden = Vec::with_capacity(chunk.len() * width);
        for place in chunk {
            hidden.extend_from_slice(&values[place.before * width..(place.before + 1) * width]);
        }
        let scores = head::scores(context, &hidden)?;
        let read: Vec<Option<Reading>> = (*scores)
            .as_ref()
            .par_chunks(context.card.vocab_size)
            .zip(chunk)
            .map(|(scores, place)| read_scores(scores, place.token_id))
            .collect();
        for (place, reading) in chunk.iter().zip(read) {
            readings[place.run_index].push(reading.ok_or_else(|| {
                table.problem(format!(
                    "makes the head give a score that is not finite in prompt {}",
                    ran[place.run_index].key
                ))
            })?);
        }
        context.advance(&DESCRIPTION, chunk.len() as u64);
    }
    for (place, first) in equal.into_iter().enumerate().filter(|(place, first)| place != first) {
        let same = readings[first].clone();
        context.advance(&DESCRIPTION, same.len() as u64);
        readings[place] = same;
    }
    Ok(readings)
}

/// The reading of one token from the scores of all; `None` when one is no number.
fn read_scores(scores: &[f32], token_id: usize) -> Option<Reading> {
    let (softmax, entropy) = Softmax::with_entropy(scores)?;
    // `0 -`, so that a certain token has the surprisal 0 and not -0.
    let surprisal = 0.0 - softmax.logprob(*scores.get(token_id)?) / LN_2;
    surprisal.is_finite().then(|| Reading { surprisal, entropy: entropy / LN_2 })
}

/// The rows of one input: its prompts in the order of the plan, then its tokens.
fn rows_of<'p>(input: InputGroup<'p>, readings: &[Vec<Reading>]) -> Vec<InputSurprisalRow<'p>> {
    let of_prompt = |prompt: &PromptRow| -> &[Reading] {
        if prompt.ran { &readings[prompt.run_index] } else { &[] }
    };
    let mut rows = Vec::new();
    for prompt in input.prompts {
        let own = of_prompt(prompt);
        let references = input.prompts.iter().filter(|other| is_reference(other, prompt));
        let references: Vec<&[Reading]> = references.map(of_prompt).collect();
        // The first token of a prompt has no reading.
        let without = usize::from(span(prompt).start == 0);
        for (index, position) in span(prompt).enumerate() {
            let place = index.checked_sub(without);
            let reading = place.and_then(|place| own.get(place)).copied();
            let neutral = |place: usize| references.iter().filter_map(move |of| of.get(place));
            let neutral = place.map(|place| neutral(place).map(|other| other.surprisal));
            let neutral = neutral.and_then(|values| values.collect::<Statistics>().mean());
            let delta = reading.zip(neutral).map(|(own, neutral)| own.surprisal - neutral);
            let status = match (prompt.ran, reading, delta) {
                (false, ..) => status::SKIPPED,
                (true, None, _) => status::NO_PREDECESSOR,
                (true, Some(_), None) => status::NO_REFERENCE,
                (true, Some(_), Some(_)) => status::OK,
            };
            rows.push(InputSurprisalRow {
                scenario: &prompt.key.scenario,
                input: &prompt.key.input,
                task: &prompt.key.task,
                wording: prompt.key.wording,
                span_index: index as i32,
                position: position as i32,
                token_id: prompt.token_ids[position],
                surprisal_bits: reading.map(|reading| reading.surprisal),
                delta_neutral_bits: delta,
                entropy_bits: reading.map(|reading| reading.entropy),
                status,
            });
        }
    }
    rows
}

/// The row of one input: how far its tokens' surprisals differ, for all pairs of the tasks' prompts.
fn paired(input: InputGroup<'_>, readings: &[Vec<Reading>]) -> Paired {
    let pairing = Pairing::of(input);
    let prompts = input.tasks();
    let difference = |(a, b): (usize, usize)| {
        let (a, b) = (prompts[a], prompts[b]);
        if !a.ran || !b.ran {
            return Err(status::SKIPPED);
        }
        let (of_a, of_b) = (&readings[a.run_index], &readings[b.run_index]);
        if !has_same_input(a, b) || of_a.is_empty() {
            return Err(status::NO_ALIGNMENT);
        }
        let apart = of_a.iter().zip(of_b).map(|(a, b)| (a.surprisal - b.surprisal).abs());
        Ok(apart.sum::<f64>() / of_a.len() as f64)
    };
    let found: Vec<_> = pairing.pairs().map(difference).collect();
    pairing.with(OUTPUT_LAYER, SURPRISAL_BITS, &found)
}

/// Whether both prompts hold the very same tokens of the input, and have a value for the same ones.
fn has_same_input(a: &PromptRow, b: &PromptRow) -> bool {
    (span(a).start == 0) == (span(b).start == 0) && a.token_ids[span(a)] == b.token_ids[span(b)]
}

/// Whether `other` is what the surprisal of `prompt` is compared with: a neutral control of the same
/// task, with the very same tokens of the input. A control is not compared with itself.
fn is_reference(other: &PromptRow, prompt: &PromptRow) -> bool {
    prompt.role() != Role::Neutral
        && other.role() == Role::Neutral
        && other.ran
        && other.key.task == prompt.key.task
        && has_same_input(other, prompt)
}

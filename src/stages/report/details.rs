//! The shown inputs in full: tokens, attention and next tokens of each prompt.

use std::collections::BTreeMap;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float32Type, Int32Type};

use super::roster::Roster;
use super::sources::{Sources, last, meaning, measure};
use crate::render::page::{Focus, Input, NextToken, Prompt, Token};
use crate::stage::StageError;
use crate::stage::names::{FIRST_WORDING, MEAN_HEAD};
use crate::stage::read::prompts::Keys;
use crate::table::schema::{ATTENTION, ATTENTION_FOCUS, NEXT_TOKENS, PROMPTS};
use crate::table::status;

/// The shown inputs of every scenario.
pub(super) struct Details {
    inputs: Vec<Vec<Input>>,
}

impl Details {
    /// Prompts still without content, one for each task of each shown input.
    pub(super) fn new(roster: &Roster) -> Self {
        let inputs = roster.scenarios.values().map(|entry| {
            let prompt = |task: &String| Prompt { task: task.clone(), ..Prompt::default() };
            let input = |id: &String| Input {
                id: id.clone(),
                prompts: entry.tasks.iter().map(prompt).collect(),
                ..Input::default()
            };
            entry.shown.keys().map(input).collect()
        });
        Self { inputs: inputs.collect() }
    }

    /// The shown inputs of a scenario.
    pub(super) fn take(&mut self, scenario: usize) -> Vec<Input> {
        std::mem::take(&mut self.inputs[scenario])
    }

    /// Fills in what a shard has about its shown inputs.
    pub(super) fn add_part(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        if !roster.shows_any_of(part) {
            return Ok(());
        }
        self.add_prompts(sources, roster, part)?;
        self.add_focus(sources, roster, part)?;
        self.add_attention(sources, roster, part)?;
        self.add_next_tokens(sources, roster, part)
    }

    /// The prompt that a row is about, when it is shown.
    fn prompt(&mut self, roster: &Roster, keys: &Keys<'_>, row: usize) -> Option<&mut Prompt> {
        if keys.wording[row] != FIRST_WORDING {
            return None;
        }
        let name = keys.scenario.value(row);
        let (scenario, input) = roster.shown(name, keys.input.value(row))?;
        let task = roster.scenarios[scenario].tasks.get_index_of(keys.task.value(row))?;
        Some(&mut self.inputs[scenario][input].prompts[task])
    }

    fn add_prompts(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = ["scenario", "input", "task", "wording", "token_ids", "status"];
        let Some(table) = sources.optional(&PROMPTS, part, &columns)? else { return Ok(()) };
        let keys = Keys::of(&table)?;
        let (ids, word) = (table.lists("token_ids")?, table.texts("status")?);
        for row in 0..table.rows() {
            let Some(prompt) = self.prompt(roster, &keys, row) else { continue };
            if word.value(row) != status::OK {
                prompt.not_run = Some(meaning(word.value(row)).to_owned());
                continue;
            }
            let ids = ids.value(row);
            let ids = ids.as_primitive_opt::<Int32Type>();
            let ids =
                ids.ok_or_else(|| table.problem("has token_ids of another type than int32"))?;
            let token = |(position, id): (usize, &i32)| Token {
                text: (sources.decode)(*id),
                position: position as i32,
                ..Token::default()
            };
            prompt.tokens = ids.values().iter().enumerate().map(token).collect();
        }
        Ok(())
    }

    fn add_focus(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = [
            "scenario", "input", "task", "wording", "layer", "head", "rank", "position", "token",
            "weight", "gap",
        ];
        let Some(table) = sources.optional(&ATTENTION_FOCUS, part, &columns)? else {
            return Ok(());
        };
        let keys = Keys::of(&table)?;
        let (layer, head) = (table.int16s("layer")?, table.int16s("head")?);
        let (rank, position) = (table.int16s("rank")?, table.int32s("position")?);
        let (token, weight) = (table.texts("token")?, table.float64s("weight")?);
        let gap = table.float64s("gap")?;
        let is_mean = |row: &usize| head.value(*row) == MEAN_HEAD;
        let rows: Vec<usize> = (0..table.rows()).filter(is_mean).collect();
        let last_layer = last(rows.iter().map(|row| layer.value(*row)));
        for row in rows.into_iter().filter(|row| Some(layer.value(*row)) == last_layer) {
            let Some(prompt) = self.prompt(roster, &keys, row) else { continue };
            prompt.focus_layer = last_layer;
            prompt.focus.push(Focus {
                rank: rank.value(row),
                position: position.value(row),
                token: token.value(row).to_owned(),
                weight: weight.value(row),
                gap: measure(gap, row),
            });
        }
        for prompt in self.inputs.iter_mut().flatten().flat_map(|input| &mut input.prompts) {
            mark_focus(prompt);
        }
        Ok(())
    }

    /// Weights of all tokens: the mean over the heads, which are summed in their order.
    fn add_attention(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = ["scenario", "input", "task", "wording", "layer", "head", "weights"];
        let Some(table) = sources.optional(&ATTENTION, part, &columns)? else { return Ok(()) };
        let keys = Keys::of(&table)?;
        let (layer, weights) = (table.int16s("layer")?, table.lists("weights")?);
        let last_layer = last(layer.values().iter().copied());
        let mut sums: BTreeMap<(usize, usize, usize), (Vec<f64>, u32)> = BTreeMap::new();
        for row in (0..table.rows()).filter(|row| Some(layer.value(*row)) == last_layer) {
            let shown = roster.shown(keys.scenario.value(row), keys.input.value(row));
            let Some((scenario, input)) = shown else { continue };
            let task = roster.scenarios[scenario].tasks.get_index_of(keys.task.value(row));
            let (Some(task), FIRST_WORDING) = (task, keys.wording[row]) else { continue };
            let weights = weights.value(row);
            let weights = weights.as_primitive_opt::<Float32Type>();
            let weights =
                weights.ok_or_else(|| table.problem("has weights of another type than float32"))?;
            let (sum, heads) = sums.entry((scenario, input, task)).or_default();
            sum.resize(weights.len(), 0.0);
            sum.iter_mut().zip(weights.values()).for_each(|(s, w)| *s += f64::from(*w));
            *heads += 1;
        }
        for ((scenario, input, task), (sum, heads)) in sums {
            let prompt = &mut self.inputs[scenario][input].prompts[task];
            if prompt.focus_layer.is_some_and(|layer| Some(layer) != last_layer) {
                continue;
            }
            prompt.focus_layer = last_layer;
            for (token, sum) in prompt.tokens.iter_mut().zip(&sum) {
                token.weight.get_or_insert(sum / f64::from(heads));
            }
            prompt.whole = prompt.tokens.len() == sum.len();
        }
        Ok(())
    }

    fn add_next_tokens(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = [
            "scenario",
            "input",
            "task",
            "wording",
            "rank",
            "token_id",
            "token",
            "probability",
            "logprob",
        ];
        let Some(table) = sources.optional(&NEXT_TOKENS, part, &columns)? else { return Ok(()) };
        let keys = Keys::of(&table)?;
        let (rank, id) = (table.int16s("rank")?, table.int32s("token_id")?);
        let (probability, logprob) = (table.float64s("probability")?, table.float64s("logprob")?);
        let token = table.texts("token")?;
        for row in 0..table.rows() {
            let Some(prompt) = self.prompt(roster, &keys, row) else { continue };
            prompt.next.push(NextToken {
                rank: rank.value(row),
                token: token.value(row).to_owned(),
                token_id: id.value(row),
                probability: probability.value(row),
                logprob: logprob.value(row),
            });
        }
        Ok(())
    }
}

/// Puts ranks and weights of the focus set on the prompt's tokens; without tokens, the focus set
/// itself stands for them.
fn mark_focus(prompt: &mut Prompt) {
    if prompt.tokens.is_empty() {
        let token = |focus: &Focus| Token {
            text: focus.token.clone(),
            position: focus.position,
            ..Token::default()
        };
        prompt.tokens = prompt.focus.iter().map(token).collect();
        prompt.tokens.sort_by_key(|token| token.position);
    }
    for focus in &prompt.focus {
        let token = prompt.tokens.iter_mut().find(|token| token.position == focus.position);
        if let Some(token) = token {
            token.rank = Some(focus.rank);
            token.weight = Some(focus.weight);
        }
    }
}

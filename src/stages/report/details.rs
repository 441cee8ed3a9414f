//! The shown inputs in full: tokens, attention and next tokens of each prompt.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;

use super::roster::Roster;
use super::sources::{Sources, last};
use crate::render::page::{Focus, Input, NextToken, Prompt, Token};
use crate::stage::StageError;
use crate::stage::names::{FIRST_WORDING, MEAN_HEAD};
use crate::stage::read::prompts::Keys;
use crate::table::schema::{ATTENTION, ATTENTION_FOCUS, NEXT_TOKENS, PROMPTS};
use crate::table::status::{self, meaning};
use crate::table::{ReadRow as _, view};

view! {
    /// A prompt and its tokens.
    struct PromptRow<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        token_ids: &'a [i32],
        status: &'a str,
    }
}

view! {
    /// A position of a focus set.
    struct FocusRow<'a> of [ATTENTION_FOCUS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        layer: i16,
        head: i16,
        rank: i16,
        position: i32,
        token: &'a str,
        weight: f64,
        gap: Option<f64>,
    }
}

view! {
    /// A probable next token.
    struct NextRow<'a> of [NEXT_TOKENS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        rank: i16,
        token_id: i32,
        token: &'a str,
        probability: f64,
        logprob: f64,
    }
}

/// What names a prompt.
#[derive(Clone, Copy)]
struct Name<'a> {
    scenario: &'a str,
    input: &'a str,
    task: &'a str,
    wording: i16,
}

macro_rules! named {
    ($($Row:ident),+) => {
        $(impl<'a> $Row<'a> {
            fn name(&self) -> Name<'a> {
                let Self { scenario, input, task, wording, .. } = *self;
                Name { scenario, input, task, wording }
            }
        })+
    };
}

named!(PromptRow, FocusRow, NextRow);

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
    fn prompt(&mut self, roster: &Roster, of: Name<'_>) -> Option<&mut Prompt> {
        let (scenario, input, task) = place(roster, of)?;
        Some(&mut self.inputs[scenario][input].prompts[task])
    }

    fn add_prompts(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<PromptRow<'_>>(&PROMPTS, part)?;
        let Some(table) = table else { return Ok(()) };
        for row in PromptRow::rows(&table)? {
            let Some(prompt) = self.prompt(roster, row.name()) else { continue };
            if row.status != status::OK {
                prompt.not_run = Some(meaning(row.status).to_owned());
                continue;
            }
            let token = |(position, id): (usize, &i32)| Token {
                text: (sources.decode)(*id),
                position: position as i32,
                ..Token::default()
            };
            prompt.tokens = row.token_ids.iter().enumerate().map(token).collect();
        }
        Ok(())
    }

    fn add_focus(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<FocusRow<'_>>(&ATTENTION_FOCUS, part)?;
        let Some(table) = table else { return Ok(()) };
        let mut rows = FocusRow::rows(&table)?;
        rows.retain(|row| row.head == MEAN_HEAD);
        let last_layer = last(rows.iter().map(|row| row.layer));
        for row in rows.iter().filter(|row| Some(row.layer) == last_layer) {
            let Some(prompt) = self.prompt(roster, row.name()) else { continue };
            prompt.focus_layer = last_layer;
            prompt.focus.push(Focus {
                rank: row.rank,
                position: row.position,
                token: row.token.to_owned(),
                weight: row.weight,
                gap: row.gap,
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
        let Some(table) = sources.raw(&ATTENTION, part, &columns)? else { return Ok(()) };
        let keys = Keys::of(&table)?;
        let (layer, weights) = (table.int16s("layer")?, table.lists("weights")?);
        let last_layer = last(layer.values().iter().copied());
        let mut sums: BTreeMap<(usize, usize, usize), (Vec<f64>, u32)> = BTreeMap::new();
        for row in (0..table.rows()).filter(|row| Some(layer.value(*row)) == last_layer) {
            let name = Name {
                scenario: keys.scenario.value(row),
                input: keys.input.value(row),
                task: keys.task.value(row),
                wording: keys.wording[row],
            };
            let Some(place) = place(roster, name) else { continue };
            let weights = weights.value(row);
            let weights = weights.as_primitive_opt::<Float32Type>();
            let weights =
                weights.ok_or_else(|| table.problem("has weights of another type than float32"))?;
            let (sum, heads) = sums.entry(place).or_default();
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
        let table = sources.optional::<NextRow<'_>>(&NEXT_TOKENS, part)?;
        let Some(table) = table else { return Ok(()) };
        for row in NextRow::rows(&table)? {
            let Some(prompt) = self.prompt(roster, row.name()) else { continue };
            prompt.next.push(NextToken {
                rank: row.rank,
                token: row.token.to_owned(),
                token_id: row.token_id,
                probability: row.probability,
                logprob: row.logprob,
            });
        }
        Ok(())
    }
}

/// Places of a shown prompt's scenario, input and task.
fn place(roster: &Roster, of: Name<'_>) -> Option<(usize, usize, usize)> {
    if of.wording != FIRST_WORDING {
        return None;
    }
    let (scenario, input) = roster.shown(of.scenario, of.input)?;
    let task = roster.scenarios[scenario].tasks.get_index_of(of.task)?;
    Some((scenario, input, task))
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

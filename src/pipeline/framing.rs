//! The texts that go around inputs: each task's wordings and controls.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::controls::{self, Control};
use super::error::PlanError;
use super::neutral::Ruler;
use super::{Neutral, Scenario, Task};
use crate::monitor::Monitor;
use crate::yaml::{Warning, quote};

/// One text that goes before (or after) an input.
#[derive(Debug)]
pub(super) struct Framing {
    pub(super) task: Arc<str>,
    pub(super) wording: i16,
    /// The text of most inputs, and the others that single inputs have.
    pub(super) texts: Vec<String>,
    /// For each input which of the texts; empty when all have the first.
    of_input: Vec<u32>,
    /// Of a control that is put in the task's wordings in turn: the wording that each text is.
    in_turn: Vec<i16>,
    /// What its texts are made of, for a neutral prefix that is as long as its task.
    family: Option<usize>,
}

impl Framing {
    /// The text that an input has, and the wording of the task that it is or was made from. Inputs and
    /// clusters are counted from 0.
    pub(super) fn text(&self, input: u64, cluster: u64) -> (&str, i16) {
        if !self.in_turn.is_empty() {
            let which = (cluster % self.in_turn.len() as u64) as usize;
            return (&self.texts[which], self.in_turn[which]);
        }
        let which = usize::try_from(input).ok().and_then(|input| self.of_input.get(input));
        let text = &self.texts[which.map_or(0, |which| *which as usize)];
        (text, self.wording.max(0))
    }
}

/// A control that is not what it should be for some inputs.
#[derive(Debug)]
pub(super) struct Unfit {
    scenario: String,
    task: String,
    /// The first such input.
    input: String,
    inputs: u64,
    /// The last one that was counted: it may have several controls.
    last: u64,
}

impl Unfit {
    /// In words: one line, however many there are.
    pub(super) fn warnings(all: &[Self]) -> Vec<Warning> {
        let Some(Self { scenario, task, input, .. }) = all.first() else { return Vec::new() };
        let inputs: u64 = all.iter().map(|unfit| unfit.inputs).sum();
        let (scenario, task, input) = (quote(scenario), quote(task), quote(input));
        let message = format!(
            "no neutral prefix has as many tokens as its task for {inputs} pairs of input and task, \
             the first of them input {input} and task {task} of scenario {scenario}: there a \
             difference to the neutral control is one of positions too (`n_tokens` in table \
             prompts); put a line break between {{task}} and {{input}}"
        );
        vec![Warning { place: None, at: None, message }]
    }
}

/// Every wording of every task, and the controls of each after its wordings; and which controls are
/// not what they should be. `has_others` says whether the inputs are of several clusters.
pub(super) fn framings(
    scenario: &Scenario,
    has_others: bool,
    seed: u64,
    ruler: Ruler<'_>,
    monitor: &dyn Monitor,
) -> Result<(Vec<Framing>, Vec<Unfit>), PlanError> {
    let mut framings = Vec::new();
    for task in &scenario.tasks {
        if monitor.is_interrupted() {
            return Err(PlanError::Interrupted);
        }
        let id: Arc<str> = task.id.as_str().into();
        let framing = |wording, texts| Framing {
            task: Arc::clone(&id),
            wording,
            texts,
            of_input: Vec::new(),
            in_turn: Vec::new(),
            family: None,
        };
        let wordings = (0..).zip(&task.wordings);
        framings.extend(wordings.map(|(wording, text)| framing(wording, vec![text.clone()])));
        for Control { wording, texts, in_turn, family } in
            controls::texts(scenario, task, has_others, seed, ruler)?
        {
            framings.push(Framing { in_turn, family, ..framing(wording, texts) });
        }
    }
    let unfit = match scenario.controls.neutral {
        Some(Neutral::Auto(_)) => fit(scenario, &mut framings, ruler, monitor)?,
        _ => Vec::new(),
    };
    Ok((framings, unfit))
}

/// Gives each input its own neutral prefix where the task's does not fit; for which none does.
fn fit(
    scenario: &Scenario,
    framings: &mut [Framing],
    ruler: Ruler<'_>,
    monitor: &dyn Monitor,
) -> Result<Vec<Unfit>, PlanError> {
    let of_task = |task: &Task| -> Vec<(usize, String)> {
        let own = framings.iter().filter(|framing| *framing.task == *task.id);
        own.filter_map(|framing| Some((framing.family?, framing.texts[0].clone()))).collect()
    };
    let fillers: Vec<Vec<(usize, String)>> = scenario.tasks.iter().map(of_task).collect();
    let each = |(task, fillers): (usize, &Vec<_>)| vec![task; fillers.len()];
    let task_of: Vec<usize> = fillers.iter().enumerate().flat_map(each).collect();
    let mut neutral: Vec<&mut Framing> =
        framings.iter_mut().filter(|framing| framing.family.is_some()).collect();
    let n_inputs = scenario.inputs.len() as usize;
    let mut unfit: BTreeMap<usize, Unfit> = BTreeMap::new();
    let mut known: BTreeMap<(usize, String), u32> = BTreeMap::new();
    for own in ruler.others(scenario, &fillers, monitor)? {
        let framing = &mut *neutral[own.place];
        if !own.filler.fits {
            let first = || Unfit {
                scenario: scenario.name.clone(),
                task: framing.task.to_string(),
                input: own.input.clone(),
                inputs: 1,
                last: own.i,
            };
            let unfit = unfit.entry(task_of[own.place]).or_insert_with(first);
            unfit.inputs += u64::from(unfit.last != own.i);
            unfit.last = own.i;
        }
        let text = own.filler.text;
        let which = *known.entry((own.place, text)).or_insert_with_key(|(_, text)| {
            framing.texts.push(text.clone());
            framing.texts.len() as u32 - 1
        });
        framing.of_input.resize(n_inputs, 0);
        framing.of_input[own.i as usize] = which;
    }
    Ok(unfit.into_values().collect())
}

//! Neutral prefixes of the length of a task: for each input, a filler with which the prompt has as
//! many tokens as with the task, so that the input has the same positions in both.
//!
//! One filler of each family ([`super::filler`]) fits most inputs. Where nothing stands between task and input, the last word of one
//! and the first letters of the other may be one token or several, and each input has its own.

use rayon::prelude::*;

use super::error::PlanError;
use super::filler::{Filler, Search};
use super::form::Form;

use super::{Input, Scenario, Task};
use crate::model::Tokenizer;
use crate::monitor::Monitor;
use crate::yaml::quote;

/// What a prompt's length depends on beside its task and input.
#[derive(Clone, Copy)]
pub(super) struct Ruler<'a> {
    pub(super) form: &'a Form,
    /// With the special tokens that prompts of the form have.
    pub(super) tokenizer: &'a Tokenizer,
    /// Positions of the model: a longer prompt cannot be run, and how much longer it is does not
    /// matter.
    pub(super) limit: usize,
}

/// The filler that an input has for a task instead of the others' one.
#[derive(Debug)]
pub(super) struct Own {
    /// The input, counted from 0.
    pub(super) i: u64,
    /// Its id.
    pub(super) input: String,
    /// The task's text that does not fit, counted from 0 over all tasks.
    pub(super) place: usize,
    pub(super) filler: Filler,
}

impl Ruler<'_> {
    /// The inputs for which one of a task's fillers does not fit, in order, with the fillers that each
    /// has instead; `fillers` has those of all tasks, each with its family.
    pub(super) fn others(
        self,
        scenario: &Scenario,
        fillers: &[Vec<(usize, String)>],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Own>, PlanError> {
        let tasks = || fillers.iter().zip(&scenario.tasks);
        let inputs = (0..).zip(scenario.inputs.read()).par_bridge();
        let of_input = |(i, input): (u64, Result<Input, _>)| -> Result<Vec<Own>, PlanError> {
            if monitor.is_interrupted() {
                return Err(PlanError::Interrupted);
            }
            let input = input?;
            let mut own = Vec::new();
            let mut places = 0..;
            for (fillers, task) in tasks() {
                let target = self.length(&task.wordings[0], &input)?;
                for ((family, filler), place) in fillers.iter().zip(places.by_ref()) {
                    if let Some(filler) = self.other(target, *family, filler, &input)? {
                        own.push(Own { i, input: input.id.clone(), place, filler });
                    }
                }
            }
            Ok(own)
        };
        let both = |mut a: Vec<Own>, mut b: Vec<Own>| {
            a.append(&mut b);
            Ok(a)
        };
        let mut others = inputs.map(of_input).try_reduce(Vec::new, both)?;
        others.sort_unstable_by_key(|own| (own.i, own.place));
        Ok(others)
    }

    /// `n` different fillers for a task and an input, each with its family; fewer where there are not so
    /// many of that length.
    pub(super) fn fillers(
        self,
        n: usize,
        task: &Task,
        input: &Input,
    ) -> Result<Vec<(usize, String)>, PlanError> {
        let target = self.length(&task.wordings[0], input)?.min(self.limit + 1);
        let mut found: Vec<(usize, String)> = Vec::with_capacity(n);
        for family in 0..n {
            let text = self.search(family, target, input, None)?.text;
            if found.iter().all(|(_, known)| *known != text) {
                found.push((family, text));
            }
        }
        Ok(found)
    }

    /// Another filler for another input, whose prompt under the task has `target` tokens, when `filler`
    /// does not fit there; `None` when it does, or when the prompt is too long to be run.
    fn other(
        self,
        target: usize,
        family: usize,
        filler: &str,
        input: &Input,
    ) -> Result<Option<Filler>, PlanError> {
        if target > self.limit || self.length(filler, input)? == target {
            return Ok(None);
        }
        self.search(family, target, input, Some(filler.split(' ').count())).map(Some)
    }

    fn search(
        self,
        family: usize,
        target: usize,
        input: &Input,
        near: Option<usize>,
    ) -> Result<Filler, PlanError> {
        Search { family, target, length: |text: &str| self.length(text, input) }.filler(near)
    }

    /// Tokens of the prompt with this text in the place of a task; of one that cannot be run no more
    /// than that it is too long.
    fn length(self, task: &str, input: &Input) -> Result<usize, PlanError> {
        let filled = self.form.fill(task, &input.text);
        let name = || format!("of input {} under {}", quote(&input.id), quote(task));
        let text = filled.map_err(|problem| PlanError::Chat { prompt: name(), problem })?.text;
        if self.tokenizer.too_long(&text).is_some() {
            return Ok(self.limit + 1);
        }
        let n = self.tokenizer.encode(&text, 0..0)?.ids.len();
        Ok(n.min(self.limit + 1))
    }
}

//! Where the same input stands in the prompts of its tasks, and whether its tokens can be compared
//! there.
//!
//! They can when the prompts hold the same token ids of the input and something of a task stands in
//! front of it. With every task behind the input, the input's states are the same under all of them:
//! a causal model cannot look ahead. That is refused, since a similarity of 1 would then look like a
//! finding.

use std::ops::Range;

use crate::prompt::Role;
use crate::stage::read::prompts::{InputGroup, PromptRow};
use crate::table::status;

/// The letter of a task's tokens in column `segments`.
const TASK_LETTER: u8 = b't';

/// How the prompts of one input relate to each other.
#[derive(Debug, Clone)]
pub(crate) struct Spans<'a> {
    /// Whether the input stands in front of every task.
    input_first: bool,
    /// The input's token ids in most of the tasks' prompts.
    usual: Option<&'a [i32]>,
    /// Leading tokens that all of the tasks' prompts share.
    pub(crate) shared_prefix: usize,
}

impl<'a> Spans<'a> {
    /// Looks at the tasks' own prompts, whether they ran or not.
    pub(crate) fn of(input: InputGroup<'a>) -> Self {
        let tasks = input.tasks();
        let shared_prefix = shared_prefix(&tasks);
        let is_behind = |prompt: &&PromptRow| {
            prompt.input.as_ref().is_some_and(|span| {
                let before = &prompt.segments.as_bytes()[..span.start];
                span.end <= shared_prefix && !before.contains(&TASK_LETTER)
            })
        };
        Self {
            input_first: !tasks.is_empty() && tasks.iter().all(is_behind),
            usual: usual(&tasks),
            shared_prefix,
        }
    }

    /// Why a prompt's tokens of the input cannot be compared with those of the tasks' prompts;
    /// `None` when they can.
    pub(crate) fn refusal(&self, prompt: &PromptRow) -> Option<&'static str> {
        if self.input_first {
            return Some("the input precedes the task: its states are identical by causality");
        }
        if prompt.role() == Role::OtherInput {
            return Some("the prompt holds another input");
        }
        match span_ids(prompt) {
            None => Some("no token holds a part of the input"),
            ids if ids != self.usual => {
                Some("the input is cut into other tokens than in most of its prompts")
            }
            _ => None,
        }
    }

    /// Where the input stands in a prompt whose reading of it can be exchanged or cut off; else the word for
    /// why it cannot.
    pub(crate) fn read_by_rest(&self, prompt: &PromptRow) -> Result<Range<usize>, &'static str> {
        if !prompt.ran {
            return Err(status::SKIPPED);
        }
        if self.refusal(prompt).is_some() {
            return Err(status::NO_ALIGNMENT);
        }
        let span = prompt.input.clone().ok_or(status::NO_ALIGNMENT)?;
        if span.end >= prompt.token_ids.len() { Err(status::NO_REST) } else { Ok(span) }
    }

    /// Whether two prompts can be compared on the input's tokens: one by one when `aligned`, else as
    /// a whole, which also works for another input.
    pub(crate) fn comparable(&self, a: &PromptRow, b: &PromptRow, aligned: bool) -> bool {
        let (Some(ids_a), Some(ids_b)) = (span_ids(a), span_ids(b)) else { return false };
        let is_other = a.role() == Role::OtherInput || b.role() == Role::OtherInput;
        !self.input_first && if is_other { !aligned } else { ids_a == ids_b }
    }
}

/// The input's token ids in a prompt; `None` when no token holds a part of it.
pub(crate) fn span_ids(prompt: &PromptRow) -> Option<&[i32]> {
    prompt.input.clone().map(|span: Range<usize>| &prompt.token_ids[span])
}

fn shared_prefix(prompts: &[&PromptRow]) -> usize {
    let Some((first, others)) = prompts.split_first() else { return 0 };
    let equal = |other: &&PromptRow| {
        let pairs = first.token_ids.iter().zip(&other.token_ids);
        pairs.take_while(|(a, b)| a == b).count()
    };
    others.iter().map(equal).min().unwrap_or(first.token_ids.len())
}

/// The token ids that most prompts have; the first of several that are equally common.
fn usual<'a>(prompts: &[&'a PromptRow]) -> Option<&'a [i32]> {
    let spans: Vec<&[i32]> = prompts.iter().filter_map(|prompt| span_ids(prompt)).collect();
    let count = |ids: &[i32]| spans.iter().filter(|other| **other == ids).count();
    let mut best: Option<(&[i32], usize)> = None;
    for ids in &spans {
        let n = count(ids);
        if best.is_none_or(|(_, most)| n > most) {
            best = Some((*ids, n));
        }
    }
    best.map(|(ids, _)| ids)
}

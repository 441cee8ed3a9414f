//! Who takes part in an input's exchanges: its prompts, where the input stands in them, and which of them
//! cannot.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{ModelCard, Positions};
use crate::prompt::Role;
use crate::stage::compare::spans::Spans;
use crate::stage::read::prompts::{InputGroup, PromptRow};
use crate::table::status;

/// An input's prompts by task.
#[derive(Debug)]
pub(super) struct Cast<'p> {
    pub(super) input: InputGroup<'p>,
    /// All that may take part; the other lists hold places in this one.
    pub(super) members: Vec<Member<'p>>,
    pub(super) tasks: Vec<TaskCast<'p>>,
}

/// One task.
#[derive(Debug)]
pub(super) struct TaskCast<'p> {
    pub(super) task: &'p str,
    /// Its wordings, in their order; copies of an earlier one left out.
    pub(super) wordings: Vec<usize>,
    /// Its neutral prefixes.
    pub(super) neutral: Vec<usize>,
}

/// One prompt.
#[derive(Debug)]
pub(super) struct Member<'p> {
    pub(super) prompt: &'p PromptRow,
    /// The input's tokens in it; the word for why it has no part.
    pub(super) span: Result<Range<usize>, &'static str>,
    /// How many positions it is moved by, so that the input stands where it stands in the others.
    pub(super) moved: usize,
}

impl Member<'_> {
    /// Where the input begins in it.
    pub(super) fn start(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }
}

impl<'p> Cast<'p> {
    pub(super) fn of(input: InputGroup<'p>, card: &ModelCard) -> Self {
        let spans = Spans::of(input);
        let takes_part = |prompt: &&PromptRow| matches!(prompt.role(), Role::Task | Role::Neutral);
        let member = |prompt| Member { prompt, span: spans.read_by_rest(prompt), moved: 0 };
        let members = input.prompts.iter().filter(takes_part).map(member).collect();
        let mut cast = Self { input, members, tasks: Vec::new() };
        cast.sort_by_task();
        if card.positions == Some(Positions::Relative) {
            cast.line_up(card.n_positions);
        }
        cast
    }

    fn sort_by_task(&mut self) {
        for (place, member) in self.members.iter().enumerate() {
            let key = &member.prompt.key;
            let known = self.tasks.iter().position(|task| *task.task == *key.task);
            let known = known.unwrap_or_else(|| {
                let task = &*key.task;
                self.tasks.push(TaskCast { task, wordings: Vec::new(), neutral: Vec::new() });
                self.tasks.len() - 1
            });
            let task = &mut self.tasks[known];
            let own = match member.prompt.role() {
                Role::Task => &mut task.wordings,
                _ => &mut task.neutral,
            };
            let ids = |place: &usize| &self.members[*place].prompt.token_ids;
            // A copy would be a paraphrase that changes nothing.
            if own.iter().all(|other| ids(other) != &member.prompt.token_ids) {
                own.push(place);
            }
        }
    }

    /// Moves all prompts so that the input stands where it stands in the one with the longest prefix.
    fn line_up(&mut self, n_positions: usize) {
        let start = self.members.iter().map(Member::start).max().unwrap_or(0);
        let fits =
            self.members.iter().filter(|member| member.span.is_ok()).all(|member| {
                start - member.start() + member.prompt.token_ids.len() <= n_positions
            });
        for member in &mut self.members {
            match (&member.span, fits) {
                (Ok(span), true) => member.moved = start - span.start,
                (Ok(_), false) => member.span = Err(status::TOO_LONG),
                (Err(_), _) => {}
            }
        }
    }

    /// The scenario and input of its prompts.
    pub(super) fn names(&self) -> (&'p Arc<str>, &'p Arc<str>) {
        let key = &self.input.prompts[0].key;
        (&key.scenario, &key.input)
    }
}

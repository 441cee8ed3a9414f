//! How long the prompts of a plan are.

use rayon::prelude::*;

use crate::math::pairs;
use crate::model::{Tokenizer, find_repeats};
use crate::pipeline::plan::{Plan, PlanError, ShardPlan};
use crate::prompt::{Prompt, PromptKey};
use crate::stage::names::FIRST_WORDING;

/// What the tokenizer makes of all prompts, summed up: the prompts themselves come and go.
#[derive(Default)]
pub(super) struct Lengths {
    pub(super) prompts: u64,
    /// Prompts that fit the model.
    pub(super) fit: u64,
    /// Tokens of those.
    pub(super) tokens: u64,
    /// Of the prompts that fit, those that have the numbers of another one with the same tokens.
    pub(super) repeats: u64,
    /// Tokens of the prompts that fit, without those.
    pub(super) run_tokens: u64,
    /// Such prompts, their tokens, and pairs of tasks on one input, of the shard that has most of each.
    pub(super) most_fit: u64,
    pub(super) most_tokens: u64,
    pub(super) most_pairs: u64,
    /// Such prompts, and tasks, of the input that has most of each.
    pub(super) most_of_input: u64,
    pub(super) most_tasks: u64,
    pub(super) longest: usize,
    pub(super) too_long: u64,
    /// The first that is too long: its shard and name, and how that is known.
    pub(super) first_too_long: Option<((u32, usize), String, String)>,
    /// The shard that `typical` is of, by its distance from the middle one.
    pub(super) from_middle: Option<(u32, u32)>,
    /// Tokens of the prompts that run, of one shard.
    pub(super) typical: Vec<Vec<i32>>,
    /// For each of those a number of its task.
    pub(super) tasks: Vec<usize>,
}

impl Lengths {
    /// Tokenises shard after shard, several at a time.
    pub(super) fn of(
        plan: &Plan<'_>,
        tokenizer: &Tokenizer,
        limit: usize,
    ) -> Result<Self, PlanError> {
        let middle = plan.n_shards() / 2;
        let shards = plan.shards().par_bridge();
        let lengths = shards.map(|shard| Self::of_shard(&shard?, tokenizer, limit, middle));
        lengths.try_reduce(Self::default, |a, b| Ok(a.and(b)))
    }

    fn of_shard(
        shard: &ShardPlan,
        tokenizer: &Tokenizer,
        limit: usize,
        middle: u32,
    ) -> Result<Self, PlanError> {
        let mut lengths = Self { prompts: shard.prompts.len() as u64, ..Self::default() };
        let tasks = PromptKey::numbers_of_tasks(shard.prompts.iter().map(|prompt| &prompt.key));
        let mut fit = Vec::new();
        for (i, prompt) in shard.prompts.iter().enumerate() {
            let mut ids = Vec::new();
            let mut too_long = tokenizer.prompt_too_long(prompt);
            if too_long.is_none() {
                ids = tokenizer.encode_prompt(prompt)?.ids;
                lengths.longest = lengths.longest.max(ids.len());
                too_long = (ids.len() > limit).then(|| format!("has {} tokens", ids.len()));
            }
            if let Some(reason) = too_long {
                lengths.too_long += 1;
                let first = || ((shard.part, i), prompt.key.to_string(), reason);
                lengths.first_too_long.get_or_insert_with(first);
            } else {
                lengths.fit += 1;
                lengths.tokens += ids.len() as u64;
                fit.push((i, ids));
            }
        }
        let ids: Vec<&[i32]> = fit.iter().map(|(_, ids)| ids.as_slice()).collect();
        let is_own = |place: usize| shard.prompts[fit[place].0].key.wording >= FIRST_WORDING;
        // A shard is of one scenario.
        let repeats = find_repeats(&ids, &[fit.len()], &is_own);
        lengths.repeats = repeats.copies.len() as u64;
        lengths.run_tokens = repeats.run.iter().map(|place| ids[*place].len() as u64).sum();
        lengths.tasks = repeats.run.iter().map(|place| tasks[fit[*place].0]).collect();
        lengths.typical = repeats.run.iter().map(|place| ids[*place].to_vec()).collect();
        (lengths.most_fit, lengths.most_tokens) = (lengths.fit, lengths.tokens);
        let is_first = |prompt: &&Prompt| prompt.key.wording == FIRST_WORDING;
        let firsts: Vec<_> = shard.prompts.iter().filter(is_first).collect();
        let is_one = |a: &&Prompt, b: &&Prompt| {
            (&a.key.scenario, &a.key.input) == (&b.key.scenario, &b.key.input)
        };
        let of_input = || firsts.chunk_by(is_one);
        lengths.most_pairs = of_input().map(|tasks| pairs(tasks.len()).count() as u64).sum();
        lengths.most_tasks = of_input().map(<[_]>::len).max().unwrap_or(0) as u64;
        let fit: Vec<&Prompt> = fit.iter().map(|(place, _)| &shard.prompts[*place]).collect();
        lengths.most_of_input = fit.chunk_by(is_one).map(<[_]>::len).max().unwrap_or(0) as u64;
        let distance = (middle.abs_diff(shard.part), shard.part);
        lengths.from_middle = (lengths.fit > 0).then_some(distance);
        Ok(lengths)
    }

    /// Both together; whichever comes first, the result is the same.
    fn and(self, other: Self) -> Self {
        let is_typical = |a: &Self, b: &Self| {
            b.from_middle.is_none() || a.from_middle.is_some_and(|a| Some(a) <= b.from_middle)
        };
        let (typical, rest) = if is_typical(&self, &other) { (self, other) } else { (other, self) };
        let first = [typical.first_too_long, rest.first_too_long].into_iter().flatten().min();
        Self {
            prompts: typical.prompts + rest.prompts,
            fit: typical.fit + rest.fit,
            tokens: typical.tokens + rest.tokens,
            repeats: typical.repeats + rest.repeats,
            run_tokens: typical.run_tokens + rest.run_tokens,
            most_fit: typical.most_fit.max(rest.most_fit),
            most_tokens: typical.most_tokens.max(rest.most_tokens),
            most_pairs: typical.most_pairs.max(rest.most_pairs),
            most_of_input: typical.most_of_input.max(rest.most_of_input),
            most_tasks: typical.most_tasks.max(rest.most_tasks),
            longest: typical.longest.max(rest.longest),
            too_long: typical.too_long + rest.too_long,
            first_too_long: first,
            from_middle: typical.from_middle,
            typical: typical.typical,
            tasks: typical.tasks,
        }
    }
}

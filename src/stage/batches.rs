//! Prompts through the model in batches of like length, for the stages that run it.

use std::sync::Arc;

use super::{Context, StageError};
use crate::model::{
    Batch, Outputs, Past, PrefixSet, Prefixes, Wanted, plan_batches, plan_prefixes,
};
use crate::monitor::Event;

/// Any token serves as padding: the mask hides it.
pub(super) const PAD_ID: i64 = 0;

/// Who runs prompts, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batches<'a> {
    /// Kind of the stage.
    pub(super) kind: &'static str,
    /// The shard, for stages that work shard by shard.
    pub(super) shard: Option<u32>,
    /// Most tokens a batch holds, padding included; 0 = chosen for the provider.
    pub(super) batch_tokens: u32,
    /// For each prompt a number of its task: what all prompts of a task start with then runs once,
    /// where the model can do so and it saves time. `None` = every prompt runs whole.
    pub(super) tasks: Option<&'a [usize]>,
}

/// What the model was given.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// Prompts, whole or as what is left of them after [`Batch::past`]; [`Batch::rows`] are the
    /// caller's own.
    Prompts(&'a Batch),
    /// What prompts start with.
    Starts {
        /// A start in each row.
        batch: &'a Batch,
        /// For each of the caller's prompts that has one, which row its start is.
        of: &'a [(usize, usize)],
    },
}

/// Takes what the model gave for a piece.
pub(super) type TakePiece<'t> = dyn FnMut(&Piece<'_>, &Outputs<'_>) -> Result<(), StageError> + 't;

impl Batches<'_> {
    /// Runs prompts with these tokens, none of them empty, and hands each batch's outputs to `take`:
    /// the start of a prompt before the rest of it. The batches depend on the tokens alone.
    ///
    /// # Errors
    /// When the model fails, somebody asked to stop, or `take` says so.
    pub(super) fn run(
        self,
        context: &Context<'_>,
        ids: &[&[i32]],
        wanted: &Wanted,
        take: &mut TakePiece<'_>,
    ) -> Result<(), StageError> {
        if ids.is_empty() {
            return Ok(());
        }
        let Self { kind: stage, shard, batch_tokens, tasks } = self;
        let budget = match batch_tokens {
            0 => context.engine.batch_budget()?,
            tokens => tokens as usize,
        };
        let total = ids.iter().map(|ids| ids.len() as u64).sum();
        context.monitor.event(&Event::StageStarted { stage, shard, total, unit: "tokens" });
        let mut runner = Runner { context, stage, ids, budget, wanted, take };
        let plan = match tasks {
            Some(tasks) if context.engine.takes_past()? => plan_prefixes(ids, tasks, budget),
            _ => None,
        };
        let Some(plan) = plan else {
            return runner.whole(&(0..ids.len()).collect::<Vec<_>>());
        };
        for set in &plan.sets {
            runner.after_prefixes(set)?;
        }
        runner.whole(&plan.whole)
    }
}

struct Runner<'r, 'c, 't> {
    context: &'r Context<'c>,
    stage: &'static str,
    ids: &'r [&'r [i32]],
    budget: usize,
    wanted: &'r Wanted,
    take: &'r mut TakePiece<'t>,
}

impl Runner<'_, '_, '_> {
    /// Runs whole prompts.
    fn whole(&mut self, prompts: &[usize]) -> Result<(), StageError> {
        let lengths: Vec<usize> = prompts.iter().map(|prompt| self.ids[*prompt].len()).collect();
        for places in plan_batches(&lengths, 0, self.budget) {
            let rows: Vec<usize> = places.into_iter().map(|place| prompts[place]).collect();
            self.prompts(&Batch::pad(&rows, self.ids, PAD_ID))?;
        }
        Ok(())
    }

    /// Runs what prompts start with, then what is left of them.
    fn after_prefixes(&mut self, set: &PrefixSet) -> Result<(), StageError> {
        let prefixes = Arc::new(self.starts(set)?);
        let length_of = |of: usize| set.prefixes[of].len();
        let rests: Vec<&[i32]> =
            set.prompts.iter().map(|&(prompt, of)| &self.ids[prompt][length_of(of)..]).collect();
        let lengths: Vec<usize> = rests.iter().map(|ids| ids.len()).collect();
        for places in plan_batches(&lengths, prefixes.past, self.budget) {
            let of = places.iter().map(|&place| set.prompts[place].1);
            let past = Past {
                prefixes: Arc::clone(&prefixes),
                of: of.clone().map(|of| of as i64).collect(),
                lengths: of.map(|of| length_of(of) as i64).collect(),
            };
            let mut batch = Batch::pad(&places, &rests, PAD_ID);
            batch.rows = places.iter().map(|&place| set.prompts[place].0).collect();
            batch.past = Some(past);
            self.prompts(&batch)?;
        }
        Ok(())
    }

    fn prompts(&mut self, batch: &Batch) -> Result<(), StageError> {
        self.context.go_on()?;
        self.give(&Piece::Prompts(batch), batch, self.wanted)?;
        let amount = batch.tokens() as u64;
        self.context.monitor.event(&Event::Advanced { stage: self.stage, amount });
        Ok(())
    }

    /// Runs prefixes, hands on what they gave, and keeps their keys and values.
    fn starts(&mut self, set: &PrefixSet) -> Result<Prefixes, StageError> {
        self.context.go_on()?;
        let rows: Vec<usize> = (0..set.prefixes.len()).collect();
        let batch = Batch::pad(&rows, &set.prefixes, PAD_ID);
        // Attention is kept of each prompt's last token only, which is never in a prefix.
        let wanted =
            Wanted { hidden: self.wanted.hidden.clone(), keys_values: true, ..Wanted::default() };
        let piece = Piece::Starts { batch: &batch, of: &set.prompts };
        let keys_values = self.give(&piece, &batch, &wanted)?;
        Ok(Prefixes { past: batch.seq, count: rows.len(), keys_values })
    }

    /// Runs a batch and hands its outputs on; gives the keys and values, when they are wanted.
    fn give(
        &mut self,
        piece: &Piece<'_>,
        batch: &Batch,
        wanted: &Wanted,
    ) -> Result<Vec<Vec<f32>>, StageError> {
        let mut taken = Ok(());
        let mut keys_values = Vec::new();
        let take = &mut *self.take;
        self.context.engine.run(batch, wanted, &mut |outputs| {
            keys_values = outputs.keys_values.iter().map(|values| values.to_vec()).collect();
            taken = take(piece, outputs);
        })?;
        taken.map(|()| keys_values)
    }
}

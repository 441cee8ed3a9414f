//! Prompts through the model in batches of like length, for the stages that run it.

use super::{Context, StageError};
use crate::model::{Batch, Outputs, Wanted, plan_batches};
use crate::monitor::Event;

/// Any token serves as padding: the mask hides it.
pub(super) const PAD_ID: i64 = 0;

/// Who runs prompts, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batches {
    /// Kind of the stage.
    pub(super) kind: &'static str,
    /// The shard, for stages that work shard by shard.
    pub(super) shard: Option<u32>,
    /// Most tokens a batch holds, padding included; 0 = chosen for the provider.
    pub(super) batch_tokens: u32,
}

impl Batches {
    /// Runs prompts with these tokens, none of them empty, and hands each batch's outputs to `take`;
    /// [`Batch::rows`] are places in `ids`. The batches' order depends on the prompts' lengths alone.
    ///
    /// # Errors
    /// When the model fails, somebody asked to stop, or `take` says so.
    pub(super) fn run(
        self,
        context: &Context<'_>,
        ids: &[&[i32]],
        wanted: &Wanted,
        take: &mut dyn FnMut(&Batch, &Outputs<'_>) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        if ids.is_empty() {
            return Ok(());
        }
        let Self { kind: stage, shard, batch_tokens } = self;
        let budget = match batch_tokens {
            0 => context.engine.batch_budget()?,
            tokens => tokens as usize,
        };
        let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let total = lengths.iter().sum::<usize>() as u64;
        context.monitor.event(&Event::StageStarted { stage, shard, total, unit: "tokens" });
        for rows in plan_batches(&lengths, budget) {
            context.go_on()?;
            let batch = Batch::pad(&rows, ids, PAD_ID);
            let mut taken = Ok(());
            context.engine.run(&batch, wanted, &mut |outputs| taken = take(&batch, outputs))?;
            taken?;
            context.monitor.event(&Event::Advanced { stage, amount: batch.tokens() as u64 });
        }
        Ok(())
    }
}

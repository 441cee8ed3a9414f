//! Prompts through the model in batches of like length, for the stages that run it.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::model::{
    Batch, Outputs, Past, PrefixSet, Prefixes, Wanted, plan_batches, plan_prefixes,
};
use crate::monitor::Event;
use crate::stage::{Context, Description, StageError};

/// Any token serves as padding: the mask hides it.
pub(crate) const PAD_ID: i64 = 0;

/// Who runs prompts, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batches<'a> {
    /// Kind of the stage.
    pub(crate) kind: &'static str,
    /// The shard, for stages that work shard by shard.
    pub(crate) shard: Option<u32>,
    /// Most tokens a batch holds, padding included; 0 = chosen for the provider.
    pub(crate) batch_tokens: u32,
    /// For each prompt a number of its task: what all prompts of a task start with then runs once,
    /// where the model can do so and it saves time. `None` = every prompt runs whole.
    pub(crate) tasks: Option<&'a [usize]>,
    /// The prompts that run, ascending: the others have the numbers of one of them. `None` = all.
    pub(crate) only: Option<&'a [usize]>,
    /// How many prompts of each scenario there are, one scenario after the other: no batch holds
    /// prompts of two, whose padding would change the last digits of each other's numbers.
    pub(crate) scenarios: &'a [usize],
    /// Whether batches are passed on in their order, one after another.
    pub(crate) in_order: bool,
}

/// What the model was given.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
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

/// Receives the model's outputs for a piece.
pub(crate) type TakePiece<'t> =
    dyn FnMut(&Piece<'_>, &Outputs<'_>) -> Result<(), StageError> + Send + 't;

/// Does pieces of work `0..count`, `at_once` of them at a time, starting them in their order; calls
/// `is_spare` when there are no longer enough for that. When some fail, no other is started, and the
/// error is that of the first of them in their order, whichever failed first.
pub(crate) fn several_at_once(
    at_once: usize,
    count: usize,
    is_spare: &(dyn Fn() + Sync),
    work: impl Fn(usize) -> Result<(), StageError> + Sync,
) -> Result<(), StageError> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<(usize, StageError)>> = Mutex::new(None);
    let lock = || failed.lock().unwrap_or_else(PoisonError::into_inner);
    let go_on = || {
        while lock().is_none() {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return is_spare();
            }
            let Err(error) = work(piece) else { continue };
            let mut failed = lock();
            if failed.as_ref().is_none_or(|(first, _)| piece < *first) {
                *failed = Some((piece, error));
            }
        }
    };
    if count < at_once {
        is_spare();
    }
    thread::scope(|scope| {
        for _ in 1..at_once.min(count) {
            scope.spawn(go_on);
        }
        go_on();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, e)| Err(e))
}

/// What `work` makes of pieces `0..count`, in their order, as many at a time as the model runs batches; each
/// is reported as a unit of the stage.
pub(crate) fn in_order<T: Send>(
    context: &Context<'_>,
    stage: &Description,
    count: usize,
    work: impl Fn(usize) -> Result<Vec<T>, StageError> + Sync,
) -> Result<Vec<T>, StageError> {
    let found: Mutex<Vec<Vec<T>>> = Mutex::new((0..count).map(|_| Vec::new()).collect());
    several_at_once(context.engine.at_once()?, count, &|| {}, |i| {
        context.go_on()?;
        let made = work(i)?;
        found.lock().unwrap_or_else(PoisonError::into_inner)[i] = made;
        context.advance(stage, 1);
        Ok(())
    })?;
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(found.into_iter().flatten().collect())
}

impl Batches<'_> {
    /// Runs the prompts with these tokens, none of them empty, and passes each batch's outputs to `take`:
    /// the start of a prompt before the rest of it. The batches of a scenario depend on its tokens
    /// alone; several run at once, where the model can, and are passed on one by one as they end.
    ///
    /// # Errors
    /// When the model fails, the run was asked to stop, or `take` fails.
    pub(crate) fn run(
        self,
        context: &Context<'_>,
        ids: &[&[i32]],
        wanted: &Wanted,
        take: &mut TakePiece<'_>,
    ) -> Result<(), StageError> {
        if ids.is_empty() {
            return Ok(());
        }
        let total = match self.only {
            Some(only) => only.iter().map(|prompt| ids[*prompt].len() as u64).sum(),
            None => ids.iter().map(|ids| ids.len() as u64).sum(),
        };
        let Self { kind: stage, shard, .. } = self;
        context.monitor.event(&Event::StageStarted { stage, shard, total, unit: "tokens" });
        self.go_on(context, ids, wanted, take)
    }

    /// Likewise, as a part of a stage's work that has begun.
    ///
    /// # Errors
    /// As [`Batches::run`].
    pub(crate) fn go_on(
        self,
        context: &Context<'_>,
        ids: &[&[i32]],
        wanted: &Wanted,
        take: &mut TakePiece<'_>,
    ) -> Result<(), StageError> {
        let budget = match self.batch_tokens {
            0 => context.engine.batch_budget()?,
            tokens => tokens as usize,
        };
        let at_once = if self.in_order { 1 } else { context.engine.at_once()? };
        let take = Mutex::new(take);
        let runner = Runner { context, stage: self.kind, ids, budget, at_once, wanted, take };
        let Work { sets, whole } = self.plan(context, ids, budget)?;
        // Many small sets, each of too few prompts to occupy the model, run side by side.
        if sets.len() >= SETS_SIDE_BY_SIDE * at_once {
            let is_spare = if whole.is_empty() { context.model_is_spare } else { &|| {} };
            let after = |set: usize| runner.after_prefixes(&sets[set], 1, &|| {});
            several_at_once(at_once, sets.len(), is_spare, after)?;
        } else {
            for (i, set) in sets.iter().enumerate() {
                let is_last = i + 1 == sets.len() && whole.is_empty();
                let is_spare = if is_last { context.model_is_spare } else { &|| {} };
                runner.after_prefixes(set, at_once, is_spare)?;
            }
        }
        runner.whole(&whole)
    }

    /// Those of the prompts in that range that run.
    fn those_that_run(&self, range: Range<usize>) -> Vec<usize> {
        let Some(only) = self.only else { return range.collect() };
        let place = |prompt| only.partition_point(|other| *other < prompt);
        only[place(range.start)..place(range.end)].to_vec()
    }

    /// What runs after a shared start, and what whole, scenario by scenario.
    fn plan(
        &self,
        context: &Context<'_>,
        ids: &[&[i32]],
        budget: usize,
    ) -> Result<Work, StageError> {
        let tasks = match self.tasks {
            Some(tasks) if context.engine.takes_past()? => Some(tasks),
            _ => None,
        };
        let mut work = Work::default();
        let mut first = 0;
        for prompts in self.scenarios {
            let own = self.those_that_run(first..first + prompts);
            let own_ids: Vec<&[i32]> = own.iter().map(|prompt| ids[*prompt]).collect();
            let plan = tasks.and_then(|tasks| {
                let own_tasks: Vec<usize> = own.iter().map(|prompt| tasks[*prompt]).collect();
                plan_prefixes(&own_ids, &own_tasks, budget)
            });
            let mut whole: Vec<usize> = (0..own.len()).collect();
            if let Some(plan) = plan {
                whole = plan.whole;
                work.sets.extend(plan.sets.into_iter().map(|mut set| {
                    set.prompts.iter_mut().for_each(|(prompt, _)| *prompt = own[*prompt]);
                    set
                }));
            }
            let lengths: Vec<usize> = whole.iter().map(|place| own_ids[*place].len()).collect();
            let batches = plan_batches(&lengths, 0, budget);
            let rows =
                |batch: Vec<usize>| batch.into_iter().map(|place| own[whole[place]]).collect();
            work.whole.extend(batches.into_iter().map(rows));
            first += prompts;
        }
        Ok(work)
    }
}

/// Sets of prefixes of one shard, for each batch that the model can run at once, from which on they
/// run side by side: fewer may be large ones, whose own batches run at once.
const SETS_SIDE_BY_SIDE: usize = 4;

/// What is to be run.
#[derive(Debug, Default)]
struct Work {
    /// Prompts after what they start with.
    sets: Vec<PrefixSet>,
    /// Batches of whole prompts.
    whole: Vec<Vec<usize>>,
}

struct Runner<'r, 'c, 't> {
    context: &'r Context<'c>,
    stage: &'static str,
    ids: &'r [&'r [i32]],
    budget: usize,
    at_once: usize,
    wanted: &'r Wanted,
    take: Mutex<&'r mut TakePiece<'t>>,
}

impl Runner<'_, '_, '_> {
    /// Runs batches of whole prompts, after which there is nothing left.
    fn whole(&self, batches: &[Vec<usize>]) -> Result<(), StageError> {
        several_at_once(self.at_once, batches.len(), self.context.model_is_spare, |batch| {
            self.prompts(&Batch::pad(&batches[batch], self.ids, PAD_ID))
        })
    }

    /// Runs what prompts start with, then what is left of them, `at_once` batches at a time.
    fn after_prefixes(
        &self,
        set: &PrefixSet,
        at_once: usize,
        is_spare: &(dyn Fn() + Sync),
    ) -> Result<(), StageError> {
        let prefixes = Arc::new(self.starts(set)?);
        let length_of = |of: usize| set.prefixes[of].len();
        let rests: Vec<&[i32]> =
            set.prompts.iter().map(|&(prompt, of)| &self.ids[prompt][length_of(of)..]).collect();
        let lengths: Vec<usize> = rests.iter().map(|ids| ids.len()).collect();
        let batches = plan_batches(&lengths, prefixes.past, self.budget);
        several_at_once(at_once, batches.len(), is_spare, |batch| {
            let places = &batches[batch];
            let of = places.iter().map(|&place| set.prompts[place].1);
            let past = Past {
                prefixes: Arc::clone(&prefixes),
                of: of.clone().map(|of| of as i64).collect(),
                lengths: of.map(|of| length_of(of) as i64).collect(),
            };
            let mut batch = Batch::pad(places, &rests, PAD_ID);
            batch.rows = places.iter().map(|&place| set.prompts[place].0).collect();
            batch.past = Some(past);
            self.prompts(&batch)
        })
    }

    fn prompts(&self, batch: &Batch) -> Result<(), StageError> {
        self.context.go_on()?;
        self.give(&Piece::Prompts(batch), batch, self.wanted)?;
        let amount = batch.tokens() as u64;
        self.context.monitor.event(&Event::Advanced { stage: self.stage, amount });
        Ok(())
    }

    /// Runs prefixes, passes their outputs on, and keeps their keys and values.
    fn starts(&self, set: &PrefixSet) -> Result<Prefixes, StageError> {
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

    /// Runs a batch and passes its outputs on; returns the keys and values, when they are wanted.
    fn give(
        &self,
        piece: &Piece<'_>,
        batch: &Batch,
        wanted: &Wanted,
    ) -> Result<Vec<Vec<f32>>, StageError> {
        let mut taken = Ok(());
        let mut keys_values = Vec::new();
        self.context.engine.run(batch, wanted, &mut |outputs| {
            keys_values = outputs.keys_values.iter().map(|values| values.to_vec()).collect();
            let mut take = self.take.lock().unwrap_or_else(PoisonError::into_inner);
            taken = take(piece, outputs);
        })?;
        taken.map(|()| keys_values)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn every_piece_is_done_once_and_several_at_once() {
        let (done, met) = (Mutex::new(Vec::new()), Barrier::new(3));
        let work = |piece| {
            // Would hang with fewer than three at once.
            met.wait();
            done.lock().unwrap().push(piece);
            Ok(())
        };
        let spare = AtomicUsize::new(0);
        let is_spare = || {
            spare.fetch_add(1, Ordering::Relaxed);
        };
        several_at_once(3, 9, &is_spare, work).unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(spare.into_inner(), 3, "each of the three said that it had nothing more to do");
        several_at_once(3, 0, &|| {}, |_| unreachable!("there is nothing to do")).unwrap();
    }

    #[test]
    fn what_is_too_little_from_the_start_is_said_before_it_is_done() {
        let spare = AtomicUsize::new(0);
        let is_spare = || {
            spare.fetch_add(1, Ordering::Relaxed);
        };
        let work = |_| {
            assert!(spare.load(Ordering::Relaxed) > 0);
            Ok(())
        };
        several_at_once(3, 2, &is_spare, work).unwrap();
    }

    #[test]
    fn the_first_piece_that_fails_is_reported_though_a_later_one_failed_before_it() {
        let (met, began) = (Barrier::new(2), AtomicUsize::new(0));
        let failed = |piece: usize| {
            StageError::from(crate::table::TableError::Content {
                path: "part".into(),
                problem: format!("is piece {piece}"),
            })
        };
        let work = |piece| {
            began.fetch_add(1, Ordering::Relaxed);
            match piece {
                0 => Ok(()),
                // Fails only after the next piece has.
                1 => {
                    met.wait();
                    thread::sleep(std::time::Duration::from_millis(50));
                    Err(failed(1))
                }
                _ => {
                    met.wait();
                    Err(failed(piece))
                }
            }
        };
        let error = several_at_once(2, 100, &|| {}, work).unwrap_err().to_string();
        assert!(error.contains("is piece 1"), "{error}");
        assert_eq!(began.into_inner(), 3, "no piece is started after one has failed");
    }
}

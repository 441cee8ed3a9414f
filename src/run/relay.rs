//! Shards one after the other: while the tables of one are written and analysed, the model runs the
//! next, and the one after that is laid out and tokenised.
//!
//! ```text
//! plan -> lay out, tokenise | model | tables, analyses, receipts
//!              shard n + 2    n + 1    n
//! ```
//!
//! A shard begins on the model when there is room for its numbers, of which two shards at most are in
//! memory, however many there are, and when the one before it no longer keeps all of the model busy:
//! its last batches and its self-proof run beside the first batches of the next. What goes wrong with
//! a shard is reported when its turn comes, after the shards before it: as if there were one thread.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::thread;

use super::RunError;
use super::executor::Executor;
use super::follow::{Signal, follow};
use super::work::{AGAIN, Begun, Load, Work, failed};
use crate::ledger::Ledger;
use crate::ledger::found::Found;
use crate::model::end_of;
use crate::monitor::{Event, Monitor};
use crate::pipeline::chosen::{Chosen, Shards};
use crate::pipeline::plan::{Plan, ShardPlan};
use crate::run_dir::layout;
use crate::run_dir::receipt::Effort;
use crate::stage::{Compute, Context, Finish, Scope};

/// Most shards whose numbers are in memory: one that the model runs, and one that is written or, when
/// that is done, the next that it runs.
const IN_MEMORY: usize = 2;

type Handed<'a, Step> = Result<Load<'a, Step>, RunError>;

/// Which shards to do.
#[derive(Clone, Copy)]
enum Choice<'c> {
    All,
    /// Those of these that no other process is working on.
    Free(&'c Chosen),
    /// These, when no other process is working on them any more.
    Awaited(&'c [u32]),
}

/// Says to stop when the user or the scheduler does, and also when another thread has failed.
struct Stoppable<'a> {
    monitor: &'a dyn Monitor,
    stop: &'a AtomicBool,
}

impl Monitor for Stoppable<'_> {
    fn event(&self, event: &Event<'_>) {
        self.monitor.event(event);
    }

    fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::SeqCst) || self.monitor.is_interrupted()
    }
}

/// However the thread that has it ends, the others stop.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Executor<'_> {
    /// All shards.
    pub(super) fn run_shards(&mut self, plan: &Plan<'_>) -> Result<(), RunError> {
        self.relay(plan, Choice::All).map(drop)
    }

    /// Some shards: those that other processes are working on are left for the end, when they are either
    /// done or must be done here; or left altogether, and given, where this process joins others.
    pub(super) fn run_shards_of(
        &mut self,
        plan: &Plan<'_>,
        chosen: &Chosen,
    ) -> Result<Vec<u32>, RunError> {
        let mut left = self.relay(plan, Choice::Free(chosen))?;
        if !chosen.joins && !left.is_empty() {
            return self.relay(plan, Choice::Awaited(&left));
        }
        // Another process may have ended since, or only looked who holds a shard.
        let mut before = usize::MAX;
        while !left.is_empty() && left.len() < before {
            before = left.len();
            thread::sleep(AGAIN);
            let of = Shards::Listed(left.into_iter().collect());
            left = self.relay(plan, Choice::Free(&Chosen { of, joins: true }))?;
        }
        Ok(left)
    }

    /// Runs the chosen shards; gives the numbers of those that another process is working on.
    fn relay(&mut self, plan: &Plan<'_>, choice: Choice<'_>) -> Result<Vec<u32>, RunError> {
        let stop = AtomicBool::new(false);
        let monitor = Stoppable { monitor: self.work.monitor, stop: &stop };
        let ahead = Ahead { work: self.work, monitor: &monitor, look: self.ledger.look() };
        let ahead = &ahead;
        let compute = &ahead.computing();
        let done = thread::scope(|threads| {
            let _stop = StopOnDrop(&stop);
            let (to_model, prepared) = sync_channel(0);
            let (to_tables, ready) = channel();
            let (written, room) = channel();
            for _ in 0..IN_MEMORY {
                let _ = written.send(());
            }
            let feeder = threads.spawn(move || ahead.feed(plan, choice, &to_model));
            threads.spawn(move || follow(threads, &prepared, &room, &to_tables, compute));
            for computing in ready {
                self.run_shard(end_of(computing)?)?;
                // After the last shard nobody listens any more.
                let _ = written.send(());
            }
            Ok(end_of(feeder))
        });
        if done.is_err() {
            // The shard before the one that failed is still done.
            self.close()?;
        }
        done
    }
}

/// The threads that work ahead of the tables.
struct Ahead<'a, 'm> {
    work: Work<'a>,
    monitor: &'m Stoppable<'m>,
    /// Knows what was made before all shards.
    look: Ledger<'a>,
}

impl<'a> Ahead<'a, '_> {
    /// Lays the shards out, one when one is asked for. Gives those left to other processes.
    fn feed(
        &self,
        plan: &Plan<'_>,
        choice: Choice<'_>,
        to_model: &SyncSender<Handed<'a, Compute<'a>>>,
    ) -> Vec<u32> {
        let mut left = Vec::new();
        for shard in plan.shards() {
            let handed = match shard {
                Ok(shard) => self.take(shard, choice, &mut left).transpose(),
                Err(error) => Some(Err(error.into())),
            };
            let Some(handed) = handed else { continue };
            let is_last = handed.is_err();
            // Nobody asks any more when a later thread has failed.
            if to_model.send(handed).is_err() || is_last {
                break;
            }
        }
        left
    }

    /// Prepares a shard; `None` when it is not to be done, or not now.
    fn take(
        &self,
        shard: ShardPlan,
        choice: Choice<'_>,
        left: &mut Vec<u32>,
    ) -> Result<Option<Load<'a, Compute<'a>>>, RunError> {
        let part = shard.part;
        let name = layout::part_name(part);
        let work = Work { monitor: self.monitor, ..self.work };
        let piece = match choice {
            Choice::All => None,
            Choice::Free(chosen) if chosen.holds(part) => {
                let piece = work.try_lock_piece(&name)?;
                if piece.is_none() {
                    left.push(part);
                    return Ok(None);
                }
                piece
            }
            Choice::Awaited(parts) if parts.contains(&part) => Some(work.wait_for_piece(&name)?),
            Choice::Free(_) | Choice::Awaited(_) => return Ok(None),
        };
        if work.monitor.is_interrupted() {
            return Err(RunError::Interrupted);
        }
        let stages = self.work.stages(Scope::Shard);
        // Nobody else writes them from now on.
        let found = Found::read(self.work.store, &stages, part);
        let must_redo = self.look.needs_released_tables(&stages, &found, &shard.prompts);
        let begun = self.prepare(&shard, &found, &must_redo)?;
        Ok(Some(Load { shard, piece, found, must_redo, begun }))
    }

    /// Begins the shard's first stage, if it is to be done and runs the model.
    fn prepare(
        &self,
        shard: &ShardPlan,
        found: &Found,
        must_redo: &BTreeSet<&'static str>,
    ) -> Result<Option<Begun<'a, Compute<'a>>>, RunError> {
        let first = self.work.stages(Scope::Shard).into_iter().next();
        let Some(stage) = first.filter(|stage| stage.description().reads.is_empty()) else {
            return Ok(None);
        };
        let ShardPlan { part, prompts } = shard;
        let mut look = self.look.look();
        let fingerprint = look.fingerprint(stage, *part, prompts);
        if !must_redo.contains(stage.kind()) && look.reuse(stage, found, &fingerprint) {
            return Ok(None);
        }
        let work = Work { monitor: self.monitor, ..self.work };
        let prepared = work.measure(Effort::default(), |engine| {
            stage.prepare(&work.context(*part, prompts, look.fractions_of(stage), engine))
        });
        let (step, effort) = prepared.map_err(|source| failed(stage, *part, source))?;
        Ok(step.map(|step| Begun { stage, step, effort }))
    }

    /// As work that is done on what was handed on.
    fn computing(&self) -> impl Fn(Handed<'a, Compute<'a>>, &Signal<'_>) -> Handed<'a, Finish<'a>> {
        |handed, signal| handed.and_then(|load| self.compute_one(load, signal))
    }

    /// Runs the model for one shard; signals when less of it is left than the model could do at once.
    fn compute_one(
        &self,
        load: Load<'a, Compute<'a>>,
        signal: &Signal<'_>,
    ) -> Handed<'a, Finish<'a>> {
        let Load { shard, piece, found, must_redo, begun } = load;
        let Some(Begun { stage, step, effort }) = begun else {
            return Ok(Load { shard, piece, found, must_redo, begun: None });
        };
        let work = Work { monitor: self.monitor, ..self.work };
        let fractions = self.look.fractions_of(stage);
        let computed = work.measure(effort, |engine| {
            let context = work.context(shard.part, &shard.prompts, fractions, engine);
            step(&Context { model_is_spare: signal, ..context })
        });
        let (step, effort) = computed.map_err(|source| failed(stage, shard.part, source))?;
        Ok(Load { shard, piece, found, must_redo, begun: Some(Begun { stage, step, effort }) })
    }
}

//! Does the stages that no receipt proves done, scope by scope.

use std::collections::BTreeSet;

use super::work::{Begun, Load, Work, failed};
use super::{RunError, skips};
use crate::ledger::Ledger;
use crate::ledger::closing::Underway;
use crate::ledger::found::Found;
use crate::monitor::Event;
use crate::pipeline::chosen::Chosen;
use crate::pipeline::plan::{Plan, PlanError, ShardPlan};
use crate::prompt::Prompt;
use crate::run_dir::receipt::{Effort, Receipt};
use crate::run_dir::record::{RunRecord, State};
use crate::stage::{Context, Finish, Outcome, Scope, Stage, StageError};

/// Does the stages of a run, and keeps the ledger of what is done.
pub(super) struct Executor<'a> {
    pub(super) work: Work<'a>,
    pub(super) ledger: Ledger<'a>,
    /// The end of the last shard whose stages were done, and the event to send then.
    pub(super) closing: Option<(Underway, Event<'static>)>,
}

impl<'a> Executor<'a> {
    /// The record of an identical finished run, when that is what the folder holds.
    pub(super) fn finished(
        &mut self,
        plan: &Plan<'_>,
        record: &RunRecord,
    ) -> Result<Option<RunRecord>, PlanError> {
        let Some(before) = RunRecord::read(self.work.store) else { return Ok(None) };
        if before.state != State::Finished || !before.lineage.is_of_same_run(&record.lineage) {
            return Ok(None);
        }
        let holds = self.missing(plan, 1)?.is_empty()
            && self.ledger.all_hold(&self.work.stages(Scope::Run), 0, &[]);
        Ok(holds.then_some(before))
    }

    /// The first `most` shards that are not done, after taking over the receipts of those before;
    /// all of them while a stage that every shard needs is not.
    pub(super) fn missing(&mut self, plan: &Plan<'_>, most: usize) -> Result<Vec<u32>, PlanError> {
        self.ledger.begin();
        let mut all_whole = true;
        for stage in self.work.stages(Scope::Before) {
            all_whole &= self.ledger.all_hold(&[stage], 0, &self.sample(plan, stage)?);
        }
        let stages = self.work.stages(Scope::Shard);
        let mut missing = Vec::new();
        for shard in plan.shards() {
            let shard = shard?;
            if !(all_whole && self.ledger.all_hold(&stages, shard.part, &shard.prompts)) {
                missing.push(shard.part);
            }
            if missing.len() == most {
                break;
            }
        }
        Ok(missing)
    }

    fn sample(&self, plan: &Plan<'_>, stage: &dyn Stage) -> Result<Vec<Prompt>, PlanError> {
        plan.sample(stage.sample(), self.work.pipeline.seed)
    }

    /// The whole run, by this process alone.
    pub(super) fn run_all(&mut self, plan: &Plan<'_>) -> Result<(), RunError> {
        let Work { monitor, shards, prompts, .. } = self.work;
        monitor.event(&Event::RunStarted { shards, todo: shards, prompts });
        self.ledger.begin();
        self.run_before(plan)?;
        self.ledger.remove_empty_folders()?;
        self.run_shards(plan)?;
        self.reduce()
    }

    /// What this process has to do of a run while other processes do their part. Gives the shards that it left to others.
    pub(super) fn run_share(
        &mut self,
        plan: &Plan<'_>,
        chosen: &Chosen,
    ) -> Result<Vec<u32>, RunError> {
        let Work { monitor, shards, prompts, .. } = self.work;
        let todo = chosen.count(shards);
        let prompts = prompts * u64::from(todo) / u64::from(shards.max(1));
        monitor.event(&Event::RunStarted { shards, todo, prompts });
        self.ledger.begin();
        {
            // The first process does it; the others wait, and find it done.
            let _piece = self.work.wait_for_piece("before")?;
            self.run_before(plan)?;
        }
        let left = self.run_shards_of(plan, chosen)?;
        self.close()?;
        Ok(left)
    }

    fn run_before(&mut self, plan: &Plan<'_>) -> Result<(), RunError> {
        for stage in self.work.stages(Scope::Before) {
            let found = Found::read(self.work.store, &[stage], 0);
            self.run_scope(&[stage], &found, &self.sample(plan, stage)?, &BTreeSet::new(), None)?;
        }
        Receipt::settle(self.work.store)?;
        // Shards use what such a stage wrote if it exists: it must not be that of an earlier plan.
        let later = [self.work.stages(Scope::Shard), self.work.stages(Scope::Run)].concat();
        self.ledger.remove_stale(&later)?;
        Ok(())
    }

    /// The stages over the whole run, once every shard is done.
    pub(super) fn reduce(&mut self) -> Result<(), RunError> {
        // They may use raw tables that are kept, and must not see those that are deleted.
        self.close()?;
        let reducing = self.work.stages(Scope::Run);
        // Before the reducing stages: they must not see what an earlier plan left.
        self.ledger.remove_stale(&reducing)?;
        self.ledger.remove_empty_folders()?;
        let found = Found::read(self.work.store, &reducing, 0);
        self.run_scope(&reducing, &found, &[], &BTreeSet::new(), None)?;
        Receipt::settle(self.work.store)?;
        self.ledger.remove_stale(&[])?;
        self.ledger.remove_empty_folders()?;
        Ok(())
    }

    /// The stages of a shard that the model is done with.
    pub(super) fn run_shard(&mut self, load: Load<'a, Finish<'a>>) -> Result<(), RunError> {
        let Load { shard: ShardPlan { part, prompts }, piece, found, must_redo, begun } = load;
        let stages = self.work.stages(Scope::Shard);
        let ran = self.run_scope(&stages, &found, &prompts, &must_redo, begun);
        if let Err(error) = ran {
            self.ledger.keep();
            return Err(error);
        }
        self.close()?;
        let closing = self.ledger.closing(part, piece).begin();
        let prompts = prompts.len() as u64;
        self.closing = Some((closing, Event::ShardFinished { shard: part, prompts }));
        Ok(())
    }

    /// Waits until the last shard whose stages were done is closed, and reports it.
    pub(super) fn close(&mut self) -> Result<(), RunError> {
        if let Some((closing, finished)) = self.closing.take() {
            closing.wait()?;
            self.work.monitor.event(&finished);
        }
        Ok(())
    }

    fn run_scope(
        &mut self,
        stages: &[&'a dyn Stage],
        found: &Found,
        prompts: &[Prompt],
        must_redo: &BTreeSet<&'static str>,
        mut begun: Option<Begun<'a, Finish<'a>>>,
    ) -> Result<(), RunError> {
        let (monitor, part) = (self.work.monitor, found.part());
        for stage in stages.iter().copied() {
            if monitor.is_interrupted() {
                return Err(RunError::Interrupted);
            }
            let kind = stage.kind();
            let shard = (stage.scope() == Scope::Shard).then_some(part);
            let fingerprint = self.ledger.fingerprint(stage, part, prompts);
            if !must_redo.contains(kind) && self.ledger.reuse(stage, found, &fingerprint) {
                monitor.event(&Event::StageReused { stage: kind, shard });
                self.check_skipped()?;
                continue;
            }
            self.ledger.withdraw(stage, part)?;
            let begun = begun.take_if(|begun| begun.stage.kind() == kind);
            let done = self.run_stage(stage, part, prompts, begun);
            let (outcome, effort) = done.map_err(|source| failed(stage, part, source))?;
            monitor.event(&Event::StageFinished {
                stage: kind,
                shard,
                total: outcome.units,
                unit: stage.description().unit,
                seconds: effort.seconds,
            });
            self.ledger.record(stage, part, fingerprint, outcome, effort)?;
            self.check_skipped()?;
        }
        Ok(())
    }

    fn run_stage(
        &self,
        stage: &dyn Stage,
        part: u32,
        prompts: &[Prompt],
        begun: Option<Begun<'a, Finish<'a>>>,
    ) -> Result<(Outcome, Effort), StageError> {
        let fractions = self.ledger.fractions_of(stage);
        let shows_lineage = stage.description().depends_on.lineage;
        let made_by = if shows_lineage { self.ledger.made_by().words() } else { String::new() };
        let (step, effort) = match begun {
            Some(Begun { step, effort, .. }) => (Some(step), effort),
            None => (None, Effort::default()),
        };
        self.work.measure(effort, |engine| {
            let context = self.work.context(part, prompts, fractions, engine);
            let context = Context { made_by: &made_by, ..context };
            step.map_or_else(|| stage.run(&context), |finish| finish(&context))
        })
    }

    /// After every stage, so that nothing more is computed from too few prompts.
    fn check_skipped(&self) -> Result<(), RunError> {
        let Work { pipeline, store, prompts, .. } = self.work;
        let too_many = skips::check(store, &self.ledger, prompts, pipeline.max_skipped)?;
        too_many.map_or(Ok(()), |error| Err(error.into()))
    }
}

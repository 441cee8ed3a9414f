//! What all work on a run needs, and a shard on its way through it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::Waiting;
use super::{Portion, RunError};
use crate::ledger::found::Found;
use crate::model::{Engine, Tokenizer};
use crate::monitor::Monitor;
use crate::pipeline::Pipeline;
use crate::pipeline::plan::ShardPlan;
use crate::prompt::Prompt;
use crate::run_dir::receipt::Effort;
use crate::stage::{Context, Scope, Stage, StageError};
use crate::store::{PieceLock, Store, StoreError};

/// How long to wait before asking again for a piece that another process has.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// What all work on a run needs.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) store: &'a Store,
    pub(super) portion: &'a Portion,
    pub(super) engine: &'a Engine,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) shards: u32,
    pub(super) prompts: u64,
}

impl<'a> Work<'a> {
    /// The context in which a stage works on `part`, which has `prompts`; `fractions` as in
    /// [`Context::fractions`].
    pub(super) fn context<'c>(
        &self,
        part: u32,
        prompts: &'c [Prompt],
        fractions: &'c BTreeMap<String, f64>,
        engine: &'c Engine,
    ) -> Context<'c>
    where
        'a: 'c,
    {
        Context {
            store: self.store,
            part,
            shards: self.shards,
            prompts,
            fractions,
            layers: &self.pipeline.layers,
            seed: self.pipeline.seed,
            made_by: "",
            card: &self.pipeline.card,
            tokenizer: self.tokenizer,
            engine,
            monitor: self.monitor,
            model_is_spare: &|| {},
        }
    }

    /// The pipeline's stages of `scope`, in order.
    pub(super) fn stages(&self, scope: Scope) -> Vec<&'a dyn Stage> {
        self.pipeline.stages_of(scope)
    }

    /// Does `step`, one part of a stage's work; gives its result, and its effort added to `effort`.
    pub(super) fn measure<T>(
        &self,
        mut effort: Effort,
        step: impl FnOnce(&Engine) -> Result<T, StageError>,
    ) -> Result<(T, Effort), StageError> {
        let engine = self.engine.counted();
        let started = Instant::now();
        let made = step(&engine)?;
        effort.seconds += started.elapsed().as_secs_f64();
        effort.model_calls += engine.calls();
        effort.head_calls += engine.head_calls();
        if engine.calls() + engine.head_calls() > 0 {
            effort.model_threads = Some(engine.facts()?.threads);
        }
        Ok((made, effort))
    }

    /// Takes a piece of the work; `None` when another process has it.
    pub(super) fn try_lock_piece(&self, piece: &str) -> Result<Option<PieceLock>, StoreError> {
        let what = match self.portion {
            Portion::Share(chosen) => chosen.to_string(),
            Portion::Whole | Portion::Finish => "alone".to_owned(),
        };
        self.store.try_lock_piece(piece, &what)
    }

    /// Waits until no other process has the piece, and says now and then whom it waits for.
    ///
    /// # Errors
    /// When the lock fails, or [`RunError::Interrupted`] when the run should stop.
    pub(super) fn wait_for_piece(&self, piece: &str) -> Result<PieceLock, RunError> {
        let mut waiting = Waiting::new();
        loop {
            if let Some(lock) = self.try_lock_piece(piece)? {
                return Ok(lock);
            }
            if self.monitor.is_interrupted() {
                return Err(RunError::Interrupted);
            }
            waiting.go_on(piece, self.store, self.monitor);
            thread::sleep(AGAIN);
        }
    }
}

/// The error of a stage, with its name and place.
pub(super) fn failed(stage: &dyn Stage, part: u32, source: StageError) -> RunError {
    match source {
        StageError::Interrupted => RunError::Interrupted,
        source => RunError::Stage { stage: stage.kind(), scope: stage.scope(), part, source },
    }
}

/// A stage whose model part is done.
pub(super) struct Begun<'a, Step> {
    pub(super) stage: &'a dyn Stage,
    pub(super) step: Step,
    pub(super) effort: Effort,
}

/// A shard on its way from the plan over the model to its tables.
pub(super) struct Load<'a, Step> {
    pub(super) shard: ShardPlan,
    /// Held where other processes share the run.
    pub(super) piece: Option<PieceLock>,
    /// Its receipts as it was taken up.
    pub(super) found: Found,
    /// Stages whose receipts hold, but which must be done again: a table that they wrote is gone and
    /// needed.
    pub(super) must_redo: BTreeSet<&'static str>,
    /// The stage that runs the model, as far as it is done; `None` when its receipt holds.
    pub(super) begun: Option<Begun<'a, Step>>,
}

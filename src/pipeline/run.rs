//! The executor: brings a run directory to the state that the pipeline asks for, doing only what
//! no receipt proves done.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::fingerprint::{Ground, shares};
use super::ledger::Ledger;
use super::lineage::{Counts, Lineage, RunRecord, State};
use super::plan::{Plan, PlanError};
use super::verify::{self, VerifyError};
use super::{Pipeline, config, skips};
use crate::model::{Engine, EngineFacts, EngineOptions, ModelError, Tokenizer};
use crate::monitor::{Event, Monitor};
use crate::prompt::Prompt;
use crate::stage::{Context, Scope, Stage, StageError};
use crate::store::{Store, StoreError};
use crate::table::TableError;

/// How a pipeline is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory.
    pub run_dir: PathBuf,
    /// Which ONNX Runtime library, threads; provider and precision are the pipeline's.
    pub engine: EngineOptions,
    /// Whether to hold every file against its hash first, not only its size, and to make anew what
    /// does not match.
    pub recheck: bool,
}

/// What a run did.
#[derive(Debug, Clone, Copy)]
pub struct RunSummary {
    /// The counts that `run.json` holds too.
    pub counts: Counts,
    /// Whether every stage was done before: nothing was computed and nothing written.
    pub was_finished: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The model could not be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The prompts could not be laid out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file of the run directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table or receipt failed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The files could not be held against their hashes.
    #[error(transparent)]
    Verify(VerifyError),
    /// A stage failed.
    #[error("stage '{stage}' failed on {}", place(*.scope, *.part))]
    Stage {
        /// Its kind.
        stage: &'static str,
        /// Shard by shard, or once.
        scope: Scope,
        /// The shard.
        part: u32,
        /// Why.
        #[source]
        source: StageError,
    },
    /// The folder belongs to something else.
    #[error(
        "{} {holds}; choose another folder with --run-dir, or delete it if it is not needed",
        path.display()
    )]
    ForeignFolder {
        /// The run directory.
        path: PathBuf,
        /// What it holds instead.
        holds: String,
    },
    /// More prompts have no numbers than the pipeline accepts.
    #[error("{}", skips::sentence(*skipped, *prompts, *max_skipped, first))]
    TooManySkipped {
        /// How many, when the run stopped.
        skipped: u64,
        /// How many prompts the whole run has.
        prompts: u64,
        /// The share of them that may be skipped.
        max_skipped: f64,
        /// The first of them: name and reason.
        first: Vec<String>,
    },
    /// The person or the scheduler asked to stop.
    #[error("interrupted; run the same command again to go on from here")]
    Interrupted,
}

impl From<VerifyError> for RunError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Interrupted => Self::Interrupted,
            VerifyError::Store(error) => Self::Store(error),
            other => Self::Verify(other),
        }
    }
}

fn place(scope: Scope, part: u32) -> String {
    match scope {
        Scope::Shard => format!("shard {part}"),
        Scope::Before => "a sample of the prompts".to_owned(),
        Scope::Run => "the whole run".to_owned(),
    }
}

/// Runs `pipeline` into `options.run_dir`, resuming what is half done there.
///
/// # Errors
/// When the folder is another pipeline's or in use, the model cannot be opened, or a stage fails.
/// Whatever happens, no file stands half-written under its final name.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    monitor: &dyn Monitor,
) -> Result<RunSummary, RunError> {
    let started = Instant::now();
    let resolved = config::resolved_yaml(pipeline);
    refuse_foreign(&options.run_dir, &pipeline.name, &resolved)?;
    let store = Store::create(&options.run_dir)?;
    let _lock = store.lock()?;
    pipeline.card.verify_files()?;
    let engine = Engine::new(pipeline.card.clone(), options.engine.clone());
    let tokenizer = Tokenizer::load(&pipeline.card)?;
    let plan = Plan::new(pipeline, &tokenizer)?;
    let facts = engine.facts()?;
    let lineage = Lineage::new(pipeline, &resolved, plan.sha256()?, facts);
    let before = RunRecord::read(&store);
    let counts = Counts {
        shards: plan.n_shards(),
        prompts: plan.n_prompts(),
        model_threads: before.as_ref().and_then(|record| record.counts.model_threads),
        ..Counts::default()
    };
    let is_sound = !options.recheck || !verify::withdraw_damaged(&store, monitor)?;
    let ground = Ground::new(&lineage, pipeline, shares(pipeline, &plan));
    let retain = pipeline.retain.clone();
    let mut record =
        RunRecord { format: 1, state: State::Running, lineage, retain, counts, self_proof: None };
    let mut executor = Executor {
        pipeline,
        store: &store,
        engine: &engine,
        tokenizer: &tokenizer,
        monitor,
        shards: counts.shards,
        prompts: counts.prompts,
        ledger: Ledger::new(&store, ground, &pipeline.retain),
    };
    if is_sound
        && is_written(&store, &resolved)
        && let Some(counts) = executor.finished(&plan, &record)?
    {
        monitor.event(&Event::Note("every stage was done before: nothing to do"));
        return Ok(RunSummary { counts, was_finished: true });
    }
    announce(&record.lineage, before.as_ref(), facts, &plan, monitor);
    store.write(config::RESOLVED_FILE, resolved.as_bytes())?;
    record.write(&store)?;
    executor.run_all(&plan)?;

    record.state = State::Finished;
    record.self_proof = executor.ledger.self_proof();
    record.counts.skipped = executor.ledger.skipped();
    record.counts.model_calls = engine.calls();
    record.counts.head_calls = engine.head_calls();
    if engine.calls() + engine.head_calls() > 0 {
        record.counts.model_threads = Some(facts.threads);
    }
    record.counts.parts_written = executor.ledger.parts_written();
    record.counts.seconds = started.elapsed().as_secs_f64();
    record.write(&store)?;
    Ok(RunSummary { counts: record.counts, was_finished: false })
}

fn refuse_foreign(run_dir: &Path, name: &str, resolved: &str) -> Result<(), RunError> {
    let store = Store::open(run_dir);
    let foreign = |holds: String| Err(RunError::ForeignFolder { path: run_dir.to_owned(), holds });
    if let Some(record) = RunRecord::read(&store) {
        let other = &record.lineage.pipeline;
        if other != name {
            return foreign(format!("holds a run of another pipeline, '{other}', not '{name}'"));
        }
    } else if run_dir.is_dir() && !is_written(&store, resolved) {
        // A run of this very pipeline may have lost its run.json; a process killed before its first
        // record leaves these and nothing else.
        let ours = ["run.lock", ".pending", config::RESOLVED_FILE, "run.json"];
        let names = store.list("")?;
        if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
            return foreign(format!("is no run directory: it holds '{name}' and no run.json"));
        }
    }
    Ok(())
}

/// Whether the folder's `pipeline.yml` is this one.
fn is_written(store: &Store, resolved: &str) -> bool {
    store.read(config::RESOLVED_FILE).is_ok_and(|text| text == resolved.as_bytes())
}

/// Says what the run is about to do.
fn announce(
    lineage: &Lineage,
    before: Option<&RunRecord>,
    facts: &EngineFacts,
    plan: &Plan<'_>,
    monitor: &dyn Monitor,
) {
    let Lineage { model, onnxruntime, provider, .. } = lineage;
    let (threads, prompts, shards) = (facts.threads, plan.n_prompts(), plan.n_shards());
    monitor.event(&Event::Note(&format!(
        "model {model} on ONNX Runtime {onnxruntime} ({provider}, {threads} threads); \
         {prompts} prompts, {shards} {}",
        if shards == 1 { "shard" } else { "shards" }
    )));
    if let Some(reason) = &facts.fallback {
        monitor.event(&Event::Note(&format!("provider auto takes the processor: {reason}")));
    }
    if before.is_some_and(|before| before.lineage != *lineage) {
        monitor.event(&Event::Note(
            "the run directory holds an earlier state of this pipeline: what has changed since is \
             done again, and what no longer belongs to it is deleted",
        ));
    }
}

struct Executor<'a> {
    pipeline: &'a Pipeline,
    store: &'a Store,
    engine: &'a Engine,
    tokenizer: &'a Tokenizer,
    monitor: &'a dyn Monitor,
    shards: u32,
    prompts: u64,
    ledger: Ledger<'a>,
}

impl Executor<'_> {
    /// The counts of an identical finished run, when that is what the folder holds.
    fn finished(
        &mut self,
        plan: &Plan<'_>,
        record: &RunRecord,
    ) -> Result<Option<Counts>, PlanError> {
        let Some(before) = RunRecord::read(self.store) else { return Ok(None) };
        if before.state != State::Finished || before.lineage != record.lineage {
            return Ok(None);
        }
        for stage in of(&self.pipeline.stages, Scope::Before) {
            if !self.ledger.all_hold(&[stage], 0, &self.sample(plan, stage)?) {
                return Ok(None);
            }
        }
        let shard_stages = of(&self.pipeline.stages, Scope::Shard);
        for shard in plan.shards() {
            let shard = shard?;
            if !self.ledger.all_hold(&shard_stages, shard.part, &shard.prompts) {
                return Ok(None);
            }
        }
        let all_hold = self.ledger.all_hold(&of(&self.pipeline.stages, Scope::Run), 0, &[]);
        let counts = Counts { model_calls: 0, head_calls: 0, parts_written: 0, ..before.counts };
        Ok(all_hold.then_some(counts))
    }

    fn sample(&self, plan: &Plan<'_>, stage: &dyn Stage) -> Result<Vec<Prompt>, PlanError> {
        plan.sample(stage.sample(), self.pipeline.seed)
    }

    fn run_all(&mut self, plan: &Plan<'_>) -> Result<(), RunError> {
        self.monitor.event(&Event::RunStarted { shards: self.shards });
        let stages = &self.pipeline.stages;
        self.ledger.begin();
        for stage in of(stages, Scope::Before) {
            self.run_scope(&[stage], Scope::Before, 0, &self.sample(plan, stage)?)?;
        }
        for shard in plan.shards() {
            let shard = shard?;
            self.run_scope(&of(stages, Scope::Shard), Scope::Shard, shard.part, &shard.prompts)?;
            self.ledger.release(shard.part)?;
        }
        // Before the reducing stages: they must not see what an earlier plan left.
        let reducing = of(stages, Scope::Run);
        self.ledger.remove_stale(&reducing)?;
        self.run_scope(&reducing, Scope::Run, 0, &[])?;
        self.ledger.remove_stale(&[])?;
        Ok(())
    }

    fn run_scope(
        &mut self,
        stages: &[&dyn Stage],
        scope: Scope,
        part: u32,
        prompts: &[Prompt],
    ) -> Result<(), RunError> {
        let must_redo = self.ledger.needs_released_tables(stages, part, prompts);
        for stage in stages {
            if self.monitor.is_interrupted() {
                return Err(RunError::Interrupted);
            }
            let shard = (scope == Scope::Shard).then_some(part);
            let fingerprint = self.ledger.fingerprint(*stage, part, prompts);
            if !must_redo.contains(stage.kind()) && self.ledger.reuse(*stage, part, &fingerprint) {
                self.monitor.event(&Event::StageReused { stage: stage.kind(), shard });
                self.check_skipped()?;
                continue;
            }
            self.ledger.withdraw(*stage, part)?;
            let context = Context {
                store: self.store,
                part,
                shards: self.shards,
                prompts,
                shares: self.ledger.shares_of(*stage),
                layers: &self.pipeline.layers,
                seed: self.pipeline.seed,
                card: &self.pipeline.card,
                tokenizer: self.tokenizer,
                engine: self.engine,
                monitor: self.monitor,
            };
            let started = Instant::now();
            let outcome = match stage.run(&context) {
                Ok(outcome) => outcome,
                Err(StageError::Interrupted) => return Err(RunError::Interrupted),
                Err(source) => {
                    return Err(RunError::Stage { stage: stage.kind(), scope, part, source });
                }
            };
            self.monitor.event(&Event::StageFinished {
                stage: stage.kind(),
                shard,
                total: outcome.units,
                unit: stage.unit(),
                seconds: started.elapsed().as_secs_f64(),
            });
            self.ledger.record(*stage, part, fingerprint, outcome)?;
            self.check_skipped()?;
        }
        Ok(())
    }

    /// After every stage, so that nothing more is computed from what is too little.
    fn check_skipped(&self) -> Result<(), RunError> {
        skips::check(self.store, &self.ledger, self.prompts, self.pipeline.max_skipped)
    }
}

/// The stages of that scope, in order.
pub(super) fn of(stages: &[Box<dyn Stage>], scope: Scope) -> Vec<&dyn Stage> {
    stages.iter().map(AsRef::as_ref).filter(|stage| stage.scope() == scope).collect()
}

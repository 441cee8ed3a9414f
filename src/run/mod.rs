//! The executor: brings a run directory to the state that the pipeline asks for, doing only what
//! no receipt proves done.
//!
//! One process does a whole run, or several do a share of its shards each and one more finishes it.
//! Either way the same stages work on the same shards, so the same tables come out.

mod again;
mod error;
mod executor;
mod folder;
mod follow;
mod portion;
mod recognise;
mod record;
mod relay;
mod runtime;
mod shared;
pub mod skips;
mod wait;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

pub use error::RunError;
pub use portion::Portion;
pub use skips::TooManySkipped;

use self::again::withdraw_changed;
use self::executor::Executor;
use self::folder::{announce, begun, is_written, refuse_foreign, refuse_other_shape};
use self::record::{nothing_to_do, record};
use self::runtime::{library, say_runtime};
use self::work::Work;
use crate::ledger::Ledger;
use crate::ledger::fingerprint::{Ground, fractions};
use crate::ledger::lineage::lineage_of;
use crate::model::{Engine, EngineFacts, EngineOptions};
use crate::monitor::{Event, Monitor};
use crate::pipeline::chosen::ShardList;
use crate::pipeline::plan::Plan;
use crate::pipeline::{Pipeline, config};
use crate::run_dir::layout;
use crate::run_dir::made_by::{THIS_VERSION, UNKNOWN};
use crate::run_dir::record::{Counts, Marks, RunRecord, State};
use crate::store::{FileStamp, Store};
use crate::verify;

/// How a pipeline is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory.
    pub run_dir: PathBuf,
    /// Which ONNX Runtime library, threads; provider and precision are the pipeline's.
    pub engine: EngineOptions,
    /// Whether to compare every file with its hash first, not only with its size, and to make again
    /// what does not match. Has no effect on a share, which does not have the folder alone.
    pub recheck: bool,
    /// How much of the run to do.
    pub portion: Portion,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct RunSummary {
    /// The counts that `run.json` holds too; of a share, those of its shards.
    pub counts: Counts,
    /// Times that this process ran the model.
    pub model_calls: u64,
    /// Times that it ran the model's head alone.
    pub head_calls: u64,
    /// Parts of tables that this process wrote.
    pub parts_written: u64,
    /// Wall time of this process up to the end of the last stage.
    pub seconds: f64,
    /// Whether every stage was done before: nothing was computed and nothing written.
    pub was_finished: bool,
    /// The shards that this process left to others that were working on them.
    pub left: ShardList,
}

/// Runs `pipeline` into `options.run_dir`, resuming what is half done there.
///
/// # Errors
/// When the folder is another pipeline's or in use, the model cannot be opened, or a stage fails.
/// Whatever happens, no file is half-written under its final name.
pub fn run(
    pipeline: &Pipeline,
    options: &RunOptions,
    monitor: &dyn Monitor,
) -> Result<RunSummary, RunError> {
    let started = Instant::now();
    let engine = Engine::new(pipeline.card.clone(), options.engine.clone());
    engine.refuse_cpu()?;
    let resolved = config::resolved_yaml(pipeline);
    refuse_foreign(&options.run_dir, &pipeline.name, &resolved)?;
    if options.portion != Portion::Finish && !begun(&options.run_dir) {
        engine.refuse_too_large()?;
    }
    let store = Store::create(&options.run_dir)?;
    let _lock = match &options.portion {
        Portion::Share(_) => store.lock_shared()?,
        Portion::Whole | Portion::Finish => store.lock()?,
    };
    if !options.recheck
        && let Some(before) = recognise::record(&store, pipeline, &resolved, &engine)?
    {
        say_runtime(engine.facts()?, monitor);
        return Ok(nothing_to_do(before, started, monitor));
    }
    let before = RunRecord::read(&store);
    let begins = before.is_none() && options.portion != Portion::Finish;
    // Taken first: a file that changes while it is hashed has another stamp later.
    let stamps = recognise::stamps(&pipeline.card);
    let setting =
        Setting { pipeline, options, monitor, resolved: &resolved, store: &store, engine: &engine };
    thread::scope(|threads| {
        if begins {
            // The model is sure to be needed: it is opened while the prompts are laid out. Should it not
            // open, whoever needs it first says so.
            threads.spawn(|| engine.open());
        }
        setting.carry_out(before.as_ref(), stamps, started)
    })
}

/// What a run needs.
#[derive(Clone, Copy)]
struct Setting<'a> {
    pipeline: &'a Pipeline,
    options: &'a RunOptions,
    monitor: &'a dyn Monitor,
    resolved: &'a str,
    store: &'a Store,
    engine: &'a Engine,
}

impl Setting<'_> {
    /// Does what no receipt proves done, after what the record `before` tells of.
    fn carry_out(
        self,
        before: Option<&RunRecord>,
        stamps: Option<BTreeMap<String, FileStamp>>,
        started: Instant,
    ) -> Result<RunSummary, RunError> {
        let Self { pipeline, options, monitor, resolved, store, engine } = self;
        pipeline.card.verify_files()?;
        let tokenizer = pipeline.tokenizer()?;
        let plan = Plan::heeding(pipeline, &tokenizer, monitor)?;
        let facts = engine.facts()?;
        say_runtime(facts, monitor);
        let lineage = lineage_of(pipeline, resolved, plan.sha256()?, facts);
        let fractions = fractions(pipeline, &plan);
        let ground = Ground::new(&lineage, pipeline, tokenizer.specials(), fractions);
        let unnamed_by = before.map_or(UNKNOWN, RunRecord::maker_of_unnamed);
        let work = Work {
            pipeline,
            store,
            portion: &options.portion,
            engine,
            tokenizer: &tokenizer,
            monitor,
            shards: plan.n_shards(),
            prompts: plan.n_prompts(),
        };
        let run = Run {
            executor: Executor {
                work,
                ledger: Ledger::new(store, ground, &pipeline.retain).with_unnamed_by(unnamed_by),
                closing: None,
            },
            plan: &plan,
            record: record(pipeline, lineage, unnamed_by, library(facts)?, work),
            resolved,
            stamps,
            facts,
            started,
        };
        refuse_other_shape(&run.record, RunRecord::read(store).as_ref(), &pipeline.card)?;
        // Numbers come from what a receipt or this process vouches for, and from nothing else.
        store.refuse_strangers();
        let is_alone = !matches!(options.portion, Portion::Share(_));
        let damage =
            if options.recheck && is_alone { verify::damage(store, monitor)? } else { Vec::new() };
        verify::withdraw(store, &damage, monitor)?;
        match &options.portion {
            Portion::Whole => run.whole(damage.is_empty()),
            Portion::Finish => run.finish(damage.is_empty()),
            Portion::Share(chosen) => run.share(chosen),
        }
    }
}

/// A run in a folder that is this process's, alone or shared.
struct Run<'a> {
    executor: Executor<'a>,
    plan: &'a Plan<'a>,
    record: RunRecord,
    resolved: &'a str,
    /// Of the model's files, from before they were hashed.
    stamps: Option<BTreeMap<String, FileStamp>>,
    facts: &'a EngineFacts,
    started: Instant,
}

impl Run<'_> {
    /// All of it; what the folder holds may count as finished only if it `is_sound`.
    fn whole(mut self, is_sound: bool) -> Result<RunSummary, RunError> {
        if is_sound && let Some(before) = self.finished()? {
            return self.nothing_to_do(before);
        }
        self.announce();
        self.begin()?;
        let mut damaged = BTreeSet::new();
        while let Err(error) = self.executor.run_all(self.plan) {
            withdraw_changed(self.executor.work, error, &mut damaged)?;
        }
        self.end()
    }

    /// The stages over the whole run; `is_sound` as for [`Self::whole`].
    fn finish(mut self, is_sound: bool) -> Result<RunSummary, RunError> {
        if is_sound && let Some(before) = self.finished()? {
            return self.nothing_to_do(before);
        }
        self.announce();
        self.refuse_unfinished()?;
        self.begin()?;
        let mut damaged = BTreeSet::new();
        while let Err(error) = self.executor.reduce() {
            withdraw_changed(self.executor.work, error, &mut damaged)?;
            self.refuse_unfinished()?;
        }
        self.end()
    }

    /// The record of an identical finished run, when that is what the folder holds.
    fn finished(&mut self) -> Result<Option<RunRecord>, RunError> {
        if !is_written(self.executor.work.store, self.resolved) {
            return Ok(None);
        }
        Ok(self.executor.finished(self.plan, &self.record)?)
    }

    /// The run is done, though it was not recognised quickly; next time it is. Who made it stays.
    fn nothing_to_do(mut self, mut before: RunRecord) -> Result<RunSummary, RunError> {
        let Work { store, monitor, .. } = self.executor.work;
        if let Some(marks) = self.marks()
            && (before.marks.as_ref() != Some(&marks) || before.judge() != THIS_VERSION)
        {
            let unnamed_by = before.maker_of_unnamed().to_owned();
            before.unnamed_by = (unnamed_by != UNKNOWN).then_some(unnamed_by);
            before.judged_by = Some(THIS_VERSION.to_owned());
            before.marks = Some(marks);
            before.write(store)?;
        }
        Ok(nothing_to_do(before, self.started, monitor))
    }

    /// What this run, finished, is recognised by.
    fn marks(&mut self) -> Option<Marks> {
        let receipts_sha256 = self.executor.ledger.receipts_sha256();
        self.stamps.take().map(|model_files| Marks { receipts_sha256, model_files })
    }

    fn announce(&self) {
        let Work { store, monitor, pipeline, .. } = self.executor.work;
        announce(&self.record, RunRecord::read(store).as_ref(), self.facts, monitor);
        for warning in pipeline.warnings.iter().chain(&self.plan.warnings()) {
            monitor.event(&Event::Note(&format!("warning: {warning}")));
        }
    }

    fn begin(&mut self) -> Result<(), RunError> {
        let store = self.executor.work.store;
        self.record.keep_history(store);
        // What a process that was killed had judged.
        self.record.judgements.add_summary_of(store);
        // The record first: a folder with a pipeline file and no record is somebody's own.
        self.record.write(store)?;
        store.write(layout::PIPELINE, self.resolved.as_bytes())?;
        Ok(())
    }

    fn end(mut self) -> Result<RunSummary, RunError> {
        self.add_counts();
        self.record.state = State::Finished;
        self.record.made_by = self.executor.ledger.made_by().clone();
        self.record.lineage.aqlens = self.record.made_by.words();
        self.record.marks = self.marks();
        self.record.judgements.add_summary_of(self.executor.work.store);
        self.record.write(self.executor.work.store)?;
        Ok(self.summary())
    }

    fn add_counts(&mut self) {
        let total = self.executor.ledger.total();
        let Counts { shards, prompts, .. } = self.record.counts;
        self.record.self_proof = total.self_proof;
        self.record.counts = Counts {
            shards,
            prompts,
            skipped: total.skipped,
            repeats: total.repeats,
            model_calls: total.model_calls,
            head_calls: total.head_calls,
            model_threads: total.model_threads.clone(),
            parts_written: total.parts,
            stage_seconds: total.seconds,
            seconds: self.started.elapsed().as_secs_f64(),
        };
    }

    /// Says of how many prompts this process took the numbers from another.
    fn note_repeats(&self) {
        let repeats = self.executor.ledger.done().repeats;
        if repeats > 0 {
            let prompts = self.record.counts.prompts;
            self.executor.work.monitor.event(&Event::Note(&format!(
                "{repeats} of {prompts} prompts have the same tokens as another one of their shard, and \
                 its numbers: the model ran that one alone"
            )));
        }
    }

    fn summary(self) -> RunSummary {
        self.note_repeats();
        let done = self.executor.ledger.done();
        RunSummary {
            model_calls: done.model_calls,
            head_calls: done.head_calls,
            parts_written: done.parts,
            seconds: self.record.counts.seconds,
            was_finished: false,
            left: ShardList::default(),
            counts: self.record.counts,
        }
    }
}

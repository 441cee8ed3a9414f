//! `aqlens check`: every problem at once, then the plan and what it will cost.

use std::io;
use std::time::Instant;

use rayon::prelude::*;

use super::args::CheckArgs;
use super::design::Designs;
use super::error::CliError;
use super::estimate::{Estimate, Obstacle, write_obstacles};
use super::exit::Exit;
use super::first::FirstPrompts;
use super::lengths::Lengths;
use super::memory::Memory;
use super::units::Units;
use super::{interrupt, memory, setup, specials, term, uses};
use crate::model::{Batch, Engine, ModelError, Wanted, free_memory, plan_batches, plan_prefixes};
use crate::pipeline::Pipeline;
use crate::pipeline::config::ConfigError;
use crate::pipeline::plan::{Plan, PlanError};
use crate::run::skips;
use crate::stages::extract::TooLong;

pub(super) fn main(args: &CheckArgs) -> Result<Exit, CliError> {
    interrupt::listen(|| term::say("interrupted"));
    let mut out = io::stdout().lock();
    let estimated = match setup::load(&args.pipeline) {
        Ok(pipeline) => {
            estimate(args, &pipeline).map_err(|error| (vec![Obstacle::of(&error)], error))
        }
        Err(error) => Err((obstacles(&error), setup::wrong(&error))),
    };
    match estimated {
        Ok(estimate) => {
            let exit = if estimate.too_long > 0 { Exit::Skipped } else { Exit::Done };
            if args.json {
                estimate.write_json(exit.code(), &mut out)?;
            } else {
                estimate.write(&mut out)?;
            }
            Ok(exit)
        }
        Err((obstacles, error)) => {
            // People read the same on standard error.
            if args.json {
                write_obstacles(&obstacles, error.exit().code(), &mut out)?;
            }
            Err(error)
        }
    }
}

/// What keeps the pipeline from running: each problem of its file, or that it cannot be read.
fn obstacles(error: &ConfigError) -> Vec<Obstacle> {
    match error {
        ConfigError::Wrong(report) => report.problems().iter().map(Obstacle::from).collect(),
        _ => vec![Obstacle::of(&setup::wrong(error))],
    }
}

/// Lays the plan out and measures one batch of it.
fn estimate(args: &CheckArgs, pipeline: &Pipeline) -> Result<Estimate, CliError> {
    let threads = args.runtime.threads.map(usize::from);
    setup::use_threads(threads)?;
    let failed = |error: ModelError| CliError::failed(&error);
    let options = setup::engine_options(pipeline, args.runtime.onnxruntime.as_deref(), threads);
    let engine = Engine::new(pipeline.card.clone(), options);
    engine.refuse_cpu().map_err(failed)?;
    let facts = engine.facts().map_err(failed)?;
    // Hashing a model takes minutes where it is too large to be opened.
    engine.refuse_too_large().map_err(failed)?;
    pipeline.card.verify_files().map_err(failed)?;
    let tokenizer = pipeline.tokenizer().map_err(failed)?;
    let wrong = |error: PlanError| CliError::failed(&error);
    let plan = Plan::new(pipeline, &tokenizer).map_err(wrong)?;
    let lengths = Lengths::of(&plan, &tokenizer, pipeline.card.n_positions).map_err(wrong)?;
    let cost = Cost::of(pipeline, &lengths);
    refuse_too_long(pipeline, &lengths)?;
    let first_prompts = FirstPrompts::of(pipeline, &plan, &tokenizer).map_err(wrong)?;
    let designs = Designs::of(pipeline, &plan, &tokenizer).map_err(wrong)?;
    let memory = memory_of(pipeline, &lengths, &engine).map_err(failed)?;
    engine.open().map_err(failed)?;
    let speed = tokens_per_second(&engine, pipeline, &lengths).map_err(failed)?;
    let card = &pipeline.card;
    Ok(Estimate {
        pipeline: pipeline.name.clone(),
        model: card.source.name.clone(),
        n_layer: card.n_layer,
        n_head: card.n_head,
        d_model: card.d_model,
        n_positions: card.n_positions,
        dtype: card.dtype.name(),
        onnxruntime: facts.runtime_version.clone(),
        library: facts.library.display().to_string(),
        provider: facts.provider.to_string(),
        threads: facts.threads,
        special_tokens: specials::sentences(pipeline, &tokenizer),
        units: Units::of(pipeline),
        prompts: lengths.prompts,
        repeats: lengths.repeats,
        tokens: lengths.tokens,
        longest: lengths.longest,
        too_long: lengths.too_long,
        shards: plan.n_shards(),
        raw_bytes: cost.raw_bytes,
        kept_bytes: cost.kept_bytes,
        memory_bytes: memory.bytes(),
        memory,
        free_bytes: free_memory(),
        tokens_per_second: speed,
        seconds: speed.map(|speed| lengths.run_tokens as f64 / speed),
        first_prompts,
        warnings: [
            pipeline.warnings.clone(),
            plan.warnings(),
            designs.warnings(),
            uses::warnings(pipeline, &plan).map_err(wrong)?,
        ]
        .concat(),
        designs,
    })
}

/// Prompts that the run would stop at: one that is too long, or too many of them to be left out.
fn refuse_too_long(pipeline: &Pipeline, lengths: &Lengths) -> Result<(), CliError> {
    let Some((_, prompt, reason)) = &lengths.first_too_long else { return Ok(()) };
    let (n, all, most) = (lengths.too_long, lengths.prompts, pipeline.max_skipped);
    let is_too_many = skips::are_too_many(n, all, most);
    let share = 100.0 * n as f64 / all as f64;
    let are = format!(
        "error: {n} of {all} prompts ({share:.2} %) are longer than the model's {} positions, the \
         first one {prompt}, which {reason}",
        pipeline.card.n_positions
    );
    let raise = format!("raise `max_skipped` to at least {}", round_up(n as f64 / all as f64));
    match pipeline.extract().too_long {
        TooLong::Error => {
            let also = if is_too_many { format!(" and {raise}") } else { String::new() };
            Err(CliError::Wrong(format!(
                "{are}; shorten them, or set `too_long: skip` in the extract stage{also} to leave \
                 them out"
            )))
        }
        TooLong::Skip if is_too_many => Err(CliError::Wrong(format!(
            "{are}: leaving them out is more than `max_skipped: {most}` allows, and the run would \
             stop; shorten them, or {raise}"
        ))),
        TooLong::Skip => Ok(()),
    }
}

/// What a process of the run takes, of a model that need not be open.
fn memory_of(
    pipeline: &Pipeline,
    lengths: &Lengths,
    engine: &Engine,
) -> Result<Memory, ModelError> {
    let budget = budget(pipeline, engine)?;
    Ok(memory::of_run(pipeline, lengths, engine.copies()?, budget))
}

/// Padded tokens of a batch.
fn budget(pipeline: &Pipeline, engine: &Engine) -> Result<usize, ModelError> {
    match pipeline.extract().batch_tokens {
        0 => engine.batch_budget(),
        tokens => Ok(tokens as usize),
    }
}

/// A share with few digits that is not below this one.
fn round_up(share: f64) -> f64 {
    ((share * 1e4).ceil() / 1e4).max(share)
}

/// What a run will take on the disk, before compression.
struct Cost {
    raw_bytes: u64,
    kept_bytes: u64,
}

impl Cost {
    fn of(pipeline: &Pipeline, lengths: &Lengths) -> Self {
        let card = &pipeline.card;
        let Lengths { fit, tokens, .. } = lengths;
        let layers = pipeline.layers.len() as u64;
        let last = card.n_layer - 1;
        let with_last = layers + u64::from(!pipeline.layers.contains(&last));
        let float = size_of::<f32>() as u64;
        let sizes = [
            ("activations", tokens * layers * card.d_model as u64 * float),
            ("attention", tokens * with_last * card.n_head as u64 * float),
            ("logits", fit * card.vocab_size as u64 * float),
        ];
        let kept = |(name, _): &&(&str, u64)| pipeline.retain.contains(*name);
        Self {
            raw_bytes: sizes.iter().map(|(_, bytes)| bytes).sum(),
            kept_bytes: sizes.iter().filter(kept).map(|(_, bytes)| bytes).sum(),
        }
    }
}

/// The speed on one batch of the typical shard's prompts, run as often at once as the model is open,
/// measured now: the second of two runs, as the first one still sets up. What the prompts share is
/// counted as saved by the tokens that it saves. `None` when there are none, as no prompt fits the
/// model.
fn tokens_per_second(
    engine: &Engine,
    pipeline: &Pipeline,
    of: &Lengths,
) -> Result<Option<f64>, ModelError> {
    let ids: Vec<&[i32]> = of.typical.iter().map(Vec::as_slice).collect();
    let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
    let extract = pipeline.extract();
    let budget = budget(pipeline, engine)?;
    let batches = plan_batches(&lengths, 0, budget);
    let Some(rows) = batches.get(batches.len() / 2) else { return Ok(None) };
    let batch = Batch::pad(rows, &ids, 0);
    let wanted = Wanted {
        hidden: pipeline.layers.clone(),
        attention: vec![pipeline.card.n_layer - 1],
        ..Wanted::default()
    };
    let at_once = engine.at_once()?;
    let mut seconds = 0.0;
    for _ in 0..2 {
        let started = Instant::now();
        (0..at_once).into_par_iter().try_for_each(|_| engine.run(&batch, &wanted, &mut |_| {}))?;
        seconds = started.elapsed().as_secs_f64();
    }
    let shares = extract.share_prefixes && engine.takes_past()?;
    let plan = if shares { plan_prefixes(&ids, &of.tasks, budget) } else { None };
    let saving = plan.map_or(1.0, |plan| plan.saving);
    Ok(Some((at_once * batch.tokens()) as f64 / seconds * saving))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::{Backend, EngineFacts, Outputs, Provider, Take};
    use crate::pipeline::config;

    /// Remembers how many prompts each batch had.
    struct Counting(Arc<Mutex<Vec<usize>>>);

    impl Backend for Counting {
        fn run(
            &mut self,
            batch: &Batch,
            _wanted: &Wanted,
            take: &mut Take<'_>,
        ) -> Result<(), ModelError> {
            self.0.lock().unwrap().push(batch.rows.len());
            take(&Outputs::default());
            Ok(())
        }
    }

    #[test]
    fn the_speed_is_that_of_batches_as_the_run_makes_them() {
        let file = Path::new("tests/fixtures/tiny.yml");
        let overrides = ["stages.extract.batch_tokens=12".to_owned()];
        let pipeline = config::load(file, &overrides).unwrap();
        let sizes = Arc::default();
        let facts = EngineFacts {
            runtime_version: "1.0".to_owned(),
            library: "none".into(),
            provider: Provider::Cpu,
            fallback: None,
            threads: 1,
            tf32: false,
        };
        let backends: Vec<Box<dyn Backend>> = vec![Box::new(Counting(Arc::clone(&sizes)))];
        let engine = Engine::with_backends(pipeline.card.clone(), facts, backends);
        let prompts =
            Lengths { typical: vec![vec![1; 4]; 9], tasks: vec![0; 9], ..Lengths::default() };
        assert!(tokens_per_second(&engine, &pipeline, &prompts).unwrap().is_some());
        assert_eq!(*sizes.lock().unwrap(), [3, 3]);
    }
}

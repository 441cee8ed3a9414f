//! `aqlens check`: every problem at once, then the plan and what it will cost.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use super::args::{CheckArgs, PipelineArgs};
use super::run::{engine_options, use_threads};
use super::{CliError, Exit};
use crate::model::{Batch, Engine, ModelError, Tokenizer, Wanted, plan_batches};
use crate::pipeline::plan::{Plan, PlanError, ShardPlan};
use crate::pipeline::{Pipeline, config, skips};
use crate::prompt::visible;
use crate::stage::StageConfig;
use crate::stage::extract::{self, TooLong};

/// Columns of a report when standard error is no terminal.
const WIDTH: usize = 100;

/// Reads and validates a pipeline; all its problems become one error.
pub(super) fn load(args: &PipelineArgs) -> Result<Pipeline, CliError> {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    config::load(&args.pipeline, &args.all_overrides())
        .map_err(|error| CliError::Wrong(error.render(WIDTH, colour)))
}

pub(super) fn main(args: &CheckArgs) -> Result<Exit, CliError> {
    let pipeline = load(&args.pipeline)?;
    let threads = args.runtime.threads.map(usize::from);
    use_threads(threads)?;
    let failed = |error: ModelError| CliError::failed(&error);
    pipeline.card.verify_files().map_err(failed)?;
    let tokenizer = Tokenizer::load(&pipeline.card).map_err(failed)?;
    let wrong = |error: PlanError| CliError::failed(&error);
    let plan = Plan::new(&pipeline, &tokenizer).map_err(wrong)?;
    let shards: Vec<ShardPlan> = plan.shards().collect::<Result<_, _>>().map_err(wrong)?;
    let prompts = encode(&shards, &tokenizer).map_err(failed)?;
    let cost = Cost::of(&pipeline, &prompts);
    refuse_too_long(&pipeline, &shards, &prompts)?;
    let options = engine_options(&pipeline, args.runtime.onnxruntime.as_deref(), threads);
    let engine = Engine::new(pipeline.card.clone(), options);
    engine.open().map_err(failed)?;
    let speed = tokens_per_second(&engine, &pipeline, &prompts).map_err(failed)?;

    let card = &pipeline.card;
    let mut out = io::stdout().lock();
    writeln!(out, "pipeline  {}: no problems", visible(&pipeline.name))?;
    writeln!(
        out,
        "model     {}: {} layers, {} heads, width {}, {} positions; its probe holds",
        visible(&card.source.name),
        card.n_layer,
        card.n_head,
        card.d_model,
        card.n_positions
    )?;
    let facts = engine.facts().map_err(failed)?;
    let (version, provider) = (&facts.runtime_version, facts.provider);
    writeln!(out, "runtime   ONNX Runtime {version}, {provider}, {} threads", facts.threads)?;
    writeln!(out, "prompts   {}", cost.prompts)?;
    writeln!(out, "tokens    {} (longest prompt {})", cost.tokens, cost.longest)?;
    if cost.too_long > 0 {
        writeln!(out, "too long  {} prompts", cost.too_long)?;
    }
    writeln!(out, "shards    {}", shards.len())?;
    writeln!(
        out,
        "bytes     about {} of raw tables (activations, attention, logits), {} kept",
        size(cost.raw_bytes),
        size(cost.kept_bytes)
    )?;
    match speed {
        Some(speed) => writeln!(
            out,
            "time      about {:.1} s for the model alone at {speed:.0} tokens/s; writing tables \
             adds to it",
            cost.tokens as f64 / speed
        )?,
        None => writeln!(out, "time      none: no prompt fits the model")?,
    }
    Ok(if cost.too_long > 0 { Exit::Skipped } else { Exit::Done })
}

fn encode(shards: &[ShardPlan], tokenizer: &Tokenizer) -> Result<Vec<Vec<i32>>, ModelError> {
    let prompts = shards.iter().flat_map(|shard| &shard.prompts);
    prompts.map(|p| Ok(tokenizer.encode(&p.text, p.input_span.clone())?.ids)).collect()
}

/// The extract stage, as the pipeline sets it.
fn extract(pipeline: &Pipeline) -> extract::Config {
    let of = |config: &StageConfig| match config {
        StageConfig::Extract(extract) => Some(extract.clone()),
        _ => None,
    };
    pipeline.stage_configs.iter().find_map(of).unwrap_or_default()
}

/// Prompts that the run would stop at: one that is too long, or too many of them to be left out.
fn refuse_too_long(
    pipeline: &Pipeline,
    shards: &[ShardPlan],
    prompts: &[Vec<i32>],
) -> Result<(), CliError> {
    let limit = pipeline.card.n_positions;
    let all = shards.iter().flat_map(|shard| &shard.prompts).zip(prompts);
    let too_long: Vec<_> = all.filter(|(_, ids)| ids.len() > limit).collect();
    let Some((prompt, ids)) = too_long.first() else { return Ok(()) };
    let (n, all, most) = (too_long.len(), prompts.len(), pipeline.max_skipped);
    let is_too_many = skips::are_too_many(n as u64, all as u64, most);
    let share = 100.0 * n as f64 / all as f64;
    let are = format!(
        "error: {n} of {all} prompts ({share:.2} %) are longer than the model's {limit} \
         positions, the first one {} with {} tokens",
        prompt.key,
        ids.len()
    );
    let raise = format!("raise `max_skipped` to at least {}", round_up(n as f64 / all as f64));
    match extract(pipeline).too_long {
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

/// A share with few digits that is not below this one.
fn round_up(share: f64) -> f64 {
    ((share * 1e4).ceil() / 1e4).max(share)
}

/// What a run will take, before compression.
struct Cost {
    prompts: usize,
    tokens: u64,
    longest: usize,
    too_long: usize,
    raw_bytes: u64,
    kept_bytes: u64,
}

impl Cost {
    fn of(pipeline: &Pipeline, prompts: &[Vec<i32>]) -> Self {
        let card = &pipeline.card;
        let fits = |ids: &&Vec<i32>| ids.len() <= card.n_positions;
        let tokens: u64 = prompts.iter().filter(fits).map(|ids| ids.len() as u64).sum();
        let n_fit = prompts.iter().filter(fits).count() as u64;
        let layers = pipeline.layers.len() as u64;
        let last = card.n_layer - 1;
        let with_last = layers + u64::from(!pipeline.layers.contains(&last));
        let float = size_of::<f32>() as u64;
        let sizes = [
            ("activations", tokens * layers * card.d_model as u64 * float),
            ("attention", tokens * with_last * card.n_head as u64 * float),
            ("logits", n_fit * card.vocab_size as u64 * float),
        ];
        let kept = |(name, _): &&(&str, u64)| pipeline.retain.contains(*name);
        Self {
            prompts: prompts.len(),
            tokens,
            longest: prompts.iter().map(Vec::len).max().unwrap_or(0),
            too_long: prompts.len() - n_fit as usize,
            raw_bytes: sizes.iter().map(|(_, bytes)| bytes).sum(),
            kept_bytes: sizes.iter().filter(kept).map(|(_, bytes)| bytes).sum(),
        }
    }
}

/// The speed on one batch of the pipeline's own prompts, measured now: the second of two runs, as
/// the first one still sets up. `None` when no prompt fits the model.
fn tokens_per_second(
    engine: &Engine,
    pipeline: &Pipeline,
    prompts: &[Vec<i32>],
) -> Result<Option<f64>, ModelError> {
    let fit: Vec<&Vec<i32>> =
        prompts.iter().filter(|ids| ids.len() <= pipeline.card.n_positions).collect();
    let lengths: Vec<usize> = fit.iter().map(|ids| ids.len()).collect();
    let budget = match extract(pipeline).batch_tokens {
        0 => engine.batch_budget()?,
        tokens => tokens as usize,
    };
    let batches = plan_batches(&lengths, budget);
    let Some(rows) = batches.get(batches.len() / 2) else { return Ok(None) };
    let batch = Batch::pad(rows, &fit, 0);
    let wanted =
        Wanted { hidden: pipeline.layers.clone(), attention: vec![pipeline.card.n_layer - 1] };
    let mut seconds = 0.0;
    for _ in 0..2 {
        let started = Instant::now();
        engine.run(&batch, &wanted, &mut |_| {})?;
        seconds = started.elapsed().as_secs_f64();
    }
    Ok(Some(batch.tokens() as f64 / seconds))
}

fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::{Backend, EngineFacts, Outputs, Provider, Take};

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
            take(&Outputs { logits: &[], hidden: Vec::new(), attention: Vec::new() });
            Ok(())
        }
    }

    #[test]
    fn the_speed_is_that_of_batches_as_the_run_makes_them() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny.yml");
        let overrides = ["stages.extract.batch_tokens=12".to_owned()];
        let pipeline = config::load(&file, &overrides).unwrap();
        let sizes = Arc::default();
        let facts = EngineFacts {
            runtime_version: "1.0".to_owned(),
            library: "none".into(),
            provider: Provider::Cpu,
            fallback: None,
            threads: 1,
            tf32: false,
        };
        let backend = Box::new(Counting(Arc::clone(&sizes)));
        let engine = Engine::with_backend(pipeline.card.clone(), facts, backend);
        let prompts = vec![vec![1; 4]; 9];
        assert!(tokens_per_second(&engine, &pipeline, &prompts).unwrap().is_some());
        assert_eq!(*sizes.lock().unwrap(), [3, 3]);
    }
}

//! `aqlens status`: how far a run is, for people and for programs that start its processes.

use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::json;

use super::args::StatusArgs;
use super::error::CliError;
use super::exit::Exit;
use crate::ledger::progress::Progress;
use crate::prompt::visible;
use crate::run_dir::RunDir;
use crate::run_dir::record::State;

/// Characters of the bar.
const BAR: usize = 30;

pub(super) fn main(args: &StatusArgs) -> Result<Exit, CliError> {
    let progress = Progress::of(&RunDir::open(&args.run)?)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", object(&progress))?;
    } else {
        print(&mut out, &progress)?;
    }
    Ok(Exit::Done)
}

fn object(progress: &Progress) -> serde_json::Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let held = progress.held.iter().map(|(shard, holder)| {
        json!({ "shard": shard, "holder": holder.who, "held": seconds(holder.held) })
    });
    let at_work = progress.at_work.iter();
    let at_work =
        at_work.map(|holder| json!({ "holder": holder.who, "since": seconds(holder.held) }));
    json!({
        "pipeline": progress.pipeline,
        "state": progress.state,
        "shards": progress.shards,
        "prompts": progress.prompts,
        "n_done": progress.done.len(),
        "n_missing": progress.missing.len(),
        "done": progress.done.to_string(),
        "missing": progress.missing.to_string(),
        "held": held.collect::<Vec<_>>(),
        "at_work": at_work.collect::<Vec<_>>(),
        "prompts_per_second": progress.prompts_per_second,
        "seconds_left": seconds(progress.left),
    })
}

fn print(out: &mut impl io::Write, progress: &Progress) -> io::Result<()> {
    let Progress { shards, done, missing, .. } = progress;
    let share = f64::from(done.len()) / f64::from((*shards).max(1));
    let filled = (share * BAR as f64) as usize;
    let (full, empty) = ("=".repeat(filled), " ".repeat(BAR - filled));
    let speed = match (progress.prompts_per_second, progress.left) {
        (Some(rate), Some(left)) if !missing.is_empty() => {
            format!(", {rate:.0} prompts/s, about {:.0} s left", left.as_secs_f64())
        }
        _ => String::new(),
    };
    let name = visible(&progress.pipeline);
    let n = done.len();
    writeln!(out, "[{full}{empty}] {n} of {shards} shards of {name}{speed}")?;
    match progress.state {
        State::Finished => writeln!(out, "finished")?,
        State::Running if missing.is_empty() => {
            writeln!(
                out,
                "every shard is done: run with --finish for the stages over the whole run"
            )?;
        }
        State::Running => writeln!(out, "missing   {missing}")?,
    }
    for (shard, holder) in &progress.held {
        let held = since(holder.held);
        writeln!(out, "held      shard {shard}: {}{held}", visible(&holder.who))?;
    }
    for holder in &progress.at_work {
        writeln!(out, "at work   {}{}", visible(&holder.who), since(holder.held))?;
    }
    if progress.at_work.is_empty() && progress.state == State::Running {
        writeln!(out, "at work   nobody")?;
    }
    Ok(())
}

fn since(held: Option<Duration>) -> String {
    held.map_or_else(String::new, |held| format!(", for {} s", held.as_secs()))
}

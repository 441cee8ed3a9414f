//! Progress on standard error: bars on a terminal, plain lines elsewhere, JSON for schedulers.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::args::LogArg;
use super::error::Place;
use super::exit::Exit;
use super::interrupt;
use super::progress::Progress;
use crate::monitor::{Event, Monitor};
use crate::prompt::visible_lines;
use crate::run::RunSummary;

/// How long a plain log waits before it says again how far a run is.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Up to so many shards a plain log has a line for each stage of each; with more, only now and then one
/// about the whole run.
const MOST_SHARDS: u32 = 100;

/// Most prompts that a log names as skipped.
const MOST_SKIPPED: u64 = 20;

/// The listener for `--log`.
pub(super) fn monitor(log: LogArg) -> Box<dyn Monitor> {
    match log {
        LogArg::Json => Box::new(JsonMonitor),
        LogArg::Auto if std::io::stderr().is_terminal() => Box::new(BarMonitor::new()),
        LogArg::Auto | LogArg::Plain => Box::new(PlainMonitor::new()),
    }
}

/// A run that went well.
#[derive(Debug)]
pub(super) struct Done {
    /// Where it is.
    pub(super) run_dir: PathBuf,
    /// What this process did.
    pub(super) summary: RunSummary,
}

/// The last line of a log in JSON: how the command ended, and, when all went well, where the run is and
/// what this process did; where a shard failed or shards are missing, which.
pub(super) fn say_end(exit: Exit, error: Option<&str>, place: Option<&Place>, done: Option<&Done>) {
    let (code, retry) = (exit.code(), exit.may_retry());
    let mut end = json!({"event": "end", "exit_code": code, "error": error, "retry": retry});
    match place {
        Some(Place::Shard(shard)) => end["shard"] = (*shard).into(),
        Some(Place::Missing(missing)) => end["missing"] = missing.to_string().into(),
        None => {}
    }
    if let Some(Done { run_dir, summary }) = done {
        end["run_dir"] = run_dir.display().to_string().into();
        end["was_finished"] = summary.was_finished.into();
        end["left"] = summary.left.to_string().into();
        end["model_calls"] = summary.model_calls.into();
        end["head_calls"] = summary.head_calls.into();
        end["parts_written"] = summary.parts_written.into();
        end["skipped"] = summary.counts.skipped.into();
        end["repeats"] = summary.counts.repeats.into();
        end["seconds"] = summary.seconds.into();
    }
    say(&end.to_string());
}

/// Writes a line to standard error; nobody is left to be told when that is closed.
pub(super) fn say(line: &str) {
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// The line about an event; those about single shards only where they are wanted.
fn line(event: &Event<'_>, progress: &Progress, each_shard: bool) -> Option<String> {
    let line = match event {
        Event::Note(text) => Some((*text).to_owned()),
        Event::StageFinished { shard: Some(_), .. } | Event::StageReused { shard: Some(_), .. }
            if !each_shard =>
        {
            None
        }
        Event::StageFinished { stage, shard, total, unit, seconds } => {
            let rate = if *unit == "tokens" && *seconds > 0.0 {
                format!(", {:.0} tokens/s", *total as f64 / seconds)
            } else {
                String::new()
            };
            let place = progress.place(*shard);
            Some(format!("{stage}{place}: {total} {unit} in {seconds:.2} s{rate}"))
        }
        Event::StageReused { stage, shard } => {
            Some(format!("{stage}{}: done before", progress.place(*shard)))
        }
        Event::Waiting { shard, holder, held, waited } => {
            Some(waiting(*shard, holder, *held, *waited))
        }
        Event::Skipped { key, reason } => match progress.skipped().checked_sub(MOST_SKIPPED) {
            None | Some(0) => Some(format!("skipped {key}: {reason}")),
            Some(1) => Some("more prompts are skipped: table skipped names every one".to_owned()),
            Some(_) => None,
        },
        Event::RunStarted { .. }
        | Event::ShardFinished { .. }
        | Event::StageStarted { .. }
        | Event::Advanced { .. } => None,
    };
    // Notes and reasons quote names and files as they are.
    line.map(|line| visible_lines(&line))
}

fn waiting(shard: Option<u32>, holder: &str, held: Option<u64>, waited: u64) -> String {
    let piece = match shard {
        // People count from 1, as in the other lines.
        Some(shard) => format!("shard {}", u64::from(shard) + 1),
        None => "the beginning of the run".to_owned(),
    };
    let held = held.map_or_else(String::new, |held| format!(", which has had it for {held} s"));
    format!(
        "waiting for {waited} s for {piece}, which is with {holder}{held}: if that process is stopped \
         or its machine hangs, end it, and its part is done here"
    )
}

/// Plain lines: one when a stage ends, and one now and then about the whole run.
#[derive(Debug)]
struct PlainMonitor {
    state: Mutex<(Progress, Instant)>,
}

impl PlainMonitor {
    fn new() -> Self {
        Self { state: Mutex::new((Progress::new(), Instant::now())) }
    }
}

impl Monitor for PlainMonitor {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().expect("no thread panics while it holds this");
        let (progress, said) = &mut *state;
        progress.hear(event);
        if let Some(line) = line(event, progress, progress.todo() <= MOST_SHARDS) {
            say(&line);
        }
        let (position, total) = (progress.position(), progress.total());
        if said.elapsed() >= PLAIN_EVERY && position < total && !progress.is_waiting() {
            *said = Instant::now();
            say(&format!("run: {position} of {total} prompts, {}", progress.speed()));
        }
    }

    fn is_interrupted(&self) -> bool {
        interrupt::is_asked()
    }
}

/// A bar for the whole run, and a line for each stage that ended where there is but one shard.
#[derive(Debug)]
struct BarMonitor {
    state: Mutex<(Progress, Option<ProgressBar>)>,
}

impl BarMonitor {
    fn new() -> Self {
        Self { state: Mutex::new((Progress::new(), None)) }
    }
}

fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} prompts{msg}")
        .expect("the template is well-formed")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style)
}

impl Monitor for BarMonitor {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().expect("no thread panics while it holds this");
        let (progress, current) = &mut *state;
        progress.hear(event);
        if matches!(event, Event::RunStarted { .. }) {
            *current = Some(bar(progress.total()));
        }
        if let Some(bar) = current {
            bar.set_position(progress.position());
            match event {
                Event::StageStarted { stage, shard, .. } => {
                    let place = progress.place(*shard);
                    bar.set_message(format!(", {}: {stage}{place}", progress.speed()));
                }
                Event::Waiting { .. } | Event::Advanced { .. } => {
                    bar.set_message(format!(", {}", progress.speed()));
                }
                // Behind the last shard only the stages over the whole run are left.
                Event::ShardFinished { .. } if progress.position() == progress.total() => {
                    bar.finish_and_clear();
                }
                _ => {}
            }
        }
        if let Some(line) = line(event, progress, !progress.is_long()) {
            match current {
                Some(bar) => bar.suspend(|| say(&line)),
                None => say(&line),
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        interrupt::is_asked()
    }
}

/// One JSON object a line.
#[derive(Debug)]
struct JsonMonitor;

impl Monitor for JsonMonitor {
    fn event(&self, event: &Event<'_>) {
        let line = match event {
            Event::Note(text) => json!({"event": "note", "text": text}),
            Event::RunStarted { shards, todo, prompts } => {
                json!({"event": "run", "shards": shards, "todo": todo, "prompts": prompts})
            }
            Event::ShardFinished { shard, prompts } => {
                json!({"event": "shard", "shard": shard, "prompts": prompts})
            }
            Event::StageStarted { stage, shard, total, unit } => json!({
                "event": "started", "stage": stage, "shard": shard, "total": total, "unit": unit,
            }),
            Event::Advanced { .. } => return,
            Event::StageFinished { stage, shard, total, unit, seconds } => json!({
                "event": "finished", "stage": stage, "shard": shard, "total": total, "unit": unit,
                "seconds": seconds,
                "per_second": if *seconds > 0.0 { Some(*total as f64 / seconds) } else { None },
            }),
            Event::StageReused { stage, shard } => {
                json!({"event": "reused", "stage": stage, "shard": shard})
            }
            Event::Waiting { shard, holder, held, waited } => json!({
                "event": "waiting", "shard": shard, "holder": holder, "held": held, "waited": waited,
            }),
            Event::Skipped { key, reason } => json!({
                "event": "skipped", "scenario": &*key.scenario, "input": &*key.input,
                "task": &*key.task, "wording": key.wording, "reason": reason,
            }),
        };
        say(&line.to_string());
    }

    fn is_interrupted(&self) -> bool {
        interrupt::is_asked()
    }
}

//! Progress on standard error: bars on a terminal, plain lines elsewhere, JSON for schedulers.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use super::args::LogArg;
use super::{Exit, interrupt};
use crate::monitor::{Event, Monitor};
use crate::prompt::visible_lines;

/// How seldom a plain log tells how far a long stage is.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The listener for `--log`.
pub(super) fn monitor(log: LogArg) -> Box<dyn Monitor> {
    match log {
        LogArg::Json => Box::new(JsonMonitor),
        LogArg::Auto if std::io::stderr().is_terminal() => Box::new(BarMonitor::default()),
        LogArg::Auto | LogArg::Plain => Box::new(PlainMonitor::default()),
    }
}

/// The last line of a log in JSON: how the command ended.
pub(super) fn say_end(exit: Exit, error: Option<&str>) {
    let code = exit.code();
    say(&json!({"event": "end", "exit_code": code, "error": error}).to_string());
}

fn say(line: &str) {
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// How many shards the run has, for "shard 5/118"; people count from 1.
#[derive(Debug, Default)]
struct Shards(AtomicU32);

impl Shards {
    fn hear(&self, event: &Event<'_>) {
        if let Event::RunStarted { shards } = event {
            self.0.store(*shards, Ordering::Relaxed);
        }
    }

    fn place(&self, shard: Option<u32>) -> String {
        match (shard, self.0.load(Ordering::Relaxed)) {
            (Some(_), 0 | 1) | (None, _) => String::new(),
            (Some(shard), all) => format!(" [shard {}/{all}]", shard + 1),
        }
    }
}

fn finished_line(event: &Event<'_>, shards: &Shards) -> Option<String> {
    let line = match event {
        Event::Note(text) => Some((*text).to_owned()),
        Event::StageFinished { stage, shard, total, unit, seconds } => {
            let rate = if *unit == "tokens" && *seconds > 0.0 {
                format!(", {:.0} tokens/s", *total as f64 / seconds)
            } else {
                String::new()
            };
            Some(format!("{stage}{}: {total} {unit} in {seconds:.2} s{rate}", shards.place(*shard)))
        }
        Event::StageReused { stage, shard } => {
            Some(format!("{stage}{}: done before", shards.place(*shard)))
        }
        Event::Skipped { key, reason } => Some(format!("skipped {key}: {reason}")),
        Event::RunStarted { .. } | Event::StageStarted { .. } | Event::Advanced { .. } => None,
    };
    // Notes and reasons quote names and files as they are.
    line.map(|line| visible_lines(&line))
}

/// Plain lines: one when a stage ends, and one now and then while it works.
#[derive(Debug, Default)]
struct PlainMonitor {
    shards: Shards,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    done: u64,
    total: u64,
    unit: &'static str,
    started: Instant,
    told: Instant,
}

impl PlainMonitor {
    fn progress(&self, event: &Event<'_>) {
        let mut running = self.running.lock().expect("no thread panics while it holds this");
        match event {
            Event::StageStarted { total, unit, .. } => {
                let now = Instant::now();
                *running = Some(Running { done: 0, total: *total, unit, started: now, told: now });
            }
            Event::Advanced { stage, amount } => {
                let Some(running) = running.as_mut() else { return };
                running.done += amount;
                if running.told.elapsed() >= PLAIN_EVERY && running.done < running.total {
                    running.told = Instant::now();
                    say(&running.line(stage));
                }
            }
            Event::StageFinished { .. } => *running = None,
            _ => {}
        }
    }
}

impl Running {
    fn line(&self, stage: &str) -> String {
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64();
        let left = (self.total - self.done) as f64 / rate.max(f64::MIN_POSITIVE);
        let Self { done, total, unit, .. } = self;
        format!("{stage}: {done} of {total} {unit}, {rate:.0} {unit}/s, about {left:.0} s left")
    }
}

impl Monitor for PlainMonitor {
    fn event(&self, event: &Event<'_>) {
        self.shards.hear(event);
        self.progress(event);
        if let Some(line) = finished_line(event, &self.shards) {
            say(&line);
        }
    }

    fn is_interrupted(&self) -> bool {
        interrupt::is_asked()
    }
}

/// A bar for the running stage, a line for each that ended.
#[derive(Debug, Default)]
struct BarMonitor {
    shards: Shards,
    bar: Mutex<Option<ProgressBar>>,
}

fn bar(stage: &str, place: &str, total: u64, unit: &'static str) -> ProgressBar {
    let rate = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _never_fails = write!(out, "{:.0} {unit}/s", state.per_sec());
    };
    let template = "{msg:<26} [{bar:30}] {pos}/{len} {rate}, {eta} left";
    let style = ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .with_key("rate", rate)
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(format!("{stage}{place}"))
}

impl Monitor for BarMonitor {
    fn event(&self, event: &Event<'_>) {
        self.shards.hear(event);
        let mut current = self.bar.lock().expect("no thread panics while it holds this");
        match event {
            Event::StageStarted { stage, shard, total, unit } => {
                *current = Some(bar(stage, &self.shards.place(*shard), *total, unit));
            }
            Event::Advanced { amount, .. } => {
                if let Some(bar) = current.as_ref() {
                    bar.inc(*amount);
                }
            }
            Event::StageFinished { .. } => {
                if let Some(bar) = current.take() {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        if let Some(line) = finished_line(event, &self.shards) {
            match current.as_ref() {
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
            Event::RunStarted { shards } => json!({"event": "run", "shards": shards}),
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

//! How far a run is, from its events.

use std::time::{Duration, Instant};

use crate::monitor::Event;

/// How far a run is. Shards follow each other closely, so it is counted over the whole run.
#[derive(Debug)]
pub(super) struct Progress {
    shards: u32,
    todo: u32,
    /// Prompts to go through.
    prompts: u64,
    /// Prompts of shards that are done, and how many of them were done before.
    done: u64,
    reused: u64,
    /// Whether some stage has worked on the shard that ends next.
    has_worked: bool,
    /// The stage whose units are tokens, and how far it is on its shard.
    shard_tokens: u64,
    shard_total: u64,
    /// Tokens that went through the model.
    tokens: u64,
    /// Prompts that were skipped.
    skipped: u64,
    /// The furthest that was reported: a bar does not go back.
    furthest: f64,
    started: Instant,
    /// Since when nothing has been done here, because another process has what is left; and for how
    /// long in all before that.
    waiting: Option<Instant>,
    waited: Duration,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shards: 0,
            todo: 0,
            prompts: 0,
            done: 0,
            reused: 0,
            has_worked: false,
            shard_tokens: 0,
            shard_total: 0,
            tokens: 0,
            skipped: 0,
            furthest: 0.0,
            started: Instant::now(),
            waiting: None,
            waited: Duration::ZERO,
        }
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match *event {
            Event::Waiting { waited, .. } => {
                let since = Instant::now().checked_sub(Duration::from_secs(waited));
                let since = since.unwrap_or(self.started).max(self.started);
                self.waiting.get_or_insert(since);
            }
            Event::Advanced { .. }
            | Event::StageStarted { .. }
            | Event::StageReused { .. }
            | Event::ShardFinished { .. } => {
                let waiting = self.waiting.take();
                self.waited += waiting.map_or(Duration::ZERO, |since| since.elapsed());
            }
            _ => {}
        }
        match *event {
            Event::RunStarted { shards, todo, prompts } => {
                *self = Self { shards, todo, prompts, ..Self::new() };
            }
            Event::StageStarted { total, unit: "tokens", .. } => {
                (self.shard_tokens, self.shard_total) = (0, total);
            }
            Event::Advanced { stage: "extract", amount } => {
                self.shard_tokens += amount;
                self.tokens += amount;
            }
            Event::Skipped { .. } => self.skipped += 1,
            Event::StageFinished { shard: Some(_), .. } => self.has_worked = true,
            Event::ShardFinished { prompts, .. } => {
                self.done += prompts;
                if !std::mem::take(&mut self.has_worked) {
                    self.reused += prompts;
                }
            }
            _ => {}
        }
        let shard = self.shard_tokens as f64 / self.shard_total.max(1) as f64;
        let of_shard = self.prompts as f64 / f64::from(self.todo.max(1));
        // While the last shard's tables are written, it is not done.
        let ahead = (shard * of_shard).min(self.prompts.saturating_sub(self.done) as f64 * 0.99);
        self.furthest = self.furthest.max(self.done as f64 + ahead);
    }

    /// Whether there is more than one shard, so that lines about each would be many.
    pub(super) fn is_long(&self) -> bool {
        self.todo > 1
    }

    /// Shards to go through.
    pub(super) fn todo(&self) -> u32 {
        self.todo
    }

    /// Prompts that were skipped so far.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Prompts to go through.
    pub(super) fn total(&self) -> u64 {
        self.prompts
    }

    /// About how many prompts it has gone through.
    pub(super) fn position(&self) -> u64 {
        self.furthest as u64
    }

    /// ` [shard 5/118]`; people count from 1.
    pub(super) fn place(&self, shard: Option<u32>) -> String {
        match (shard, self.shards) {
            (Some(_), 0 | 1) | (None, _) => String::new(),
            (Some(shard), all) => format!(" [shard {}/{all}]", shard + 1),
        }
    }

    /// Whether nothing is done here until another process has done its part.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// `1700 tokens/s, about 90 s left`; no time is given while another process is waited for, since
    /// nobody knows it.
    pub(super) fn speed(&self) -> String {
        if self.is_waiting() {
            return "waiting for another process".to_owned();
        }
        let seconds = self.started.elapsed().saturating_sub(self.waited).as_secs_f64();
        let worked = self.furthest - self.reused as f64;
        if worked <= 0.0 {
            return "no speed yet".to_owned();
        }
        let left = seconds * (self.prompts as f64 - self.furthest).max(0.0) / worked;
        format!("{:.0} tokens/s, about {left:.0} s left", self.tokens as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(progress: &mut Progress, shard: u32) {
        let shard = Some(shard);
        let (stage, unit) = ("extract", "tokens");
        progress.hear(&Event::StageStarted { stage, shard, total: 100, unit });
        progress.hear(&Event::Advanced { stage, amount: 50 });
    }

    #[test]
    fn it_is_counted_over_all_shards_and_never_goes_back() {
        let mut progress = Progress::new();
        progress.hear(&Event::RunStarted { shards: 4, todo: 4, prompts: 40 });
        let mut reported = Vec::new();
        for shard in 0..4 {
            stage(&mut progress, shard);
            reported.push(progress.position());
            progress.hear(&Event::ShardFinished { shard, prompts: 10 });
            reported.push(progress.position());
        }
        assert_eq!((reported[0], reported[7]), (5, 40));
        assert!(reported.is_sorted(), "{reported:?}");
    }

    #[test]
    fn no_time_is_given_while_another_process_is_waited_for() {
        let mut progress = Progress::new();
        progress.hear(&Event::RunStarted { shards: 2, todo: 2, prompts: 20 });
        stage(&mut progress, 0);
        assert!(progress.speed().ends_with("s left"), "{}", progress.speed());
        let shard = Some(1);
        progress.hear(&Event::Waiting { shard, holder: "process 1", held: None, waited: 100 });
        assert_eq!(progress.speed(), "waiting for another process");
        stage(&mut progress, 1);
        assert!(progress.speed().ends_with("s left"), "{}", progress.speed());
    }

    #[test]
    fn shards_that_were_done_before_make_it_no_faster() {
        let mut progress = Progress::new();
        progress.hear(&Event::RunStarted { shards: 2, todo: 2, prompts: 20 });
        progress.hear(&Event::ShardFinished { shard: 0, prompts: 10 });
        assert_eq!(progress.position(), 10);
        assert_eq!(progress.speed(), "no speed yet");
    }
}

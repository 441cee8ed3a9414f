//! Progress and notes as events: the library never prints.

use crate::prompt::PromptKey;

/// Something that the person or the scheduler that started the run wants to know.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A fact about the run, as one line of text (which model, which provider).
    Note(&'a str),
    /// The run begins.
    RunStarted {
        /// How many shards it has, those of other processes among them.
        shards: u32,
        /// How many of them this process goes through.
        todo: u32,
        /// About how many prompts these have.
        prompts: u64,
    },
    /// Every stage is done on a shard.
    ShardFinished {
        /// Which shard, counted from 0.
        shard: u32,
        /// How many prompts it has.
        prompts: u64,
    },
    /// A stage begins on a shard (`None`: on the whole run) and has `total` units to do. Another
    /// stage may still be at work on the shard before.
    StageStarted {
        /// Kind of the stage.
        stage: &'static str,
        /// Which shard, counted from 0.
        shard: Option<u32>,
        /// How many units of work it has.
        total: u64,
        /// What a unit is: `tokens`, `inputs`, ...
        unit: &'static str,
    },
    /// The running stage did `amount` more of its units.
    Advanced {
        /// Kind of the stage.
        stage: &'static str,
        /// Units done since the last such event.
        amount: u64,
    },
    /// A stage ended well on a shard.
    StageFinished {
        /// Kind of the stage.
        stage: &'static str,
        /// Which shard, counted from 0.
        shard: Option<u32>,
        /// How many units of work it did.
        total: u64,
        /// What a unit is.
        unit: &'static str,
        /// Time it took, without waiting for other work: stages that work side by side take more
        /// together than the clock says.
        seconds: f64,
    },
    /// A stage had nothing to do on a shard: its receipt still holds.
    StageReused {
        /// Kind of the stage.
        stage: &'static str,
        /// Which shard, counted from 0.
        shard: Option<u32>,
    },
    /// Nothing happens here until another process, which has a share of the run too, has done a piece
    /// of the work; sent again, ever less often, as long as that takes.
    Waiting {
        /// The shard that it has (`None`: the beginning of the run, which one process does for all).
        shard: Option<u32>,
        /// Its number, machine and share, as it wrote them down.
        holder: &'a str,
        /// For how many seconds it has had the piece, by the clocks of the machines.
        held: Option<u64>,
        /// For how many seconds this process has waited.
        waited: u64,
    },
    /// A prompt could not be run and is recorded as skipped.
    Skipped {
        /// Which prompt.
        key: &'a PromptKey,
        /// Why, in words.
        reason: &'a str,
    },
}

/// Listens to a run.
pub trait Monitor: Send + Sync {
    /// Takes one event; called from any thread.
    fn event(&self, event: &Event<'_>);

    /// Whether the person or the scheduler asked to stop: work is then left at the next place where
    /// nothing is half done.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct VoidMonitor;

impl Monitor for VoidMonitor {
    fn event(&self, _event: &Event<'_>) {}
}

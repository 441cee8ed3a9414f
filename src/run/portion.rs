//! How much of a run a process does.

use crate::pipeline::chosen::Chosen;

/// How much of a run a process does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Portion {
    /// All of it, alone.
    #[default]
    Whole,
    /// Some of the shards, beside other processes, and no stage over the whole run.
    Share(Chosen),
    /// The stages over the whole run, alone, when every shard is done.
    Finish,
}

//! What a kind of stage is, known without its configuration.

use crate::table::Table;

/// Whether a stage works shard by shard or once over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Once, before all shards, on a sample of the prompts; every shard may read what it writes.
    Before,
    /// Once for each shard; its tables have one part a shard.
    Shard,
    /// Once, after all shards; its tables have one part.
    Run,
}

/// A kind of stage.
#[derive(Debug)]
pub struct Description {
    /// Its name, as in the pipeline file.
    pub kind: &'static str,
    /// Raised when the code changes what it writes: old receipts are then no longer valid.
    pub version: u32,
    /// Shard by shard, or once.
    pub scope: Scope,
    /// What a unit of its work is called: `tokens`, `inputs`, ...
    pub unit: &'static str,
    /// Tables it cannot do without.
    pub reads: &'static [&'static Table],
    /// Tables it uses when an earlier stage wrote them.
    pub reads_if_there: &'static [&'static Table],
    /// Tables it writes.
    pub writes: &'static [&'static Table],
    /// The file of the run directory that it writes beside tables.
    pub file: Option<&'static str>,
    /// What can change its result beside what it reads and its settings.
    pub depends_on: DependsOn,
}

/// What enters a stage's fingerprint beside what it reads and its settings.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is answered by itself")]
pub struct DependsOn {
    /// The captured layers.
    pub layers: bool,
    /// The seed of everything that is drawn at random.
    pub seed: bool,
    /// The model's head.
    pub head: bool,
    /// Where the run comes from, because it shows that.
    pub lineage: bool,
}

impl Description {
    /// Whether it writes that table.
    pub fn writes(&self, table: &Table) -> bool {
        self.writes.iter().any(|written| written.name == table.name)
    }

    /// All tables that it may read.
    pub fn may_read(&self) -> impl Iterator<Item = &'static Table> {
        self.reads.iter().chain(self.reads_if_there).copied()
    }
}

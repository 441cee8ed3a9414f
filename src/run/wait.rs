//! Says whom a process waits for that shares a run: another one may be stopped, or its machine frozen,
//! and then nothing would ever be said.

use std::time::{Duration, Instant};

use crate::monitor::{Event, Monitor};
use crate::run_dir::layout;
use crate::store::Store;

/// How long a wait goes on before it is said first.
const FIRST: Duration = Duration::from_secs(5);

/// The longest time between two such reports; each is twice the one before.
const LONGEST: Duration = Duration::from_mins(10);

/// A wait for a piece of the work.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    next: Duration,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), next: FIRST }
    }

    /// Reports the wait when it is time to.
    pub(super) fn go_on(&mut self, piece: &str, store: &Store, monitor: &dyn Monitor) {
        let waited = self.since.elapsed();
        if waited < self.next {
            return;
        }
        self.next = waited + waited.min(LONGEST);
        let holder = store.holder_of_piece(piece);
        monitor.event(&Event::Waiting {
            shard: layout::part_of(piece),
            holder: &holder.who,
            held: holder.held.map(|held| held.as_secs()),
            waited: waited.as_secs(),
        });
    }
}

//! Several copies of one open graph, so that several batches are computed at once.
//!
//! Threads that share one batch wait for each other after every operation, some hundred times a
//! batch, and while the batch is copied out. A copy of the graph for each thread needs none of
//! that, but its own copy of the weights.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::backend::Backend;

/// Most bytes of weights that all copies hold together, when there is more than one.
const WEIGHTS: u64 = 2 << 30;

/// Most copies: a shard has about this many batches.
const MOST: usize = 8;

/// How many copies of a graph to open, given the bytes of its weights and the number of threads: as
/// many as there is room for and the threads divide into, so that all copies compute alike.
pub(super) fn count(threads: usize, weights: u64) -> usize {
    let room = WEIGHTS.checked_div(weights).map_or(MOST, |room| room as usize);
    (1..=MOST.min(room)).rev().find(|n| threads.is_multiple_of(*n)).unwrap_or(1)
}

/// Open graphs that are lent one by one.
pub(super) struct Sessions {
    free: Mutex<Vec<Box<dyn Backend>>>,
    given_back: Condvar,
    count: usize,
    takes_past: bool,
    places_rows: bool,
}

impl Sessions {
    /// These, at least one, all of the same graph.
    pub(super) fn new(sessions: Vec<Box<dyn Backend>>) -> Self {
        Self {
            count: sessions.len(),
            takes_past: sessions.iter().all(|session| session.takes_past()),
            places_rows: sessions.iter().all(|session| session.places_rows()),
            free: Mutex::new(sessions),
            given_back: Condvar::new(),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether they take batches with a past.
    pub(super) fn takes_past(&self) -> bool {
        self.takes_past
    }

    /// Whether they take the position of each row's first token.
    pub(super) fn places_rows(&self) -> bool {
        self.places_rows
    }

    /// Does `work` on one that is free, after waiting for it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut dyn Backend) -> T) -> T {
        let mut free = self.lock();
        let session = loop {
            match free.pop() {
                Some(session) => break session,
                None => {
                    free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        drop(free);
        let mut lent = Lent { session: Some(session), to: self };
        work(lent.session.as_mut().expect("it is there until it is dropped").as_mut())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Box<dyn Backend>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Given back however the work on it ends: others may wait for it.
struct Lent<'s> {
    session: Option<Box<dyn Backend>>,
    to: &'s Sessions,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.to.lock().extend(self.session.take());
        self.to.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::model::{Batch, ModelError, Take, Wanted};

    struct Nothing;

    impl Backend for Nothing {
        fn run(&mut self, _: &Batch, _: &Wanted, _: &mut Take<'_>) -> Result<(), ModelError> {
            Ok(())
        }
    }

    fn sessions(count: usize) -> Sessions {
        Sessions::new((0..count).map(|_| Box::new(Nothing) as Box<dyn Backend>).collect())
    }

    #[test]
    fn each_thread_has_a_copy_of_a_small_graph_and_all_share_a_large_one() {
        let small = 500 << 20;
        assert_eq!(count(2, small), 2);
        assert_eq!(count(8, small), 4);
        assert_eq!(count(6, small), 3);
        assert_eq!(count(7, small), 1, "seven threads make no four equal parts");
        assert_eq!(count(8, 6 << 30), 1);
        assert_eq!(count(64, 1 << 20), 8);
        assert_eq!(count(1, 0), 1);
    }

    #[test]
    fn as_many_are_lent_at_once_as_there_are() {
        let (two, met) = (sessions(2), Barrier::new(2));
        // Would hang if only one was lent at a time.
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| two.with(|_| met.wait()));
            }
        });
        assert_eq!(two.lock().len(), 2);
    }

    #[test]
    fn one_comes_back_from_work_that_panics() {
        let one = sessions(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| one.with(|_| panic!("as planned"))));
        assert!(panicked.is_err());
        one.with(|_| ());
    }
}

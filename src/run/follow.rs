//! Pieces of work that follow each other without a gap: the next begins when the one before it
//! signals that less of it is left than could be done at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Signals that the next piece may begin.
pub(super) type Signal<'t> = dyn Fn() + Sync + 't;

/// Does `work` on each piece that comes, each in its own thread; `begun` gets the threads, in order.
/// Asks for a piece when there is room for it (one message in `room` for each) and the piece before
/// it has signalled or ended. Returns when no more pieces come, or when the other end of `room` or
/// `begun` is gone.
pub(super) fn follow<'scope, P, D, W>(
    threads: &'scope Scope<'scope, '_>,
    pieces: &Receiver<P>,
    room: &Receiver<()>,
    begun: &Sender<ScopedJoinHandle<'scope, D>>,
    work: &'scope W,
) where
    P: Send + 'scope,
    D: Send + 'scope,
    W: Fn(P, &Signal<'_>) -> D + Sync,
{
    let mut before: Option<Receiver<()>> = None;
    while room.recv().is_ok() {
        // Also returns when that piece ends without a signal.
        let _ = before.take().map(|before| before.recv());
        let Ok(piece) = pieces.recv() else { return };
        let (signal, signalled) = channel();
        before = Some(signalled);
        let thread = threads.spawn(move || {
            work(piece, &|| {
                // After the first signal nobody listens any more.
                let _ = signal.send(());
            })
        });
        if begun.send(thread).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Follows pieces `0..count`, of which two may be there at once; gives what they gave, each after
    /// `wait` was called, which is when its room is free again.
    fn followed<D: Send>(
        count: usize,
        work: impl Fn(usize, &Signal<'_>) -> D + Sync,
        wait: impl Fn(usize),
    ) -> Vec<D> {
        let (to_work, pieces) = channel();
        let (done, room) = channel();
        for piece in 0..count {
            to_work.send(piece).unwrap();
        }
        drop(to_work);
        for _ in 0..2 {
            done.send(()).unwrap();
        }
        let work = &work;
        thread::scope(|threads| {
            let (begun, threads_begun) = channel();
            threads.spawn(move || follow(threads, &pieces, &room, &begun, work));
            let mut given = Vec::new();
            for (piece, thread) in threads_begun.into_iter().enumerate() {
                given.push(thread.join().unwrap());
                wait(piece);
                let _ = done.send(());
            }
            given
        })
    }

    #[test]
    fn a_piece_begins_when_the_one_before_it_signals_and_before_that_ends() {
        let met = Barrier::new(2);
        let pieces = followed(
            4,
            |piece, signal| {
                // Each meets the one before it, which would hang if that had to end first.
                if piece > 0 {
                    met.wait();
                }
                signal();
                signal();
                if piece < 3 {
                    met.wait();
                }
                piece
            },
            |_| (),
        );
        assert_eq!(pieces, [0, 1, 2, 3]);
    }

    #[test]
    fn a_piece_that_does_not_signal_is_followed_when_it_ends() {
        let at_work = AtomicUsize::new(0);
        let others = followed(
            5,
            |_, _| {
                let others = at_work.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
                at_work.fetch_sub(1, Ordering::SeqCst);
                others
            },
            |_| (),
        );
        assert_eq!(others, [0; 5]);
    }

    #[test]
    fn no_more_pieces_are_there_than_there_is_room_for() {
        let (there, most) = (AtomicUsize::new(0), Mutex::new(0));
        let begin = |_, signal: &Signal<'_>| {
            let now = there.fetch_add(1, Ordering::SeqCst) + 1;
            let mut most = most.lock().unwrap();
            *most = (*most).max(now);
            signal();
        };
        let end = |_| {
            thread::sleep(Duration::from_millis(5));
            there.fetch_sub(1, Ordering::SeqCst);
        };
        followed(6, begin, end);
        assert_eq!(most.into_inner().unwrap(), 2);
    }
}

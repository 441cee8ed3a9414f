//! Memory of shards whose tables are written, for the numbers of later shards.
//!
//! The system clears a page of fresh memory when it is first touched: for a shard's numbers, which are
//! hundreds of megabytes, that takes more time than all that is done with them. No more is kept than
//! was in use at one time: when the last shard is written, all is freed.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

use arrow_buffer::ScalarBuffer;

/// A shard may need more memory than the shard before it, by one part in this many, and still fit.
/// Memory that is never touched takes no room.
const MORE: usize = 8;

/// The memory that no shard uses now.
#[derive(Clone, Default)]
pub(crate) struct Spare(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    /// How many shards have their numbers in memory.
    in_use: usize,
    /// For each shard that is written: its buffers, in its order.
    spare: Vec<Vec<Vec<f32>>>,
}

/// Makes the buffers of one shard, whose numbers are in memory until this is dropped.
pub(crate) struct Lease {
    spare: Spare,
    /// The buffers that are not taken yet.
    left: vec::IntoIter<Vec<f32>>,
}

/// Without the numbers, of which there are too many.
impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}

impl Spare {
    /// For the next shard.
    pub(crate) fn lease(&self) -> Lease {
        let mut held = self.held();
        held.in_use += 1;
        let left = held.spare.pop().unwrap_or_default().into_iter();
        drop(held);
        Lease { spare: self.clone(), left }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The shard's next buffer: `count` zeros, whatever was there before.
    pub(crate) fn zeros(&mut self, count: usize) -> Vec<f32> {
        if let Some(mut buffer) = self.left.next().filter(|buffer| buffer.capacity() >= count) {
            buffer.clear();
            buffer.resize(count, 0.0);
            return buffer;
        }
        // As zeros they come from the system, untouched.
        let mut fresh = vec![0.0; count + count / MORE];
        fresh.truncate(count);
        fresh
    }

    /// Keeps the shard's buffers for another one, in the order in which they were made. One that
    /// somebody still reads is not among them.
    pub(crate) fn give_back(self, buffers: impl IntoIterator<Item = ScalarBuffer<f32>>) {
        let vec = |buffer: ScalarBuffer<f32>| buffer.into_inner().into_vec().unwrap_or_default();
        let buffers = buffers.into_iter().map(vec).collect();
        self.spare.held().spare.push(buffers);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.spare.held();
        held.in_use -= 1;
        if held.in_use == 0 {
            // Freed when the lock is, not while others wait for it.
            let spare = mem::take(&mut held.spare);
            drop(held);
            drop(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int16Array, StringArray};

    use super::*;
    use crate::store::Store;
    use crate::table::Dims;
    use crate::table::raw::fixed_lists;
    use crate::table::schema::LOGITS;
    use crate::table::writer::{PartAddress, write_part};

    /// A shard of two buffers full of sevens, as they are when its tables are written.
    fn written(lease: &mut Lease, counts: [usize; 2]) -> Vec<ScalarBuffer<f32>> {
        let full = counts.map(|count| {
            let mut buffer = lease.zeros(count);
            buffer.fill(7.0);
            ScalarBuffer::from(buffer)
        });
        full.into()
    }

    #[test]
    fn buffers_are_used_again_and_hold_nothing_of_what_was_in_them() {
        let spare = Spare::default();
        let (mut first, _second) = (spare.lease(), spare.lease());
        let buffers = written(&mut first, [800, 80]);
        let places: Vec<_> = buffers.iter().map(|buffer| buffer.as_ptr()).collect();
        first.give_back(buffers);
        let mut third = spare.lease();
        for (count, place) in [850, 10].into_iter().zip(places) {
            let buffer = third.zeros(count);
            assert_eq!((buffer.as_ptr(), &buffer), (place, &vec![0.0; count]));
        }
        assert_eq!(third.zeros(5), [0.0; 5], "a shard may have more buffers than the one before");
    }

    #[test]
    fn a_buffer_comes_back_from_the_table_that_it_was_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let spare = Spare::default();
        let (mut first, _second) = (spare.lease(), spare.lease());
        let logits = ScalarBuffer::from(first.zeros(4_000));
        let place = logits.as_ptr();
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x"; 1_000]));
        let wording: ArrayRef = Arc::new(Int16Array::from(vec![0; 1_000]));
        let values = fixed_lists(logits.clone(), 4);
        let columns = vec![text.clone(), text.clone(), text, wording, values];
        let dims = Dims { d_model: 4, vocab_size: 4 };
        write_part(&store, PartAddress::new(&LOGITS, 0), dims, columns).unwrap();
        first.give_back([logits]);
        let again = spare.lease().zeros(4_000);
        assert_eq!((again.as_ptr(), &again), (place, &vec![0.0; 4_000]));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_replaced() {
        let spare = Spare::default();
        let (mut first, _second) = (spare.lease(), spare.lease());
        let buffers = written(&mut first, [8, 8]);
        first.give_back(buffers);
        let mut third = spare.lease();
        assert_eq!((third.zeros(1_000), third.zeros(3)), (vec![0.0; 1_000], vec![0.0; 3]));
    }

    #[test]
    fn what_somebody_still_reads_is_left_to_them() {
        let spare = Spare::default();
        let (mut first, _second) = (spare.lease(), spare.lease());
        let buffers = written(&mut first, [8, 8]);
        let read = buffers[0].clone();
        first.give_back(buffers);
        spare.lease().zeros(8).fill(1.0);
        assert_eq!(read[..], [7.0; 8]);
    }

    #[test]
    fn there_is_never_more_than_was_in_use_at_once_and_in_the_end_nothing() {
        let spare = Spare::default();
        let kept = || spare.held().spare.len();
        let mut before = spare.lease();
        for _ in 0..5 {
            let mut next = spare.lease();
            assert_eq!(kept(), 0);
            let buffers = written(&mut before, [8, 8]);
            mem::swap(&mut before, &mut next);
            next.give_back(buffers);
            assert_eq!(kept(), 1);
        }
        let buffers = written(&mut before, [8, 8]);
        before.give_back(buffers);
        assert_eq!(kept(), 0);
        drop(spare.lease());
        assert_eq!(spare.held().in_use, 0, "a shard that fails is in use no more");
    }
}

//! Finds the rows of one key in two streams of rows, in memory that does not grow with them.
//!
//! Two runs have their rows in nearly the same order. So both are read side by side, and only rows whose
//! counterpart has not come yet are held: as many as the one has been set back by rows that the other
//! lacks. Where that is too much (other shards, another order), it begins again and takes the rows in
//! several passes, each time those whose key has another hash.

use std::hash::{DefaultHasher, Hasher as _};

use indexmap::IndexMap;

use super::CompareError;
use super::cells::Block;

/// Bytes of rows that are held of both streams together.
const MOST_HELD: usize = 192 << 20;

/// How many times as many passes there are when rows do not fit.
const MORE_PASSES: u64 = 4;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Base,
    Other,
}

/// Rows, some at a time; behind the last ones `None`.
pub(super) type Rows<'s> = dyn FnMut() -> Result<Option<Block>, CompareError> + 's;

/// Takes what is found.
pub(super) trait Visit {
    /// A row of each with one key.
    fn pair(&mut self, base: (&Block, usize), other: (&Block, usize));

    /// A row whose key only one has.
    fn only(&mut self, side: Side, row: (&Block, usize));
}

/// Joins the streams that `open` begins, as often as it takes. `visit` makes a visitor for each try.
///
/// # Errors
/// When rows cannot be read, or one stream has two of one key.
pub(super) fn join<'s, V: Visit>(
    open: &mut dyn FnMut(Side) -> Result<Box<Rows<'s>>, CompareError>,
    visit: impl Fn() -> V,
) -> Result<V, CompareError> {
    join_within(MOST_HELD, open, visit)
}

fn join_within<'s, V: Visit>(
    most: usize,
    open: &mut dyn FnMut(Side) -> Result<Box<Rows<'s>>, CompareError>,
    visit: impl Fn() -> V,
) -> Result<V, CompareError> {
    let mut passes = 1;
    loop {
        let mut visitor = visit();
        if in_passes(most, passes, open, &mut visitor)? {
            return Ok(visitor);
        }
        passes *= MORE_PASSES;
    }
}

/// Whether all rows were taken in so many passes.
fn in_passes<'s>(
    most: usize,
    passes: u64,
    open: &mut dyn FnMut(Side) -> Result<Box<Rows<'s>>, CompareError>,
    visitor: &mut impl Visit,
) -> Result<bool, CompareError> {
    for pass in 0..passes {
        let streams = [open(Side::Base)?, open(Side::Other)?];
        if !Join::new(most, (pass, passes)).run(streams, visitor)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Rows that are held.
struct Held {
    block: Block,
    /// Rows of it whose counterpart has not come.
    open: usize,
}

/// One side's rows whose counterpart has not come yet.
#[derive(Default)]
struct Waiting {
    blocks: IndexMap<usize, Held>,
    /// By key the block and the row in it.
    rows: IndexMap<Box<[u8]>, (usize, usize)>,
    next: usize,
    bytes: usize,
    has_ended: bool,
}

struct Join {
    most: usize,
    /// The number of this pass, and of how many.
    pass: (u64, u64),
    sides: [Waiting; 2],
}

impl Join {
    fn new(most: usize, pass: (u64, u64)) -> Self {
        Self { most, pass, sides: Default::default() }
    }

    /// Whether all rows were taken; `false` when they do not fit.
    fn run(
        mut self,
        mut streams: [Box<Rows<'_>>; 2],
        visit: &mut impl Visit,
    ) -> Result<bool, CompareError> {
        while !self.sides.iter().all(|side| side.has_ended) {
            for side in [Side::Base, Side::Other] {
                if self.sides[side as usize].has_ended {
                    continue;
                }
                match streams[side as usize]()? {
                    Some(block) => self.take(side, block, visit)?,
                    None => self.sides[side as usize].has_ended = true,
                }
                if self.bytes() > self.most && self.is_divisible() {
                    return Ok(false);
                }
            }
        }
        for side in [Side::Base, Side::Other] {
            let waiting = &self.sides[side as usize];
            let mut left: Vec<(usize, usize)> = waiting.rows.values().copied().collect();
            left.sort_unstable();
            for (block, row) in left {
                visit.only(side, (&waiting.blocks[&block].block, row));
            }
        }
        Ok(true)
    }

    fn bytes(&self) -> usize {
        self.sides.iter().map(|side| side.bytes).sum()
    }

    /// A row that is larger than all memory that is given is held anyway.
    fn is_divisible(&self) -> bool {
        self.sides.iter().map(|side| side.rows.len()).sum::<usize>() > 1
            && self.pass.1 < u64::MAX / MORE_PASSES
    }

    fn take(
        &mut self,
        side: Side,
        block: Block,
        visit: &mut impl Visit,
    ) -> Result<(), CompareError> {
        let [base, other] = &mut self.sides;
        let (own, theirs) = match side {
            Side::Base => (base, other),
            Side::Other => (other, base),
        };
        let mut kept = Vec::new();
        for row in 0..block.rows {
            let key = block.key(row);
            if !is_of(&key, self.pass) {
                continue;
            }
            if let Some((number, at)) = theirs.rows.swap_remove(&key) {
                let held = &theirs.blocks[&number].block;
                match side {
                    Side::Base => visit.pair((&block, row), (held, at)),
                    Side::Other => visit.pair((held, at), (&block, row)),
                }
                theirs.release(number, key.len());
            } else if theirs.has_ended {
                visit.only(side, (&block, row));
            } else {
                kept.push((key, row));
            }
        }
        theirs.shrink(self.most / 4)?;
        own.hold(block, kept)
    }
}

impl Waiting {
    fn hold(&mut self, block: Block, kept: Vec<(Box<[u8]>, usize)>) -> Result<(), CompareError> {
        if kept.is_empty() {
            return Ok(());
        }
        let rows: Vec<u32> = kept.iter().map(|(_, row)| *row as u32).collect();
        let block = if rows.len() == block.rows { block } else { block.rows(&rows)? };
        let number = self.next;
        self.next += 1;
        self.bytes += block.bytes;
        for (at, (key, _)) in kept.into_iter().enumerate() {
            self.bytes += bytes_of(key.len());
            if self.rows.insert(key, (number, at)).is_some() {
                return Err(CompareError::TwoRows);
            }
        }
        self.blocks.insert(number, Held { block, open: rows.len() });
        Ok(())
    }

    /// A row of a block was found.
    fn release(&mut self, number: usize, key: usize) {
        self.bytes -= bytes_of(key);
        let held = &mut self.blocks[&number];
        held.open -= 1;
        if held.open == 0 {
            self.bytes -= held.block.bytes;
            self.blocks.swap_remove(&number);
        }
    }

    /// Gives back the memory of blocks of which few rows are left, when they have that many bytes.
    fn shrink(&mut self, from: usize) -> Result<(), CompareError> {
        let is_sparse = |held: &Held| held.open * 4 < held.block.rows;
        let sparse = self.blocks.values().filter(|held| is_sparse(held));
        if sparse.map(|held| held.block.bytes).sum::<usize>() <= from {
            return Ok(());
        }
        let mut left: IndexMap<usize, Vec<&mut (usize, usize)>> = IndexMap::new();
        for place in self.rows.values_mut() {
            if is_sparse(&self.blocks[&place.0]) {
                left.entry(place.0).or_default().push(place);
            }
        }
        for (number, mut places) in left {
            places.sort_unstable_by_key(|place| place.1);
            let rows: Vec<u32> = places.iter().map(|place| place.1 as u32).collect();
            let held = &mut self.blocks[&number];
            self.bytes -= held.block.bytes;
            held.block = held.block.rows(&rows)?;
            self.bytes += held.block.bytes;
            for (at, place) in places.into_iter().enumerate() {
                place.1 = at;
            }
        }
        Ok(())
    }
}

/// About what a key takes.
fn bytes_of(key: usize) -> usize {
    key + 64
}

fn is_of(key: &[u8], (pass, passes): (u64, u64)) -> bool {
    passes == 1 || hash_of(key) % passes == pass
}

/// A number that is the same for the same bytes.
pub(super) fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::{Int32Array, RecordBatch};

    use super::super::cells::Cell;
    use super::*;

    /// Keys with values, in blocks.
    fn stream<'s>(rows: &[(i32, i32)], at_once: usize) -> Box<Rows<'s>> {
        let blocks: Vec<Block> = rows
            .chunks(at_once)
            .map(|rows| {
                let column = |f: fn(&(i32, i32)) -> i32| {
                    Arc::new(rows.iter().map(f).collect::<Int32Array>())
                };
                let batch = RecordBatch::try_from_iter([
                    ("k", column(|row| row.0) as _),
                    ("v", column(|row| row.1) as _),
                ]);
                Block::of(&batch.unwrap(), &["k"], &["v"]).unwrap()
            })
            .collect();
        let mut blocks = blocks.into_iter();
        Box::new(move || Ok(blocks.next()))
    }

    #[derive(Default)]
    struct Found {
        pairs: BTreeMap<i64, (i64, i64)>,
        only: [Vec<i64>; 2],
    }

    fn int(cell: Cell<'_>) -> i64 {
        let Cell::Int(number) = cell else { panic!("{cell:?}") };
        number
    }

    impl Visit for Found {
        fn pair(&mut self, base: (&Block, usize), other: (&Block, usize)) {
            let key = int(base.0.keys[0].at(base.1));
            assert_eq!(key, int(other.0.keys[0].at(other.1)));
            let values = (int(base.0.cells[0].at(base.1)), int(other.0.cells[0].at(other.1)));
            assert_eq!(self.pairs.insert(key, values), None, "{key} twice");
        }

        fn only(&mut self, side: Side, row: (&Block, usize)) {
            self.only[side as usize].push(int(row.0.keys[0].at(row.1)));
        }
    }

    fn found(most: usize, rows: [&[(i32, i32)]; 2], at_once: [usize; 2]) -> (Found, u32) {
        let mut opened = 0;
        let found = join_within(
            most,
            &mut |side| {
                opened += 1;
                Ok(stream(rows[side as usize], at_once[side as usize]))
            },
            Found::default,
        );
        let mut found = found.unwrap();
        for keys in &mut found.only {
            keys.sort_unstable();
        }
        (found, opened)
    }

    #[test]
    fn rows_are_found_in_any_order_and_in_several_passes() {
        let base: Vec<(i32, i32)> = (0..3_000).map(|key| (key, key)).collect();
        let mut other: Vec<(i32, i32)> = (100..3_300).map(|key| (key, -key)).collect();
        for (is_turned, most) in
            [(false, usize::MAX), (true, usize::MAX), (true, 60_000), (false, 4_000)]
        {
            if is_turned {
                other.reverse();
            }
            let (found, opened) = found(most, [&base, &other], [7, 100]);
            assert_eq!(opened > 2, most < usize::MAX, "{opened} with {most}");
            assert_eq!(found.pairs.len(), 2_900);
            assert!(found.pairs.iter().all(|(key, values)| *values == (*key, -key)));
            assert_eq!(found.only[0], (0..100).collect::<Vec<_>>());
            assert_eq!(found.only[1], (3_000..3_300).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_that_the_other_lacks_are_all_that_is_held() {
        let base: Vec<(i32, i32)> = (0..50_000).map(|key| (key, key)).collect();
        let other: Vec<(i32, i32)> = base.iter().copied().filter(|row| row.0 % 100 > 0).collect();
        // All rows take some megabytes.
        let (found, opened) = found(200_000, [&base, &other], [64, 64]);
        assert_eq!((found.pairs.len(), found.only[0].len(), opened), (49_500, 500, 2));
    }

    #[test]
    fn an_empty_side_leaves_all_rows_to_the_other() {
        let (found, _) = found(usize::MAX, [&[], &[(1, 1), (2, 2)]], [1, 1]);
        assert_eq!((found.pairs.len(), &found.only[1]), (0, &vec![1, 2]));
    }

    #[test]
    fn two_rows_of_one_key_are_an_error() {
        let mut open =
            |side: Side| Ok(stream([&[(1, 1), (1, 2)][..], &[(2, 2)]][side as usize], 4));
        let error = join_within(usize::MAX, &mut open, Found::default).err();
        assert!(matches!(error, Some(CompareError::TwoRows)), "{error:?}");
    }
}

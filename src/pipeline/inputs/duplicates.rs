//! Ids that appear twice, found without keeping the ids.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::open::open_rows;
use super::rows::{Cells, Place};
use super::wanted::Wanted;

/// The hashes of all ids of the files, in the order of their rows: 8 bytes a row.
#[derive(Debug, Default)]
pub(super) struct Ids {
    hashes: Vec<u64>,
}

/// Which file of several, from 0, and where in it.
pub(super) type FilePlace = (usize, Place);

/// A row whose id another row has already.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// The row, from 0, over all files.
    pub(super) row: u64,
    pub(super) place: FilePlace,
    /// The first row with this id.
    pub(super) first: FilePlace,
    pub(super) id: String,
}

impl Ids {
    /// Takes in the id of the next row; `None` when it has none.
    pub(super) fn add(&mut self, id: Option<&str>) {
        let mut hasher = DefaultHasher::new();
        match id {
            Some(id) => id.hash(&mut hasher),
            // Different from those of all other rows.
            None => self.hashes.len().hash(&mut hasher),
        }
        self.hashes.push(hasher.finish());
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// The first rows, at most `most`, whose id an earlier row has, read from the files once more;
    /// and how many such rows there are in all. Equal hashes alone are not enough: the ids are compared.
    pub(super) fn duplicates(&self, wanted: &Wanted, most: usize) -> (Vec<Duplicate>, u64) {
        let (pairs, n) = self.suspicious(most);
        let Some(last) = pairs.iter().map(|(_, row)| *row).max() else { return (Vec::new(), 0) };
        let mut named: BTreeMap<u64, Option<(FilePlace, String)>> =
            pairs.iter().flat_map(|&(first, row)| [(first, None), (row, None)]).collect();
        // A file that cannot be opened, or not be read to its end, gives the rows that it gave before.
        let rows = (0..).zip(&wanted.paths).flat_map(|(file, path)| {
            let mut reader = open_rows(path, wanted.columns(path)).ok();
            std::iter::from_fn(move || Some((file, reader.as_mut()?.next_row()?.ok()?)))
        });
        for (i, (file, row)) in (0..=last).zip(rows) {
            if let Some(slot) = named.get_mut(&i)
                && let Ok(Cells { id: Ok(id), .. }) = row.cells
            {
                *slot = Some(((file, row.place), id));
            }
        }
        let duplicate = |&(first, row): &(u64, u64)| {
            let (first, first_id) = named[&first].clone()?;
            let (place, id) = named[&row].clone()?;
            (id == first_id).then_some(Duplicate { row, place, first, id })
        };
        let found: Vec<Duplicate> = pairs.iter().filter_map(duplicate).collect();
        let innocent = (pairs.len() - found.len()) as u64;
        (found, n - innocent)
    }

    /// Pairs of rows with one hash: the first that has it, and another; at most `most` of them, and
    /// how many there are.
    pub(super) fn suspicious(&self, most: usize) -> (Vec<(u64, u64)>, u64) {
        let (mut pairs, mut n) = (Vec::new(), 0);
        self.repeats(&mut |first, row| {
            n += 1;
            if pairs.len() < most {
                pairs.push((first, row));
            }
        });
        (pairs, n)
    }

    /// Gives `take` each row whose hash an earlier one has, in order, behind the first that has it.
    pub(super) fn repeats(&self, take: &mut dyn FnMut(u64, u64)) {
        let mut sorted = self.hashes.clone();
        sorted.sort_unstable();
        let mut twice: Vec<u64> =
            sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(sorted);
        twice.dedup();
        let mut firsts = vec![None; twice.len()];
        for (row, hash) in (0..).zip(&self.hashes) {
            let Ok(at) = twice.binary_search(hash) else { continue };
            match firsts[at] {
                Some(first) => take(first, row),
                None => firsts[at] = Some(row),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_later_row_is_compared_with_the_first_with_its_id() {
        let mut ids = Ids::default();
        for id in ["a", "b", "a", "c", "b", "a"] {
            ids.add(Some(id));
        }
        ids.add(None);
        ids.add(None);
        assert_eq!(ids.suspicious(9), (vec![(0, 2), (1, 4), (0, 5)], 3));
        assert_eq!(ids.suspicious(1), (vec![(0, 2)], 3));
    }
}

//! Do tasks differ more than the wordings of one task do?
//!
//! A task is only ever seen through its wordings. Were the task nothing, any way of dealing the
//! wordings out to K tasks, as many to each as it has in the pipeline, would be as good as the
//! pipeline's own; so the wordings are dealt out again, the same way for all inputs at once, and the
//! mean dissimilarity between tasks less that within tasks is compared. This speaks about tasks; a
//! test that exchanges labels within each input speaks about these very wordings.
//!
//! There are `N! / (W_1! ... W_K! m_1! m_2! ...)` ways, where N is the number of wordings and `m_s` how many
//! tasks have s of them: 3 for two tasks of two wordings (nothing can be shown), 35 for two of four,
//! 56 for three against five, 280 for three of three, 945 for five of two.

use super::{EXACT_LIMIT, PermutationTest};
use crate::math::{Stream, Undefined};

/// The ways to deal wordings out to tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignments {
    /// Wordings of each task.
    sizes: Vec<usize>,
    ways: Vec<Way>,
    exact: bool,
}

/// One way: the cells (task 0 wording 0, task 0 wording 1, ...) of each task ascending, the task with
/// the first cell first, so that a way looks the same however it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    cells: Vec<u32>,
    /// How many cells each task has, in the order in which they stand here.
    sizes: Vec<u32>,
}

impl Way {
    /// The cells of each task.
    pub fn tasks(&self) -> impl Iterator<Item = &[u32]> {
        let mut rest = self.cells.as_slice();
        self.sizes.iter().map(move |size| {
            let (task, others) = rest.split_at(*size as usize);
            rest = others;
            task
        })
    }

    /// Given the task of each cell, by numbers below `tasks`.
    fn of(task_of: &[usize], tasks: usize) -> Self {
        let mut by_task: Vec<Vec<u32>> = vec![Vec::new(); tasks];
        for (cell, &task) in task_of.iter().enumerate() {
            by_task[task].push(cell as u32);
        }
        by_task.sort_unstable_by_key(|cells| cells[0]);
        let sizes = by_task.iter().map(|cells| cells.len() as u32).collect();
        Self { cells: by_task.concat(), sizes }
    }
}

impl Reassignments {
    /// All ways for tasks with `sizes` wordings each when there are at most [`EXACT_LIMIT`], else
    /// `draws` random ones; draw m depends on (`seed`, `purpose`, m) alone. [`Undefined::TooFew`] below
    /// two tasks, or where a task has less than two wordings: one wording cannot be distinguished from
    /// its task.
    pub fn new(sizes: &[usize], draws: usize, seed: u64, purpose: &str) -> Result<Self, Undefined> {
        if sizes.len() < 2 || sizes.iter().any(|size| *size < 2) {
            return Err(Undefined::TooFew);
        }
        let tasks = sizes.len();
        let exact = ways_to_deal(sizes).is_some_and(|ways| ways <= EXACT_LIMIT as u64);
        let own = || (0..tasks).flat_map(|task| std::iter::repeat_n(task, sizes[task]));
        let ways = if exact {
            let mut ways = Vec::new();
            let mut dealing = Dealing { task_of: vec![None; own().count()], left: sizes.to_vec() };
            dealing.deal_the_rest(&mut |task_of| ways.push(Way::of(task_of, tasks)));
            ways
        } else {
            let drawn = |draw: usize| {
                let mut task_of: Vec<usize> = own().collect();
                Stream::new(seed, purpose, draw as u64).shuffle(&mut task_of);
                Way::of(&task_of, tasks)
            };
            (0..draws).map(drawn).collect()
        };
        Ok(Self { sizes: sizes.to_vec(), ways, exact })
    }

    /// How many ways are counted.
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// How many are behind a p, the pipeline's own counted: 1 over this is the smallest p there is.
    pub fn count(&self) -> usize {
        self.ways.len() + usize::from(!self.exact)
    }

    /// Never: there is at least the identity.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The ways; where all are counted the pipeline's own is the first.
    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// The test of any statistic of a way, upper tail; `observed` is that of the pipeline's own.
    pub fn test_of(&self, observed: f64, statistic: impl Fn(&Way) -> f64) -> PermutationTest {
        PermutationTest::new(observed, self.ways.iter().map(statistic).collect(), self.exact)
    }

    /// The same of a statistic that was computed for each of [`Self::ways`], in their order.
    ///
    /// # Panics
    ///
    /// When there is not one value a way.
    pub fn test_of_values(&self, observed: f64, values: Vec<f64>) -> PermutationTest {
        assert_eq!(values.len(), self.ways.len(), "one value a way");
        PermutationTest::new(observed, values, self.exact)
    }

    /// The pipeline's own way.
    pub fn own(&self) -> Way {
        let cells = self.sizes.iter().sum::<usize>() as u32;
        Way { cells: (0..cells).collect(), sizes: self.sizes.iter().map(|n| *n as u32).collect() }
    }

    /// The test on the symmetric table of mean dissimilarities between the cells, row after row; its
    /// diagonal is not read. [`Undefined::Constant`] when all cells are equally far apart, but for
    /// rounding.
    ///
    /// # Panics
    ///
    /// When the table does not have one row and one column for each cell.
    pub fn test(&self, dissimilarities: &[f64]) -> Result<PermutationTest, Undefined> {
        let cells: usize = self.sizes.iter().sum();
        assert_eq!(dissimilarities.len(), cells * cells, "one row and one column for each cell");
        let row = |cell: usize| &dissimilarities[cell * cells..(cell + 1) * cells];
        let all = || (1..cells).flat_map(|a| &row(a)[..a]);
        let (min, max) = all()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)));
        if max - min <= 1e-12 * max.abs().max(min.abs()) {
            return Err(Undefined::Constant);
        }
        let pairs = |size: &usize| size * (size - 1) / 2;
        let n_within = self.sizes.iter().map(pairs).sum::<usize>() as f64;
        let n_between = pairs(&cells) as f64 - n_within;
        let total: f64 = all().sum();
        let statistic = |way: &Way| {
            let mut within = 0.0;
            for task in way.tasks() {
                for (i, &cell) in task.iter().enumerate() {
                    let row = row(cell as usize);
                    within += task[..i].iter().map(|&other| row[other as usize]).sum::<f64>();
                }
            }
            (total - within) / n_between - within / n_within
        };
        Ok(self.test_of(statistic(&self.own()), statistic))
    }
}

/// In how many ways wordings can be dealt out to tasks that have `sizes` of them; `None` when there are
/// more than 2⁶⁴. 1 over it is the smallest p of the test.
pub fn ways_to_deal(sizes: &[usize]) -> Option<u64> {
    let mut left: u128 = sizes.iter().map(|size| *size as u128).sum();
    let mut count = 1_u128;
    for (task, &size) in sizes.iter().enumerate() {
        // C(left, size), a whole number after each step.
        for taken in 0..size as u128 {
            count = count.checked_mul(left - taken)? / (taken + 1);
        }
        left -= size as u128;
        // Tasks of one size stand in any order.
        let alike = sizes[..=task].iter().filter(|other| **other == size).count() as u128;
        count /= alike;
    }
    u64::try_from(count).ok()
}

/// Cells with their tasks, and how many each task still takes: none, or all.
struct Dealing {
    task_of: Vec<Option<usize>>,
    left: Vec<usize>,
}

impl Dealing {
    /// Puts the first cell without a task into a task of each size that is still there, with later
    /// cells in every possible choice, and continues; calls `found` with every way, the identity first.
    fn deal_the_rest(&mut self, found: &mut dyn FnMut(&[usize])) {
        let Some(first) = self.task_of.iter().position(Option::is_none) else {
            return found(&self.task_of.iter().copied().flatten().collect::<Vec<_>>());
        };
        for task in 0..self.left.len() {
            let size = self.left[task];
            // Of tasks that take as many, the first stands for all.
            if size == 0 || self.left[..task].contains(&size) {
                continue;
            }
            self.left[task] = 0;
            self.task_of[first] = Some(task);
            self.choose(task, first + 1, size - 1, found);
            self.task_of[first] = None;
            self.left[task] = size;
        }
    }

    /// Puts every choice of `more` cells without a task from `from` on into `task`, and continues.
    fn choose(&mut self, task: usize, from: usize, more: usize, found: &mut dyn FnMut(&[usize])) {
        if more == 0 {
            return self.deal_the_rest(found);
        }
        for cell in from..self.task_of.len() {
            if self.task_of[cell].is_none() {
                self.task_of[cell] = Some(task);
                self.choose(task, cell + 1, more - 1, found);
                self.task_of[cell] = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(sizes: &[usize]) -> Reassignments {
        Reassignments::new(sizes, 99, 1, "test").unwrap()
    }

    #[test]
    fn every_way_is_counted_once() {
        let designs: [(&[usize], u64); 9] = [
            (&[2, 2], 3),
            (&[4, 4], 35),
            (&[2, 2, 2], 15),
            (&[3, 3, 3], 280),
            (&[2; 5], 945),
            (&[3; 4], 15_400),
            (&[3, 5], 56),
            (&[5, 3], 56),
            (&[2, 3, 2, 3], 6300),
        ];
        for (sizes, expected) in designs {
            assert_eq!(ways_to_deal(sizes), Some(expected), "{sizes:?}");
            let all = all(sizes);
            assert_eq!(all.ways()[0], all.own());
            // Tasks stand in the order of their first cells, so equal dealings are equal.
            let distinct: BTreeSet<_> = all.ways().iter().collect();
            assert_eq!([distinct.len(), all.len()], [expected as usize; 2]);
            let sorted = |mut sizes: Vec<usize>| {
                sizes.sort_unstable();
                sizes
            };
            for way in all.ways() {
                let cells: BTreeSet<u32> = way.cells.iter().copied().collect();
                assert_eq!(cells, all.own().cells.iter().copied().collect());
                assert!(way.tasks().all(<[u32]>::is_sorted));
                assert!(way.tasks().map(|task| task[0]).is_sorted());
                let own = way.tasks().map(<[u32]>::len).collect();
                assert_eq!(sorted(own), sorted(sizes.to_vec()));
            }
        }
        assert_eq!(ways_to_deal(&[3; 5]), Some(1_401_400));
        let drawn = all(&[3; 5]);
        assert!(!drawn.exact && drawn.len() == 99);
        assert_eq!(ways_to_deal(&[30; 30]), None);
    }

    /// Two tasks of two wordings: 0.7 between, 0.2 within; the other two ways give less.
    #[test]
    fn tasks_that_differ_more_than_wordings_are_the_best_of_all_ways() {
        let (near, far) = (0.2, 0.7);
        let table = [
            [0.0, near, far, far],
            [near, 0.0, far, far],
            [far, far, 0.0, near],
            [far, far, near, 0.0],
        ];
        let test = all(&[2, 2]).test(table.as_flattened()).unwrap();
        assert!((test.observed() - 0.5).abs() < 1e-15);
        assert!((test.p() - 1.0 / 3.0).abs() < 1e-15 && test.is_exact());
        assert_eq!(test.count(), 3);
    }

    /// Against the definition: the mean over pairs of different tasks less that over pairs of one.
    #[test]
    fn a_way_that_is_drawn_gives_its_own_difference_of_means() {
        let (wordings, cells) = (3, 15);
        let at = |a: usize, b: usize| ((a.min(b) * 31 + a.max(b) * 17) % 23) as f64 / 23.0;
        let table: Vec<f64> = (0..cells).flat_map(|a| (0..cells).map(move |b| at(a, b))).collect();
        let test = all(&[wordings; 5]).test(&table).unwrap();
        for (draw, value) in test.draws().iter().enumerate() {
            let mut task_of: Vec<usize> = (0..cells).map(|cell| cell / wordings).collect();
            Stream::new(1, "test", draw as u64).shuffle(&mut task_of);
            let mean = |same: bool| {
                let pairs = (0..cells).flat_map(|a| (0..a).map(move |b| (a, b)));
                let pairs: Vec<_> =
                    pairs.filter(|(a, b)| (task_of[*a] == task_of[*b]) == same).collect();
                pairs.iter().map(|(a, b)| at(*a, *b)).sum::<f64>() / pairs.len() as f64
            };
            assert!((value - (mean(false) - mean(true))).abs() < 1e-14);
        }
    }

    #[test]
    fn a_single_wording_cannot_be_distinguished_from_its_task() {
        assert_eq!(Reassignments::new(&[5, 1], 99, 1, "test"), Err(Undefined::TooFew));
        assert_eq!(Reassignments::new(&[5], 99, 1, "test"), Err(Undefined::TooFew));
        assert_eq!(all(&[2, 2]).test(&[0.4; 16]), Err(Undefined::Constant));
    }

    /// Three wordings against five, from the definition.
    #[test]
    fn tasks_of_different_sizes_are_tested_with_all_their_wordings() {
        let place = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 13.0, 14.0_f64];
        let table: Vec<f64> =
            place.iter().flat_map(|a| place.iter().map(move |b| (a - b).abs())).collect();
        let test = all(&[3, 5]).test(&table).unwrap();
        let within = (4.0 + 20.0) / 13.0;
        let between = (0..3).flat_map(|a| (3..8).map(move |b| place[b] - place[a])).sum::<f64>();
        assert!((test.observed() - (between / 15.0 - within)).abs() < 1e-12);
        assert!((test.p() - 1.0 / 56.0).abs() < 1e-15);
    }
}

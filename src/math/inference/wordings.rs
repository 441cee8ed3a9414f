//! Do tasks differ more than the wordings of one task do?
//!
//! A task is only ever seen through its wordings. Were the task nothing, any way of sorting the
//! K x W wordings into K tasks of W would be as good as the one in the pipeline; so the wordings are
//! sorted again, the same way for all inputs at once, and the mean dissimilarity between tasks less
//! that within tasks is compared. This speaks about tasks; a test that exchanges labels within each
//! input speaks about these very wordings.
//!
//! There are `(KW)! / ((W!)^K K!)` ways: 3 for two tasks of two wordings (nothing can be shown), 35
//! for two of four, 280 for three of three, 945 for five of two.

use super::{EXACT_LIMIT, PermutationTest};
use crate::math::{Stream, Undefined};

/// The ways to sort K x W wordings into K tasks of W.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reassignments {
    tasks: usize,
    wordings: usize,
    /// For each way, its tasks' (task, wording) cells: those of each ascending, the task with the
    /// first cell first, so that a way looks the same however it was found.
    ways: Vec<Vec<u32>>,
    exact: bool,
}

impl Reassignments {
    /// All ways when they are at most [`EXACT_LIMIT`], else `draws` random ones; draw m depends on
    /// (`seed`, `purpose`, m) alone. [`Undefined::TooFew`] below two tasks or two wordings: one
    /// wording cannot be distinguished from its task.
    pub fn new(
        tasks: usize,
        wordings: usize,
        draws: usize,
        seed: u64,
        purpose: &str,
    ) -> Result<Self, Undefined> {
        if tasks < 2 || wordings < 2 {
            return Err(Undefined::TooFew);
        }
        let exact = count(tasks, wordings).is_some_and(|count| count <= EXACT_LIMIT);
        let ways = if exact {
            let mut ways = Vec::new();
            sort_the_rest(&mut vec![None; tasks * wordings], 0, wordings, &mut |task_of| {
                ways.push(sorted(task_of, tasks, wordings));
            });
            ways
        } else {
            let drawn = |draw: usize| {
                let mut task_of: Vec<usize> = (0..tasks * wordings).map(|c| c / wordings).collect();
                Stream::new(seed, purpose, draw as u64).shuffle(&mut task_of);
                sorted(&task_of, tasks, wordings)
            };
            (0..draws).map(drawn).collect()
        };
        Ok(Self { tasks, wordings, ways, exact })
    }

    /// How many ways are counted.
    pub fn len(&self) -> usize {
        self.ways.len()
    }

    /// Never: there is at least the identity.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The test, upper tail, on the symmetric table of mean dissimilarities between the cells
    /// (task 0 wording 0, task 0 wording 1, ...), row after row; its diagonal is not read.
    /// [`Undefined::Constant`] when all cells are equally far apart, but for rounding.
    ///
    /// # Panics
    ///
    /// When the table does not have one row and one column for each cell.
    pub fn test(&self, dissimilarities: &[f64]) -> Result<PermutationTest, Undefined> {
        let cells = self.tasks * self.wordings;
        assert_eq!(dissimilarities.len(), cells * cells, "one row and one column for each cell");
        let row = |cell: usize| &dissimilarities[cell * cells..(cell + 1) * cells];
        let all = || (1..cells).flat_map(|a| &row(a)[..a]);
        let (min, max) = all()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)));
        if max - min <= 1e-12 * max.abs().max(min.abs()) {
            return Err(Undefined::Constant);
        }
        let n_within = (self.tasks * self.wordings * (self.wordings - 1) / 2) as f64;
        let n_between = (cells * (cells - 1) / 2) as f64 - n_within;
        let total: f64 = all().sum();
        let statistic = |way: &[u32]| {
            let mut within = 0.0;
            for task in way.chunks_exact(self.wordings) {
                for (i, &cell) in task.iter().enumerate() {
                    let row = row(cell as usize);
                    within += task[..i].iter().map(|&other| row[other as usize]).sum::<f64>();
                }
            }
            (total - within) / n_between - within / n_within
        };
        let identity: Vec<u32> = (0..cells as u32).collect();
        let draws = self.ways.iter().map(|way| statistic(way)).collect();
        Ok(PermutationTest::new(statistic(&identity), draws, self.exact))
    }
}

/// The cells of each task, given the task of each cell.
fn sorted(task_of: &[usize], tasks: usize, wordings: usize) -> Vec<u32> {
    let mut way = vec![0; task_of.len()];
    // Where each task's next cell goes; a task takes its place when its first cell comes.
    let mut next: Vec<Option<usize>> = vec![None; tasks];
    let mut free = 0;
    for (cell, &task) in task_of.iter().enumerate() {
        let place = next[task].unwrap_or_else(|| {
            free += wordings;
            free - wordings
        });
        way[place] = cell as u32;
        next[task] = Some(place + 1);
    }
    way
}

/// `(KW)! / ((W!)^K K!)`: the first cell left takes W-1 others, again and again. `None` when there
/// are more than can be counted.
fn count(tasks: usize, wordings: usize) -> Option<usize> {
    let mut count = 1_usize;
    for task in 1..=tasks {
        let others = task * wordings - 1;
        // C(others, wordings - 1), a whole number after each step.
        let mut choices = 1_usize;
        for taken in 1..wordings {
            choices = choices.checked_mul(others + 1 - taken)? / taken;
        }
        count = count.checked_mul(choices)?;
    }
    Some(count)
}

/// Puts the first cell without a task, and W-1 later ones in every possible choice, into `task`, and
/// continues with the next task; calls `found` with every way. The first one is the identity.
fn sort_the_rest(
    task_of: &mut Vec<Option<usize>>,
    task: usize,
    wordings: usize,
    found: &mut dyn FnMut(&[usize]),
) {
    let Some(first) = task_of.iter().position(Option::is_none) else {
        return found(&task_of.iter().copied().flatten().collect::<Vec<_>>());
    };
    task_of[first] = Some(task);
    choose(task_of, task, first + 1, wordings - 1, &mut |task_of| {
        sort_the_rest(task_of, task + 1, wordings, found);
    });
    task_of[first] = None;
}

/// Calls `done` for every choice of `left` cells without a task from `from` on, put into `task`.
fn choose(
    task_of: &mut Vec<Option<usize>>,
    task: usize,
    from: usize,
    left: usize,
    done: &mut dyn FnMut(&mut Vec<Option<usize>>),
) {
    if left == 0 {
        return done(task_of);
    }
    for cell in from..task_of.len() {
        if task_of[cell].is_none() {
            task_of[cell] = Some(task);
            choose(task_of, task, cell + 1, left - 1, done);
            task_of[cell] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(tasks: usize, wordings: usize) -> Reassignments {
        Reassignments::new(tasks, wordings, 99, 1, "test").unwrap()
    }

    #[test]
    fn every_way_is_counted_once() {
        for (tasks, wordings, expected) in
            [(2, 2, 3), (2, 4, 35), (3, 2, 15), (3, 3, 280), (5, 2, 945), (4, 3, 15_400)]
        {
            assert_eq!(count(tasks, wordings), Some(expected));
            let ways = all(tasks, wordings).ways;
            let identity: Vec<u32> = (0..(tasks * wordings) as u32).collect();
            assert_eq!(ways[0], identity);
            // Tasks stand in the order of their first cells, so equal sortings are equal.
            let distinct: BTreeSet<_> = ways.iter().collect();
            assert_eq!([distinct.len(), ways.len()], [expected; 2]);
            for way in &ways {
                let cells: BTreeSet<u32> = way.iter().copied().collect();
                assert_eq!(cells, identity.iter().copied().collect());
                assert!(way.chunks(wordings).all(<[u32]>::is_sorted));
                assert!(way.chunks(wordings).map(|task| task[0]).is_sorted());
            }
        }
        assert_eq!(count(5, 3), Some(1_401_400));
        let drawn = all(5, 3);
        assert!(!drawn.exact && drawn.len() == 99);
        assert_eq!(count(30, 30), None);
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
        let test = all(2, 2).test(table.as_flattened()).unwrap();
        assert!((test.observed() - 0.5).abs() < 1e-15);
        assert!((test.p() - 1.0 / 3.0).abs() < 1e-15 && test.is_exact());
        assert_eq!(test.count(), 3);
    }

    /// Against the definition: the mean over pairs of different tasks less that over pairs of one.
    #[test]
    fn a_way_that_is_drawn_gives_its_own_difference_of_means() {
        let (tasks, wordings, cells) = (5, 3, 15);
        let at = |a: usize, b: usize| ((a.min(b) * 31 + a.max(b) * 17) % 23) as f64 / 23.0;
        let table: Vec<f64> = (0..cells).flat_map(|a| (0..cells).map(move |b| at(a, b))).collect();
        let test = all(tasks, wordings).test(&table).unwrap();
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
        assert_eq!(Reassignments::new(5, 1, 99, 1, "test"), Err(Undefined::TooFew));
        assert_eq!(Reassignments::new(1, 5, 99, 1, "test"), Err(Undefined::TooFew));
        assert_eq!(all(2, 2).test(&[0.4; 16]), Err(Undefined::Constant));
    }
}

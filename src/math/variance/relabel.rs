//! Exchanging the tasks within each input.

use rayon::prelude::*;

use super::super::Stream;
use super::super::inference::EXACT_LIMIT;

/// Ways to give the tasks of each input other labels, each input by itself. Giving all inputs the
/// same new labels changes nothing that is measured, so with every way counted the first input keeps
/// its own: `(K!)^(N-1)` ways.
///
/// Way m is the same for every layer, unit and space of a run, which is what a correction over layers
/// needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relabellings {
    inputs: usize,
    tasks: usize,
    count: usize,
    exact: bool,
    seed: u64,
    purpose: String,
}

impl Relabellings {
    /// For `inputs` x `tasks` cells: every way when they are at most [`EXACT_LIMIT`], else `draws`
    /// random ones, where way m depends on (`seed`, `purpose`, m) alone.
    pub fn new(inputs: usize, tasks: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let all = all_ways(inputs, tasks).filter(|&all| all <= EXACT_LIMIT);
        let (count, exact) = (all.unwrap_or(draws), all.is_some());
        Self { inputs, tasks, count, exact, seed, purpose: purpose.to_owned() }
    }

    /// How many ways are counted.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every way is counted.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether they were made for that many inputs and tasks.
    pub(super) fn fits(&self, inputs: usize, tasks: usize) -> bool {
        (self.inputs, self.tasks) == (inputs, tasks)
    }

    /// `cells[k * inputs + i]` = which cell of input i gets the label of task k.
    pub(super) fn cells(&self, way: usize) -> Vec<u32> {
        let (n, k) = (self.inputs, self.tasks);
        let mut cells = vec![0; n * k];
        let mut order: Vec<u32> = Vec::with_capacity(k);
        let mut stream = Stream::new(self.seed, &self.purpose, way as u64);
        let mut digits = way;
        for input in 0..n {
            order.clear();
            order.extend(0..k as u32);
            if !self.exact {
                stream.shuffle(&mut order);
            } else if input > 0 {
                // Way 0 leaves every input as it is.
                digits = rearrange(&mut order, digits);
            }
            for (task, &cell) in order.iter().enumerate() {
                cells[task * n + input] = cell;
            }
        }
        cells
    }
}

/// `(K!)^(N-1)`, when it can be counted.
fn all_ways(inputs: usize, tasks: usize) -> Option<usize> {
    let orders = (1..=tasks).try_fold(1_usize, usize::checked_mul)?;
    orders.checked_pow(u32::try_from(inputs.saturating_sub(1)).ok()?)
}

/// Brings `order` into the order that the lowest digits of `number` stand for (factorial number
/// system) and gives the other digits back.
fn rearrange(order: &mut [u32], mut number: usize) -> usize {
    let k = order.len();
    for place in 0..k {
        let left = k - place;
        order[place..=place + number % left].rotate_right(1);
        number /= left;
    }
    number
}

/// Columns that are summed side by side: their cells stay in the cache, their sums in registers.
const COLUMNS: usize = 16;
/// Ways that one thread goes through before the next block of columns.
const WAYS: usize = 128;

/// For every way, `Σ_k ‖Σ_i cell(i, way(i, k))‖²` over `cells` of `width` numbers, which lie input
/// after input, task after task, and add up to 0 within each input.
pub(super) fn squared_sums(relabellings: &Relabellings, cells: &[f64], width: usize) -> Vec<f64> {
    let (n, k) = (relabellings.inputs, relabellings.tasks);
    let mut sums = vec![0.0; relabellings.count];
    sums.par_chunks_mut(WAYS).enumerate().for_each(|(chunk, sums)| {
        let ways: Vec<Vec<u32>> =
            (0..sums.len()).map(|way| relabellings.cells(chunk * WAYS + way)).collect();
        let mut block = vec![[0.0; COLUMNS]; n * k];
        for start in (0..width).step_by(COLUMNS) {
            let columns = COLUMNS.min(width - start);
            for (cell, block) in block.iter_mut().enumerate() {
                let from = cell * width + start;
                block[..columns].copy_from_slice(&cells[from..from + columns]);
                block[columns..].fill(0.0);
            }
            for (way, sum) in ways.iter().zip(&mut *sums) {
                *sum += block_sum(way, &block, n, k);
            }
        }
    });
    sums
}

/// The part of one way's number that one block of columns adds.
fn block_sum(way: &[u32], block: &[[f64; COLUMNS]], n: usize, k: usize) -> f64 {
    let mut squares = 0.0;
    // Within an input all tasks add up to 0, so the last task is what the others leave.
    let mut last = [0.0; COLUMNS];
    for task in way.chunks_exact(n).take(k - 1) {
        let mut sums = [0.0; COLUMNS];
        for (cells, &cell) in block.chunks_exact(k).zip(task) {
            for (sum, x) in sums.iter_mut().zip(&cells[cell as usize]) {
                *sum += x;
            }
        }
        for (last, sum) in last.iter_mut().zip(&sums) {
            *last -= sum;
            squares += sum * sum;
        }
    }
    squares + last.iter().map(|x| x * x).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_way_is_counted_once_and_the_first_is_the_identity() {
        let all = Relabellings::new(4, 3, 99, 1, "test");
        assert!(all.is_exact() && all.len() == 216);
        let ways: BTreeSet<Vec<u32>> = (0..216).map(|way| all.cells(way)).collect();
        assert_eq!(ways.len(), 216);
        assert_eq!(all.cells(0), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
        for way in ways {
            assert_eq!([way[0], way[4], way[8]], [0, 1, 2], "the first input keeps its labels");
            for input in 0..4 {
                let labels: BTreeSet<u32> = (0..3).map(|task| way[task * 4 + input]).collect();
                assert_eq!(labels, BTreeSet::from([0, 1, 2]));
            }
        }
    }

    #[test]
    fn ways_are_drawn_when_there_are_too_many() {
        assert!(Relabellings::new(15, 2, 99, 1, "test").is_exact());
        let drawn = Relabellings::new(16, 2, 99, 1, "test");
        assert!(!drawn.is_exact() && drawn.len() == 99);
        assert!(!Relabellings::new(1000, 30, 99, 1, "test").is_exact());
        assert_eq!(drawn.cells(7), drawn.cells(7));
        assert_ne!(drawn.cells(7), drawn.cells(8));
    }
}

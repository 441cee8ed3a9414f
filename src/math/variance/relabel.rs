//! Exchanging the tasks within each input.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::math::Stream;
use crate::math::inference::EXACT_LIMIT;

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
    groups: Groups,
    /// What [`Groups::choices`] gives for all ways, unless that is too much to keep.
    choices: Option<Vec<u16>>,
}

impl Relabellings {
    /// For `inputs` x `tasks` cells: every way when they are at most [`EXACT_LIMIT`], else `draws`
    /// random ones, where way m depends on (`seed`, `purpose`, m) alone.
    pub fn new(inputs: usize, tasks: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let all = all_ways(inputs, tasks).filter(|&all| all <= EXACT_LIMIT);
        let (count, exact) = (all.unwrap_or(draws), all.is_some());
        let (groups, purpose) = (Groups::best(inputs, tasks, count), purpose.to_owned());
        let mut new = Self { inputs, tasks, count, exact, seed, purpose, groups, choices: None };
        let is_small = new.ways_at_once() >= count;
        new.choices = is_small.then(|| groups.choices(&new, 0..count));
        new
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

    /// How many ways are laid out at a time.
    fn ways_at_once(&self) -> usize {
        (LAID_OUT / (self.groups.count * self.tasks.saturating_sub(1)).max(1)).max(1)
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
                // Way 0 changes nothing.
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

/// Columns that are summed side by side: their sums stay in registers.
const COLUMNS: usize = 16;
/// Bytes of the sums of a block of columns, so that they stay in the cache.
const TABLES: usize = 512 << 10;
/// Numbers of choices that are laid out at a time.
const LAID_OUT: usize = 16 << 20;

/// Inputs taken together. Whatever a way does to the inputs of a group, a task gets one of `K^size`
/// sums of their cells; these are added up once, and a way then only says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Groups {
    /// Inputs in a group; the last may have fewer.
    size: usize,
    /// How many groups there are.
    count: usize,
    /// Sums of a group: `K^size`.
    choices: usize,
}

impl Groups {
    /// The size that takes the fewest additions, among those whose sums stay in the cache.
    fn best(n: usize, k: usize, ways: usize) -> Self {
        let of_size = |size: u32| {
            let choices = k.checked_pow(size).filter(|choices| *choices <= 256 || size == 1)?;
            let count = n.div_ceil(size as usize);
            let bytes = count * choices * size_of::<[f64; COLUMNS]>();
            let fits = size == 1 || bytes <= TABLES;
            fits.then_some(Self { size: size as usize, count, choices })
        };
        let additions =
            |groups: &Self| groups.count * (groups.choices + ways * k.saturating_sub(1));
        let best = (1..=8).filter_map(of_size).min_by_key(additions);
        best.unwrap_or(Self { size: 1, count: n, choices: k })
    }

    /// For each way of `ways`, each task but the last and each group: which sum the task gets.
    fn choices(self, relabellings: &Relabellings, ways: Range<usize>) -> Vec<u16> {
        let (n, k) = (relabellings.inputs.max(1), relabellings.tasks.max(1));
        let of_way = |way: usize| {
            let cells = relabellings.cells(way);
            let mut choices = Vec::with_capacity(self.count * (k - 1));
            for task in cells.chunks_exact(n).take(k - 1) {
                let choice = |group: &[u32]| {
                    group.iter().rev().fold(0, |choice, &cell| choice * k as u16 + cell as u16)
                };
                choices.extend(task.chunks(self.size).map(choice));
            }
            choices
        };
        ways.into_par_iter().flat_map_iter(of_way).collect()
    }

    /// The sums of every group over a block of columns, `choices` a group.
    fn sums(self, cells: &[f64], k: usize, width: usize, start: usize) -> Vec<[f64; COLUMNS]> {
        let columns = COLUMNS.min(width - start);
        let mut sums = vec![[0.0; COLUMNS]; self.count * self.choices];
        let groups = cells.chunks(self.size * k * width);
        for (sums, group) in sums.chunks_exact_mut(self.choices).zip(groups) {
            let mut known = 1;
            for input in group.chunks_exact(k * width) {
                // From the last task on: task 0 changes what the others are made from.
                for task in (0..k).rev() {
                    let cell = &input[task * width + start..][..columns];
                    for choice in 0..known {
                        let mut sum = sums[choice];
                        for (sum, x) in sum.iter_mut().zip(cell) {
                            *sum += x;
                        }
                        sums[task * known + choice] = sum;
                    }
                }
                known *= k;
            }
        }
        sums
    }
}

/// For every way, `Σ_k ‖Σ_i cell(i, way(i, k))‖²` over `cells`, which lie input after input, task
/// after task, and add up to 0 within each input; once for each of `weights`, which the squares of
/// the columns count with.
pub(super) fn squared_sums(
    relabellings: &Relabellings,
    cells: &[f64],
    weights: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let Some(width) = weights.first().map(Vec::len) else { return Vec::new() };
    let k = relabellings.tasks;
    let groups = relabellings.groups;
    let mut all = vec![Vec::with_capacity(relabellings.count); weights.len()];
    let at_once = relabellings.ways_at_once();
    for first in (0..relabellings.count).step_by(at_once) {
        let ways = first..relabellings.count.min(first + at_once);
        let choices = match &relabellings.choices {
            Some(choices) => Cow::Borrowed(choices),
            None => Cow::Owned(groups.choices(relabellings, ways.clone())),
        };
        let of_block = |start: usize| {
            let sums = groups.sums(cells, k, width, start);
            let mut squares = vec![Vec::with_capacity(ways.len()); weights.len()];
            for way in choices.chunks_exact(groups.count * (k - 1)) {
                let of_columns = block_squares(way, &sums, groups);
                for (squares, weights) in squares.iter_mut().zip(weights) {
                    let weighted = of_columns.iter().zip(&weights[start..]).map(|(x, w)| x * w);
                    squares.push(weighted.sum::<f64>());
                }
            }
            squares
        };
        let starts: Vec<usize> = (0..width).step_by(COLUMNS).collect();
        let blocks: Vec<Vec<Vec<f64>>> = starts.into_par_iter().map(of_block).collect();
        for (space, all) in all.iter_mut().enumerate() {
            let of_way = |way: usize| blocks.iter().map(|block| block[space][way]).sum::<f64>();
            all.extend((0..ways.len()).map(of_way));
        }
    }
    all
}

/// The part of one way's number that each column of a block adds.
fn block_squares(way: &[u16], sums: &[[f64; COLUMNS]], groups: Groups) -> [f64; COLUMNS] {
    let mut squares = [0.0; COLUMNS];
    // Within an input all tasks add up to 0, so the last task is what the others leave.
    let mut last = [0.0; COLUMNS];
    for task in way.chunks_exact(groups.count) {
        let mut total = [0.0; COLUMNS];
        for (sums, &choice) in sums.chunks_exact(groups.choices).zip(task) {
            for (total, x) in total.iter_mut().zip(&sums[choice as usize]) {
                *total += x;
            }
        }
        for ((last, squares), total) in last.iter_mut().zip(&mut squares).zip(&total) {
            *last -= total;
            *squares += total * total;
        }
    }
    for (squares, last) in squares.iter_mut().zip(&last) {
        *squares += last * last;
    }
    squares
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

    /// Groups of one to eight inputs, the last one not full, and two blocks of columns.
    #[test]
    fn sums_of_groups_give_what_each_cell_by_itself_gives() {
        for (n, k) in [(30, 2), (20, 3), (11, 5), (7, 17), (5, 300)] {
            let width = 19;
            let mut stream = Stream::new(1, "cells", 0);
            let mut cells: Vec<f64> = (0..n * k * width).map(|_| stream.normal()).collect();
            for input in cells.chunks_exact_mut(k * width) {
                for column in 0..width {
                    let own = || (0..k).map(|task| task * width + column);
                    let mean = own().map(|at| input[at]).sum::<f64>() / k as f64;
                    own().for_each(|at| input[at] -= mean);
                }
            }
            let all = Relabellings::new(n, k, 60, 2, "groups");
            let weights = [vec![1.0; width], (0..width).map(|x| x as f64).collect()];
            let sums = squared_sums(&all, &cells, &weights);
            for way in 0..all.len() {
                let order = all.cells(way);
                let mut expected = [0.0; 2];
                for (task, column) in (0..k).flat_map(|t| (0..width).map(move |c| (t, c))) {
                    let own = |i: usize| (i * k + order[task * n + i] as usize) * width + column;
                    let sum: f64 = (0..n).map(|i| cells[own(i)]).sum();
                    expected[0] += sum * sum;
                    expected[1] += sum * sum * column as f64;
                }
                for (sums, expected) in sums.iter().zip(expected) {
                    assert!((sums[way] / expected - 1.0).abs() < 1e-11, "{n} {k} {way}");
                }
            }
            let parts = Relabellings { choices: None, ..all.clone() };
            assert_eq!(squared_sums(&parts, &cells, &weights), sums);
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

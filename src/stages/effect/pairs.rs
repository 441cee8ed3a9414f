//! What the dissimilarities of all pairs of the tasks' prompts say: of one input, and, averaged over
//! inputs, of the wordings.

use std::collections::BTreeMap;

use crate::stage::names::{BETWEEN, PARAPHRASE};
use crate::stage::read::wordings::Wordings;

/// Of one input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OfInput {
    between: Option<f64>,
    within: Option<f64>,
    /// The largest dissimilarity of two wordings of one task.
    largest_within: f64,
}

impl OfInput {
    /// From the dissimilarities of all pairs.
    pub(super) fn of(wordings: &Wordings, values: &[f64]) -> Self {
        let (cells, tasks) = (wordings.cells(), wordings.cell_tasks());
        let (mut between, mut within) = ((0.0, 0_u32), (0.0, 0_u32));
        let mut largest_within = f64::NEG_INFINITY;
        for a in 0..cells.len() {
            for b in a + 1..cells.len() {
                let value = values[wordings.pair(cells[a], cells[b])];
                let sum = if tasks[a] == tasks[b] { &mut within } else { &mut between };
                *sum = (sum.0 + value, sum.1 + 1);
                if tasks[a] == tasks[b] {
                    largest_within = largest_within.max(value);
                }
            }
        }
        let mean = |(sum, n): (f64, u32)| (n > 0).then(|| sum / f64::from(n));
        Self { between: mean(between), within: mean(within), largest_within }
    }

    /// Its mean in a contrast that is made of these pairs.
    pub(super) fn value(self, contrast: &str) -> Option<f64> {
        match contrast {
            BETWEEN => self.between,
            PARAPHRASE => self.within,
            _ => None,
        }
    }

    /// Whether its tasks are further apart on average than any two wordings of one task.
    pub(super) fn exceeds(self) -> bool {
        self.between.is_some_and(|between| between > self.largest_within)
    }
}

/// Dissimilarities of all pairs of the tasks' prompts, summed over the inputs that have them all; each
/// cluster of inputs counts once.
#[derive(Debug, Default)]
pub(super) struct PairSums {
    /// Pairs (0,1), (0,2), ..., (1,2), ...; empty as long as no input has them.
    sums: Vec<f64>,
    weight: f64,
    /// Status of the first input that has not all of them.
    pub(super) refused: Option<String>,
}

/// Dissimilarities of the tasks' prompts to those of another input in the same wording, summed over the
/// inputs that have all of theirs; each cluster of inputs counts once.
#[derive(Debug, Default)]
pub(super) struct OtherSums {
    /// By the place of the task's prompt: the sum, and what the inputs in it count.
    of_place: BTreeMap<i32, (f64, f64)>,
}

impl OtherSums {
    /// Takes in an input: places of prompts and their dissimilarities.
    pub(super) fn add(&mut self, values: impl Iterator<Item = (i32, f64)>, weight: f64) {
        for (place, value) in values {
            let sum = self.of_place.entry(place).or_default();
            *sum = (sum.0 + weight * value, sum.1 + weight);
        }
    }

    /// For each task and each of its wordings: the mean over tasks without that wording. `None` where
    /// a task was put to another input in no other one.
    pub(super) fn without(&self, wordings: &Wordings) -> Option<Vec<Vec<f64>>> {
        let own = |cell: usize| self.of_place.get(&(cell as i32)).copied().unwrap_or_default();
        let mut cells: Vec<Vec<(f64, f64)>> = vec![Vec::new(); wordings.sizes().len()];
        for (cell, task) in wordings.cells().iter().zip(wordings.cell_tasks()) {
            cells[task].push(own(*cell));
        }
        let sum = |own: &[(f64, f64)]| {
            own.iter().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
        };
        let mean = |(sum, weight): (f64, f64)| (weight > 0.0).then(|| sum / weight);
        let of_tasks: Vec<f64> = cells.iter().map(|own| mean(sum(own))).collect::<Option<_>>()?;
        let all: f64 = of_tasks.iter().sum();
        let tasks = cells.iter().zip(&of_tasks).map(|(own, of_task)| {
            let without = |left: usize| {
                let rest = [&own[..left], &own[left + 1..]].concat();
                Some((all - of_task + mean(sum(&rest))?) / of_tasks.len() as f64)
            };
            (0..own.len()).map(without).collect()
        });
        tasks.collect()
    }
}

/// Mean dissimilarities between cells, row after row, task after task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Means {
    pub(super) table: Vec<f64>,
    /// The task of each cell.
    tasks: Vec<usize>,
}

impl PairSums {
    /// Takes in an input.
    pub(super) fn add(&mut self, values: &[f64], weight: f64) {
        self.sums.resize(values.len(), 0.0);
        self.weight += weight;
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += weight * value;
        }
    }

    /// The means; `None` as long as no input has all pairs.
    pub(super) fn means(&self, wordings: &Wordings) -> Option<Means> {
        if self.sums.is_empty() {
            return None;
        }
        let cells = wordings.cells();
        let mean = |(a, b): (usize, usize)| {
            if a == b { 0.0 } else { self.sums[wordings.pair(a, b)] / self.weight }
        };
        let pairs = cells.iter().flat_map(|a| cells.iter().map(move |b| (*a, *b)));
        Some(Means { table: pairs.map(mean).collect(), tasks: wordings.cell_tasks() })
    }
}

impl Means {
    /// For each task and each of its wordings: the means between and within tasks without that wording.
    /// `None` where nothing is left to compare.
    pub(super) fn without(&self) -> Option<Vec<Vec<[f64; 2]>>> {
        let n = self.tasks.len();
        let pairs = || (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let is_same = |a: usize, b: usize| self.tasks[a] == self.tasks[b];
        // Sums and counts between and within tasks: of all pairs, and of those with each cell.
        let mut all = [(0.0, 0_u32); 2];
        let mut of_cell = vec![[(0.0, 0_u32); 2]; n];
        for (a, b) in pairs() {
            let (kind, value) = (usize::from(is_same(a, b)), self.table[a * n + b]);
            for sums in [&mut all].into_iter().chain(of_cell.get_disjoint_mut([a, b]).ok()?) {
                sums[kind] = (sums[kind].0 + value, sums[kind].1 + 1);
            }
        }
        let without = |cell: usize| {
            let mean = |kind: usize| {
                let ((sum, count), (own, of_own)) = (all[kind], of_cell[cell][kind]);
                (count > of_own).then(|| (sum - own) / f64::from(count - of_own))
            };
            Some([mean(0)?, mean(1)?])
        };
        let tasks = self.tasks.iter().max()? + 1;
        let of_task = |task: usize| {
            let cells = (0..n).filter(|cell| self.tasks[*cell] == task);
            cells.map(without).collect::<Option<Vec<_>>>()
        };
        (0..tasks).map(of_task).collect()
    }
}

//! The vectors of a design, collected input by input.

use super::partition::Design;
use super::spread::{Spread, Squares};

/// The vectors of all inputs, each input's mean taken off. Built input by input.
#[derive(Debug, Clone)]
pub struct CentredCells {
    wordings: Vec<usize>,
    width: usize,
    /// How many units each input has.
    units: Vec<f64>,
    /// Input after input, task after task, wording after wording.
    values: Vec<f64>,
    /// Running mean of the inputs' means, and by dimension the sum of their squared distances from
    /// it (Welford), units counted.
    centre: Vec<f64>,
    squares: Vec<f64>,
    /// By dimension what the units of inputs vary by: alone, with the task, with the wording.
    within: [Vec<f64>; 3],
    /// By dimension Σ V²: what rounding is measured by.
    magnitude: Vec<f64>,
}

/// The aligned units of an input (its tokens), beyond their means.
#[derive(Debug, Clone, Copy)]
pub struct Units<'a> {
    /// How many there are, at least 1.
    pub count: usize,
    /// What [`within_units`](super::within_units) gives.
    pub within: [&'a [f32]; 3],
}

impl CentredCells {
    /// For tasks of so many `wordings`, with a vector of `width` numbers for each and input.
    pub fn new(wordings: &[usize], width: usize) -> Self {
        let zeros = || vec![0.0; width];
        Self {
            wordings: wordings.to_vec(),
            width,
            units: Vec::new(),
            values: Vec::new(),
            centre: zeros(),
            squares: zeros(),
            within: [zeros(), zeros(), zeros()],
            magnitude: zeros(),
        }
    }

    /// Takes in one input that is one unit: its vectors, task after task and wording after wording.
    ///
    /// # Panics
    ///
    /// When they are not one for each task and wording, all of the width given.
    pub fn push_input(&mut self, vectors: &[&[f32]]) {
        let none: &[f32] = &[];
        self.push_units(vectors, Units { count: 1, within: [none; 3] });
    }

    /// Takes in one input of several units, by the means over them.
    ///
    /// # Panics
    ///
    /// When the means are not one for each task and wording, all of the width given.
    pub fn push_units(&mut self, means: &[&[f32]], units: Units<'_>) {
        assert_eq!(means.len(), self.wordings.iter().sum::<usize>(), "one vector for each prompt");
        assert!(means.iter().all(|v| v.len() == self.width), "vectors have the width given");
        let first = self.values.len();
        let count = units.count as f64;
        let mut mean = vec![0.0; self.width];
        for vector in means {
            self.values.extend(vector.iter().copied().map(f64::from));
            let sums = mean.iter_mut().zip(&mut self.magnitude);
            for ((mean, magnitude), &x) in sums.zip(*vector) {
                let x = f64::from(x);
                *mean += x;
                *magnitude += count * (x * x);
            }
        }
        self.units.push(count);
        let so_far: f64 = self.units.iter().sum();
        let running = self.centre.iter_mut().zip(&mut self.squares);
        for (mean, (centre, squares)) in mean.iter_mut().zip(running) {
            *mean /= means.len() as f64;
            let before = *mean - *centre;
            *centre += before * (count / so_far);
            *squares += count * (before * (*mean - *centre));
        }
        for vector in self.values[first..].chunks_exact_mut(self.width.max(1)) {
            for (x, mean) in vector.iter_mut().zip(&mean) {
                *x -= mean;
            }
        }
        for (sums, roots) in self.within.iter_mut().zip(units.within) {
            for (sum, root) in sums.iter_mut().zip(roots) {
                *sum += f64::from(*root) * f64::from(*root);
            }
        }
    }

    /// How many inputs, tasks and wordings there are by now.
    pub fn design(&self) -> Design {
        Design {
            inputs: self.units.len(),
            units: self.units.iter().sum::<f64>() as usize,
            tasks: self.wordings.len(),
            cells: self.wordings.iter().sum(),
        }
    }

    /// The squares of every dimension, from which all sums and tests follow.
    pub fn spread(&self) -> Spread {
        let (design, d) = (self.design(), self.width.max(1));
        let wording_means = self.wording_means();
        let task_means = means_of_tasks(&wording_means, &self.wordings, d);
        let mut cells = means_of_tasks(&self.values, &self.wordings, d);
        let mut squares = vec![Squares::default(); self.width];
        for (dimension, squares) in squares.iter_mut().enumerate() {
            let [alone, task, wording] = [0, 1, 2].map(|part| self.within[part][dimension]);
            squares.input = design.cells as f64 * self.squares[dimension] + alone;
            squares.interaction = task;
            squares.rest = wording;
            squares.cells = task * design.tasks as f64 / design.cells as f64;
            squares.magnitude = self.magnitude[dimension];
        }
        for (mean, &w) in task_means.chunks_exact(d).zip(&self.wordings) {
            let weight = (design.units * w) as f64;
            add(&mut squares, |squares| &mut squares.task, weight, |x| mean[x]);
        }
        let inputs = cells.chunks_exact(d * design.tasks).zip(&self.units);
        for (input, units) in inputs {
            let tasks = input.chunks_exact(d).zip(task_means.chunks_exact(d)).zip(&self.wordings);
            for ((cell, task), &w) in tasks {
                let left = |x: usize| cell[x] - task[x];
                add(&mut squares, |squares| &mut squares.interaction, units * w as f64, left);
            }
        }
        if design.cells > design.tasks {
            self.add_wordings(&mut squares, &cells, &wording_means, &task_means);
        }
        self.even_out(&mut cells, &mut squares);
        Spread::new(design, squares, cells, wording_means)
    }

    /// Adds what goes with the wordings, alone and with the input.
    fn add_wordings(
        &self,
        squares: &mut [Squares],
        cells: &[f64],
        wording_means: &[f64],
        task_means: &[f64],
    ) {
        let (d, design) = (self.width.max(1), self.design());
        let task_of: Vec<usize> = self
            .wordings
            .iter()
            .enumerate()
            .flat_map(|(task, &wordings)| std::iter::repeat_n(task, wordings))
            .collect();
        let task_mean = |prompt: usize| &task_means[task_of[prompt] * d..][..d];
        for (prompt, mean) in wording_means.chunks_exact(d).enumerate() {
            let task = task_mean(prompt);
            let left = |x: usize| mean[x] - task[x];
            add(squares, |squares| &mut squares.wording, design.units as f64, left);
        }
        let inputs = self.values.chunks_exact(d * design.cells).zip(&self.units);
        for ((input, units), cells) in inputs.zip(cells.chunks_exact(d * design.tasks)) {
            for (prompt, vector) in input.chunks_exact(d).enumerate() {
                let (cell, task) = (&cells[task_of[prompt] * d..][..d], task_mean(prompt));
                let wording = &wording_means[prompt * d..][..d];
                let left = |x: usize| vector[x] - cell[x] - wording[x] + task[x];
                add(squares, |squares| &mut squares.rest, *units, left);
            }
        }
    }

    /// Takes each input's mean of its tasks off, every task counting once (with as many wordings for
    /// each task it is 0 already), and weighs the input with its units: what labels are exchanged in.
    fn even_out(&self, cells: &mut [f64], squares: &mut [Squares]) {
        let (d, k) = (self.width.max(1), self.wordings.len());
        let balanced = self.wordings.iter().all(|w| *w == self.wordings[0]);
        let mut sums = vec![0.0; k * self.width];
        for (input, units) in cells.chunks_exact_mut((d * k).max(1)).zip(&self.units) {
            let tasks = || (0..k).map(|task| task * d);
            for x in (0..self.width).filter(|_| !balanced) {
                let mean = tasks().map(|task| input[task + x]).sum::<f64>() / k as f64;
                tasks().for_each(|task| input[task + x] -= mean);
            }
            for cell in input.chunks_exact(d) {
                add(squares, |squares| &mut squares.cells, *units, |x| cell[x]);
            }
            for (sum, x) in sums.iter_mut().zip(input) {
                *x *= units;
                *sum += *x;
            }
        }
        let units: f64 = self.units.iter().sum();
        for sum in sums.chunks_exact(d) {
            add(squares, |squares| &mut squares.even, units, |x| sum[x] / units);
        }
    }

    /// Mean over units of every (task, wording).
    pub(super) fn wording_means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.wordings.iter().sum::<usize>() * self.width];
        for (input, units) in self.values.chunks_exact(means.len().max(1)).zip(&self.units) {
            for (mean, x) in means.iter_mut().zip(input) {
                *mean += units * x;
            }
        }
        let units: f64 = self.units.iter().sum();
        for mean in &mut means {
            *mean /= units;
        }
        means
    }
}

/// Adds `weight` times the square of a number of each dimension to a sum of it.
fn add(
    squares: &mut [Squares],
    sum: impl Fn(&mut Squares) -> &mut f64,
    weight: f64,
    number: impl Fn(usize) -> f64,
) {
    for (dimension, squares) in squares.iter_mut().enumerate() {
        let x = number(dimension);
        *sum(squares) += weight * (x * x);
    }
}

/// The mean of each task's vectors of `width` numbers, which stand together, again and again.
fn means_of_tasks(vectors: &[f64], wordings: &[usize], width: usize) -> Vec<f64> {
    let mut means = Vec::new();
    let mut rest = vectors;
    while !rest.is_empty() {
        for &count in wordings {
            let (own, others) = rest.split_at(count * width);
            rest = others;
            let first = means.len();
            means.resize(first + width, 0.0);
            for vector in own.chunks_exact(width) {
                for (mean, x) in means[first..].iter_mut().zip(vector) {
                    *mean += x;
                }
            }
            means[first..].iter_mut().for_each(|mean| *mean /= count as f64);
        }
    }
    means
}

#[cfg(test)]
impl CentredCells {
    /// Squared distances between the mean vectors of all (task, wording) cells, row after row: what
    /// [`Reassignments`](crate::math::Reassignments) sorts again. Its statistic rises with `f_task`.
    pub(in crate::math) fn wording_distances(&self) -> Vec<f64> {
        let means = self.wording_means();
        let vectors: Vec<&[f64]> = means.chunks_exact(self.width.max(1)).collect();
        let distance =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
        let row = |a: &&[f64]| vectors.iter().map(|b| distance(a, b)).collect::<Vec<_>>();
        vectors.iter().flat_map(row).collect()
    }
}

//! How much of what vectors vary by goes with the input, the task, the wording, and with input and
//! task together.
//!
//! One vector `V_ikw` for each input i, task k and wording w (N x K x W, balanced), dots for means:
//!
//! ```text
//! SS_input   = K W Σ_i  ‖V_i·· - V···‖²
//! SS_task    = N W Σ_k  ‖V_·k· - V···‖²
//! SS_wording = N   Σ_kw ‖V_·kw - V_·k·‖²                        W >= 2
//! SS_inter   = W   Σ_ik ‖V_ik· - V_i·· - V_·k· + V···‖²
//! SS_rest    =     Σ    ‖V_ikw - V_ik· - V_·kw + V_·k·‖²        W >= 2
//! SS_total   = their sum
//! ```
//!
//! A multivariate analysis of variance on distances (Anderson 2001), the marginalisation of demixed
//! PCA (Kobak et al. 2016). The model is deterministic, so `SS_inter` is interaction and not noise:
//! the input rearranged by the task. With one wording it and `SS_task` contain that wording.
//!
//! # What the permutation test exchanges
//!
//! [`Spread::task_tests`] takes each input's own mean off, averages over wordings, and exchanges
//! the K task labels within each input, each input by itself. Under the null hypothesis that a task's
//! vector is, given the input, a draw from one and the same distribution for every task, all these
//! labellings are equally likely. The statistic is the share `SS_task / (SS_task + SS_inter)`
//! (partial η²), which rises with the blocked F = `[SS_task/(K-1)] / [SS_inter/((N-1)(K-1))]`; their
//! sum is the same for every labelling, so only sums over inputs are needed.
//!
//! It asks whether these prompts move the vector the same way on every input. A single wording does
//! so too, for any two different texts do; with W >= 2 the means over W wordings still carry them.
//! Whether *tasks* differ more than wordings do is what `f_task` and the reassignment of
//! wordings ([`Reassignments`](super::Reassignments)) answer, and only they speak about tasks.

mod relabel;
mod spread;

pub use relabel::Relabellings;
pub use spread::Spread;

use self::spread::Squares;

/// How many inputs, tasks and wordings there are; every combination has its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// N.
    pub inputs: usize,
    /// K.
    pub tasks: usize,
    /// W, of every task.
    pub wordings: usize,
}

/// The vectors of all inputs, each input's mean taken off. Built input by input.
#[derive(Debug, Clone)]
pub struct CentredCells {
    tasks: usize,
    wordings: usize,
    width: usize,
    inputs: usize,
    /// Input after input, task after task, wording after wording.
    values: Vec<f64>,
    /// Running mean of the inputs' means, and by dimension the sum of their squared distances from
    /// it (Welford).
    centre: Vec<f64>,
    squares: Vec<f64>,
    /// By dimension Σ V²: what rounding is measured by.
    magnitude: Vec<f64>,
}

impl CentredCells {
    /// For `tasks` x `wordings` vectors of `width` numbers an input.
    pub fn new(tasks: usize, wordings: usize, width: usize) -> Self {
        Self {
            tasks,
            wordings,
            width,
            inputs: 0,
            values: Vec::new(),
            centre: vec![0.0; width],
            squares: vec![0.0; width],
            magnitude: vec![0.0; width],
        }
    }

    /// Takes in one input: its vectors, task after task and wording after wording.
    ///
    /// # Panics
    ///
    /// When they are not one for each task and wording, all of the width given.
    pub fn push_input(&mut self, vectors: &[&[f32]]) {
        assert_eq!(vectors.len(), self.tasks * self.wordings, "one vector for each prompt");
        assert!(vectors.iter().all(|v| v.len() == self.width), "vectors have the width given");
        let first = self.values.len();
        let mut mean = vec![0.0; self.width];
        for vector in vectors {
            self.values.extend(vector.iter().copied().map(f64::from));
            let sums = mean.iter_mut().zip(&mut self.magnitude);
            for ((mean, magnitude), &x) in sums.zip(*vector) {
                let x = f64::from(x);
                *mean += x;
                *magnitude += x * x;
            }
        }
        self.inputs += 1;
        let running = self.centre.iter_mut().zip(&mut self.squares);
        for (mean, (centre, squares)) in mean.iter_mut().zip(running) {
            *mean /= vectors.len() as f64;
            let before = *mean - *centre;
            *centre += before / self.inputs as f64;
            *squares += before * (*mean - *centre);
        }
        for vector in self.values[first..].chunks_exact_mut(self.width.max(1)) {
            for (x, mean) in vector.iter_mut().zip(&mean) {
                *x -= mean;
            }
        }
    }

    /// How many inputs, tasks and wordings there are by now.
    pub fn design(&self) -> Design {
        Design { inputs: self.inputs, tasks: self.tasks, wordings: self.wordings }
    }

    /// The squares of every dimension, from which all sums and tests follow.
    pub fn spread(&self) -> Spread {
        let (n, k, w, d) = (self.inputs, self.tasks, self.wordings, self.width.max(1));
        let wording_means = self.wording_means();
        let task_means = means_of_groups(&wording_means, w, d);
        let cells = means_of_groups(&self.values, w, d);
        let mut squares = vec![Squares::default(); self.width];
        for (dimension, squares) in squares.iter_mut().enumerate() {
            squares.input = (k * w) as f64 * self.squares[dimension];
            squares.magnitude = self.magnitude[dimension];
        }
        for mean in task_means.chunks_exact(d) {
            for (squares, x) in squares.iter_mut().zip(mean) {
                squares.task += (n * w) as f64 * (x * x);
            }
        }
        for (i, cell) in cells.chunks_exact(d).enumerate() {
            let task = &task_means[i % k * d..][..d];
            for (squares, (x, mean)) in squares.iter_mut().zip(cell.iter().zip(task)) {
                squares.interaction += w as f64 * ((x - mean) * (x - mean));
                squares.cells += x * x;
            }
        }
        if w > 1 {
            for (i, means) in wording_means.chunks_exact(d).enumerate() {
                let task = &task_means[i / w * d..][..d];
                for (squares, (x, mean)) in squares.iter_mut().zip(means.iter().zip(task)) {
                    squares.wording += n as f64 * ((x - mean) * (x - mean));
                }
            }
            for (i, vector) in self.values.chunks_exact(d).enumerate() {
                let (cell, prompt) = (&cells[i / w * d..][..d], i % (k * w));
                let wording = &wording_means[prompt * d..][..d];
                let task = &task_means[prompt / w * d..][..d];
                let expected = cell.iter().zip(wording).zip(task);
                for (squares, (x, ((cell, wording), task))) in
                    squares.iter_mut().zip(vector.iter().zip(expected))
                {
                    let left = x - cell - wording + task;
                    squares.rest += left * left;
                }
            }
        }
        Spread::new(self.design(), squares, cells)
    }

    /// Mean over inputs of every (task, wording).
    fn wording_means(&self) -> Vec<f64> {
        let mut means = vec![0.0; self.tasks * self.wordings * self.width];
        for input in self.values.chunks_exact(means.len().max(1)) {
            for (mean, x) in means.iter_mut().zip(input) {
                *mean += x;
            }
        }
        for mean in &mut means {
            *mean /= self.inputs as f64;
        }
        means
    }
}

/// The mean of every `group` vectors of `width` numbers that stand together.
fn means_of_groups(vectors: &[f64], group: usize, width: usize) -> Vec<f64> {
    if group == 1 {
        return vectors.to_vec();
    }
    let mut means = vec![0.0; vectors.len() / group.max(1)];
    let groups = vectors.chunks_exact((group * width).max(1));
    for (means, vectors) in means.chunks_exact_mut(width.max(1)).zip(groups) {
        for vector in vectors.chunks_exact(width) {
            for (mean, x) in means.iter_mut().zip(vector) {
                *mean += x;
            }
        }
        for mean in means {
            *mean /= group as f64;
        }
    }
    means
}

/// The sums of squares of a design, which add up to [`Self::total`]. Where a quotient would divide
/// by 0 it is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partition {
    /// What it was computed from.
    pub design: Design,
    /// `SS_input`.
    pub input: f64,
    /// `SS_task`.
    pub task: f64,
    /// `SS_inter`: input and task together.
    pub interaction: f64,
    /// `SS_wording`; `None` with one wording.
    pub wording: Option<f64>,
    /// `SS_rest`: input and wording together; `None` with one wording.
    pub rest: Option<f64>,
}

impl Partition {
    /// `SS_total`.
    pub fn total(&self) -> f64 {
        let nested = self.wording.unwrap_or(0.0) + self.rest.unwrap_or(0.0);
        self.input + self.task + self.interaction + nested
    }

    /// R²: the share of the total that `part` is.
    pub fn share(&self, part: f64) -> Option<f64> {
        ratio(part, self.total())
    }

    /// `SS_task / (SS_task + SS_inter)`: the task's share of what is not the input's.
    pub fn partial_eta2(&self) -> Option<f64> {
        ratio(self.task, self.task + self.interaction)
    }

    /// `[SS_task/(K-1)] / [SS_inter/((N-1)(K-1))]`: the F of [`Spread::task_tests`].
    pub fn f_blocked(&self) -> Option<f64> {
        ratio(self.task * (self.design.inputs as f64 - 1.0), self.interaction)
    }

    /// The task against its wordings, `[SS_task/(K-1)] / [SS_wording/(K(W-1))]`; with one wording
    /// [`Self::f_blocked`], the only one there is.
    pub fn f_task(&self) -> Option<f64> {
        let Some(wording) = self.wording else { return self.f_blocked() };
        let (k, w) = (self.design.tasks as f64, self.design.wordings as f64);
        ratio(self.task * k * (w - 1.0), wording * (k - 1.0))
    }

    /// The interaction against that of input and wording, `[SS_inter/((N-1)(K-1))] /
    /// [SS_rest/((N-1)K(W-1))]`; `None` with one wording.
    pub fn f_interaction(&self) -> Option<f64> {
        let (k, w) = (self.design.tasks as f64, self.design.wordings as f64);
        ratio(self.interaction * k * (w - 1.0), self.rest? * (k - 1.0))
    }
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests;

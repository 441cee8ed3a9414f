//! Can the task be told from a vector, on wordings and inputs that were never seen?
//!
//! A classifier that is tested on the wordings it was trained on finds the *text*: any two texts leave
//! something in the vectors. So it is trained on other wordings **and** other inputs:
//!
//! ```text
//! input i, task k, wording w: vector x_ikw; a cell is a (task, wording)
//! folds      clusters of inputs; the inputs of a fold are told by the inputs of all others
//! Σ          covariance of the others' inputs within their cells, shrunk (below)
//! m_c        mean of the others' inputs in cell c
//! split      leaves one wording of every task out; class j is trained on m = W_min - 1 cells of task j:
//!            μ_j = mean of m_c over those cells
//! told       argmax over j of  x Σ⁻¹ μ_j - ½ μ_j Σ⁻¹ μ_j  =  the class mean that is nearest by
//!            (x - μ_j) Σ⁻¹ (x - μ_j);  among equal ones, by lot
//! accuracy   mean over tasks, over their wordings, over inputs and splits of (told is k), of the
//!            vectors of left-out wordings; chance: 1/K
//! seen       the same with m + 1 training cells, the tested wording's among them
//! ```
//!
//! That is linear discriminant analysis (Fisher 1936) with a shrunk covariance and equal priors. The
//! covariance knows no task, so it is the same whatever wordings are called a task.
//!
//! All classes are trained on equally many cells: a mean of fewer lies further from everything, and
//! would be chosen less often whatever it holds. Of a task with more wordings than the least, the m
//! that follow the left-out one in a circle are taken.
//!
//! **All splits at once.** Which wording another task leaves out matters to that task's class alone. So
//! over all `W_1 ... W_K` splits, a vector is told right in the product over the other tasks of the
//! share of their wordings whose leaving out gives a class that scores less than the right one. Nothing
//! is drawn, and nothing grows with the number of splits.
//!
//! **Shrinkage.** Correlations are drawn towards the identity, so that no dimension's unit matters and
//! large dimensions do not drown the others: `Σ = D ((1 - s) R + s I) D`, with D the standard deviations
//! within cells and R their correlations. `s` by the formula of Chen et al. 2010 (OAS) for as many rows as there are training
//! clusters: the vectors of one input under all wordings are no independent rows.
//!
//! **Interval.** Over clusters and wordings, [`Crossed`]: each cluster's influence, and the accuracy
//! without each wording, as if it had never been written (but for Σ, which keeps it). Where all are told
//! right nothing varies, which does not mean that the next wording would be told right too. So the
//! variance gets what a proportion of `n = min(wordings, clusters)` gains when two right and two wrong
//! ones are added, as Agresti and Coull 1998 do: `max(0, p̃(1 - p̃) - a(1 - a)) / (n + 4)`,
//! `p̃ = (n a + 2)/(n + 4)`, with `Σ(W_k - 1)` degrees of freedom. It is 0 for an accuracy of ½ and
//! largest at 0 and 1: 8 of 8 wordings give 0.74 to 1, 15 of 15 (five tasks) give 0.84 to 1. The ends are cut to 0..1.
//!
//! **Test.** Were tasks nothing, the wordings could as well be dealt out to them otherwise
//! ([`Reassignments`]); the statistic is the accuracy. Its mean over all dealings of equally many
//! wordings to each task is exactly 1/K: every left-out cell is as often in one task as in another.

mod accuracy;
mod cholesky;
mod products;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::products::{Fold, Vectors};
use super::inference::{satterthwaite, student_quantile};
use super::{Crossed, PermutationTest, Reassignments, Undefined, Way};

/// Vectors of inputs under wordings of tasks, ready to be told apart.
#[derive(Debug)]
pub struct Decoding {
    folds: Vec<Fold>,
    /// Wordings of each task; its cells follow each other.
    sizes: Vec<usize>,
    /// Of each input, from 0.
    clusters: Vec<usize>,
}

impl Decoding {
    /// Of the vectors of each input, cell after cell: all wordings of the first task, of the second, ...
    /// as many as `sizes` says. `fold_of` and `clusters` number each input's fold and cluster from 0; a
    /// cluster lies in one fold. `shrinkage` lies above 0 and is at most 1; `None`: as above.
    ///
    /// [`Undefined::TooFew`] below two tasks or where a fold leaves less than two clusters to train on,
    /// [`Undefined::Constant`] where the inputs are all the same vector.
    ///
    /// # Panics
    ///
    /// When inputs, folds, clusters and cells are not equally many.
    pub fn new(
        inputs: &[Vec<&[f32]>],
        sizes: &[usize],
        fold_of: &[usize],
        clusters: &[usize],
        shrinkage: Option<f64>,
    ) -> Result<Self, Undefined> {
        let cells: usize = sizes.iter().sum();
        assert!(inputs.iter().all(|input| input.len() == cells), "a vector for each cell");
        assert_eq!([inputs.len(); 2], [fold_of.len(), clusters.len()], "one each for every input");
        let (first, last) = (clusters.iter().min(), clusters.iter().max());
        if sizes.len() < 2 || sizes.contains(&0) || first == last {
            return Err(Undefined::TooFew);
        }
        let trained = |fold: usize| {
            let mut others = (0..inputs.len()).filter(move |i| fold_of[*i] != fold);
            let first = others.next().map(|i| clusters[i]);
            others.any(|i| Some(clusters[i]) != first)
        };
        if !fold_of.iter().all(|fold| trained(*fold)) {
            return Err(Undefined::TooFew);
        }
        let folds = Vectors::new(inputs).folds(fold_of, clusters, shrinkage)?;
        Ok(Self { folds, sizes: sizes.to_vec(), clusters: clusters.to_vec() })
    }

    /// The accuracy of each input on wordings that were not trained on; `None` where a task has one
    /// wording.
    pub fn accuracies(&self) -> Option<Vec<f64>> {
        self.sizes.iter().all(|size| *size > 1).then(|| self.right(&self.own(), false))
    }

    /// The accuracy of each input on wordings that were trained on, on other inputs.
    pub fn seen(&self) -> Vec<f64> {
        self.right(&self.own(), true)
    }

    /// How often accuracy is as high when the wordings are dealt out otherwise; `observed` is the mean
    /// of [`Decoding::accuracies`].
    ///
    /// # Panics
    ///
    /// When the dealings are of other sizes.
    pub fn test(&self, dealings: &Reassignments, observed: f64) -> PermutationTest {
        let of_way = |way: &Way| {
            let tasks: Vec<Vec<usize>> =
                way.tasks().map(|cells| cells.iter().map(|&c| c as usize).collect()).collect();
            mean(&self.right(&tasks, false))
        };
        let draws: Vec<f64> = dealings.ways().par_iter().map(of_way).collect();
        dealings.test_of_values(observed, draws)
    }

    /// How sure the mean of `accuracies` is, at `level`. [`Undefined::TooFew`] below three wordings
    /// of a task: leaving one out must leave two.
    pub fn interval(&self, accuracies: &[f64], level: f64) -> Result<(f64, f64), Undefined> {
        if self.sizes.iter().any(|size| *size < 3) {
            return Err(Undefined::TooFew);
        }
        let accuracy = mean(accuracies);
        let without = self.without_each_wording();
        let influences = self.influences(accuracies);
        let crossed = Crossed::of(accuracy, &influences, &without, level)?;
        let wordings: usize = self.sizes.iter().sum();
        let n = wordings.min(influences.len()) as f64;
        let pulled = (n * accuracy + 2.0) / (n + 4.0);
        let gain = pulled * (1.0 - pulled) - accuracy * (1.0 - accuracy);
        let edge = (gain / (n + 4.0)).max(0.0);
        let varied = crossed.var_clusters + crossed.var_wordings;
        let known = (wordings - self.sizes.len()) as f64;
        let parts = [(varied, crossed.freedom), (edge, known)];
        let freedom = satterthwaite(parts.into_iter().filter(|(variance, _)| *variance > 0.0));
        let half = student_quantile(f64::midpoint(1.0, level), freedom) * (varied + edge).sqrt();
        Ok(((accuracy - half).max(0.0), (accuracy + half).min(1.0)))
    }

    /// The mean accuracy without each wording of each task.
    fn without_each_wording(&self) -> Vec<Vec<f64>> {
        let own = self.own();
        let without = |task: usize, wording: usize| {
            let mut tasks = own.clone();
            tasks[task].remove(wording);
            mean(&self.right(&tasks, false))
        };
        let of_task = |task: usize| {
            let wordings = (0..self.sizes[task]).into_par_iter();
            wordings.map(|wording| without(task, wording)).collect()
        };
        (0..self.sizes.len()).map(of_task).collect()
    }

    /// Of each cluster on the mean over inputs: the mean, and what the cluster's inputs add to it, times
    /// the clusters over the inputs. Clusters of one size have their own means.
    fn influences(&self, accuracies: &[f64]) -> Vec<f64> {
        let mean = mean(accuracies);
        let mut numbers = self.clusters.clone();
        numbers.sort_unstable();
        numbers.dedup();
        let mut added = vec![0.0; numbers.len()];
        for (cluster, accuracy) in self.clusters.iter().zip(accuracies) {
            let place = numbers.partition_point(|number| number < cluster);
            added[place] += accuracy - mean;
        }
        let share = numbers.len() as f64 / accuracies.len() as f64;
        added.iter().map(|added| mean + added * share).collect()
    }

    /// The pipeline's own tasks.
    fn own(&self) -> Vec<Vec<usize>> {
        let mut first = 0;
        let task = |size: &usize| {
            first += size;
            (first - size..first).collect()
        };
        self.sizes.iter().map(task).collect()
    }

    /// The probability of each input's vectors to be told right, for tasks of these cells.
    fn right(&self, tasks: &[Vec<usize>], is_seen: bool) -> Vec<f64> {
        let tasks: Vec<&[usize]> = tasks.iter().map(Vec::as_slice).collect();
        let mut right = vec![0.0; self.clusters.len()];
        for fold in &self.folds {
            accuracy::add_right(fold, &tasks, is_seen, &mut right);
        }
        right
    }
}

/// The mean, which there is.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

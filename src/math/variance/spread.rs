//! Squares by dimension: a space that divides each dimension by its own scale then takes no more
//! than a weighted sum.

use super::partition::{Design, Partition};
use super::relabel::{self, Relabellings};
use crate::math::Undefined;
use crate::math::inference::{PermutationTest, Reassignments, Way};

/// A sum of squares below this part of the vectors' own squares is rounding.
const ROUNDING: f64 = 1e-26;

/// The sums of squares of one dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Squares {
    pub(super) input: f64,
    pub(super) task: f64,
    pub(super) interaction: f64,
    pub(super) wording: f64,
    pub(super) rest: f64,
    /// Of the means over wordings of each (input, task), around the input's mean of the tasks.
    pub(super) cells: f64,
    /// Of the tasks' means of these.
    pub(super) even: f64,
    /// Of the vectors themselves.
    pub(super) magnitude: f64,
}

/// How the vectors of a design spread, dimension by dimension.
///
/// The methods take a space's `scale`, which each dimension is multiplied by: 1/σ of a reference set
/// for the standardised space, 0 for a dimension to leave out; `None` for the raw space. (Taking a
/// reference's mean off would change nothing here.)
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    design: Design,
    squares: Vec<Squares>,
    /// What labels are exchanged in: inputs, or clusters of them.
    exchanged: usize,
    /// Means over wordings, each input's mean of the tasks taken off, times the input's units: input
    /// after input (or their sums, cluster after cluster), task after task.
    cells: Vec<f64>,
    /// Means over inputs of each (task, wording), the mean of all taken off.
    wordings: Vec<f64>,
}

impl Spread {
    pub(super) fn new(
        design: Design,
        squares: Vec<Squares>,
        cells: Vec<f64>,
        wordings: Vec<f64>,
    ) -> Self {
        Self { exchanged: design.inputs, design, squares, cells, wordings }
    }

    /// The same, with labels exchanged in whole clusters of inputs. `clusters` has the cluster of each
    /// input in the order in which they were pushed, numbered from 0 without a gap.
    ///
    /// # Panics
    ///
    /// When they are not one for each input.
    #[must_use]
    pub fn clustered(self, clusters: &[usize]) -> Self {
        assert_eq!(clusters.len(), self.exchanged, "one cluster for each input");
        let exchanged = clusters.iter().max().map_or(0, |last| last + 1);
        let length = self.cells.len() / self.exchanged.max(1);
        let mut cells = vec![0.0; exchanged * length];
        for (input, cluster) in self.cells.chunks_exact(length.max(1)).zip(clusters) {
            let sums = &mut cells[cluster * length..][..length];
            sums.iter_mut().zip(input).for_each(|(sum, x)| *sum += x);
        }
        Self { exchanged, cells, ..self }
    }

    /// The sums of squares. [`Undefined::TooFew`] below two inputs or two tasks,
    /// [`Undefined::Constant`] when nothing varies with the task on any input.
    ///
    /// # Panics
    ///
    /// When `scale` is not of the vectors' width.
    pub fn partition(&self, scale: Option<&[f64]>) -> Result<Partition, Undefined> {
        let design = self.design;
        if design.inputs < 2 || design.tasks < 2 {
            return Err(Undefined::TooFew);
        }
        let nothing = ROUNDING * self.sum(scale, |squares| squares.magnitude);
        let sum = |part: fn(&Squares) -> f64| {
            let sum = self.sum(scale, part);
            if sum > nothing { sum } else { 0.0 }
        };
        let has_wordings = design.cells > design.tasks;
        let partition = Partition {
            design,
            input: sum(|squares| squares.input),
            task: sum(|squares| squares.task),
            interaction: sum(|squares| squares.interaction),
            wording: has_wordings.then(|| sum(|squares| squares.wording)),
            rest: has_wordings.then(|| sum(|squares| squares.rest)),
        };
        let varies = partition.task + partition.interaction > 0.0;
        if varies { Ok(partition) } else { Err(Undefined::Constant) }
    }

    /// The within-input permutation test of the task in each of some spaces, upper tail; its
    /// statistic is partial η². All spaces are tested in one pass. Errors as [`Self::partition`], and
    /// [`Undefined::Constant`] also without any interaction: then every input moves exactly alike
    /// and there is nothing to compare the task with. [`Undefined::TooFew`] also with one cluster.
    ///
    /// # Panics
    ///
    /// When `relabellings` were made for other numbers of inputs (or clusters) and tasks, or a scale is not of the
    /// vectors' width.
    pub fn task_tests(
        &self,
        relabellings: &Relabellings,
        scales: &[Option<&[f64]>],
    ) -> Vec<Result<PermutationTest, Undefined>> {
        assert!(
            relabellings.fits(self.exchanged, self.design.tasks),
            "relabellings fit the design"
        );
        let testable = |scale| {
            let partition = self.partition(scale)?;
            if self.exchanged < 2 {
                return Err(Undefined::TooFew);
            }
            if partition.interaction > 0.0 { Ok(partition) } else { Err(Undefined::Constant) }
        };
        let partitions: Vec<Result<Partition, Undefined>> =
            scales.iter().map(|scale| testable(*scale)).collect();
        let tested = partitions.iter().zip(scales).filter(|(partition, _)| partition.is_ok());
        let weights: Vec<Vec<f64>> = tested.map(|(_, scale)| self.weights(*scale)).collect();
        let mut sums = relabel::squared_sums(relabellings, &self.cells, &weights).into_iter();
        let test = |(partition, scale): (Result<Partition, Undefined>, Option<&[f64]>)| {
            partition?;
            // Σ_k ‖U mean_k‖² to the share of U Σ_k ‖mean_k‖² in Σ_ik ‖cell‖².
            let cells = self.sum(scale, |squares| squares.cells);
            let all = self.design.units as f64 * cells;
            let draws = sums.next().unwrap_or_default().into_iter().map(|sum| sum / all).collect();
            let observed = self.sum(scale, |squares| squares.even) / cells;
            Ok(PermutationTest::new(observed, draws, relabellings.is_exact()))
        };
        partitions.into_iter().zip(scales.iter().copied()).map(test).collect()
    }

    /// The test of the task against its wordings in each of some spaces, upper tail: the wordings are
    /// dealt out to the tasks again by each of `ways`. Its statistic is `SS_task / (SS_task +
    /// SS_wording)`. Errors as [`Self::partition`], and [`Undefined::Constant`] also where all wordings
    /// have one mean.
    ///
    /// # Panics
    ///
    /// When `ways` deal out another number of wordings, or a scale is not of the vectors' width.
    pub fn wording_tests(
        &self,
        ways: &Reassignments,
        scales: &[Option<&[f64]>],
    ) -> Vec<Result<PermutationTest, Undefined>> {
        let test = |scale: Option<&[f64]>| {
            let partition = self.partition(scale)?;
            let between = partition.task + partition.wording.unwrap_or(0.0);
            if between <= 0.0 {
                return Err(Undefined::Constant);
            }
            let (n, table) = (self.design.cells, self.products(scale));
            let all: f64 = (0..n).map(|cell| table[cell * n + cell]).sum();
            let statistic = |way: &Way| {
                let of_task = |cells: &[u32]| {
                    let row = |a: &u32| &table[*a as usize * n..][..n];
                    let sum: f64 = cells
                        .iter()
                        .map(|a| cells.iter().map(|b| row(a)[*b as usize]).sum::<f64>())
                        .sum();
                    sum / cells.len() as f64
                };
                way.tasks().map(of_task).sum::<f64>() / all
            };
            Ok(ways.test_of(statistic(&ways.own()), statistic))
        };
        scales.iter().copied().map(test).collect()
    }

    /// Dot products of all (task, wording) means in a space, row after row.
    fn products(&self, scale: Option<&[f64]>) -> Vec<f64> {
        let weights = self.weights(scale);
        let means: Vec<&[f64]> = self.wordings.chunks_exact(weights.len().max(1)).collect();
        let product = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).zip(&weights).map(|((a, b), w)| a * b * w).sum::<f64>()
        };
        let row = |a: &&[f64]| means.iter().map(|b| product(a, b)).collect::<Vec<_>>();
        means.iter().flat_map(row).collect()
    }

    /// A sum over the dimensions of a space.
    fn sum(&self, scale: Option<&[f64]>, part: impl Fn(&Squares) -> f64) -> f64 {
        self.squares.iter().zip(self.weights(scale)).map(|(squares, x)| part(squares) * x).sum()
    }

    /// What the squares of each dimension count with in a space.
    fn weights(&self, scale: Option<&[f64]>) -> Vec<f64> {
        let Some(scale) = scale else { return vec![1.0; self.squares.len()] };
        assert_eq!(scale.len(), self.squares.len(), "one factor for each dimension");
        scale.iter().map(|x| x * x).collect()
    }
}

//! What the classifier needs of the vectors: dot products after whitening, once for all ways to call
//! wordings tasks.

use rayon::prelude::*;

use super::cholesky::Cholesky;
use crate::math::{Undefined, dot_wide};

/// Scores nearer to each other than this part of the largest product are equal but for rounding.
const TIE: f64 = 1e-11;

/// The inputs of one fold, held against the cells' means over the inputs of all other folds.
#[derive(Debug)]
pub(super) struct Fold {
    /// The inputs, ascending.
    pub(super) inputs: Vec<usize>,
    /// For cell c of the fold's inputs and cell b of the others, `x_c Σ⁻¹ m_b` of each input: c after
    /// c, b after b, input after input.
    test: Vec<f64>,
    /// `m_a Σ⁻¹ m_b`.
    means: Vec<f64>,
    cells: usize,
    /// Scores that are no further apart are equal.
    pub(super) tie: f64,
}

impl Fold {
    /// `x_c Σ⁻¹ m_b` of the fold's inputs.
    pub(super) fn products(&self, c: usize, b: usize) -> &[f64] {
        let n = self.inputs.len();
        &self.test[(c * self.cells + b) * n..][..n]
    }

    /// `m_a Σ⁻¹ m_b`.
    pub(super) fn between_means(&self, a: usize, b: usize) -> f64 {
        self.means[a * self.cells + b]
    }
}

/// Vectors of all inputs and cells, with what each fold adds to sums over inputs.
pub(super) struct Vectors {
    n: usize,
    cells: usize,
    width: usize,
    /// Input after input, cell after cell; the mean of all of them is taken out, which no score
    /// notices.
    values: Vec<f64>,
}

impl Vectors {
    pub(super) fn new(inputs: &[Vec<&[f32]>]) -> Self {
        let (n, cells) = (inputs.len(), inputs.first().map_or(0, Vec::len));
        let width = inputs.first().and_then(|cells| cells.first()).map_or(0, |v| v.len());
        let mut mean = vec![0.0; width];
        for vector in inputs.iter().flatten() {
            mean.iter_mut().zip(*vector).for_each(|(mean, x)| *mean += f64::from(*x));
        }
        for mean in &mut mean {
            *mean /= (n * cells) as f64;
        }
        let mut values = Vec::with_capacity(n * cells * width);
        for vector in inputs.iter().flatten() {
            values.extend(vector.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean));
        }
        Self { n, cells, width, values }
    }

    fn of(&self, input: usize, cell: usize) -> &[f64] {
        &self.values[(input * self.cells + cell) * self.width..][..self.width]
    }

    /// The products of each fold, given each input's fold and cluster.
    pub(super) fn folds(
        &self,
        fold_of: &[usize],
        clusters: &[usize],
        shrinkage: Option<f64>,
    ) -> Result<Vec<Fold>, Undefined> {
        let folds = fold_of.iter().max().map_or(0, |last| last + 1);
        let members = |fold: usize| (0..self.n).filter(move |i| fold_of[*i] == fold);
        let sums: Vec<Sums> = (0..folds)
            .into_par_iter()
            .map(|fold| Sums::of(self, &members(fold).collect::<Vec<_>>()))
            .collect();
        let fold = |fold: usize| {
            let others = sums.iter().enumerate().filter(|(other, _)| *other != fold);
            let sums = Sums::added(others.map(|(_, sums)| sums), self.cells, self.width);
            let mut trained: Vec<usize> =
                (0..self.n).filter(|i| fold_of[*i] != fold).map(|i| clusters[i]).collect();
            trained.sort_unstable();
            trained.dedup();
            self.products(members(fold).collect(), &sums, trained.len(), shrinkage)
        };
        (0..folds).into_par_iter().map(fold).collect()
    }

    fn products(
        &self,
        inputs: Vec<usize>,
        trained: &Sums,
        clusters: usize,
        shrinkage: Option<f64>,
    ) -> Result<Fold, Undefined> {
        let means = trained.means();
        let whitener = Whitener::of(trained, &means, clusters, shrinkage)?;
        let solved: Vec<Vec<f64>> =
            means.chunks_exact(self.width).map(|mean| whitener.solve(mean)).collect();
        let mut test = Vec::with_capacity(self.cells * self.cells * inputs.len());
        for c in 0..self.cells {
            for solved in &solved {
                test.extend(inputs.iter().map(|&input| dot_wide(self.of(input, c), solved)));
            }
        }
        let mut between = Vec::with_capacity(self.cells * self.cells);
        for mean in means.chunks_exact(self.width) {
            between.extend(solved.iter().map(|solved| dot_wide(mean, solved)));
        }
        let largest = test.iter().chain(&between).fold(0.0_f64, |max, x| max.max(x.abs()));
        Ok(Fold { inputs, test, means: between, cells: self.cells, tie: TIE * largest })
    }
}

/// Sums over some inputs: of each cell's vectors, and of all vectors' products with themselves.
struct Sums {
    n: usize,
    width: usize,
    /// Cell after cell.
    by_cell: Vec<f64>,
    /// `Σ x xᵀ` over inputs and cells, row after row, up to the diagonal.
    squares: Vec<f64>,
}

impl Sums {
    fn empty(cells: usize, width: usize) -> Self {
        Self { n: 0, width, by_cell: vec![0.0; cells * width], squares: vec![0.0; width * width] }
    }

    fn of(vectors: &Vectors, inputs: &[usize]) -> Self {
        let mut all = Self::empty(vectors.cells, vectors.width);
        all.n = inputs.len();
        for &input in inputs {
            let own = &vectors.values[input * all.by_cell.len()..][..all.by_cell.len()];
            all.by_cell.iter_mut().zip(own).for_each(|(sum, x)| *sum += x);
        }
        let rows: Vec<&[f64]> = inputs
            .iter()
            .flat_map(|&input| (0..vectors.cells).map(move |cell| vectors.of(input, cell)))
            .collect();
        all.add_squares(&rows);
        all
    }

    /// Adds `x xᵀ` of every row; four rows at a time, so that a sum is read and written once for
    /// four products.
    fn add_squares(&mut self, rows: &[&[f64]]) {
        let width = self.width;
        let (fours, rest) = rows.as_chunks::<4>();
        for [a, b, c, d] in fours {
            for i in 0..width {
                let (wa, wb, wc, wd) = (a[i], b[i], c[i], d[i]);
                let row = &mut self.squares[i * width..=i * width + i];
                for ((((sum, a), b), c), d) in row.iter_mut().zip(*a).zip(*b).zip(*c).zip(*d) {
                    *sum += (wa * a + wb * b) + (wc * c + wd * d);
                }
            }
        }
        for x in rest {
            for i in 0..width {
                let row = &mut self.squares[i * width..=i * width + i];
                row.iter_mut().zip(*x).for_each(|(sum, other)| *sum += x[i] * other);
            }
        }
    }

    fn added<'a>(all: impl Iterator<Item = &'a Self>, cells: usize, width: usize) -> Self {
        let mut sum = Self::empty(cells, width);
        for one in all {
            sum.n += one.n;
            sum.by_cell.iter_mut().zip(&one.by_cell).for_each(|(sum, x)| *sum += x);
            sum.squares.iter_mut().zip(&one.squares).for_each(|(sum, x)| *sum += x);
        }
        sum
    }

    /// Of each cell.
    fn means(&self) -> Vec<f64> {
        self.by_cell.iter().map(|sum| sum / self.n as f64).collect()
    }
}

/// The inverse of the shrunk covariance of inputs within cells.
struct Whitener {
    /// 1/sd of each dimension within cells; 0 where it does not vary.
    scale: Vec<f64>,
    /// Of the shrunk correlations.
    factor: Cholesky,
}

impl Whitener {
    fn of(
        sums: &Sums,
        means: &[f64],
        clusters: usize,
        shrinkage: Option<f64>,
    ) -> Result<Self, Undefined> {
        let (width, n) = (sums.width, sums.n as f64);
        let mut within = sums.squares.clone();
        for i in 0..width {
            for j in 0..=i {
                let cells = means.chunks_exact(width);
                within[i * width + j] -= n * cells.map(|mean| mean[i] * mean[j]).sum::<f64>();
            }
        }
        let scale: Vec<f64> = (0..width)
            .map(|i| {
                let (own, whole) = (within[i * width + i], sums.squares[i * width + i]);
                if own > 1e-12 * whole { 1.0 / own.sqrt() } else { 0.0 }
            })
            .collect();
        let varying = scale.iter().filter(|scale| **scale > 0.0).count();
        if varying == 0 {
            return Err(Undefined::Constant);
        }
        let mut squares = varying as f64;
        for i in 0..width {
            for j in 0..i {
                let correlation = within[i * width + j] * scale[i] * scale[j];
                within[i * width + j] = correlation;
                squares += 2.0 * correlation * correlation;
            }
            within[i * width + i] = 1.0;
        }
        let shrinkage =
            shrinkage.unwrap_or_else(|| oracle_shrinkage(squares, varying as f64, clusters as f64));
        for i in 0..width {
            within[i * width..i * width + i].iter_mut().for_each(|x| *x *= 1.0 - shrinkage);
        }
        // The scatter's root is the sd times the root of its degrees of freedom.
        let freedom = (sums.n as f64 - 1.0) * (means.len() / width) as f64;
        let scale = scale.into_iter().map(|scale| scale * freedom.sqrt()).collect();
        Ok(Self { scale, factor: Cholesky::of(within, width)? })
    }

    /// `Σ⁻¹ x`.
    fn solve(&self, x: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = x.iter().zip(&self.scale).map(|(x, scale)| x * scale).collect();
        let solved = self.factor.solve(&scaled);
        solved.iter().zip(&self.scale).map(|(x, scale)| x * scale).collect()
    }
}

/// How far a matrix of correlations from `n` rows is drawn towards the identity, given the sum of its
/// squared entries and its width: the oracle approximating shrinkage of Chen, Wiesel, Eldar and Hero
/// 2010, as `sklearn.covariance.oas` has it.
fn oracle_shrinkage(squares: f64, width: f64, n: f64) -> f64 {
    let alpha = squares / (width * width);
    let spread = (n + 1.0) * (alpha - 1.0 / width);
    if spread <= 0.0 { 1.0 } else { ((alpha + 1.0) / spread).min(1.0) }
}

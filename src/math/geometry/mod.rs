//! How alike two tasks arrange the same inputs: measures on two sets of rows, one row an input.
//!
//! All of them compare distances *between* inputs, so a shift of every input by the same vector does
//! not show: they measure the interaction of input and task alone. Debiased CKA of 1 never means
//! "the task has no effect".
//!
//! The rows of the two sides stand in the same order and are at least four, and rows that stand for
//! the same input are never repeated: a bootstrap of rows would make independent sides look alike.

mod exchange;
mod gram;
mod jackknife;
mod neighbours;
mod rdm;

use rayon::prelude::*;

pub use exchange::{Exchanged, Side, exchange_tests};
pub use gram::{CentredGram, Gram, biased_cka, biased_cka_by_chance, debiased_cka};
pub use jackknife::{Jackknife, LeftOut, RowClusters};
pub use neighbours::{MutualNeighbours, Neighbours, mutual_neighbours};
pub use rdm::{Rdm, rsa};

/// The least number of rows that any of the measures is defined for.
const LEAST_ROWS: usize = 4;

/// Rows of each side whose dot products are summed side by side, in registers.
const TILE: usize = 4;

/// A symmetric table of n x n numbers.
#[derive(Debug, Clone, PartialEq)]
struct Symmetric {
    n: usize,
    /// Row after row, both triangles.
    values: Vec<f64>,
}

impl Symmetric {
    /// From `entry(i, j)` for every j <= i.
    fn from_entries(n: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let value = entry(i, j);
                values[i * n + j] = value;
                values[j * n + i] = value;
            }
        }
        Self { n, values }
    }

    /// Dot products of every row of `rows` with every other, in parallel; each is summed in the order
    /// of the dimensions, so equal rows have equal products. n² d / 2 multiplications.
    fn of_dots(rows: &[Vec<f64>]) -> Self {
        let (n, width) = (rows.len(), rows.first().map_or(0, Vec::len));
        // Dimension after dimension, the rows of a tile beside each other.
        let panel = |rows: &[Vec<f64>]| {
            let mut panel = vec![[0.0; TILE]; width];
            for (place, row) in rows.iter().enumerate() {
                for (beside, x) in panel.iter_mut().zip(row) {
                    beside[place] = *x;
                }
            }
            panel
        };
        let panels: Vec<Vec<[f64; TILE]>> = rows.chunks(TILE).map(panel).collect();
        let tiles = |a: usize| -> Vec<_> {
            panels[..=a].iter().map(|b| dots_of_tile(&panels[a], b)).collect()
        };
        let tiles: Vec<Vec<[[f64; TILE]; TILE]>> =
            (0..panels.len()).into_par_iter().map(tiles).collect();
        Self::from_entries(n, |i, j| tiles[i / TILE][j / TILE][i % TILE][j % TILE])
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n..(i + 1) * self.n]
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// Entries (1,0), (2,0), (2,1), (3,0), ...: those below the diagonal.
    fn below(&self) -> impl Iterator<Item = f64> {
        (1..self.n).flat_map(|i| &self.row(i)[..i]).copied()
    }
}

/// Dot products of every row of `a` with every row of `b`.
fn dots_of_tile(a: &[[f64; TILE]], b: &[[f64; TILE]]) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for (a, b) in a.iter().zip(b) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

/// The rows in float64.
///
/// # Panics
///
/// When they are not all of one width.
fn wide(rows: &[&[f32]]) -> Vec<Vec<f64>> {
    let width = rows.first().map_or(0, |row| row.len());
    assert!(rows.iter().all(|row| row.len() == width), "all rows have one width");
    rows.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect()
}

#[cfg(test)]
mod tests;

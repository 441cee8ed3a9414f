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
mod neighbours;
mod rdm;

use rayon::prelude::*;

pub use exchange::{Exchanged, Side, exchange_tests};
pub use gram::{
    CentredGram, Gram, biased_cka, biased_cka_by_chance, debiased_cka, debiased_cka_error,
};
pub use neighbours::{MutualNeighbours, Neighbours, mutual_neighbours};
pub use rdm::{Rdm, rsa};

use super::dot::dot_wide;

/// The least number of rows that any of the measures is defined for.
const LEAST_ROWS: usize = 4;

/// A symmetric table of n x n numbers.
#[derive(Debug, Clone, PartialEq)]
struct Symmetric {
    n: usize,
    /// Row after row, both triangles.
    values: Vec<f64>,
}

impl Symmetric {
    /// `entry(i, j)` for every j <= i, computed in parallel; each entry depends on i and j alone.
    fn from_entries(n: usize, entry: impl Fn(usize, usize) -> f64 + Sync) -> Self {
        let row = |i: usize| (0..=i).map(|j| entry(i, j)).collect::<Vec<f64>>();
        let lower: Vec<Vec<f64>> = (0..n).into_par_iter().map(row).collect();
        let mut values = vec![0.0; n * n];
        for (i, row) in lower.iter().enumerate() {
            for (j, &value) in row.iter().enumerate() {
                values[i * n + j] = value;
                values[j * n + i] = value;
            }
        }
        Self { n, values }
    }

    /// Dot products of every row of `rows` with every other.
    fn of_dots(rows: &[Vec<f64>]) -> Self {
        Self::from_entries(rows.len(), |i, j| dot_wide(&rows[i], &rows[j]))
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

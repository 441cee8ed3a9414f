//! Solving with a symmetric positive definite matrix.

use crate::math::{Undefined, dot_wide};

/// The lower triangle `L` of a matrix that is `L Lᵀ` (Cholesky).
#[derive(Debug)]
pub(super) struct Cholesky {
    n: usize,
    /// Row after row; what is right of the diagonal is not read.
    rows: Vec<f64>,
}

impl Cholesky {
    /// Of the lower triangle of an n x n matrix, which lies row after row. n³/6 multiplications.
    /// [`Undefined::Constant`] where the matrix is not positive definite.
    pub(super) fn of(mut rows: Vec<f64>, n: usize) -> Result<Self, Undefined> {
        assert_eq!(rows.len(), n * n, "a square matrix");
        for i in 0..n {
            let (above, own) = rows.split_at_mut(i * n);
            for j in 0..i {
                let other = &above[j * n..=j * n + j];
                own[j] = (own[j] - dot_wide(&own[..j], &other[..j])) / other[j];
            }
            let square = own[i] - dot_wide(&own[..i], &own[..i]);
            if square.is_nan() || square <= 0.0 {
                return Err(Undefined::Constant);
            }
            own[i] = square.sqrt();
        }
        Ok(Self { n, rows })
    }

    /// `x` with matrix `x` = `right`.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let (n, mut x) = (self.n, right.to_vec());
        for i in 0..n {
            let row = &self.rows[i * n..=i * n + i];
            x[i] = (x[i] - dot_wide(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..n).rev() {
            let row = &self.rows[i * n..=i * n + i];
            let solved = x[i] / row[i];
            x[i] = solved;
            for (x, l) in x[..i].iter_mut().zip(row) {
                *x -= l * solved;
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.linalg.solve` of the same.
    #[test]
    fn three_equations_are_solved() {
        let matrix = vec![4.0, 9.0, 9.0, 2.0, 5.0, 9.0, 0.6, 1.0, 3.0];
        let x = Cholesky::of(matrix, 3).unwrap().solve(&[1.0, -2.0, 3.0]);
        let whole = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        for (row, right) in whole.iter().zip([1.0, -2.0, 3.0]) {
            assert!((dot_wide(row, &x) - right).abs() < 1e-14, "{x:?}");
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let refused = |matrix: [f64; 4]| Cholesky::of(matrix.to_vec(), 2).unwrap_err();
        assert_eq!(refused([1.0, 0.0, 2.0, 1.0]), Undefined::Constant);
        assert_eq!(refused([f64::NAN, 0.0, 0.0, 1.0]), Undefined::Constant);
    }
}

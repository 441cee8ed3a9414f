//! Do the same inputs lie next to each other on both sides?
//!
//! The mean over inputs of how many of the k nearest others (by cosine, oneself excluded) the two
//! sides share, over k: mutual k nearest neighbours (Huh et al. 2024). Two unrelated sides share
//! k/(n-1) by chance, so the chance-corrected value is given too.

use super::{LEAST_ROWS, Symmetric, wide};
use crate::math::dot::dot_wide;
use crate::math::{Undefined, top_k};

/// The nearest others of every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbours {
    k: usize,
    /// Ascending places of the k nearest rows, for each row.
    nearest: Vec<Vec<usize>>,
}

impl Neighbours {
    /// The `k` rows with the largest cosine to each row, ties to the earlier row.
    /// [`Undefined::TooFew`] below 3k rows (chance alone would then share a third), or four;
    /// [`Undefined::ZeroNorm`] when a row has no direction.
    pub fn of_rows(rows: &[&[f32]], k: usize) -> Result<Self, Undefined> {
        let n = rows.len();
        if n < LEAST_ROWS || n < 3 * k || k == 0 {
            return Err(Undefined::TooFew);
        }
        let mut rows = wide(rows);
        for row in &mut rows {
            let norm = dot_wide(row, row).sqrt();
            if norm <= 0.0 {
                return Err(Undefined::ZeroNorm);
            }
            for x in &mut *row {
                *x /= norm;
            }
        }
        let cosines = Symmetric::of_dots(&rows);
        let nearest = |i: usize| {
            let mut others = cosines.row(i).to_vec();
            others[i] = f64::NEG_INFINITY;
            let mut nearest = top_k(&others, k);
            nearest.sort_unstable();
            nearest
        };
        Ok(Self { k, nearest: (0..n).map(nearest).collect() })
    }
}

/// How far two sides agree on who is near whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MutualNeighbours {
    /// Mean share of common neighbours, 0..1.
    pub share: f64,
    /// What unrelated sides would share on average: k/(n-1).
    pub chance: f64,
    /// (share - chance) / (1 - chance): 0 by chance, 1 for the same neighbours.
    pub corrected: f64,
}

/// The mutual neighbours of two sides.
///
/// # Panics
///
/// When the two do not have the same number of rows and of neighbours.
pub fn mutual_neighbours(a: &Neighbours, b: &Neighbours) -> MutualNeighbours {
    assert_eq!((a.k, a.nearest.len()), (b.k, b.nearest.len()), "both sides have the same rows");
    let (k, n) = (a.k as f64, a.nearest.len() as f64);
    let shared = |(a, b): (&Vec<usize>, &Vec<usize>)| {
        a.iter().filter(|place| b.binary_search(place).is_ok()).count()
    };
    let total: usize = a.nearest.iter().zip(&b.nearest).map(shared).sum();
    let (share, chance) = (total as f64 / (k * n), k / (n - 1.0));
    MutualNeighbours { share, chance, corrected: (share - chance) / (1.0 - chance) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::geometry::tests::{GOLDEN_X, GOLDEN_Y, noise, rows};

    #[test]
    fn the_golden_rows_share_three_neighbours_of_four() {
        let (x, y) = (GOLDEN_X.map(|row| row.to_vec()), GOLDEN_Y.map(|row| row.to_vec()));
        let of = |x: &[Vec<f32>]| Neighbours::of_rows(&rows(x), 2).unwrap();
        let both = mutual_neighbours(&of(&x), &of(&y));
        assert!((both.share - 0.75).abs() < 1e-15);
        assert!((both.chance - 0.4).abs() < 1e-15);
        assert!((both.corrected - 0.35 / 0.6).abs() < 1e-15);
    }

    #[test]
    fn unrelated_sides_share_what_chance_gives() {
        let of = |seed| Neighbours::of_rows(&rows(&noise(seed, 200, 5)), 10).unwrap();
        let both = mutual_neighbours(&of(1), &of(2));
        assert!(both.corrected.abs() < 0.03, "{both:?}");
        let same = mutual_neighbours(&of(1), &of(1));
        assert!((same.share - 1.0).abs() < 1e-15 && (same.corrected - 1.0).abs() < 1e-15);
    }

    #[test]
    fn too_few_rows_or_a_zero_row_have_no_neighbours() {
        let of = |x: &[Vec<f32>], k| Neighbours::of_rows(&rows(x), k).map(|_| ());
        let x = GOLDEN_X.map(|row| row.to_vec());
        assert_eq!(of(&x, 3), Err(Undefined::TooFew));
        assert_eq!(of(&x[..3], 1), Err(Undefined::TooFew));
        let mut zero = x;
        zero[2] = vec![0.0; 3];
        assert_eq!(of(&zero, 2), Err(Undefined::ZeroNorm));
    }
}

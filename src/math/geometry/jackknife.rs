//! Debiased CKA without one cluster of inputs after the other (delete-a-group jackknife).
//!
//! Taking a cluster C of m rows out of two U-centred tables A and B of n rows and U-centring what is
//! left comes to, with k = n - m, `r_i = -Σ_{c in C} A_ic` and `t_i = -Σ_{c in C} B_ic` (the sums of
//! what is left of row i, since whole rows sum to 0):
//!
//! ```text
//! <A, B> without C = <A, B> - 2 Σ_{c in C} Σ_j A_cj B_cj + Σ_{c, d in C} A_cd B_cd
//!                  + Σr Σt / ((k-1)(k-2)) - 2 Σ r_i t_i / (k-2)           sums over i not in C
//! ```
//!
//! so all clusters together take one pass over the tables; for a cluster of one row it is
//! `<A, B> - 2 s (n-2)/(n-3)` with s the row's own part. With θ the measure of all rows, θ₋ⱼ that
//! without cluster j and g clusters (Tukey 1958; Efron and Tibshirani 1993, chapter 11):
//!
//! ```text
//! pseudo-value of j = g θ - (g - 1) θ₋ⱼ            each row of the cluster has it
//! jackknifed θ      = the mean of the clusters' pseudo-values
//! se²               = (g - 1)/g Σ_j (θ₋ⱼ - mean of θ₋ⱼ)²
//! ```
//!
//! The clusters are the units, of whatever sizes: se² is the variance of the pseudo-values over g.

use super::gram::ROUNDING;
use super::{CentredGram, LEAST_ROWS};
use crate::math::Undefined;
use crate::math::dot::dot_wide;

/// Which rows belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowClusters {
    n: usize,
    /// Rows ascending, clusters in the order of their first rows.
    members: Vec<Vec<usize>>,
}

impl RowClusters {
    /// From the cluster of each row; any numbers.
    pub fn of(clusters: &[usize]) -> Self {
        let mut members: indexmap::IndexMap<usize, Vec<usize>> = indexmap::IndexMap::new();
        for (row, cluster) in clusters.iter().enumerate() {
            members.entry(*cluster).or_default().push(row);
        }
        Self { n: clusters.len(), members: members.into_values().collect() }
    }

    /// Every row by itself.
    pub fn single(n: usize) -> Self {
        Self::of(&(0..n).collect::<Vec<_>>())
    }

    /// How many clusters there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The rows of each cluster.
    pub(super) fn members(&self) -> &[Vec<usize>] {
        &self.members
    }
}

/// `<A, B>` of two U-centred tables, of all rows and without each cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    whole: f64,
    without: Vec<f64>,
}

impl LeftOut {
    /// Of `a` and `b`. n² multiplications, and n times the rows of larger clusters.
    /// [`Undefined::TooFew`] below five clusters, or when fewer than four rows are left.
    ///
    /// # Panics
    ///
    /// When the three do not have the same number of rows.
    pub fn of(a: &CentredGram, b: &CentredGram, clusters: &RowClusters) -> Result<Self, Undefined> {
        let n = a.n();
        assert!(b.n() == n && clusters.n == n, "both sides have the same rows");
        let largest = clusters.members.iter().map(Vec::len).max().unwrap_or(0);
        if clusters.count() <= LEAST_ROWS || n - largest < LEAST_ROWS {
            return Err(Undefined::TooFew);
        }
        let own: Vec<f64> = (0..n).map(|i| dot_wide(a.row(i), b.row(i))).collect();
        let whole = own.iter().sum();
        let without = clusters.members.iter().map(|out| without(a, b, (whole, &own), out));
        Ok(Self { whole, without: without.collect() })
    }
}

/// `<A, B>` without the rows `out`, given that of all rows and the part of each.
fn without(a: &CentredGram, b: &CentredGram, (whole, own): (f64, &[f64]), out: &[usize]) -> f64 {
    let left = (a.n() - out.len()) as f64;
    if let [row] = out {
        return whole - 2.0 * own[*row] * (left - 1.0) / (left - 2.0);
    }
    let mut among = 0.0;
    let (mut rows_a, mut rows_b) = (vec![0.0; a.n()], vec![0.0; a.n()]);
    for &c in out {
        among += out.iter().map(|&d| a.row(c)[d] * b.row(c)[d]).sum::<f64>();
        rows_a.iter_mut().zip(a.row(c)).for_each(|(sum, x)| *sum -= x);
        rows_b.iter_mut().zip(b.row(c)).for_each(|(sum, x)| *sum -= x);
    }
    for &c in out {
        (rows_a[c], rows_b[c]) = (0.0, 0.0);
    }
    let taken: f64 = out.iter().map(|&c| own[c]).sum();
    let all = rows_a.iter().sum::<f64>() * rows_b.iter().sum::<f64>();
    whole - 2.0 * taken + among + all / ((left - 1.0) * (left - 2.0))
        - 2.0 * dot_wide(&rows_a, &rows_b) / (left - 2.0)
}

/// A measure of all rows, and without each cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Jackknife {
    whole: f64,
    without: Vec<f64>,
}

impl Jackknife {
    /// Of debiased CKA, from `ab` of the two sides and `aa`, `bb` of each with itself.
    /// [`Undefined::Constant`] when a side does not vary without one of the clusters.
    pub fn of_cka(aa: &LeftOut, bb: &LeftOut, ab: &LeftOut) -> Result<Self, Undefined> {
        let least = ROUNDING.sqrt() * aa.whole.max(bb.whole);
        let each = aa.without.iter().zip(&bb.without).zip(&ab.without);
        let without = each.map(|((a, b), product)| {
            if a.min(*b) <= least {
                return Err(Undefined::Constant);
            }
            Ok(product / (a * b).sqrt())
        });
        let whole = ab.whole / (aa.whole * bb.whole).sqrt();
        Ok(Self { whole, without: without.collect::<Result<_, _>>()? })
    }

    /// The pseudo-value of each row: that of its cluster.
    pub fn pseudo_values(&self, clusters: &RowClusters) -> Vec<f64> {
        let g = clusters.count() as f64;
        let mut values = vec![0.0; clusters.n];
        for (without, members) in self.without.iter().zip(&clusters.members) {
            for &row in members {
                values[row] = g * self.whole - (g - 1.0) * without;
            }
        }
        values
    }

    /// Standard error of the measure.
    pub fn error(&self) -> f64 {
        let g = self.without.len() as f64;
        let mean = self.without.iter().sum::<f64>() / g;
        let squares: f64 = self.without.iter().map(|value| (value - mean).powi(2)).sum();
        (squares * (g - 1.0) / g).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::geometry::tests::{noise, rows};
    use crate::math::geometry::{Gram, debiased_cka};

    fn centred(x: &[Vec<f32>]) -> CentredGram {
        CentredGram::of(&Gram::of_rows(&rows(x))).unwrap()
    }

    fn jackknife(x: &[Vec<f32>], y: &[Vec<f32>], clusters: &RowClusters) -> Jackknife {
        let (a, b) = (centred(x), centred(y));
        let left_out = |a, b| LeftOut::of(a, b, clusters).unwrap();
        Jackknife::of_cka(&left_out(&a, &a), &left_out(&b, &b), &left_out(&a, &b)).unwrap()
    }

    #[test]
    fn without_a_cluster_is_taking_its_rows_out_by_hand() {
        let (x, y) = (noise(3, 11, 4), noise(4, 11, 6));
        let of = [0, 1, 0, 2, 3, 3, 4, 1, 0, 5, 6];
        for clusters in [RowClusters::of(&of), RowClusters::single(11)] {
            let found = jackknife(&x, &y, &clusters);
            assert!((found.whole - debiased_cka(&centred(&x), &centred(&y))).abs() < 1e-14);
            assert_eq!(found.without.len(), clusters.count());
            for (out, without) in clusters.members().iter().zip(&found.without) {
                let keep = |rows: &[Vec<f32>]| -> Vec<Vec<f32>> {
                    let kept = (0..11).filter(|i| !out.contains(i));
                    kept.map(|i| rows[i].clone()).collect()
                };
                let by_hand = debiased_cka(&centred(&keep(&x)), &centred(&keep(&y)));
                assert!((without - by_hand).abs() < 1e-12, "{out:?}: {without} {by_hand}");
            }
        }
    }

    #[test]
    fn pseudo_values_are_shared_by_a_cluster_and_average_to_the_jackknifed_value() {
        let (x, y) = (noise(5, 9, 4), noise(6, 9, 4));
        let clusters = RowClusters::of(&[0, 0, 1, 2, 3, 4, 4, 4, 5]);
        let found = jackknife(&x, &y, &clusters);
        let values = found.pseudo_values(&clusters);
        assert_eq!(values[0].to_bits(), values[1].to_bits());
        assert_eq!(values[5].to_bits(), values[7].to_bits());
        // One row of each cluster.
        let first = clusters.members().iter().map(|rows| values[rows[0]]);
        let mean = first.sum::<f64>() / 6.0;
        let without = found.without.iter().sum::<f64>() / 6.0;
        assert!((mean - (6.0 * found.whole - 5.0 * without)).abs() < 1e-12);
        // Clusters of one row: Tukey's pseudo-values and standard error.
        let single = RowClusters::single(9);
        let found = jackknife(&x, &y, &single);
        let values = found.pseudo_values(&single);
        for (value, without) in values.iter().zip(&found.without) {
            assert!((value - (9.0 * found.whole - 8.0 * without)).abs() < 1e-12);
        }
        let mean = values.iter().sum::<f64>() / 9.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 8.0;
        assert!((found.error() - (variance / 9.0).sqrt()).abs() < 1e-12);
    }

    /// Copies of every row say no more than the rows, once they are known to be copies.
    #[test]
    fn copies_of_clusters_do_not_narrow_the_error() {
        let (x, y) = (noise(7, 12, 4), noise(8, 12, 4));
        let twice = |rows: &[Vec<f32>]| [rows, rows].concat();
        let of: Vec<usize> = (0..12).chain(0..12).collect();
        let clusters = RowClusters::of(&of);
        let known = jackknife(&twice(&x), &twice(&y), &clusters).error();
        let single = RowClusters::single(24);
        let unknown = jackknife(&twice(&x), &twice(&y), &single).error();
        assert!(known > 1.2 * unknown, "{known} {unknown}");
    }

    #[test]
    fn too_few_clusters_or_rows_have_no_jackknife() {
        let a = centred(&noise(9, 8, 4));
        let left_out = |of: &[usize]| LeftOut::of(&a, &a, &RowClusters::of(of)).map(|_| ());
        assert_eq!(left_out(&[0, 1, 2, 3, 3, 3, 3, 3]), Err(Undefined::TooFew));
        assert_eq!(left_out(&[0, 0, 0, 0, 0, 1, 2, 3]), Err(Undefined::TooFew));
        assert_eq!(left_out(&[0, 0, 0, 0, 1, 2, 3, 4]), Ok(()));
        assert_eq!(left_out(&[0, 0, 0, 0, 1, 1, 2, 3]), Err(Undefined::TooFew));
    }
}

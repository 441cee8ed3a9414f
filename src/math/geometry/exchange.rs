//! The permutation test of debiased CKA and of RSA, upper tail: the rows of one side are given to other
//! inputs, as if the two sides arranged the inputs independently of each other (a Mantel test).
//!
//! An exchange of rows is an exchange of rows and columns of the n x n table that is already there.
//! The tables of both measures lie entry beside entry, so that one look-up serves both, and one
//! exchange of a side serves all the sides that it is held against.

use rayon::prelude::*;

use super::super::Stream;
use super::super::dot::dot_pairs;
use super::super::inference::PermutationTest;
use super::{CentredGram, Rdm};

/// How one side arranges its rows, by both measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    n: usize,
    /// Row after row, both triangles; 0 for a measure that the side does not have.
    entries: Vec<[f64; 2]>,
    /// Those below the diagonal, (1,0), (2,0), (2,1), ...
    below: Vec<[f64; 2]>,
    norms: [Option<f64>; 2],
}

/// The tests of one side against another, where both have the measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchanged {
    /// Of [`debiased_cka`](super::debiased_cka).
    pub cka: Option<PermutationTest>,
    /// Of [`rsa`](super::rsa).
    pub rsa: Option<PermutationTest>,
}

impl Side {
    /// Of the tables of a side of `n` rows; 16 bytes an entry, once and a half.
    ///
    /// # Panics
    ///
    /// When a table has another number of rows.
    pub fn new(n: usize, gram: Option<&CentredGram>, distances: Option<&Rdm>) -> Self {
        assert!(gram.is_none_or(|gram| gram.n() == n), "the table has as many rows");
        assert!(distances.is_none_or(|rdm| rdm.ranks.n == n), "the table has as many rows");
        let mut entries = vec![[0.0; 2]; n * n];
        let tables = [gram.map(|gram| &gram.products), distances.map(|rdm| &rdm.ranks)];
        for (measure, table) in tables.into_iter().enumerate() {
            for (entry, value) in entries.iter_mut().zip(table.into_iter().flat_map(|t| &t.values))
            {
                entry[measure] = *value;
            }
        }
        let below = (1..n).flat_map(|i| &entries[i * n..i * n + i]).copied().collect();
        let norms = [gram.map(|gram| gram.norm), distances.map(|rdm| rdm.norm)];
        Self { n, entries, below, norms }
    }

    /// Puts the entries below the diagonal into `to`, with place `order[i]` for place i.
    fn exchanged(&self, order: &[u32], to: &mut Vec<[f64; 2]>) {
        to.clear();
        for (i, &place) in order.iter().enumerate() {
            let row = &self.entries[place as usize * self.n..][..self.n];
            to.extend(order[..i].iter().map(|&other| row[other as usize]));
        }
    }
}

/// The tests of `side` against each of `others`: its rows are given to other inputs, `draws` times.
/// Draw m depends on (`seed`, `purpose`, m) and the number of rows alone.
///
/// # Panics
///
/// When the sides do not all have the same number of rows.
pub fn exchange_tests(
    others: &[Side],
    side: &Side,
    draws: usize,
    seed: u64,
    purpose: &str,
) -> Vec<Exchanged> {
    assert!(others.iter().all(|other| other.n == side.n), "all sides have the same rows");
    let products = |below: &[[f64; 2]]| -> Vec<[f64; 2]> {
        others.iter().map(|other| dot_pairs(&other.below, below)).collect()
    };
    let of_draw = |exchanged: &mut Vec<[f64; 2]>, draw: usize| {
        let mut order: Vec<u32> = (0..side.n as u32).collect();
        Stream::new(seed, purpose, draw as u64).shuffle(&mut order);
        side.exchanged(&order, exchanged);
        products(exchanged)
    };
    let drawn: Vec<Vec<[f64; 2]>> =
        (0..draws).into_par_iter().map_init(Vec::new, of_draw).collect();
    let observed = products(&side.below);
    let test = |other: usize, measure: usize| {
        let norms = others[other].norms[measure]? * side.norms[measure]?;
        // Each pair of rows is in a norm twice.
        let statistic = |products: &[[f64; 2]]| 2.0 * products[other][measure] / norms;
        let values = drawn.iter().map(|products| statistic(products)).collect();
        Some(PermutationTest::new(statistic(&observed), values, false))
    };
    (0..others.len()).map(|other| Exchanged { cka: test(other, 0), rsa: test(other, 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{noise, rows};
    use super::super::{Gram, debiased_cka, rsa};
    use super::*;

    fn tables(x: &[Vec<f32>]) -> (CentredGram, Rdm) {
        let gram = CentredGram::of(&Gram::of_rows(&rows(x))).unwrap();
        (gram, Rdm::pearson(&rows(x)).unwrap())
    }

    fn side(x: &[Vec<f32>]) -> Side {
        let (gram, distances) = tables(x);
        Side::new(x.len(), Some(&gram), Some(&distances))
    }

    #[test]
    fn permutations_are_of_the_rows_of_one_side_and_the_same_for_all_others() {
        let (x, y, z) = (noise(5, 9, 4), noise(6, 9, 3), noise(7, 9, 5));
        let tests = exchange_tests(&[side(&x), side(&y)], &side(&z), 20, 37, "geometry");
        for (other, test) in [&x, &y].into_iter().zip(&tests) {
            let (gram, distances) = tables(other);
            let (cka, rsas) = (test.cka.as_ref().unwrap(), test.rsa.as_ref().unwrap());
            let (own_gram, own_distances) = tables(&z);
            assert!((cka.observed() - debiased_cka(&gram, &own_gram)).abs() < 1e-14);
            assert!((rsas.observed() - rsa(&distances, &own_distances)).abs() < 1e-14);
            for draw in 0..20 {
                let mut order: Vec<usize> = (0..9).collect();
                Stream::new(37, "geometry", draw as u64).shuffle(&mut order);
                let exchanged: Vec<Vec<f32>> = order.iter().map(|&i| z[i].clone()).collect();
                let (own_gram, own_distances) = tables(&exchanged);
                assert!((cka.draws()[draw] - debiased_cka(&gram, &own_gram)).abs() < 1e-13);
                assert!((rsas.draws()[draw] - rsa(&distances, &own_distances)).abs() < 1e-13);
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone =
            pool.install(|| exchange_tests(&[side(&x), side(&y)], &side(&z), 20, 37, "geometry"));
        assert_eq!(tests, alone);
    }

    #[test]
    fn a_measure_that_a_side_does_not_have_is_not_tested() {
        let (gram, distances) = tables(&noise(1, 6, 3));
        let whole = Side::new(6, Some(&gram), Some(&distances));
        let only = [Side::new(6, Some(&gram), None), Side::new(6, None, Some(&distances))];
        let both = exchange_tests(std::slice::from_ref(&whole), &whole, 9, 1, "x").remove(0);
        let tests = exchange_tests(&only, &whole, 9, 1, "x");
        assert_eq!(tests[0], Exchanged { cka: both.cka, rsa: None });
        assert_eq!(tests[1], Exchanged { cka: None, rsa: both.rsa });
    }
}

//! The permutation test of debiased CKA and of RSA, upper tail: the rows of one side are given to other
//! inputs, as if the two sides arranged the inputs independently of each other (a Mantel test). Rows
//! of one cluster stay together: whole clusters are exchanged, with clusters of as many rows.
//!
//! An exchange of rows is an exchange of rows and columns of the n x n table that is already there.
//! The tables of both measures lie entry beside entry, so that one look-up serves both, and one
//! exchange of a side serves all the sides that it is compared with.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::{CentredGram, Rdm, RowClusters};
use crate::math::Stream;
use crate::math::dot::dot_pairs;
use crate::math::inference::PermutationTest;

/// Fewer ways to exchange the clusters cannot give a p of 0.05.
const LEAST_WAYS: f64 = 20.0;
/// Entries that are looked up before they are multiplied, so that they stay in the nearest cache.
const BLOCK: usize = 512;
/// Draws that a thread makes together, so that it reads the other sides once for all of them.
const AT_ONCE: usize = 8;

/// How one side arranges its rows, by both measures.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    n: usize,
    /// Row after row, both triangles; 0 for a measure that the side does not have.
    entries: Vec<[f64; 2]>,
    /// Those below the diagonal, (1,0), (2,0), (2,1), ...
    below: Vec<[f64; 2]>,
    /// Roots of the sums of the squares of `below`.
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
        assert!(distances.is_none_or(|rdm| rdm.n() == n), "the table has as many rows");
        let mut below = vec![[0.0; 2]; n * n.saturating_sub(1) / 2];
        let mut norms = [None; 2];
        if let Some((products, norm)) = gram.map(CentredGram::below) {
            below.iter_mut().zip(products).for_each(|(entry, product)| entry[0] = product);
            norms[0] = Some(norm);
        }
        if let Some((ranks, norm)) = distances.map(Rdm::ranks) {
            below.iter_mut().zip(ranks).for_each(|(entry, rank)| entry[1] = *rank);
            norms[1] = Some(norm);
        }
        let mut entries = vec![[0.0; 2]; n * n];
        let mut next = below.iter();
        for i in 1..n {
            for (j, entry) in next.by_ref().take(i).enumerate() {
                entries[i * n + j] = *entry;
                entries[j * n + i] = *entry;
            }
        }
        Self { n, entries, below, norms }
    }

    /// Puts the entries below the diagonal of some rows into `block`, with place `order[i]` for
    /// place i.
    fn exchanged(&self, order: &[u32], rows: Range<usize>, block: &mut Vec<[f64; 2]>) {
        block.resize(pairs_before(rows.end) - pairs_before(rows.start), [0.0; 2]);
        let mut rest = &mut block[..];
        for i in rows {
            let row = &self.entries[order[i] as usize * self.n..][..self.n];
            let to = rest.split_off_mut(..i).unwrap_or_default();
            for (entry, &other) in to.iter_mut().zip(&order[..i]) {
                *entry = row[other as usize];
            }
        }
    }
}

/// How many entries below the diagonal the first `rows` rows have.
fn pairs_before(rows: usize) -> usize {
    rows * rows.saturating_sub(1) / 2
}

/// The rows cut into blocks of about [`BLOCK`] entries below the diagonal.
fn blocks(n: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for end in 1..=n {
        if end == n || pairs_before(end) - pairs_before(start) >= BLOCK {
            blocks.push(start..end);
            start = end;
        }
    }
    blocks
}

/// The clusters by their sizes: lists of clusters that can be exchanged with each other.
fn by_size(clusters: &RowClusters) -> Vec<Vec<&[usize]>> {
    let mut classes: BTreeMap<usize, Vec<&[usize]>> = BTreeMap::new();
    for members in clusters.members() {
        classes.entry(members.len()).or_default().push(members);
    }
    classes.into_values().collect()
}

/// In how many ways they can be exchanged.
fn ways(classes: &[Vec<&[usize]>]) -> f64 {
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    classes.iter().map(|class| factorial(class.len())).product()
}

/// For each row the row that takes its place: clusters of one size are shuffled among each other.
fn exchanged_rows(n: usize, classes: &[Vec<&[usize]>], mut stream: Stream) -> Vec<u32> {
    let mut order = vec![0; n];
    for class in classes {
        let mut others: Vec<u32> = (0..class.len() as u32).collect();
        stream.shuffle(&mut others);
        for (members, other) in class.iter().zip(others) {
            for (&row, &from) in members.iter().zip(class[other as usize]) {
                order[row] = from as u32;
            }
        }
    }
    order
}

/// The tests of `side` against each of `others`: its rows are given to other inputs, `draws` times,
/// whole `clusters` at once; none where the clusters can be exchanged in fewer than 20 ways. Draw m
/// depends on (`seed`, `purpose`, m), the number of rows and the clusters alone.
///
/// # Panics
///
/// When the sides do not all have the same number of rows.
pub fn exchange_tests(
    others: &[Side],
    side: &Side,
    clusters: &RowClusters,
    draws: usize,
    (seed, purpose): (u64, &str),
) -> Vec<Exchanged> {
    assert!(others.iter().all(|other| other.n == side.n), "all sides have the same rows");
    let classes = by_size(clusters);
    if others.is_empty() || ways(&classes) < LEAST_WAYS {
        return others.iter().map(|_| Exchanged { cka: None, rsa: None }).collect();
    }
    let blocks = blocks(side.n);
    // For each of some orders the products with each of the others.
    let products = |orders: &[Vec<u32>]| {
        let mut products = vec![vec![[0.0; 2]; others.len()]; orders.len()];
        let mut block = Vec::new();
        for rows in &blocks {
            let place = pairs_before(rows.start)..pairs_before(rows.end);
            for (order, products) in orders.iter().zip(&mut products) {
                side.exchanged(order, rows.clone(), &mut block);
                for (product, other) in products.iter_mut().zip(others) {
                    let of_block = dot_pairs(&other.below[place.clone()], &block);
                    *product = [product[0] + of_block[0], product[1] + of_block[1]];
                }
            }
        }
        products
    };
    let identity: Vec<u32> = (0..side.n as u32).collect();
    let order =
        |draw: usize| exchanged_rows(side.n, &classes, Stream::new(seed, purpose, draw as u64));
    let of_draws = |first: usize| {
        let orders: Vec<Vec<u32>> = (first..draws.min(first + AT_ONCE)).map(order).collect();
        products(&orders)
    };
    let firsts: Vec<usize> = (0..draws).step_by(AT_ONCE).collect();
    let drawn: Vec<Vec<[f64; 2]>> = firsts.into_par_iter().flat_map_iter(of_draws).collect();
    let observed = products(std::slice::from_ref(&identity)).remove(0);
    let test = |other: usize, measure: usize| {
        let norms = others[other].norms[measure]? * side.norms[measure]?;
        let statistic = |products: &[[f64; 2]]| products[other][measure] / norms;
        let values = drawn.iter().map(|products| statistic(products)).collect();
        Some(PermutationTest::new(statistic(&observed), values, false))
    };
    (0..others.len()).map(|other| Exchanged { cka: test(other, 0), rsa: test(other, 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::geometry::tests::{noise, rows};
    use crate::math::geometry::{Gram, debiased_cka, rsa};

    fn tables(x: &[Vec<f32>]) -> (CentredGram, Rdm) {
        let gram = CentredGram::of(&Gram::of_rows(&rows(x))).unwrap();
        (gram, Rdm::pearson(&rows(x)).unwrap())
    }

    fn side(x: &[Vec<f32>]) -> Side {
        let (gram, distances) = tables(x);
        Side::new(x.len(), Some(&gram), Some(&distances))
    }

    /// More pairs of rows than a block has, and more draws than are made together.
    #[test]
    fn permutations_are_of_the_rows_of_one_side_and_the_same_for_all_others() {
        let (x, y, z) = (noise(5, 40, 4), noise(6, 40, 3), noise(7, 40, 5));
        assert!(blocks(40).len() > 1 && 20 > AT_ONCE);
        let (others, single) = ([side(&x), side(&y)], RowClusters::single(40));
        let tests = exchange_tests(&others, &side(&z), &single, 20, (37, "geometry"));
        for (other, test) in [&x, &y].into_iter().zip(&tests) {
            let (gram, distances) = tables(other);
            let (cka, rsas) = (test.cka.as_ref().unwrap(), test.rsa.as_ref().unwrap());
            let (own_gram, own_distances) = tables(&z);
            assert!((cka.observed() - debiased_cka(&gram, &own_gram)).abs() < 1e-14);
            assert!((rsas.observed() - rsa(&distances, &own_distances)).abs() < 1e-14);
            for draw in 0..20 {
                let mut order: Vec<usize> = (0..40).collect();
                Stream::new(37, "geometry", draw as u64).shuffle(&mut order);
                let exchanged: Vec<Vec<f32>> = order.iter().map(|&i| z[i].clone()).collect();
                let (own_gram, own_distances) = tables(&exchanged);
                assert!((cka.draws()[draw] - debiased_cka(&gram, &own_gram)).abs() < 1e-13);
                assert!((rsas.draws()[draw] - rsa(&distances, &own_distances)).abs() < 1e-13);
            }
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone =
            pool.install(|| exchange_tests(&others, &side(&z), &single, 20, (37, "geometry")));
        assert_eq!(tests, alone);
    }

    #[test]
    fn a_measure_that_a_side_does_not_have_is_not_tested() {
        let (gram, distances) = tables(&noise(1, 6, 3));
        let whole = Side::new(6, Some(&gram), Some(&distances));
        let only = [Side::new(6, Some(&gram), None), Side::new(6, None, Some(&distances))];
        let test =
            |others: &[Side]| exchange_tests(others, &whole, &RowClusters::single(6), 9, (1, "x"));
        let both = test(std::slice::from_ref(&whole)).remove(0);
        let tests = test(&only);
        assert_eq!(tests[0], Exchanged { cka: both.cka, rsa: None });
        assert_eq!(tests[1], Exchanged { cka: None, rsa: both.rsa });
    }

    #[test]
    fn clusters_stay_together_and_change_places_with_clusters_of_their_size() {
        let of = [0, 1, 0, 2, 3, 3, 4, 1, 5, 5];
        let clusters = RowClusters::of(&of);
        let classes = by_size(&clusters);
        // Two clusters of one row, four of two.
        assert!((ways(&classes) - 48.0).abs() < 1e-9);
        let mut seen = std::collections::BTreeSet::new();
        for draw in 0..400 {
            let order = exchanged_rows(10, &classes, Stream::new(1, "clusters", draw));
            let mut rows = order.clone();
            rows.sort_unstable();
            assert!(rows.iter().copied().eq(0..10));
            let is_together = |a: usize, b: usize| {
                (of[a] == of[b]) == (of[order[a] as usize] == of[order[b] as usize])
            };
            assert!((0..10).all(|a| (0..10).all(|b| is_together(a, b))), "{order:?}");
            seen.insert(order);
        }
        assert_eq!(seen.len(), 48);
    }

    #[test]
    fn clusters_that_can_hardly_be_exchanged_are_not_tested() {
        let whole = side(&noise(2, 9, 3));
        let test = |of: &[usize]| {
            let others = std::slice::from_ref(&whole);
            exchange_tests(others, &whole, &RowClusters::of(of), 9, (1, "x")).remove(0)
        };
        assert_eq!(test(&[0, 0, 1, 1, 2, 2, 3, 3, 3]), Exchanged { cka: None, rsa: None });
        assert!(test(&[0, 0, 1, 1, 2, 2, 3, 3, 4]).cka.is_some());
    }
}

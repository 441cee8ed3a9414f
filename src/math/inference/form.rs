//! Do tasks differ more than wordings do, once the wordings' form is taken out?
//!
//! Questions of one task are often longer than those of another, or share more words, and that alone
//! moves a model. So the dissimilarities of all pairs of wordings are regressed on how different the
//! pairs' forms are (their lengths in tokens, the words that they do not share), and what is left is
//! tested, by the permutation of residuals of Freedman and Lane 1983 for tables of distances (Dekker,
//! Krackhardt and Snijders 2007):
//!
//! ```text
//! D = X b + R        over the pairs of wordings, X: 1 and the differences in form
//! L                  1 for a pair of different tasks, else 0; l = L less what X says of it
//! statistic          <l, πR> / (|l| |πR less what X says of it|)      π exchanges whole wordings
//! p                  how often a random exchange does as well as none: (b + 1) / (m + 1)
//! ```

use super::PermutationTest;
use crate::math::{Stream, Undefined};

/// What is left of a column below this part of it is rounding: it was a sum of the others.
const COLLINEAR: f64 = 1e-9;

/// Random orders of the cells (task 0 wording 0, task 0 wording 1, ...), made once for all measures and
/// layers. Order m depends on (`seed`, `purpose`, m) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    cells: usize,
    orders: Vec<Vec<usize>>,
}

impl Orders {
    /// `draws` orders of so many cells.
    pub fn new(cells: usize, draws: usize, seed: u64, purpose: &str) -> Self {
        let order = |draw: usize| {
            let mut order: Vec<usize> = (0..cells).collect();
            Stream::new(seed, purpose, draw as u64).shuffle(&mut order);
            order
        };
        Self { cells, orders: (0..draws).map(order).collect() }
    }
}

/// How the wordings' forms differ, and which pairs are of different tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    cells: usize,
    /// Orthonormal columns over the pairs (1,0), (2,0), (2,1), ...: 1 and what the forms' differences
    /// add to it.
    columns: Vec<Vec<f64>>,
    /// What is left of [`Form`]'s label of pairs of different tasks, of length 1.
    label: Vec<f64>,
}

impl Form {
    /// From the task of each cell and symmetric tables of how different two cells' forms are, row after
    /// row. [`Undefined::Constant`] when the forms alone say which pairs are of different tasks: then
    /// form and task cannot be told apart.
    ///
    /// # Panics
    ///
    /// When a table does not have one row and one column for each cell.
    pub fn new(tasks: &[usize], differences: &[Vec<f64>]) -> Result<Self, Undefined> {
        let cells = tasks.len();
        let pairs = || (1..cells).flat_map(|a| (0..a).map(move |b| (a, b)));
        let mut columns = Vec::new();
        let ones = vec![1.0; pairs().count()];
        for column in std::iter::once(ones).chain(differences.iter().map(|table| {
            assert_eq!(table.len(), cells * cells, "one row and one column for each cell");
            pairs().map(|(a, b)| table[a * cells + b]).collect()
        })) {
            columns.extend(left_of(column, &columns));
        }
        let label: Vec<f64> =
            pairs().map(|(a, b)| if tasks[a] == tasks[b] { 0.0 } else { 1.0 }).collect();
        let label = left_of(label, &columns).ok_or(Undefined::Constant)?;
        Ok(Self { cells, columns, label })
    }

    /// The test on a symmetric table of dissimilarities, upper tail. [`Undefined::Constant`] when
    /// nothing of it is left once the forms are taken out.
    ///
    /// # Panics
    ///
    /// When table or orders are of another number of cells.
    pub fn test(
        &self,
        dissimilarities: &[f64],
        orders: &Orders,
    ) -> Result<PermutationTest, Undefined> {
        let n = self.cells;
        assert!(dissimilarities.len() == n * n && orders.cells == n, "of the same cells");
        let pairs = || (1..n).flat_map(|a| (0..a).map(move |b| (a, b)));
        let values = pairs().map(|(a, b)| dissimilarities[a * n + b]).collect();
        let left = left_of(values, &self.columns).ok_or(Undefined::Constant)?;
        let mut residuals = vec![0.0; n * n];
        for ((a, b), value) in pairs().zip(&left) {
            (residuals[a * n + b], residuals[b * n + a]) = (*value, *value);
        }
        let statistic = |order: &[usize]| {
            let mut products = vec![0.0; self.columns.len()];
            let mut with_label = 0.0;
            for (place, (a, b)) in pairs().enumerate() {
                let value = residuals[order[a] * n + order[b]];
                with_label += self.label[place] * value;
                for (product, column) in products.iter_mut().zip(&self.columns) {
                    *product += column[place] * value;
                }
            }
            // The residuals have length 1 in any order.
            let explained: f64 = products.iter().map(|product| product * product).sum();
            with_label / (1.0 - explained).max(COLLINEAR).sqrt()
        };
        let own: Vec<usize> = (0..n).collect();
        let draws = orders.orders.iter().map(|order| statistic(order)).collect();
        Ok(PermutationTest::new(statistic(&own), draws, false))
    }
}

/// What is left of a column without its parts along orthonormal `others`, made length 1; `None` when
/// that is nothing.
fn left_of(mut column: Vec<f64>, others: &[Vec<f64>]) -> Option<Vec<f64>> {
    let norm = |column: &[f64]| column.iter().map(|x| x * x).sum::<f64>().sqrt();
    let whole = norm(&column);
    // Twice, so that what rounding left of the parts goes too.
    for _ in 0..2 {
        for other in others {
            let part: f64 = column.iter().zip(other).map(|(x, y)| x * y).sum();
            for (x, y) in column.iter_mut().zip(other) {
                *x -= part * y;
            }
        }
    }
    let left = norm(&column);
    (left > COLLINEAR * whole).then(|| column.into_iter().map(|x| x / left).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASKS: [usize; 8] = [0, 0, 0, 0, 1, 1, 1, 1];

    fn table(of: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let cells = 0..8_usize;
        cells
            .clone()
            .flat_map(|a| cells.clone().map(move |b| (a, b)))
            .map(|(a, b)| of(a, b))
            .collect()
    }

    fn noise(a: usize, b: usize) -> f64 {
        ((a.min(b) * 37 + a.max(b) * 101) % 53) as f64 / 530.0
    }

    #[test]
    fn a_difference_that_length_makes_is_no_difference_of_tasks() {
        let lengths = [5.0, 6.0, 7.0, 9.0, 8.0, 11.0, 12.0, 10.0_f64];
        let apart = |a: usize, b: usize| (lengths[a] - lengths[b]).abs();
        let form = Form::new(&TASKS, &[table(apart)]).unwrap();
        let orders = Orders::new(8, 999, 1, "form");
        let of_length = form.test(&table(|a, b| apart(a, b) + noise(a, b)), &orders).unwrap();
        assert!(of_length.p() > 0.2, "{}", of_length.p());
        let task = |a: usize, b: usize| f64::from(u8::from(TASKS[a] != TASKS[b]));
        let of_task =
            form.test(&table(|a, b| apart(a, b) + task(a, b) + noise(a, b)), &orders).unwrap();
        assert!(of_task.p() < 0.04, "{}", of_task.p());
    }

    /// `numpy.linalg.lstsq`: the partial correlation of distances and label given the form.
    #[test]
    fn the_statistic_is_the_partial_correlation() {
        let form =
            Form::new(&TASKS, &[table(|a, b| ((a * b) % 5) as f64 + (a + b) as f64)]).unwrap();
        let test = form.test(&table(noise), &Orders::new(8, 9, 1, "form")).unwrap();
        assert!(
            (test.observed() - (-0.125_091_740_817_696_67)).abs() < 1e-9,
            "{}",
            test.observed()
        );
    }

    #[test]
    fn form_that_says_which_task_a_wording_is_of_leaves_nothing_to_test() {
        let task = |a: usize, b: usize| f64::from(u8::from(TASKS[a] != TASKS[b]));
        assert_eq!(Form::new(&TASKS, &[table(task)]), Err(Undefined::Constant));
        let form = Form::new(&TASKS, &[table(|_, _| 3.0)]).unwrap();
        let flat = form.test(&table(|_, _| 0.3), &Orders::new(8, 9, 1, "form"));
        assert_eq!(flat, Err(Undefined::Constant));
    }
}

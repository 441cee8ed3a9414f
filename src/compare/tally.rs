//! Counts what is not the same in the rows that two tables both have.

use std::collections::BTreeSet;

use super::cells::{Block, Cell, float};
use super::document::{Change, ColumnComparison, Key, Rows};
use super::join::{Side, Visit, hash_of};
use super::tolerance::Tolerance;

/// A column that is compared.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) name: &'static str,
    /// `None`: exactly.
    pub(super) tolerance: Option<Tolerance>,
    /// Whether its numbers are names.
    pub(super) is_id: bool,
}

/// Counts over all rows of a table.
pub(super) struct Tally<'t> {
    keys: &'t [&'static str],
    /// Where scenario and input stand among the keys, when the table has both.
    input: Option<[usize; 2]>,
    changed_inputs: &'t BTreeSet<u64>,
    rows: Rows,
    columns: Vec<Count<'t>>,
}

struct Count<'t> {
    column: &'t Compared,
    changed: u64,
    /// How many times what is allowed the largest difference is, and its size.
    rank: (f64, f64),
    largest: Option<Change>,
    first: Option<Change>,
}

/// How two cells differ.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Apart {
    /// They are equal.
    Not,
    /// As numbers, or in an element of a list.
    By { size: f64, allowed: f64, element: Option<usize> },
    /// As texts, or one is missing, or lists have other lengths.
    Wholly,
}

impl<'t> Tally<'t> {
    pub(super) fn new(
        keys: &'t [&'static str],
        columns: &'t [Compared],
        changed_inputs: &'t BTreeSet<u64>,
    ) -> Self {
        let place = |name: &str| keys.iter().position(|key| *key == name);
        let input = place("scenario").zip(place("input")).map(<[usize; 2]>::from);
        let count =
            |column| Count { column, changed: 0, rank: (0.0, 0.0), largest: None, first: None };
        let columns = columns.iter().map(count).collect();
        Self { keys, input, changed_inputs, rows: Rows::default(), columns }
    }

    pub(super) fn finish(self) -> (Rows, Vec<ColumnComparison>) {
        let columns = self.columns.into_iter().map(|count| ColumnComparison {
            column: count.column.name.to_owned(),
            relative: count.column.tolerance.map(|own| own.relative),
            absolute: count.column.tolerance.map(|own| own.absolute),
            changed: count.changed,
            largest: count.largest,
            first: count.first,
        });
        (self.rows, columns.collect())
    }

    fn is_of_changed_input(&self, block: &Block, row: usize) -> bool {
        self.input.is_some_and(|[scenario, input]| {
            let (scenario, input) = (block.keys[scenario].at(row), block.keys[input].at(row));
            matches!((scenario, input), (Cell::Text(scenario), Cell::Text(input))
                if self.changed_inputs.contains(&input_hash(scenario, input)))
        })
    }
}

/// Stands for an input of a scenario.
pub(super) fn input_hash(scenario: &str, input: &str) -> u64 {
    hash_of(format!("{}:{scenario}{input}", scenario.len()).as_bytes())
}

/// The key of a row, as it is shown.
pub(super) fn key_of(names: &[&str], block: &Block, row: usize) -> Key {
    let cells = names.iter().zip(&block.keys);
    cells.map(|(name, cells)| ((*name).to_owned(), cells.at(row).json())).collect()
}

impl Visit for Tally<'_> {
    fn pair(&mut self, base: (&Block, usize), other: (&Block, usize)) {
        self.rows.both += 1;
        let mut has_changed = false;
        for (at, count) in self.columns.iter_mut().enumerate() {
            let cells = (base.0.cells[at].at(base.1), other.0.cells[at].at(other.1));
            let apart = match apart(cells.0, cells.1, count.column.tolerance) {
                Apart::By { .. } if count.column.is_id => Apart::Wholly,
                apart => apart,
            };
            let key = || key_of(self.keys, base.0, base.1);
            has_changed |= count.add(apart, cells, key);
        }
        if has_changed {
            self.rows.changed += 1;
            let is_expected = self.is_of_changed_input(base.0, base.1);
            self.rows.changed_of_changed_inputs += u64::from(is_expected);
        }
    }

    fn only(&mut self, side: Side, (block, row): (&Block, usize)) {
        let (count, first) = match side {
            Side::Base => (&mut self.rows.only_base, &mut self.rows.first_only_base),
            Side::Other => (&mut self.rows.only_other, &mut self.rows.first_only_other),
        };
        *count += 1;
        if first.is_none() {
            *first = Some(key_of(self.keys, block, row));
        }
    }
}

impl Count<'_> {
    /// Whether the cells have changed.
    fn add(
        &mut self,
        apart: Apart,
        (base, other): (Cell<'_>, Cell<'_>),
        key: impl Fn() -> Key,
    ) -> bool {
        match apart {
            Apart::Not => false,
            Apart::By { size, allowed, element } => {
                // Where nothing is allowed the largest is the largest.
                let rank = (if allowed > 0.0 { size / allowed } else { f64::INFINITY }, size);
                if rank > self.rank || self.largest.is_none() {
                    self.rank = rank;
                    let (base, other) = match element {
                        Some(at) => (element_of(base, at), element_of(other, at)),
                        None => (base.json(), other.json()),
                    };
                    let (size, allowed) = (Some(size), Some(allowed));
                    self.largest = Some(Change { key: key(), base, other, size, allowed, element });
                }
                let has_changed = size > allowed;
                self.changed += u64::from(has_changed);
                has_changed
            }
            Apart::Wholly => {
                self.changed += 1;
                if self.first.is_none() {
                    let (base, other) = (base.json(), other.json());
                    let (key, size, allowed, element) = (key(), None, None, None);
                    self.first = Some(Change { key, base, other, size, allowed, element });
                }
                true
            }
        }
    }
}

fn element_of(cell: Cell<'_>, at: usize) -> serde_json::Value {
    match cell {
        Cell::Ints(numbers) => numbers[at].into(),
        Cell::Floats(numbers) => float(numbers[at]),
        Cell::Vector(numbers) => float(numbers[at].into()),
        cell => cell.json(),
    }
}

fn apart(a: Cell<'_>, b: Cell<'_>, tolerance: Option<Tolerance>) -> Apart {
    let allows = |a: f64, b: f64| tolerance.map_or(0.0, |own| own.allows(a, b));
    match (a, b) {
        (Cell::Float(a), Cell::Float(b)) if is_equal(a, b) => Apart::Not,
        (Cell::Float(a), Cell::Float(b)) => {
            Apart::By { size: size(a, b), allowed: allows(a, b), element: None }
        }
        (Cell::Int(a), Cell::Int(b)) if a != b => {
            Apart::By { size: a.abs_diff(b) as f64, allowed: 0.0, element: None }
        }
        (Cell::Ints(a), Cell::Ints(b)) if a.len() == b.len() => {
            largest(a.iter().zip(b).map(|(a, b)| (a.abs_diff(*b).into(), 0.0)))
        }
        (Cell::Floats(a), Cell::Floats(b)) if a.len() == b.len() => {
            largest(a.iter().zip(b).map(|(a, b)| (size(*a, *b), allows(*a, *b))))
        }
        (Cell::Vector(a), Cell::Vector(b)) if a.len() == b.len() => {
            if a == b {
                return Apart::Not;
            }
            let allowed = allows(norm(a), norm(b));
            largest(a.iter().zip(b).map(|(a, b)| (size((*a).into(), (*b).into()), allowed)))
        }
        (a, b) if a == b => Apart::Not,
        _ => Apart::Wholly,
    }
}

/// How far apart; infinite where one is no number.
fn size(a: f64, b: f64) -> f64 {
    if is_equal(a, b) {
        return 0.0;
    }
    let size = (a - b).abs();
    if size.is_nan() { f64::INFINITY } else { size }
}

#[expect(clippy::float_cmp, reason = "equal numbers are no change, whatever is allowed")]
fn is_equal(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// The element of two lists whose difference is the largest, measured by what is allowed of it.
fn largest(elements: impl Iterator<Item = (f64, f64)>) -> Apart {
    let rank = |(size, allowed): (f64, f64)| {
        (
            if allowed > 0.0 {
                size / allowed
            } else if size > 0.0 {
                f64::INFINITY
            } else {
                0.0
            },
            size,
        )
    };
    let mut most = (0.0, 0.0);
    let mut found = Apart::Not;
    for (at, (size, allowed)) in elements.enumerate() {
        if size > 0.0 && rank((size, allowed)) > most {
            most = rank((size, allowed));
            found = Apart::By { size, allowed, element: Some(at) };
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOSE: Option<Tolerance> = Some(Tolerance { relative: 0.1, absolute: 0.01 });

    fn by(size: f64, allowed: f64, element: Option<usize>) -> Apart {
        Apart::By { size, allowed, element }
    }

    #[test]
    fn numbers_are_apart_by_their_difference_and_texts_wholly() {
        let float = |a, b| apart(Cell::Float(a), Cell::Float(b), LOOSE);
        assert_eq!(float(0.0, -0.0), Apart::Not);
        assert_eq!(float(1.0, 3.0), by(2.0, 0.01 + 0.1 * 3.0, None));
        assert_eq!(apart(Cell::Int(3), Cell::Int(1), None), by(2.0, 0.0, None));
        assert_eq!(apart(Cell::Text("a"), Cell::Text("b"), None), Apart::Wholly);
        assert_eq!(apart(Cell::Null, Cell::Float(1.0), LOOSE), Apart::Wholly);
        assert_eq!(apart(Cell::Null, Cell::Null, LOOSE), Apart::Not);
    }

    #[test]
    fn no_number_is_infinitely_far_from_one() {
        let apart = apart(Cell::Float(f64::NAN), Cell::Float(1.0), LOOSE);
        assert!(matches!(apart, Apart::By { size: f64::INFINITY, .. }), "{apart:?}");
    }

    #[test]
    fn of_a_list_the_element_counts_that_is_furthest_beyond_what_is_allowed() {
        // The first differs by more, and by less than is allowed of numbers of its size.
        let found = apart(Cell::Floats(&[100.0, 0.0]), Cell::Floats(&[101.0, 0.5]), LOOSE);
        assert_eq!(found, by(0.5, 0.01 + 0.05, Some(1)));
        let longer = apart(Cell::Floats(&[1.0]), Cell::Floats(&[1.0, 2.0]), LOOSE);
        assert_eq!(longer, Apart::Wholly);
        assert_eq!(apart(Cell::Ints(&[1, 2]), Cell::Ints(&[1, 5]), None), by(3.0, 0.0, Some(1)));
    }

    #[test]
    fn of_a_vector_its_length_says_what_is_allowed() {
        let found = apart(Cell::Vector(&[3.0, 4.0, 0.0]), Cell::Vector(&[3.0, 4.0, 0.25]), LOOSE);
        let Apart::By { size, allowed, element } = found else { panic!("{found:?}") };
        assert_eq!((size.to_bits(), element), (0.25_f64.to_bits(), Some(2)));
        assert!((allowed - (0.01 + 0.1 * 25.0625_f64.sqrt())).abs() < 1e-12, "{allowed}");
    }
}

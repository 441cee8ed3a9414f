//! What changed in the tables of two runs.

use super::{count, rows};
use crate::cli::grid::number;
use crate::compare::{ColumnComparison, Files, How, Pair, Rows, TableComparison};
use crate::prompt::visible;

/// Columns of a table that are described.
const MOST_COLUMNS: usize = 3;

/// Tables that are not the same in both.
fn differing(pair: &Pair) -> impl Iterator<Item = (&TableComparison, &Rows)> {
    let with_rows = pair.tables.iter().filter_map(|table| Some((table, table.rows.as_ref()?)));
    with_rows.filter(|(table, _)| table.differs())
}

/// How many rows of which table changed, a header first; empty where none did.
pub(super) fn counts(pair: &Pair, [base, other]: [&str; 2]) -> Vec<Vec<String>> {
    let has_expected = differing(pair).any(|(_, rows)| rows.changed_of_changed_inputs > 0);
    let head = ["table", "rows in both", "changed", "of other texts"];
    let head = head.into_iter().filter(|name| has_expected || *name != "of other texts");
    let only = [base, other].map(|label| format!("only in {}", visible(label)));
    let mut all: Vec<Vec<String>> = vec![head.map(str::to_owned).chain(only).collect()];
    for (table, rows) in differing(pair) {
        let Rows { both, changed, changed_of_changed_inputs, .. } = rows;
        let expected = has_expected.then_some(changed_of_changed_inputs);
        let numbers = [both, changed].into_iter().chain(expected);
        let numbers = numbers.chain([&rows.only_base, &rows.only_other]).map(u64::to_string);
        all.push(std::iter::once(table.table.clone()).chain(numbers).collect());
    }
    if all.len() == 1 { Vec::new() } else { all }
}

/// What changed, what did not, and what was not compared.
pub(super) fn sentences(pair: &Pair, labels: [&str; 2]) -> Vec<String> {
    let of = |how: How| pair.tables.iter().filter(move |table| table.how == how);
    let mut all: Vec<String> = differing(pair).flat_map(|(table, _)| changes(table)).collect();
    let same: Vec<&TableComparison> = of(How::Rows).filter(|table| !table.differs()).collect();
    if !same.is_empty() {
        let n = count(same.len() as u64, "table");
        all.push(format!("no change in {n}: {}{}", names(&same), largest_within(&same)));
    }
    all.extend(by_checksums(of(How::Checksums)));
    let cut = of(How::Rows).filter(|table| !table.columns_not_compared.is_empty());
    all.extend(cut.map(columns_not_compared));
    all.extend(not_compared(&of(How::Not).collect::<Vec<_>>()));
    for (how, label) in [(How::OnlyBase, labels[0]), (How::OnlyOther, labels[1])] {
        let tables: Vec<&TableComparison> = of(how).collect();
        if !tables.is_empty() {
            all.push(format!("only {label} has {}", names(&tables)));
        }
    }
    all
}

fn names(tables: &[&TableComparison]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.table.as_str()).collect();
    names.join(", ")
}

fn changes(table: &TableComparison) -> Vec<String> {
    let mut changed: Vec<&ColumnComparison> =
        table.columns.iter().filter(|column| column.changed > 0).collect();
    changed.sort_by_key(|column| std::cmp::Reverse(column.changed));
    let described = changed.iter().take(MOST_COLUMNS);
    let mut all: Vec<String> = described.map(|column| rows::column(&table.table, column)).collect();
    let more: Vec<&str> =
        changed.iter().skip(MOST_COLUMNS).map(|column| column.column.as_str()).collect();
    if !more.is_empty() {
        all.push(format!("{}: also changed in {}", table.table, more.join(", ")));
    }
    all
}

/// The largest difference that counts as none, measured by what is allowed.
fn largest_within(tables: &[&TableComparison]) -> String {
    let all = tables.iter().flat_map(|table| {
        table.columns.iter().filter_map(|own| {
            let largest = own.largest.as_ref()?;
            Some((largest.size?, largest.allowed?, format!("{}.{}", table.table, own.column)))
        })
    });
    match all.max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1))) {
        Some((size, allowed, place)) => format!(
            " (within the tolerance; the largest difference is {} where {} is allowed, in {place})",
            number(size),
            number(allowed)
        ),
        None => " (all values are equal)".to_owned(),
    }
}

fn by_checksums<'t>(tables: impl Iterator<Item = &'t TableComparison>) -> Vec<String> {
    let (mut same, mut differ) = (Vec::new(), Vec::new());
    for table in tables {
        match table.files {
            Some(files) if files.differ() => {
                differ.push(format!("{} ({})", table.table, words(files)));
            }
            _ => same.push(table.table.clone()),
        }
    }
    let mut all = Vec::new();
    if !same.is_empty() {
        all.push(format!("the same bytes, by the receipts' checksums: {}", same.join(", ")));
    }
    if !differ.is_empty() {
        all.push(format!(
            "other bytes, by the receipts' checksums: {}; --raw compares their numbers",
            differ.join(", ")
        ));
    }
    all
}

/// `3 of 12 files`
fn words(files: Files) -> String {
    let Files { same, different, only_base, only_other } = files;
    format!(
        "{} of {} files",
        different + only_base + only_other,
        same + different + only_base + only_other
    )
}

fn columns_not_compared(table: &TableComparison) -> String {
    let version = |version: Option<u32>| version.map_or("?".to_owned(), |n| n.to_string());
    format!(
        "{}: version {} and version {} of the table; compared without {}, which one of them lacks or holds \
         as another type",
        table.table,
        version(table.version_base),
        version(table.version_other),
        table.columns_not_compared.join(", ")
    )
}

/// Tables that were left out, one sentence a reason.
fn not_compared(tables: &[&TableComparison]) -> Vec<String> {
    let mut reasons: Vec<&str> = tables.iter().map(|table| table.why.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let sentence = |why: &str| {
        let own: Vec<&TableComparison> =
            tables.iter().copied().filter(|table| table.why == why).collect();
        format!("not compared: {}: {why}", names(&own))
    };
    reasons.into_iter().map(sentence).collect()
}

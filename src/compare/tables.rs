//! Compares every table that two runs have.

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::DataType;

use super::document::{Files, How, Layers, TableComparison};
use super::join::{Rows as Stream, Side, join};
use super::opened::Opened;
use super::tally::{Compared, Tally};
use super::{CompareError, Request, cells};
use crate::run_dir::layout;
use crate::table::blocks::{Blocks, Header, header};
use crate::table::schema::ALL;
use crate::table::{Column, Table};

/// The column whose numbers mean something else in a model of another depth.
const LAYER: &str = "layer";

/// The unit of numbers that are names: how far apart they are says nothing.
const ID: &str = "id";

/// Rows that are read at a time.
const ROWS: usize = 1024;

/// Numbers of vectors that are read at a time.
const NUMBERS: usize = 1 << 20;

/// How tables are compared.
pub(super) struct Way<'w> {
    pub(super) layers: Layers,
    pub(super) request: &'w Request,
    /// Inputs whose text is not the same in both.
    pub(super) changed_inputs: &'w BTreeSet<u64>,
}

/// Every table that one of the two has, in the order of the documentation.
///
/// # Errors
/// When a file cannot be read, or is not what was written.
pub(super) fn tables(
    base: &Opened,
    other: &Opened,
    way: &Way<'_>,
    note: &dyn Fn(&str),
) -> Result<Vec<TableComparison>, CompareError> {
    let mut all = Vec::new();
    for table in ALL {
        let is_there = [base, other].map(|run| !run.parts(table).is_empty());
        let found = match is_there {
            [false, false] => continue,
            [true, false] => only(table, How::OnlyBase),
            [false, true] => only(table, How::OnlyOther),
            [true, true] => {
                note(&format!("comparing table {}", table.name));
                one(table, base, other, way)?
            }
        };
        all.push(found);
    }
    Ok(all)
}

fn only(table: &Table, how: How) -> TableComparison {
    TableComparison {
        table: table.name.to_owned(),
        how,
        why: String::new(),
        version_base: None,
        version_other: None,
        columns_not_compared: Vec::new(),
        rows: None,
        columns: Vec::new(),
        files: None,
    }
}

fn one(
    table: &'static Table,
    base: &Opened,
    other: &Opened,
    way: &Way<'_>,
) -> Result<TableComparison, CompareError> {
    let not = |why: String| Ok(TableComparison { why, ..only(table, How::Not) });
    if table.keys().any(|key| key.name == LAYER) {
        match way.layers {
            Layers::Same => {}
            Layers::RelativeDepth => {
                return not(
                    "its rows are named by layer, and the models have different depths".to_owned()
                );
            }
            Layers::Unknown => {
                return not(
                    "its rows are named by layer, and it is not recorded how many layers both \
                            models have"
                        .to_owned(),
                );
            }
        }
    }
    if table.is_of_vectors() && !way.request.raw {
        let files = files(base, other, table);
        return Ok(TableComparison { files: Some(files), ..only(table, How::Checksums) });
    }
    let lists = [base.files(table), other.files(table)];
    let missing = lists.iter().zip([base, other]).find(|(files, _)| files.is_empty());
    if let Some((_, run)) = missing {
        let label = &run.label;
        return not(format!("{label} did not keep it: its pipeline's `retain` leaves it out"));
    }
    let mut headers = Vec::new();
    for (run, files) in [base, other].iter().zip(&lists) {
        headers.push(header(run.store(), table, files[0])?);
    }
    by_rows(table, [base, other], [&headers[0], &headers[1]], way)
}

/// The files of a table in both runs, by what the receipts say of them.
fn files(base: &Opened, other: &Opened, table: &Table) -> Files {
    let sums = |run: &Opened| -> BTreeMap<(Option<i16>, Option<u32>), String> {
        let parts = run.parts(table).iter().map(|part| &part.file);
        let place = |path: &str| (layout::layer_of(path), layout::part_of(path));
        parts.map(|file| (place(&file.path), file.sha256.clone())).collect()
    };
    let (ours, theirs) = (sums(base), sums(other));
    let mut files = Files::default();
    for (place, sum) in &ours {
        match theirs.get(place) {
            Some(other) if other == sum => files.same += 1,
            Some(_) => files.different += 1,
            None => files.only_base += 1,
        }
    }
    files.only_other = theirs.keys().filter(|place| !ours.contains_key(place)).count() as u64;
    files
}

/// The columns of a table in two files.
struct Shared {
    keys: Vec<&'static str>,
    /// A key that one of them lacks.
    lost_key: Option<&'static str>,
    compared: Vec<Compared>,
    not_compared: Vec<String>,
}

impl Shared {
    fn of(table: &'static Table, headers: [&Header; 2], way: &Way<'_>) -> Self {
        let kinds = |name: &str| headers.map(|header| header.kind(name));
        let is_shared = |name: &str| match kinds(name) {
            [Some(ours), Some(theirs)] => cells::is_known(ours) && is_like(ours, theirs),
            _ => false,
        };
        let tolerance = |own: &Column| {
            own.kind.is_of_floats().then(|| way.request.tolerances.of(table.name, own.name))
        };
        let (compared, others): (Vec<&Column>, Vec<&Column>) =
            table.columns.iter().filter(|own| !own.is_key).partition(|own| is_shared(own.name));
        let compared = compared.into_iter().map(|own| Compared {
            name: own.name,
            tolerance: tolerance(own),
            is_id: own.unit == ID,
        });
        // Those of later versions too, which this one does not know.
        let there = headers.into_iter().flat_map(|header| header.columns.iter());
        let is_in_one = |name: &str| kinds(name).iter().any(Option::is_some);
        // One that neither has is of a later version than both.
        let keys = || table.keys().map(|key| key.name);
        let is_known = |name: &str| table.columns.iter().any(|own| own.name == name);
        let strange = there.map(|(name, _)| name.as_str()).filter(|name| !is_known(name));
        let others = others.into_iter().map(|own| own.name).filter(|name| is_in_one(name));
        let not_compared: BTreeSet<String> = others.chain(strange).map(str::to_owned).collect();
        Self {
            keys: keys().filter(|name| is_shared(name)).collect(),
            lost_key: keys().find(|name| !is_shared(name) && is_in_one(name)),
            compared: compared.collect(),
            not_compared: not_compared.into_iter().collect(),
        }
    }
}

fn by_rows(
    table: &'static Table,
    runs: [&Opened; 2],
    headers: [&Header; 2],
    way: &Way<'_>,
) -> Result<TableComparison, CompareError> {
    let Shared { keys, lost_key, compared, not_compared } = Shared::of(table, headers, way);
    let found = TableComparison {
        version_base: headers[0].version,
        version_other: headers[1].version,
        columns_not_compared: not_compared,
        ..only(table, How::Rows)
    };
    if let Some(key) = lost_key {
        let why =
            format!("its rows have no common key: one run's version of it has no column '{key}'");
        return Ok(TableComparison { how: How::Not, why, ..found });
    }
    let names: Vec<&str> = compared.iter().map(|column| column.name).collect();
    let widest = headers.map(|header| width(header, &names)).into_iter().max().unwrap_or(1);
    let rows = (NUMBERS / widest).clamp(1, ROWS);
    let mut open = |side: Side| Ok(stream(runs[side as usize], table, &keys, &names, rows));
    let tally = join(&mut open, || Tally::new(&keys, &compared, way.changed_inputs));
    let tally = tally.map_err(|error| match error {
        CompareError::TwoRows => CompareError::TwoRowsOf {
            table: table.name.to_owned(),
            run: runs[0].path.clone(),
            other: runs[1].path.clone(),
        },
        other => other,
    })?;
    let (rows, columns) = tally.finish();
    Ok(TableComparison { rows: Some(rows), columns, ..found })
}

/// Whether cells of these types can be compared; vectors of two widths can, and differ.
fn is_like(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::FixedSizeList(a, _), DataType::FixedSizeList(b, _)) => {
            a.data_type() == b.data_type()
        }
        _ => a == b,
    }
}

/// The most numbers that a cell of these columns is known to have.
fn width(header: &Header, columns: &[&str]) -> usize {
    let widths = columns.iter().map(|name| match header.kind(name) {
        Some(DataType::FixedSizeList(_, width)) => *width as usize,
        Some(DataType::List(_)) => 256,
        _ => 1,
    });
    widths.max().unwrap_or(1).max(1)
}

/// The rows of a table, file after file.
pub(super) fn stream<'s>(
    run: &'s Opened,
    table: &'static Table,
    keys: &'s [&'static str],
    columns: &'s [&'s str],
    rows: usize,
) -> Box<Stream<'s>> {
    let mut files = run.files(table).into_iter();
    let mut open: Option<(Blocks, &str)> = None;
    Box::new(move || {
        loop {
            if let Some((blocks, name)) = &mut open {
                if let Some(batch) = blocks.next()? {
                    let block = cells::Block::of(&batch, keys, columns);
                    return block.map(Some).ok_or_else(|| CompareError::Damaged {
                        root: run.store().root().to_owned(),
                        file: (*name).to_owned(),
                        problem: "has other columns than the table's first file".to_owned(),
                    });
                }
                open = None;
            }
            let Some(name) = files.next() else { return Ok(None) };
            let all: Vec<&str> = keys.iter().chain(columns).copied().collect();
            open = Some((Blocks::open(run.store(), name, &all, rows)?, name));
        }
    })
}

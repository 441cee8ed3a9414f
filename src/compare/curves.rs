//! Measures by layer in all runs, for pictures and for models of different depths.

use indexmap::{IndexMap, IndexSet};

use super::cells::Cell;
use super::document::{Curve, Point};
use super::opened::Opened;
use super::tables::stream;
use super::{CompareError, LISTED};
use crate::stage::names::PARAPHRASE;
use crate::table::Table;
use crate::table::blocks::header;
use crate::table::schema::{DECODING, DIVERGENCE, EFFECT, VARIANCE_PARTITION};

/// Rows that are read at a time.
const ROWS: usize = 4096;

/// A measure by layer: where it is.
struct Source {
    table: &'static Table,
    value: &'static str,
    /// Ends of its interval or range.
    ends: [&'static str; 2],
    /// The columns that name it, beside scenario and layer.
    names: &'static [&'static str],
    /// A column and the one value of it that is wanted.
    only: Option<(&'static str, &'static str)>,
}

/// What can be compared between models of any depth: shares and ratios first.
const SOURCES: [Source; 5] = [
    Source {
        table: &EFFECT,
        value: "relative",
        ends: ["relative_low", "relative_high"],
        names: &["measure"],
        only: Some(("contrast", PARAPHRASE)),
    },
    Source {
        table: &EFFECT,
        value: "delta",
        ends: ["ci_low", "ci_high"],
        names: &["measure"],
        only: Some(("contrast", PARAPHRASE)),
    },
    Source {
        table: &DECODING,
        value: "accuracy",
        ends: ["ci_low", "ci_high"],
        names: &["site"],
        only: None,
    },
    Source {
        table: &VARIANCE_PARTITION,
        value: "r2_task",
        ends: ["", ""],
        names: &["site", "space"],
        only: None,
    },
    Source {
        table: &DIVERGENCE,
        value: "mean",
        ends: ["min", "max"],
        names: &["measure"],
        only: None,
    },
];

/// Points by scenario and measure, for each run.
type Found = IndexMap<(String, String), Vec<Vec<Point>>>;

/// All curves of the first [`LISTED`] scenarios. A column that an earlier version's table lacks gives none.
///
/// # Errors
/// When a table cannot be read.
pub(super) fn curves(runs: &[Opened]) -> Result<Vec<Curve>, CompareError> {
    let mut curves = Vec::new();
    let mut scenarios: IndexSet<String> = IndexSet::new();
    for source in &SOURCES {
        let mut found = Found::new();
        for (place, run) in runs.iter().enumerate() {
            read(source, run, place, runs.len(), &mut scenarios, &mut found)?;
        }
        let curve = |((scenario, measure), mut runs): ((String, String), Vec<Vec<Point>>)| {
            for points in &mut runs {
                points.sort_by_key(|point| point.layer);
            }
            let (table, column) = (source.table.name.to_owned(), source.value.to_owned());
            Curve { table, column, scenario, measure, runs }
        };
        curves.extend(found.into_iter().map(curve));
    }
    Ok(curves)
}

fn read(
    source: &Source,
    run: &Opened,
    place: usize,
    n_runs: usize,
    scenarios: &mut IndexSet<String>,
    found: &mut Found,
) -> Result<(), CompareError> {
    let files = run.files(source.table);
    let Some(file) = files.first() else { return Ok(()) };
    let header = header(run.store(), source.table, file)?;
    let has = |name: &&str| header.kind(name).is_some();
    let keys: Vec<&'static str> = ["scenario", "layer"]
        .into_iter()
        .chain(source.only.map(|(column, _)| column))
        .chain(source.names.iter().copied())
        .collect();
    if !keys.iter().all(has) || !has(&source.value) {
        return Ok(());
    }
    let ends: Vec<&str> = source.ends.into_iter().filter(has).collect();
    let columns: Vec<&str> = std::iter::once(source.value).chain(ends).collect();
    let mut rows = stream(run, source.table, &keys, &columns, ROWS);
    while let Some(block) = rows()? {
        for row in 0..block.rows {
            let number = |at: usize| match block.cells.get(at).map(|cells| cells.at(row)) {
                Some(Cell::Float(number)) => Some(number),
                _ => None,
            };
            let key: Vec<Cell<'_>> = block.keys.iter().map(|cells| cells.at(row)).collect();
            let [Cell::Text(scenario), Cell::Int(layer), names @ ..] = key.as_slice() else {
                continue;
            };
            let (wanted, names) = names.split_at(usize::from(source.only.is_some()));
            let is_wanted = source.only.is_none_or(|(_, value)| wanted[0] == Cell::Text(value));
            let Some(value) = number(0).filter(|_| is_wanted) else { continue };
            if !scenarios.contains(*scenario) && scenarios.len() == LISTED {
                continue;
            }
            scenarios.insert((*scenario).to_owned());
            let words = names.iter().filter_map(|cell| match cell {
                Cell::Text(text) => Some(*text),
                _ => None,
            });
            let measure = words.collect::<Vec<_>>().join(", ");
            let layer = i16::try_from(*layer).unwrap_or(i16::MAX);
            let point =
                Point { layer, depth: run.depth(layer), value, low: number(1), high: number(2) };
            let name = ((*scenario).to_owned(), measure);
            found.entry(name).or_insert_with(|| vec![Vec::new(); n_runs])[place].push(point);
        }
    }
    Ok(())
}

//! A file row by row, whatever its format.

use std::io;

use super::problem::{FileProblem, mib};
use crate::yaml::{did_you_mean, quote};

/// Longest line of JSON, record of CSV and text of Parquet that is read, in bytes: a file that is one
/// long line is not what it is taken for, and a few bytes can unpack to any length.
pub(super) const LONGEST: u64 = 64 << 20;

/// Most rows of a scenario's inputs or tasks, over all files: each takes 8 bytes while they are
/// checked, and a few bytes of Parquet can say that there are any number.
pub(super) const MOST_ROWS: u64 = 100_000_000;

/// Most bytes of all texts of a scenario, over all files, for the same reason: a value of a dictionary is
/// repeated for a few bits.
pub(super) const MOST_TEXT: u64 = 64 << 30;

/// Most names that a message lists.
const LISTED: usize = 20;

/// What stands for the column of ids where a file has none.
pub(super) const ROW: &str = "row";

/// Which columns of a file are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) id: String,
    pub(super) text: String,
    /// That of the clusters, where there is one.
    pub(super) cluster: Option<String>,
    /// What stands before the number of a row in an id that is made of it.
    pub(super) prefix: String,
}

impl Columns {
    /// Those of ids, texts and clusters.
    pub(super) fn names(&self) -> [Option<&str>; 3] {
        [Some(&self.id), Some(&self.text), self.cluster.as_deref()]
    }

    /// Whether ids are made of the rows' numbers unless there is a column `row`.
    pub(super) fn may_number(&self) -> bool {
        self.id == ROW
    }

    /// The id of a row, from 1, of a file without a column of ids.
    pub(super) fn numbered(&self, row: u64) -> String {
        format!("{}{ROW}-{row}", self.prefix)
    }
}

/// Where a row is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The line, from 1.
    Line(u64),
    /// The row, from 1.
    Row(u64),
    /// The row, from 1 below the names of the columns, and the line that it begins in: texts may hold
    /// line breaks.
    RowInLine(u64, u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
            Self::RowInLine(row, line) => write!(f, "row {row} (line {line})"),
        }
    }
}

/// Why a cell holds no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The row has no such column.
    Missing,
    /// Something else, in words that follow the column's name; and what to do, if that is not what one
    /// does about any bad cell.
    Says(String, Option<String>),
}

impl Wrong {
    pub(super) fn says(what: impl Into<String>) -> Self {
        Self::Says(what.into(), None)
    }
}

/// A cell: its text, or why it holds none.
pub(super) type Cell = Result<String, Wrong>;

/// The cluster that a cell names; none where it is empty, null or not there.
pub(super) type ClusterCell = Result<Option<String>, Wrong>;

/// A cell as that of a cluster, as its format reads an id.
pub(super) fn cluster(cell: Cell, is_null: bool) -> ClusterCell {
    match cell {
        _ if is_null => Ok(None),
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(wrong) => Err(wrong),
    }
}

/// What is read of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    pub(super) id: Cell,
    pub(super) text: Cell,
    /// [`Wrong::Missing`] where the row has no such column, which is no mistake in a single row.
    pub(super) cluster: ClusterCell,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    /// What is read of it; or what makes the whole row unreadable.
    pub(super) cells: Result<Cells, FileProblem>,
}

/// The rows of a file in order. An error ends them: nothing after it can be read.
pub(super) trait RowReader: Send {
    /// The next row, if there is one.
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>>;

    /// Names of the columns, as far as the rows read so far show them.
    fn names(&self) -> &[String];

    /// Whether ids are made of the rows' numbers, as far as the rows read so far show it.
    fn numbers(&self) -> bool;

    /// SHA-256 of the file; reads to its end.
    fn sha256(&mut self) -> io::Result<String>;
}

/// Where a file's columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// `None` for ids that are made of the rows' numbers.
    pub(super) id: Option<usize>,
    pub(super) text: usize,
    /// `None` where no clusters are asked for.
    pub(super) cluster: Option<usize>,
}

/// Where the columns are among the names that a file gives them, each of which must be there once.
pub(super) fn places(names: &[String], columns: &Columns) -> Result<Places, FileProblem> {
    let place = |column: &str| match names.iter().filter(|name| *name == column).count() {
        0 => {
            let message = format!("it has no column {}", quote(column));
            Err(FileProblem::new(message, nearest(names, column)))
        }
        1 => Ok(names.iter().position(|name| name == column).unwrap_or_default()),
        times => {
            let message = format!("it has {times} columns {}", quote(column));
            Err(FileProblem::new(message, "give each column a different name"))
        }
    };
    let has_none = columns.may_number() && !names.contains(&columns.id);
    let id = if has_none { None } else { Some(place(&columns.id)?) };
    let text = place(&columns.text)?;
    let cluster = columns.cluster.as_deref().map(place).transpose()?;
    Ok(Places { id, text, cluster })
}

/// The most similar name, or the first names.
pub(super) fn nearest(names: &[String], column: &str) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(near) = did_you_mean(column, &names) {
        return format!("did you mean `{near}`?");
    }
    let short = |name: &&str| name.chars().take(60).filter(|c| !c.is_control()).collect::<String>();
    let shown: Vec<String> = names.iter().take(LISTED).map(short).collect();
    let more = names.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("its columns are {}{more}", shown.join(", "))
}

/// A whole number that another program wrote as a floating-point number, as text: `7.0` is `7`. Numbers
/// that cannot be told from their neighbours are none.
pub(super) fn whole(number: f64) -> Option<String> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    (number.fract() == 0.0 && number.abs() <= EXACT).then(|| (number as i64).to_string())
}

/// What an id or a cluster that is a number must be, for a message.
pub(super) fn no_whole(found: &str) -> Wrong {
    Wrong::Says(
        format!("must be text or a whole number, found {}", quote(found)),
        Some("write such values as text, or as whole numbers below 2^53".to_owned()),
    )
}

/// A text that is too long to be read.
pub(super) fn too_long(bytes: u64) -> Wrong {
    Wrong::Says(
        format!("is {} long, and at most {} are read", mib(bytes), mib(LONGEST)),
        Some("cut the text: no model takes so long a prompt".to_owned()),
    )
}

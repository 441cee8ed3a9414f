//! How text is laid out on a terminal or in a file: sentences, small tables without lines, and grids
//! of rows.

use std::io::{self, Write};

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ContentArrangement, Table as Grid};
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::prompt::visible;
use crate::table::preview::Preview;

/// Columns of the widest sentence or small table.
const WIDEST: usize = 100;

/// Blanks between two columns of a small table.
const GAP: u16 = 2;

/// Columns that `COLUMNS` names; else tables ask the terminal.
fn named_width() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|width| *width > 0)
}

/// Columns that sentences and small tables may fill: those of the terminal, at most 100.
pub(super) fn width() -> usize {
    let terminal = named_width().or_else(|| Grid::new().width());
    terminal.map_or(WIDEST, usize::from).min(WIDEST)
}

/// Writes a sentence, broken at spaces where the line ends: its first line behind `indent` blanks,
/// the others behind two more.
pub(super) fn write_sentence(
    out: &mut impl Write,
    indent: usize,
    sentence: &str,
) -> io::Result<()> {
    let (first, others) = (" ".repeat(indent), " ".repeat(indent + 2));
    let options = Options::new(width())
        .initial_indent(&first)
        .subsequent_indent(&others)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    for line in textwrap::wrap(&visible(sentence), options) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A small table: rows of cells below a title, without lines.
#[derive(Debug, Default)]
pub(super) struct Small {
    /// Cells of each row, that of the header first.
    rows: Vec<Vec<String>>,
}

impl Small {
    /// An empty table with that header.
    pub(super) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row. A first cell that is also in the row above is left empty, so that a name
    /// stands once above what is its own.
    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Whether it has no row but its header.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Whether it is no wider than the terminal.
    pub(super) fn fits(&self) -> bool {
        let n = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| textwrap::core::display_width(cell)).max().unwrap_or(0)
        };
        (0..n).map(|column| widest(column) + usize::from(GAP)).sum::<usize>() <= width()
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        grid.set_width(u16::try_from(width()).unwrap_or(u16::MAX));
        let mut above = "";
        for row in &self.rows {
            let is_again = row[0] == above;
            above = &row[0];
            let first = if is_again { "" } else { &row[0] };
            grid.add_row(std::iter::once(first).chain(row[1..].iter().map(String::as_str)));
        }
        grid.column_iter_mut().for_each(|column| {
            column.set_padding((GAP, 0));
        });
        for line in grid.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Prints rows of a table as a grid, as wide as the terminal or, in a file, as the rows need.
pub(super) fn print(out: &mut impl Write, found: &Preview, table: &str) -> io::Result<()> {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = named_width() {
        grid.set_width(width);
    }
    grid.set_header(&found.columns);
    grid.add_rows(&found.rows);
    writeln!(out, "{grid}")?;
    if found.has_more {
        let n = found.rows.len();
        writeln!(out, "the first {n} rows; more with: aqlens show RUN --table {table} --rows 0")?;
    }
    Ok(())
}

//! How text is laid out on a terminal or in a file: sentences, small tables without lines, and grids
//! of rows.

use std::io::{self, Write};

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ColumnConstraint, ContentArrangement, Table as Grid, Width};
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::prompt::visible;

/// Columns of the widest sentence or small table.
const WIDEST: usize = 100;

/// Entries that a list in an object for programs has: a file of a megabyte can have a hundred thousand
/// problems.
pub(super) const MOST_LISTED: usize = 1000;

/// Rows of a table that are laid out at once.
pub(super) const AT_ONCE: usize = 1024;

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

/// A number with three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-4..1e4).contains(&size) => format!("{value:.2e}"),
        size => {
            let digits = (2 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
    }
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
pub(super) fn print(
    out: &mut impl Write,
    columns: &[&str],
    rows: &[Vec<String>],
) -> io::Result<()> {
    let mut grid = empty(columns);
    grid.add_rows(rows);
    writeln!(out, "{grid}")
}

/// Says that a table has more rows than the first `n`.
pub(super) fn write_more(out: &mut impl Write, n: usize, table: &str) -> io::Result<()> {
    writeln!(out, "the first {n} rows; more with: aqlens show RUN --table {table} --rows 0")
}

/// A grid with nothing but its header.
fn empty(columns: &[&str]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = named_width() {
        grid.set_width(width);
    }
    grid.set_header(columns);
    grid
}

/// Makes a row of the widest cells of many.
#[derive(Debug)]
pub(super) struct Widest(Vec<String>);

impl Widest {
    /// No cells yet.
    pub(super) fn new(columns: &[&str]) -> Self {
        Self(vec![String::new(); columns.len()])
    }

    /// Takes a row in.
    pub(super) fn add(&mut self, row: &[String]) {
        for (widest, cell) in self.0.iter_mut().zip(row) {
            if textwrap::core::display_width(cell) > textwrap::core::display_width(widest) {
                cell.clone_into(widest);
            }
        }
    }
}

/// A grid of any number of rows, which are printed as they come, some at a time.
#[derive(Debug)]
pub(super) struct Long<'a, W> {
    out: W,
    columns: &'a [&'a str],
    widths: Vec<ColumnConstraint>,
    rows: Vec<Vec<String>>,
    /// The grid's last line, once its first ones are printed.
    bottom: Option<String>,
}

impl<'a, W: Write> Long<'a, W> {
    /// A grid on `out` whose widest cells are known.
    pub(super) fn new(out: W, columns: &'a [&'a str], widest: &Widest) -> Self {
        let mut ruler = empty(columns);
        ruler.add_row(&widest.0);
        let top = ruler.lines().next().unwrap_or_default();
        let widths =
            top.trim_matches(['┌', '┐']).split('┬').map(|edge| edge.chars().count() as u16);
        let widths = widths.map(|width| ColumnConstraint::Absolute(Width::Fixed(width)));
        Self { out, columns, widths: widths.collect(), rows: Vec::new(), bottom: None }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<String>) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < AT_ONCE { Ok(()) } else { self.flush() }
    }

    /// Prints the last rows and the end.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.flush()?;
        writeln!(self.out, "{}", self.bottom.unwrap_or_default())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut grid = empty(self.columns);
        grid.add_rows(self.rows.drain(..));
        grid.set_constraints(self.widths.iter().copied());
        // Behind the first rows without the edge, the header and the line below it.
        let skipped = if self.bottom.is_some() { 3 } else { 0 };
        let mut lines: Vec<String> = grid.lines().collect();
        self.bottom = lines.pop();
        for line in lines.iter().skip(skipped) {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let all = [0.0, 0.012_345, 1.234_5, 123.45, 0.000_012_3, 123_456.0].map(number);
        assert_eq!(all, ["0", "0.0123", "1.23", "123", "1.23e-5", "1.23e5"]);
    }

    #[test]
    fn a_long_grid_is_the_grid_of_all_its_rows() {
        let columns = ["id", "what it says"];
        let row = |i: usize| vec![i.to_string(), "é".repeat(i % 37)];
        let rows: Vec<_> = (0..3 * AT_ONCE + 7).map(row).collect();
        let (mut whole, mut printed) = (Vec::new(), Vec::new());
        print(&mut whole, &columns, &rows).unwrap();
        let mut widest = Widest::new(&columns);
        for row in &rows {
            widest.add(row);
        }
        let mut long = Long::new(&mut printed, &columns, &widest);
        for row in rows {
            long.push(row).unwrap();
        }
        long.end().unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), String::from_utf8(whole).unwrap());
    }
}

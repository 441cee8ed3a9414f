//! `aqlens show RUN --table NAME`: the rows of one table, its codes in words.

use std::io;
use std::ops::ControlFlow;

use crate::cli::error::CliError;
use crate::cli::grid;
use crate::prompt::Role;
use crate::run_dir::RunDir;
use crate::run_dir::record::RunRecord;
use crate::stage::names::{MEAN_HEAD, OUTPUT_LAYER};
use crate::table::Table;
use crate::table::preview::{columns, rows};
use crate::table::schema::{EFFECT, RAW, VERDICT};

/// Prints at most `limit` rows. Of a long table only some rows are in memory at once: it is read once to
/// see how wide its columns are, and again to be printed.
///
/// # Errors
/// When the run has no such table, or it cannot be read.
pub(super) fn print(
    run: &RunDir,
    record: &RunRecord,
    table: &'static Table,
    limit: usize,
) -> Result<(), CliError> {
    let columns = columns(table);
    let mut out = io::stdout().lock();
    let mut widest = grid::Widest::new(&columns);
    let mut first = Vec::new();
    let (n, has_more) = each(run, table, limit, &columns, |row| {
        widest.add(&row);
        if first.len() < grid::AT_ONCE {
            first.push(row);
        }
        Ok(())
    })?;
    if n == 0 {
        is_there(run, record, table)?;
    }
    if n <= first.len() {
        grid::print(&mut out, &columns, &first)?;
    } else {
        let mut grid = grid::Long::new(&mut out, &columns, &widest);
        each(run, table, n, &columns, |row| grid.push(row))?;
        grid.end()?;
    }
    if has_more {
        grid::write_more(&mut out, n, table.name)?;
    }
    Ok(())
}

/// Hands at most `limit` rows to `take`; gives how many there were, and whether there are more.
fn each(
    run: &RunDir,
    table: &Table,
    limit: usize,
    columns: &[&str],
    mut take: impl FnMut(Vec<String>) -> io::Result<()>,
) -> Result<(usize, bool), CliError> {
    let (mut n, mut has_more) = (0, false);
    rows(run.store(), table, |mut row| {
        if n == limit {
            has_more = true;
            return Ok(ControlFlow::Break(()));
        }
        n += 1;
        put_words(table, columns, &mut row);
        take(row)?;
        Ok::<_, CliError>(ControlFlow::Continue(()))
    })?;
    Ok((n, has_more))
}

/// Why a table without rows is not there, if it is not.
fn is_there(run: &RunDir, record: &RunRecord, table: &Table) -> Result<(), CliError> {
    let root = run.store().root().display();
    let is_raw = RAW.iter().any(|raw| raw.name == table.name);
    if is_raw && !record.retain.contains(table.name) {
        return Err(CliError::Wrong(format!(
            "error: {root} did not keep table '{}': its pipeline's `retain` leaves it out",
            table.name
        )));
    }
    if !run.store().exists(&table.folder()) {
        return Err(CliError::Wrong(format!(
            "error: {root} has no table '{}': no stage of its pipeline writes it",
            table.name
        )));
    }
    Ok(())
}

/// Puts words in place of the codes below 0 that stand for something else than a number.
fn put_words(table: &Table, columns: &[&str], row: &mut [String]) {
    let value = columns.iter().position(|column| *column == "value");
    let output = match value {
        Some(at) if row[at].is_empty() => "none",
        _ => "output",
    };
    let has_output = [EFFECT.name, VERDICT.name].contains(&table.name);
    for (column, text) in columns.iter().zip(row) {
        let Ok(code @ ..=-1) = text.parse::<i16>() else { continue };
        let word = match *column {
            "wording" => &Role::name_of_wording(code),
            "head" if code == MEAN_HEAD => "mean",
            "layer" if has_output && code == OUTPUT_LAYER => output,
            _ => continue,
        };
        word.clone_into(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(table: &Table, columns: &[&str], row: &[&str]) -> Vec<String> {
        let mut row: Vec<String> = row.iter().map(|cell| (*cell).to_owned()).collect();
        put_words(table, columns, &mut row);
        row
    }

    #[test]
    fn codes_below_0_are_named_and_numbers_stay() {
        let prompts = crate::table::schema::PROMPTS;
        for (code, word) in
            [("0", "0"), ("2", "2"), ("-1", "neutral"), ("-3", "other_input"), ("-4", "neutral-2")]
        {
            assert_eq!(words(&prompts, &["task", "wording"], &["-1", code]), ["-1", word]);
        }
        assert_eq!(words(&prompts, &["head", "layer"], &["-1", "-1"]), ["mean", "-1"]);
        assert_eq!(words(&EFFECT, &["layer", "delta"], &["-1", ""]), ["output", ""]);
        assert_eq!(words(&VERDICT, &["layer", "value"], &["-1", "0.5"]), ["output", "0.5"]);
        assert_eq!(words(&VERDICT, &["layer", "value"], &["-1", ""]), ["none", ""]);
        assert_eq!(words(&VERDICT, &["layer", "value"], &["11", ""]), ["11", ""]);
    }
}

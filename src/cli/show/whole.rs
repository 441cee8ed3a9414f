//! `aqlens show RUN --table NAME`: the rows of one table, its codes in words.

use std::io;

use crate::cli::error::CliError;
use crate::cli::grid;
use crate::prompt::Role;
use crate::run_dir::RunDir;
use crate::run_dir::record::RunRecord;
use crate::stage::names::{MEAN_HEAD, OUTPUT_LAYER};
use crate::table::Table;
use crate::table::preview::preview;
use crate::table::schema::{EFFECT, RAW, VERDICT};

/// Prints at most `limit` rows.
///
/// # Errors
/// When the run has no such table, or it cannot be read.
pub(super) fn print(
    run: &RunDir,
    record: &RunRecord,
    table: &'static Table,
    limit: usize,
) -> Result<(), CliError> {
    let mut found = preview(run.store(), table, limit)?;
    if found.rows.is_empty() {
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
    }
    for row in &mut found.rows {
        put_words(table, &found.columns, row);
    }
    grid::print(&mut io::stdout().lock(), &found, table.name)?;
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
            "wording" => Role::of_wording(code).name(),
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
            [("0", "0"), ("2", "2"), ("-1", "neutral"), ("-2", "scrambled"), ("-3", "other_input")]
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

//! Whether the model uses what differs, task by task.

use std::io::Write;

use crate::cli::error::CliError;
use crate::cli::grid::{Small, write_sentence};
use crate::store::Store;
use crate::table::ReadRow as _;
use crate::table::preview::cell;
use crate::table::schema::{USE_VERDICT, UseVerdictRow};

/// A line for each task: used or not, what is lost without its reading, and what that brings.
pub(super) fn write(out: &mut impl Write, store: &Store) -> Result<(), CliError> {
    let Some(part) = UseVerdictRow::part_if_there(store, &USE_VERDICT, 0)? else { return Ok(()) };
    let rows = UseVerdictRow::rows(&part)?;
    let head = ["scenario", "task", "", "lost without it", "brought to another", "inputs"];
    let mut table = Small::new(head);
    for row in &rows {
        let lost = share(row.necessity, row.necessity_ci_low, row.necessity_ci_high, row.necessary);
        let brought =
            share(row.sufficiency, row.sufficiency_ci_low, row.sufficiency_ci_high, row.sufficient);
        let under =
            row.best_receiver.map_or_else(String::new, |task| format!(" under {}", cell(task)));
        table.push(vec![
            cell(row.scenario),
            cell(row.task),
            row.verdict.replace('_', " "),
            lost,
            format!("{brought}{under}"),
            row.n_inputs.to_string(),
        ]);
    }
    let Some(first) = rows.first() else { return Ok(()) };
    writeln!(out)?;
    let title = format!(
        "Does the model use how the input was read under the task? Shares of the whole difference, 95 % interval; \
         below {} would not matter (tables use_verdict, use_effect)",
        first.margin
    );
    write_sentence(out, 0, &title)?;
    table.write(out)?;
    Ok(())
}

/// `0.90 (0.89 to 0.91)`, or why there is no share.
fn share(value: Option<f64>, low: Option<f64>, high: Option<f64>, answer: &str) -> String {
    let Some(value) = value else { return answer.replace('_', " ") };
    match low.zip(high) {
        Some((low, high)) => format!("{value:.2} ({low:.2} to {high:.2})"),
        None => format!("{value:.2}"),
    }
}

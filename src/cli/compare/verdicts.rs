//! The verdicts of all runs, and the effects that they rest on, side by side.

use std::io::{self, Write};

use crate::cli::grid::{Small, number, write_sentence};
use crate::compare::{Comparison, RunFacts, VerdictOf, VerdictRow};
use crate::prompt::visible;
use crate::stage::names::OUTPUT_LAYER;

/// Verdicts that are shown; changed ones first.
const MOST: usize = 30;

/// What the columns mean.
pub(super) const LEGEND: &str = "difference: between tasks less between wordings of one task, with its 95 % \
     interval (flat: the mean cosine); relative: the same on a scale from 0, as another wording does, to 1, \
     as another input does";

pub(super) fn print(out: &mut impl Write, found: &Comparison) -> io::Result<()> {
    writeln!(out)?;
    if found.verdicts.is_empty() {
        return write_sentence(out, 0, "no verdicts: no pipeline has the stage `summary`");
    }
    let words = match found.verdicts.iter().filter(|row| row.changed).count() {
        0 => format!("verdicts: all {} are the same", found.verdicts.len()),
        n => format!("verdicts: {n} of {} changed", found.verdicts.len()),
    };
    write_sentence(out, 0, &words)?;
    let mut rows = rows(found, MOST).into_iter();
    let mut grid = Small::new(rows.next().unwrap_or_default());
    rows.for_each(|row| grid.push(row));
    grid.write(out)?;
    let more = found.verdicts.len().saturating_sub(MOST);
    if more > 0 {
        write_sentence(out, 0, &format!("and {more} more (--json has all)"))?;
    }
    write_sentence(out, 0, LEGEND)
}

/// A header, and for the first verdicts a row for each run; those that changed first.
pub(super) fn rows(found: &Comparison, most: usize) -> Vec<Vec<String>> {
    let changed = found.verdicts.iter().filter(|row| row.changed);
    let same = found.verdicts.iter().filter(|row| !row.changed);
    let has_depth = found.runs.iter().any(|run| run.n_layer != found.runs[0].n_layer);
    let place = if has_depth { "depth" } else { "layer" };
    let head = ["scenario: measure", "run", "verdict", place, "difference", "relative"];
    let mut all = vec![head.map(str::to_owned).to_vec()];
    for row in changed.chain(same).take(most) {
        for (run, verdict) in found.runs.iter().zip(&row.runs) {
            all.push(cells(row, run, verdict.as_ref(), has_depth));
        }
    }
    all
}

fn cells(
    row: &VerdictRow,
    run: &RunFacts,
    verdict: Option<&VerdictOf>,
    has_depth: bool,
) -> Vec<String> {
    let mark = if row.changed { " (changed)" } else { "" };
    let name = visible(&format!("{}: {}{mark}", row.scenario, row.measure));
    let label = visible(&run.label);
    let Some(own) = verdict else {
        return vec![name, label, "none".to_owned(), String::new(), String::new(), String::new()];
    };
    let layer = match (own.layer, own.depth) {
        (OUTPUT_LAYER, _) => "output".to_owned(),
        (_, Some(depth)) if has_depth => format!("{depth:.2}"),
        (layer, _) => layer.to_string(),
    };
    vec![
        name,
        label,
        own.verdict.replace('_', " "),
        layer,
        interval(own.value, own.low, own.high),
        interval(own.relative, own.relative_low, own.relative_high),
    ]
}

/// `0.42 [0.31, 0.52]`
fn interval(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
    match (value, low, high) {
        (None, ..) => String::new(),
        (Some(value), Some(low), Some(high)) => {
            format!("{} [{}, {}]", number(value), number(low), number(high))
        }
        (Some(value), ..) => number(value),
    }
}

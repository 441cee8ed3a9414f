//! What `aqlens show` prints of the verdicts that rest on evidence, and of the tables behind them.

use std::io::{self, Write};

use super::CliError;
use super::show::{Block, print, write_wrapped};
use crate::run_dir::summary::{Evidence, ScenarioSummary};
use crate::store::Store;
use crate::table::preview::{Preview, preview};
use crate::table::schema::{EFFECT, VARIANCE_PARTITION};

/// The verdicts that have a baseline, those that say the same in one; then why the notebook's differs.
pub(super) fn judgements(out: &mut impl Write, scenario: &ScenarioSummary) -> io::Result<()> {
    let mut groups: Vec<(&Evidence, Vec<&str>)> = Vec::new();
    for evidence in &scenario.evidence {
        let is_same =
            |of: &Evidence| of.verdict == evidence.verdict && of.reason == evidence.reason;
        match groups.iter_mut().find(|(first, _)| is_same(first)) {
            Some((_, measures)) => measures.push(&evidence.measure),
            None => groups.push((evidence, vec![&evidence.measure])),
        }
    }
    for (evidence, measures) in groups {
        let verdict = evidence.verdict.word().to_uppercase().replace('_', " ");
        let sentence = format!("{verdict} by {}: {}", measures.join(", "), evidence.reason);
        write_wrapped(out, &sentence)?;
    }
    let mut told: Vec<&str> = Vec::new();
    for why in scenario.evidence.iter().filter_map(|evidence| evidence.disagreement.as_deref()) {
        if !told.contains(&why) {
            write_wrapped(out, why)?;
            told.push(why);
        }
    }
    Ok(())
}

/// The tables that the verdicts by evidence rest on: effects of the measures that are judged, and
/// shares of variance of the input's vectors.
pub(super) fn grids(
    out: &mut impl Write,
    store: &Store,
    summaries: &[ScenarioSummary],
    limit: usize,
) -> Result<(), CliError> {
    effects(out, store, summaries, limit)?;
    let shares = Block {
        title: "Shares of the variance of the input's vectors, by layer",
        table: &VARIANCE_PARTITION,
        columns: &[
            "scenario",
            "space",
            "layer",
            "r2_input",
            "r2_task",
            "r2_wording",
            "r2_interaction",
            "status",
            "site",
        ],
        shown: 8,
        keep: &|row| row[8] == "span",
    };
    shares.print(out, store, limit)
}

/// Effects of the measures that are judged: a line a layer, the baselines side by side.
fn effects(
    out: &mut impl Write,
    store: &Store,
    summaries: &[ScenarioSummary],
    limit: usize,
) -> Result<(), CliError> {
    let columns =
        ["scenario", "measure", "layer", "contrast", "delta", "ci_low", "ci_high", "status"];
    let judged = summaries.iter().flat_map(|summary| &summary.evidence);
    let names: Vec<&str> = judged.map(|evidence| evidence.measure.as_str()).collect();
    let is_judged = |row: &[String]| names.contains(&row[1].as_str());
    let rows = preview(store, &EFFECT, &columns, &is_judged, usize::MAX)
        .map_err(|error| CliError::failed(&error))?
        .rows;
    let mut header: Vec<&str> = columns[..3].to_vec();
    let mut found = Preview::default();
    for row in &rows {
        let place = header[3..].iter().position(|name| *name == row[3]).unwrap_or_else(|| {
            header.push(&row[3]);
            header.len() - 4
        });
        let told = match &row[4..] {
            [delta, _, _, status] if delta.is_empty() => status.clone(),
            [delta, low, ..] if low.is_empty() => delta.clone(),
            [delta, low, high, ..] => format!("{delta} ({low} to {high})"),
            _ => String::new(),
        };
        let at = found.rows.iter().position(|line| line[..3] == row[..3]).unwrap_or_else(|| {
            found.rows.push(row[..3].to_vec());
            found.rows.len() - 1
        });
        let line = &mut found.rows[at];
        line.resize(line.len().max(place + 4), String::new());
        line[place + 3] = told;
    }
    found.has_more = found.rows.len() > limit;
    found.rows.truncate(limit);
    if found.rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nHow much further apart tasks are than a baseline, with its 95 % interval (table effect)"
    )?;
    print(out, &header, &found, &EFFECT)
}

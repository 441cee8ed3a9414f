//! `aqlens show`, and what `aqlens run` prints at its end: the verdict and the result tables.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table as Grid};

use super::args::ShowArgs;
use super::{CliError, Exit, schema};
use crate::pipeline::RAW;
use crate::pipeline::lineage::{RunRecord, State};
use crate::stage::summary::{SUMMARY_FILE, ScenarioSummary, Summaries};
use crate::store::Store;
use crate::table::preview::{Preview, preview};
use crate::table::schema::{
    ATTENTION_FOCUS, ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, SIMILARITY, Table,
};

/// Rows of a table printed without being asked for more.
pub(super) const DEFAULT_ROWS: usize = 40;

pub(super) fn main(args: &ShowArgs) -> Result<Exit, CliError> {
    let limit = if args.rows == 0 { usize::MAX } else { args.rows };
    match &args.table {
        Some(name) => whole_table(&opened(&args.run)?, schema::known(name)?, limit)?,
        None => summary(&args.run, limit)?,
    }
    Ok(Exit::Done)
}

fn opened(run: &Path) -> Result<Store, CliError> {
    let store = Store::open(run);
    let problem = match RunRecord::read(&store) {
        Some(record) if record.state == State::Finished => return Ok(store),
        Some(_) => "is not finished: run its pipeline again to go on from where it stopped",
        None if run.is_dir() => "holds no run: it has no readable run.json",
        None => "does not exist; runs are in runs/NAME unless --run-dir said otherwise",
    };
    Err(CliError::Wrong(format!("error: {} {problem}", run.display())))
}

/// Prints the verdict, the four result tables and where the report is.
pub(super) fn summary(run: &Path, limit: usize) -> Result<(), CliError> {
    let store = opened(run)?;
    let mut out = io::stdout().lock();
    let summaries = read_summaries(&store)?;
    for scenario in &summaries {
        let verdict = scenario.verdict.word().to_uppercase().replace('_', " ");
        writeln!(out, "\n{}: {verdict}", scenario.scenario)?;
        for sentence in std::iter::once(&scenario.reason).chain(&scenario.findings) {
            write_wrapped(&mut out, sentence)?;
        }
    }
    let judged: Vec<(&str, String)> =
        summaries.iter().map(|s| (s.scenario.as_str(), s.layer.to_string())).collect();
    let is_judged = |row: &[String]| judged.iter().any(|(s, l)| row[0] == *s && row[1] == *l);
    let any = |_: &[String]| true;
    let grids: [Block<'_>; 3] = [
        Block {
            title: "Similarity across tasks, by layer",
            table: &DIVERGENCE,
            columns: &["scenario", "layer", "mean", "sd", "min", "max", "n_inputs", "n_pairs"],
            keep: &any,
        },
        Block {
            title: "Similarity of pairs of tasks, at the judged layer",
            table: &SIMILARITY,
            columns: &["scenario", "layer", "input", "task_a", "task_b", "value", "status"],
            keep: &is_judged,
        },
        Block {
            title: "Overlap of attention focus (Jaccard)",
            table: &ATTENTION_OVERLAP,
            columns: &["scenario", "layer", "input", "task_a", "task_b", "value", "status"],
            keep: &any,
        },
    ];
    for block in &grids {
        block.print(&mut out, &store, limit)?;
    }
    ranked(
        &mut out,
        &store,
        "Attention focus of the last token: position, token, weight",
        &ATTENTION_FOCUS,
        limit,
    )?;
    ranked(&mut out, &store, "Next tokens and their probabilities", &NEXT_TOKENS, limit)?;
    let report = store.path("report.html");
    if report.exists() {
        writeln!(out, "\nreport: {}", report.display())?;
    }
    writeln!(out, "tables: {}", store.path("tables").display())?;
    Ok(())
}

/// The verdicts with their reasons; none when the pipeline has no summary stage.
fn read_summaries(store: &Store) -> Result<Vec<ScenarioSummary>, CliError> {
    if !store.exists(SUMMARY_FILE) {
        return Ok(Vec::new());
    }
    let bytes = store.read(SUMMARY_FILE).map_err(|error| CliError::failed(&error))?;
    let summaries: Summaries = serde_json::from_slice(&bytes).map_err(|error| {
        let path = store.path(SUMMARY_FILE);
        let path = path.display();
        CliError::Failed(format!("{path} is damaged: {error}; delete it and run again"))
    })?;
    Ok(summaries.scenarios)
}

/// A sentence below its heading, broken at spaces before column 100.
fn write_wrapped(out: &mut impl Write, sentence: &str) -> io::Result<()> {
    let mut line = String::from(" ");
    for word in sentence.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > 100 && !line.trim().is_empty() {
            writeln!(out, "{line}")?;
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

/// A table of the summary.
struct Block<'a> {
    title: &'a str,
    table: &'a Table,
    columns: &'a [&'a str],
    keep: &'a dyn Fn(&[String]) -> bool,
}

impl Block<'_> {
    fn print(&self, out: &mut impl Write, store: &Store, limit: usize) -> Result<(), CliError> {
        let found = preview(store, self.table, self.columns, self.keep, limit)
            .map_err(|error| CliError::failed(&error))?;
        if found.rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{} (table {})", self.title, self.table.name)?;
        print(out, self.columns, &found, self.table)
    }
}

/// A table with a row per rank, as one line a prompt with its first five ranks side by side.
fn ranked(
    out: &mut impl Write,
    store: &Store,
    title: &str,
    table: &Table,
    limit: usize,
) -> Result<(), CliError> {
    const KEY: usize = 4;
    let columns: &[&str] = if table.name == ATTENTION_FOCUS.name {
        &["scenario", "input", "task", "wording", "rank", "head", "position", "token", "weight"]
    } else {
        &["scenario", "input", "task", "wording", "rank", "token", "probability"]
    };
    // Only the mean over the heads, where single heads are kept too.
    let is_first = |row: &[String]| {
        row[KEY].parse::<u16>().is_ok_and(|rank| rank <= 5)
            && (columns[KEY + 1] != "head" || row[KEY + 1] == "-1")
    };
    let ranks = preview(store, table, columns, &is_first, limit.saturating_mul(5))
        .map_err(|error| CliError::failed(&error))?;
    let skip = if columns[KEY + 1] == "head" { KEY + 2 } else { KEY + 1 };
    let mut found = Preview { rows: Vec::new(), has_more: ranks.has_more };
    for row in &ranks.rows {
        // A token in quotes, so that its spaces are seen.
        let parts = row.iter().zip(columns).skip(skip).map(|(part, column)| match *column {
            "token" => format!("'{part}'"),
            _ => part.clone(),
        });
        let cell = parts.collect::<Vec<_>>().join(" ");
        match found.rows.last_mut() {
            Some(line) if row[KEY] != "1" && line[..KEY] == row[..KEY] => line.push(cell),
            _ => found.rows.push([&row[..KEY], &[cell]].concat()),
        }
    }
    if found.rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title} (table {})", table.name)?;
    let header = ["scenario", "input", "task", "wording", "1", "2", "3", "4", "5"];
    let widest = found.rows.iter().map(Vec::len).max().unwrap_or(KEY);
    print(out, &header[..widest], &found, table)
}

fn whole_table(store: &Store, table: &'static Table, limit: usize) -> Result<(), CliError> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let found = rows(store, table, &columns, limit)?;
    let is_released = RAW.iter().any(|raw| raw.name == table.name)
        && RunRecord::read(store).is_some_and(|record| !record.retain.contains(table.name));
    if found.rows.is_empty() && is_released {
        return Err(CliError::Wrong(format!(
            "error: {} did not keep table '{}': its pipeline's `retain` leaves it out",
            store.root().display(),
            table.name
        )));
    }
    if found.rows.is_empty() && !store.exists(&table.folder(None)) {
        return Err(CliError::Wrong(format!(
            "error: {} has no table '{}': no stage of its pipeline writes it",
            store.root().display(),
            table.name
        )));
    }
    print(&mut io::stdout().lock(), &columns, &found, table)
}

fn rows(store: &Store, table: &Table, columns: &[&str], limit: usize) -> Result<Preview, CliError> {
    preview(store, table, columns, &|_| true, limit).map_err(|error| CliError::failed(&error))
}

fn print(
    out: &mut impl Write,
    columns: &[&str],
    found: &Preview,
    table: &Table,
) -> Result<(), CliError> {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    grid.set_header(columns);
    for row in &found.rows {
        grid.add_row(row);
    }
    writeln!(out, "{grid}")?;
    if found.has_more {
        writeln!(
            out,
            "the first {} rows; more with: aqlens show RUN --table {} --rows 0",
            found.rows.len(),
            table.name
        )?;
    }
    Ok(())
}

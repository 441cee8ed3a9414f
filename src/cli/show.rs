//! `aqlens show`, and what `aqlens run` prints at its end: the verdict and the result tables.

use std::io::{self, Write};
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table as Grid};

use super::args::ShowArgs;
use super::{CliError, Exit, evidence, schema};
use crate::prompt::visible;
use crate::run_dir::layout;
use crate::run_dir::record::{RunRecord, State};
use crate::run_dir::summary::{ScenarioSummary, Summaries};
use crate::stage::names::{FLAT, MEAN_HEAD};
use crate::store::Store;
use crate::table::Table;
use crate::table::preview::{Preview, cell, last_layer, preview};
use crate::table::schema::RAW;
use crate::table::schema::{
    ATTENTION_FOCUS, ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, SIMILARITY,
};

/// Columns of the widest line of sentences.
const WIDEST: usize = 100;

/// Rows of a table printed without being asked for more.
pub(super) const DEFAULT_ROWS: usize = 40;

pub(super) fn main(args: &ShowArgs) -> Result<Exit, CliError> {
    let limit = if args.rows == 0 { usize::MAX } else { args.rows };
    match &args.table {
        Some(name) => {
            let (store, record) = opened(&args.run)?;
            if record.state == State::Running {
                // On standard error, so that the table alone can be piped.
                let run = args.run.display();
                writeln!(
                    io::stderr(),
                    "note: {run} is not finished: the table is as far as the run has come"
                )?;
            }
            whole_table(&store, schema::known(name)?, limit)?;
        }
        None => summary(&args.run, limit)?,
    }
    Ok(Exit::Done)
}

fn opened(run: &Path) -> Result<(Store, RunRecord), CliError> {
    let store = Store::open(run);
    let problem = match RunRecord::read(&store) {
        Some(record) => return Ok((store, record)),
        None if run.is_dir() => "holds no run: it has no readable run.json",
        None => "does not exist; runs are in runs/NAME unless --run-dir said otherwise",
    };
    Err(CliError::Wrong(format!("error: {} {problem}", run.display())))
}

/// Prints the verdict, the result tables and where the report is.
pub(super) fn summary(run: &Path, limit: usize) -> Result<(), CliError> {
    let (store, record) = opened(run)?;
    if record.state == State::Running {
        let go_on = match record.shares {
            Some(_) => "with --finish once every --shard is done",
            None => "again to go on from where it stopped",
        };
        return Err(CliError::Wrong(format!(
            "error: {} is not finished: run its pipeline {go_on}, or look at what is there with \
             --table NAME",
            run.display()
        )));
    }
    let mut out = io::stdout().lock();
    let summaries = read_summaries(&store)?;
    for scenario in &summaries {
        let verdict = scenario.verdict.word().to_uppercase().replace('_', " ");
        // The verdicts that have a baseline follow, each named by its measure.
        writeln!(out, "\n{}: {verdict} by the notebook's test", visible(&scenario.scenario))?;
        for sentence in std::iter::once(&scenario.reason).chain(&scenario.findings) {
            write_wrapped(&mut out, sentence)?;
        }
        evidence::judgements(&mut out, scenario)?;
    }
    grids(&mut out, &store, &summaries, limit)?;
    let report = store.path(layout::REPORT);
    if report.exists() {
        writeln!(out, "\nreport: {}", report.display())?;
    }
    writeln!(out, "tables: {}", store.path(layout::TABLES).display())?;
    Ok(())
}

/// The result tables. Those of attention at their last layer and with the heads averaged, as the
/// notebook, where more is stored.
fn grids(
    out: &mut impl Write,
    store: &Store,
    summaries: &[ScenarioSummary],
    limit: usize,
) -> Result<(), CliError> {
    let judged: Vec<(String, String)> =
        summaries.iter().map(|s| (cell(&s.scenario), s.layer.to_string())).collect();
    let is_judged =
        |row: &[String]| row[7] == FLAT && judged.iter().any(|(s, l)| row[0] == *s && row[1] == *l);
    let any = |_: &[String]| true;
    let is_flat = |row: &[String]| row[8] == FLAT;
    let last = |table| last_layer(store, table).map_err(|error| CliError::failed(&error));
    let last_overlap = last(&ATTENTION_OVERLAP)?.unwrap_or_default().to_string();
    let is_mean = |row: &[String]| row[1] == last_overlap && is_mean_head(&row[7]);
    let columns = ["scenario", "layer", "input", "task_a", "task_b", "value", "status", "head"];
    evidence::grids(out, store, summaries, limit)?;
    let blocks: [Block<'_>; 3] = [
        Block {
            title: "Similarity across tasks, by layer",
            table: &DIVERGENCE,
            columns: &[
                "scenario", "layer", "mean", "sd", "min", "max", "n_inputs", "n_pairs", "measure",
            ],
            shown: 8,
            keep: &is_flat,
        },
        Block {
            title: "Similarity of pairs of tasks, at the judged layer",
            table: &SIMILARITY,
            columns: &[&columns[..7], &["measure"]].concat(),
            shown: 7,
            keep: &is_judged,
        },
        Block {
            title: "Overlap of attention focus (Jaccard)",
            table: &ATTENTION_OVERLAP,
            columns: &columns,
            shown: 7,
            keep: &is_mean,
        },
    ];
    for block in &blocks {
        block.print(out, store, limit)?;
    }
    let last_focus = last(&ATTENTION_FOCUS)?.unwrap_or_default().to_string();
    let focus = Ranked {
        title: "Attention focus of the last token: position, token, weight",
        table: &ATTENTION_FOCUS,
        cells: &["position", "token", "weight"],
        filter: &["layer", "head"],
        keep: &|filter| filter[0] == last_focus && is_mean_head(&filter[1]),
    };
    focus.print(out, store, limit)?;
    let next = Ranked {
        title: "Next tokens and their probabilities",
        table: &NEXT_TOKENS,
        cells: &["token", "probability"],
        filter: &[],
        keep: &any,
    };
    next.print(out, store, limit)
}

fn is_mean_head(head: &str) -> bool {
    head.parse() == Ok(MEAN_HEAD)
}

/// The verdicts with their reasons; none when the pipeline has no summary stage.
fn read_summaries(store: &Store) -> Result<Vec<ScenarioSummary>, CliError> {
    if !store.exists(layout::SUMMARY) {
        return Ok(Vec::new());
    }
    let bytes = store.read(layout::SUMMARY).map_err(|error| CliError::failed(&error))?;
    let summaries: Summaries = serde_json::from_slice(&bytes).map_err(|error| {
        let path = store.path(layout::SUMMARY);
        let path = path.display();
        CliError::Failed(format!("{path} is damaged: {error}; delete it and run again"))
    })?;
    Ok(summaries.scenarios)
}

/// Columns of the terminal: what `COLUMNS` says, else `None`, and the tables ask the terminal.
fn told_width() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|width| *width > 0)
}

/// A sentence below its heading, broken at spaces before column 100 or the terminal's last.
pub(super) fn write_wrapped(out: &mut impl Write, sentence: &str) -> io::Result<()> {
    let width = told_width().map_or(WIDEST, usize::from).min(WIDEST);
    let mut line = String::from(" ");
    for word in visible(sentence).split(' ') {
        if line.chars().count() + 1 + word.chars().count() > width && !line.trim().is_empty() {
            writeln!(out, "{line}")?;
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

/// A table of the summary.
pub(super) struct Block<'a> {
    pub(super) title: &'a str,
    pub(super) table: &'a Table,
    pub(super) columns: &'a [&'a str],
    /// How many of the columns are printed; the others are for `keep` only.
    pub(super) shown: usize,
    pub(super) keep: &'a dyn Fn(&[String]) -> bool,
}

impl Block<'_> {
    pub(super) fn print(
        &self,
        out: &mut impl Write,
        store: &Store,
        limit: usize,
    ) -> Result<(), CliError> {
        let mut found = preview(store, self.table, self.columns, self.keep, limit)
            .map_err(|error| CliError::failed(&error))?;
        if found.rows.is_empty() {
            return Ok(());
        }
        found.rows.iter_mut().for_each(|row| row.truncate(self.shown));
        writeln!(out, "\n{} (table {})", self.title, self.table.name)?;
        print(out, &self.columns[..self.shown], &found, self.table)
    }
}

/// A table with a row per rank, as one line a prompt with its first five ranks side by side.
struct Ranked<'a> {
    title: &'a str,
    table: &'a Table,
    /// What is told of each rank.
    cells: &'a [&'a str],
    /// The columns that `keep` judges a row by.
    filter: &'a [&'a str],
    keep: &'a dyn Fn(&[String]) -> bool,
}

impl Ranked<'_> {
    const KEY: [&'static str; 4] = ["scenario", "input", "task", "wording"];
    const RANKS: usize = 5;

    fn print(&self, out: &mut impl Write, store: &Store, limit: usize) -> Result<(), CliError> {
        let n_key = Self::KEY.len();
        let columns = [&Self::KEY[..], &["rank"], self.filter, self.cells].concat();
        let first_cell = n_key + 1 + self.filter.len();
        let keep = |row: &[String]| {
            row[n_key].parse::<usize>().is_ok_and(|rank| rank <= Self::RANKS)
                && (self.keep)(&row[n_key + 1..first_cell])
        };
        let most = limit.saturating_mul(Self::RANKS);
        let ranks = preview(store, self.table, &columns, &keep, most)
            .map_err(|error| CliError::failed(&error))?;
        let mut found = Preview { rows: Vec::new(), has_more: ranks.has_more };
        for row in &ranks.rows {
            // A token in quotes, so that its spaces are seen.
            let parts = row.iter().zip(&columns).skip(first_cell).map(|(part, column)| {
                if *column == "token" { format!("'{part}'") } else { part.clone() }
            });
            let told = parts.collect::<Vec<_>>().join(" ");
            match found.rows.last_mut() {
                Some(line) if row[n_key] != "1" && line[..n_key] == row[..n_key] => line.push(told),
                _ => found.rows.push([&row[..n_key], &[told]].concat()),
            }
        }
        // A prompt may have fewer ranks, and then more prompts were read than asked for.
        found.has_more |= found.rows.len() > limit;
        found.rows.truncate(limit);
        if found.rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{} (table {})", self.title, self.table.name)?;
        let header = [&Self::KEY[..], &["1", "2", "3", "4", "5"]].concat();
        let widest = found.rows.iter().map(Vec::len).max().unwrap_or(n_key);
        print(out, &header[..widest], &found, self.table)
    }
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

pub(super) fn print(
    out: &mut impl Write,
    columns: &[&str],
    found: &Preview,
    table: &Table,
) -> Result<(), CliError> {
    let mut grid = Grid::new();
    grid.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = told_width() {
        grid.set_width(width);
    }
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

//! `aqlens show`, and what `aqlens run` prints at its end: the verdicts, a small table for each
//! question, and where to look next.

mod by_layer;
mod by_task;
mod decoding;
mod tally;
mod uses;
mod verdicts;
mod whole;

use std::io::{self, Write};
use std::path::Path;

use self::tally::Tally;
use super::args::ShowArgs;
use super::error::CliError;
use super::exit::Exit;
use super::{grid, schema};
use crate::ledger::descent::believe_receipts;
use crate::prompt::visible;
use crate::run_dir::RunDir;
use crate::run_dir::layout;
use crate::run_dir::record::{RunRecord, State};

/// More scenarios than this are shown as verdicts alone.
const MANY: usize = 5;

/// Most scenarios that are shown at all; the others are counted.
const MOST: usize = 20;

pub(super) fn main(args: &ShowArgs) -> Result<Exit, CliError> {
    let Some(name) = &args.table else {
        overview(&args.run)?;
        return Ok(Exit::Done);
    };
    let (run, record) = open(&args.run)?;
    if record.state == State::Running {
        // On standard error, so that the table alone can be piped.
        let run = args.run.display();
        writeln!(io::stderr(), "note: {run} is not finished: the table holds what is done so far")?;
    }
    let limit = if args.rows == 0 { usize::MAX } else { args.rows };
    whole::print(&run, &record, schema::known(name)?, limit)?;
    Ok(Exit::Done)
}

/// The run in a folder and what it says of itself.
pub(super) fn open(path: &Path) -> Result<(RunDir, RunRecord), CliError> {
    let run = RunDir::open(path)?;
    believe_receipts(run.store());
    let record = run.record().ok_or_else(|| {
        let path = path.display();
        CliError::Wrong(format!("error: {path} holds no run: it has no readable run.json"))
    })?;
    Ok((run, record))
}

/// Prints what came out of a finished run.
///
/// # Errors
/// When there is no run, it is not finished, or one of its files cannot be read.
pub(super) fn overview(path: &Path) -> Result<(), CliError> {
    let (run, record) = open(path)?;
    if record.state == State::Running {
        let go_on = match record.shares {
            Some(_) => "with --finish once every --shard is done",
            None => "again to continue where it stopped",
        };
        return Err(CliError::Wrong(format!(
            "error: {} is not finished: run its pipeline {go_on}, or look at what is there with \
             --table NAME",
            path.display()
        )));
    }
    let mut out = io::stdout().lock();
    let summaries = run.summary()?.unwrap_or_default();
    let (scenarios, judged) = (summaries.scenarios, summaries.judged);
    writeln!(out)?;
    let has_many = scenarios.len() > MANY;
    let (first, others) = scenarios.split_at(scenarios.len().min(MOST));
    verdicts::write(&mut out, first, has_many)?;
    verdicts::write_others(&mut out, others, &visible(&run.store().root().display().to_string()))?;
    if let Some(judged) = judged.and_then(|judged| judged.sentence()) {
        verdicts::write_judged(&mut out, &judged)?;
    }
    let mut is_whole = !has_many;
    if is_whole {
        let tally = Tally::of(run.store(), record.counts.shards, MANY)?;
        if let Some(tally) = &tally {
            by_layer::write_similarity(&mut out, run.store(), &scenarios)?;
            by_task::write_pairs(&mut out, tally)?;
            by_task::write_tokens(&mut out, tally)?;
            by_layer::write_effects(&mut out, run.store(), &scenarios)?;
            by_layer::write_shares(&mut out, run.store())?;
            decoding::write(&mut out, run.store())?;
            uses::write(&mut out, run.store())?;
        }
        is_whole = tally.is_some();
    }
    write_way_on(&mut out, &run, is_whole)?;
    Ok(())
}

/// Where to look next.
fn write_way_on(out: &mut impl Write, run: &RunDir, is_whole: bool) -> io::Result<()> {
    writeln!(out)?;
    if let Some(report) = run.report() {
        writeln!(out, "report: {}", visible(&report.display().to_string()))?;
    }
    let store = run.store();
    writeln!(out, "tables: {}", visible(&store.path(layout::TABLES).display().to_string()))?;
    // Without the small tables, a table that has every scenario's numbers in few rows.
    let table = if is_whole { "similarity" } else { "divergence" };
    let root = visible(&store.root().display().to_string());
    let next = format!(
        "next: `aqlens show {root} --table {table}` (or another), `aqlens schema` (what they hold)"
    );
    grid::write_sentence(out, 0, &next)
}

//! `aqlens compare RUN RUN...`: what is different between finished runs, in sentences and small tables, as
//! one JSON object, or as a page.

mod conclusion;
mod page;
mod rows;
mod tables;
mod verdicts;

use std::io::{self, IsTerminal as _, Write};

use super::args::{CompareArgs, FailOnArg};
use super::error::CliError;
use super::exit::Exit;
use super::grid::{Small, write_sentence};
use super::{interrupt, term};
use crate::compare::{
    CompareError, Comparison, Differs, LISTED, Members, Pair, Request, Roster, Tolerances, compare,
};
use crate::prompt::visible;
use crate::render::comparison::comparison as html;
use crate::store::write_file;

/// Sentences about the lineage that are printed of a run.
const MOST_SENTENCES: usize = 20;

/// Names that are printed of a list.
const NAMED: usize = 3;

pub(super) fn main(args: &CompareArgs) -> Result<Exit, CliError> {
    interrupt::listen(|| term::say("interrupted"));
    let request = Request {
        runs: args.runs.clone(),
        labels: args.labels.clone(),
        tolerances: Tolerances::parse(&args.tolerances)?,
        raw: args.raw,
    };
    let is_watched = io::stderr().is_terminal();
    let note = |what: &str| {
        if is_watched {
            term::say(&visible(what));
        }
    };
    let comparison = compare(&request, &note)?;
    if let Some(path) = &args.html {
        write_file(path, html(&page::page(&comparison)).as_bytes())
            .map_err(|error| CliError::failed(&error))?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        let text = serde_json::to_string(&comparison).expect("numbers and texts serialise");
        writeln!(out, "{text}")?;
    } else {
        print(&mut out, &comparison)?;
    }
    Ok(if fails(args.fail_on, comparison.differs) { Exit::Differs } else { Exit::Done })
}

fn fails(on: Option<FailOnArg>, differs: Differs) -> bool {
    match on {
        None => false,
        Some(FailOnArg::Verdict) => differs.verdicts,
        Some(FailOnArg::Value) => differs.values,
        Some(FailOnArg::Any) => differs.anything,
    }
}

impl From<CompareError> for CliError {
    fn from(error: CompareError) -> Self {
        if error.is_wrong_request() {
            return Self::Wrong(format!("error: {}", visible(&error.to_string())));
        }
        Self::failed(&error)
    }
}

fn print(out: &mut impl Write, found: &Comparison) -> io::Result<()> {
    for (i, run) in found.runs.iter().enumerate() {
        let role = if i == 0 { "base: " } else { "" };
        let layers = run.n_layer.map_or(String::new(), |n| format!(" of {n} layers"));
        let sentence = format!(
            "{role}{} = {} ({} prompts, model {}{layers}, aqlens {})",
            run.label, run.path, run.prompts, run.model, run.aqlens
        );
        write_sentence(out, 0, &sentence)?;
    }
    for pair in &found.pairs {
        writeln!(out)?;
        let [base, other] = labels(found, pair);
        write_sentence(out, 0, &format!("{other} compared with {base}"))?;
        for sentence in came_from(pair, MOST_SENTENCES, [base, other]) {
            write_sentence(out, 2, &sentence)?;
        }
    }
    verdicts::print(out, found)?;
    for pair in &found.pairs {
        writeln!(out)?;
        let [base, other] = labels(found, pair);
        write_sentence(
            out,
            0,
            &format!("values of {other} and {base}, on the keys that both have"),
        )?;
        let mut counts = tables::counts(pair, [base, other]).into_iter();
        if let Some(head) = counts.next() {
            let mut grid = Small::new(head);
            counts.for_each(|row| grid.push(row));
            grid.write(out)?;
        }
        for sentence in tables::sentences(pair, [base, other]) {
            write_sentence(out, 2, &sentence)?;
        }
    }
    writeln!(out)?;
    write_sentence(out, 0, &conclusion::sentence(found))
}

/// What the base and the other run of a pair are called.
fn labels<'c>(found: &'c Comparison, pair: &Pair) -> [&'c str; 2] {
    [&found.runs[0].label, &found.runs[pair.run].label]
}

/// What the numbers depend on, what was asked, and what else to know, in sentences.
fn came_from(pair: &Pair, most: usize, labels: [&str; 2]) -> Vec<String> {
    let mut all: Vec<String> =
        pair.lineage.iter().take(most).map(|difference| difference.sentence.clone()).collect();
    if all.is_empty() {
        all.push("model, pipeline, settings, inputs and versions are the same".to_owned());
    }
    let more = pair.lineage.len().saturating_sub(most) + pair.more_lineage;
    if more > 0 {
        all.push(format!("and {more} more differences (--json has the first {LISTED})"));
    }
    all.extend(asked(&pair.roster, labels));
    all.extend(pair.notes.iter().cloned());
    all
}

/// What was asked of both, a sentence for each kind that is not the same.
fn asked(roster: &Roster, labels: [&str; 2]) -> Vec<String> {
    if !roster.differs() {
        let n = |members: &Members, noun: &str| count(members.both, noun);
        let Roster { scenarios, tasks, inputs } = roster;
        return vec![format!(
            "both have the same {}, {} and {}",
            n(scenarios, "scenario"),
            n(tasks, "task"),
            n(inputs, "input")
        )];
    }
    let kinds = [
        ("scenario", &roster.scenarios, ""),
        ("task", &roster.tasks, "with another number of wordings"),
        ("input", &roster.inputs, "with another text"),
    ];
    let differ = kinds.into_iter().filter(|(_, members, _)| members.differ());
    differ.map(|(noun, members, changed)| members_words(noun, members, changed, labels)).collect()
}

fn members_words(noun: &str, members: &Members, changed: &str, [base, other]: [&str; 2]) -> String {
    let mut parts = vec![format!("{} in both", count(members.both, noun))];
    let lists = [
        (members.changed, &members.listed_changed, changed.to_owned()),
        (members.only_base, &members.listed_only_base, format!("only in {base}")),
        (members.only_other, &members.listed_only_other, format!("only in {other}")),
    ];
    for (n, listed, where_) in lists.into_iter().filter(|(n, ..)| *n > 0) {
        let names: Vec<&str> = listed.iter().take(NAMED).map(String::as_str).collect();
        let more = if n > names.len() as u64 { ", ..." } else { "" };
        parts.push(format!("{n} {where_} ({}{more})", names.join(", ")));
    }
    parts.join("; ")
}

fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

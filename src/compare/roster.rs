//! What was asked of two runs: scenarios, tasks and inputs, from table `prompts`.

use std::collections::{BTreeMap, BTreeSet};

use super::cells::{Block, Cell};
use super::document::{Members, Roster};
use super::join::{Rows as Stream, Side, Visit, join};
use super::opened::Opened;
use super::tables::stream;
use super::tally::input_hash;
use super::{CompareError, LISTED};
use crate::table::blocks::header;
use crate::table::schema::PROMPTS;

/// What names an input.
const KEYS: [&str; 2] = ["scenario", "input"];
/// What tells its text from another one.
const TEXT: &str = "input_sha256";
/// What names a task's wording.
const WORDINGS: [&str; 3] = ["scenario", "task", "wording"];
/// Rows that are read at a time.
const ROWS: usize = 4096;

/// The roster, and the inputs whose text is not the same (as [`input_hash`]).
///
/// # Errors
/// When the table cannot be read.
pub(super) fn roster(
    base: &Opened,
    other: &Opened,
) -> Result<(Roster, BTreeSet<u64>), CompareError> {
    let (ours, theirs) = (wordings(base)?, wordings(other)?);
    // Of scenarios their names are all that is compared.
    let scenarios = |all: &Wordings| -> BTreeMap<String, usize> {
        all.keys().map(|(scenario, _)| (scenario.clone(), 0)).collect()
    };
    let tasks = |all: &Wordings| -> BTreeMap<String, usize> {
        let task = |((scenario, task), wordings): (&(String, String), &BTreeSet<i64>)| {
            (format!("{scenario}/{task}"), wordings.len())
        };
        all.iter().map(task).collect()
    };
    let inputs = inputs(base, other)?;
    let roster = Roster {
        scenarios: members(&scenarios(&ours), &scenarios(&theirs)),
        tasks: members(&tasks(&ours), &tasks(&theirs)),
        inputs: inputs.members,
    };
    Ok((roster, inputs.changed))
}

fn members<T: PartialEq>(ours: &BTreeMap<String, T>, theirs: &BTreeMap<String, T>) -> Members {
    let mut found = Members::default();
    for (name, value) in ours {
        match theirs.get(name) {
            Some(other) => {
                found.both += 1;
                if other != value {
                    list(&mut found.changed, &mut found.listed_changed, name);
                }
            }
            None => list(&mut found.only_base, &mut found.listed_only_base, name),
        }
    }
    for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
        list(&mut found.only_other, &mut found.listed_only_other, name);
    }
    found
}

fn list(count: &mut u64, listed: &mut Vec<String>, name: &str) {
    *count += 1;
    if listed.len() < LISTED {
        listed.push(name.to_owned());
    }
}

/// The wordings of each scenario's tasks.
type Wordings = BTreeMap<(String, String), BTreeSet<i64>>;

fn wordings(run: &Opened) -> Result<Wordings, CompareError> {
    let mut found = Wordings::new();
    let mut rows = stream(run, &PROMPTS, &WORDINGS, &[], ROWS);
    let mut last: Option<(String, String, i64)> = None;
    while let Some(block) = rows()? {
        for row in 0..block.rows {
            let cells = [0, 1, 2].map(|at| block.keys[at].at(row));
            let [Cell::Text(scenario), Cell::Text(task), Cell::Int(wording)] = cells else {
                continue;
            };
            // Below 0 are the controls.
            let is_last = last.as_ref().is_some_and(|(own, of, number)| {
                (own.as_str(), of.as_str(), *number) == (scenario, task, wording)
            });
            if wording < 0 || is_last {
                continue;
            }
            let of_task = found.entry((scenario.to_owned(), task.to_owned())).or_default();
            of_task.insert(wording);
            last = Some((scenario.to_owned(), task.to_owned(), wording));
        }
    }
    Ok(found)
}

/// What is found of the inputs.
#[derive(Default)]
struct Inputs {
    members: Members,
    changed: BTreeSet<u64>,
}

fn inputs(base: &Opened, other: &Opened) -> Result<Inputs, CompareError> {
    // Early versions of the table do not say what text an input has.
    let mut has_texts = true;
    for run in [base, other] {
        if let Some(file) = run.files(&PROMPTS).first() {
            has_texts &= header(run.store(), &PROMPTS, file)?.kind(TEXT).is_some();
        }
    }
    let columns: &[&str] = if has_texts { &[TEXT] } else { &[] };
    let runs = [base, other];
    join(
        &mut |side| {
            let rows = stream(runs[side as usize], &PROMPTS, &KEYS, columns, ROWS);
            Ok(first_of_each(rows))
        },
        Inputs::default,
    )
}

/// The first row of each input alone. The prompts of an input stand together, its tasks first: so the text is
/// its own, not that of the input that a control puts in its place.
fn first_of_each(mut rows: Box<Stream<'_>>) -> Box<Stream<'_>> {
    let mut last: Box<[u8]> = Box::default();
    Box::new(move || {
        let Some(block) = rows()? else { return Ok(None) };
        let mut firsts = Vec::new();
        for row in 0..block.rows {
            let key = block.key(row);
            if key != last {
                firsts.push(row as u32);
                last = key;
            }
        }
        Ok(Some(block.rows(&firsts)?))
    })
}

fn name_of(block: &Block, row: usize) -> Option<[String; 2]> {
    match [block.keys[0].at(row), block.keys[1].at(row)] {
        [Cell::Text(scenario), Cell::Text(input)] => Some([scenario.to_owned(), input.to_owned()]),
        _ => None,
    }
}

impl Visit for Inputs {
    fn pair(&mut self, base: (&Block, usize), other: (&Block, usize)) {
        self.members.both += 1;
        let texts = [base, other].map(|(block, row)| block.cells.first().map(|own| own.at(row)));
        if texts[0] == texts[1] {
            return;
        }
        if let Some([scenario, input]) = name_of(base.0, base.1) {
            self.changed.insert(input_hash(&scenario, &input));
            let name = format!("{scenario}/{input}");
            list(&mut self.members.changed, &mut self.members.listed_changed, &name);
        }
    }

    fn only(&mut self, side: Side, (block, row): (&Block, usize)) {
        let name = name_of(block, row).map(|name| name.join("/")).unwrap_or_default();
        let Members { only_base, only_other, listed_only_base, listed_only_other, .. } =
            &mut self.members;
        match side {
            Side::Base => list(only_base, listed_only_base, &name),
            Side::Other => list(only_other, listed_only_other, &name),
        }
    }
}

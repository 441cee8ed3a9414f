//! What is different between finished runs: where their numbers come from, what was asked, the numbers
//! themselves on the keys that both have, and the verdicts. Writes nothing.
//!
//! ```text
//! record, receipts, pipeline.yml  -> lineage: what the numbers depend on and is not the same
//! prompts                         -> roster: scenarios, tasks, inputs; inputs with another text
//! each table, both runs           -> join on its keys -> tables: rows, and values beyond a tolerance
//!                raw ones         -> checksums, unless they are asked for
//! summary.json                    -> verdicts, in all runs
//! effect, divergence, ...         -> curves: measures by layer, in all runs
//! ```
//!
//! The first run is the base. Memory does not grow with the runs (`join`).

mod cells;
mod curves;
mod document;
mod join;
mod lineage;
mod opened;
mod roster;
mod settings;
mod tables;
mod tally;
mod tolerance;
mod verdicts;

use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;

pub use document::{
    Change, ColumnComparison, Comparison, Curve, Difference, Differs, FORMAT, Files, How, Key,
    Layers, Members, Pair, Point, Roster, Rows, RunFacts, TableComparison, VerdictOf, VerdictRow,
};
pub use tolerance::{ColumnTolerance, Tolerance, Tolerances};

use self::opened::Opened;
use crate::run_dir::OpenError;
use crate::store::StoreError;
use crate::table::TableError;

/// Names that each list of a document has at most.
pub const LISTED: usize = 100;

/// What is to be compared, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The run directories, the base first: two at least.
    pub runs: Vec<PathBuf>,
    /// What they are called; the names of the directories where there are none.
    pub labels: Vec<String>,
    /// What counts as a change of a number.
    pub tolerances: Tolerances,
    /// Whether raw tables are compared row by row.
    pub raw: bool,
}

/// Runs could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// There is no run.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A run is still going on, or was stopped.
    #[error(
        "{} is not finished: run its pipeline again to continue where it stopped, and compare it then",
        path.display()
    )]
    Unfinished {
        /// The run directory.
        path: PathBuf,
    },
    /// A run is of a later version.
    #[error(
        "{} was written by a later aqlens (format {format} of run.json): compare it with that version",
        path.display()
    )]
    Later {
        /// The run directory.
        path: PathBuf,
        /// What its record says.
        format: u32,
    },
    /// A file of a run is not as its record says.
    #[error(
        "{} is damaged: {file} {problem}; `aqlens verify {}` names all that is wrong, and \
         `aqlens run PIPELINE --run-dir {} --recheck` makes it again",
        root.display(), root.display(), root.display()
    )]
    Damaged {
        /// The run directory.
        root: PathBuf,
        /// The file in it.
        file: String,
        /// What is wrong, to follow its name.
        problem: String,
    },
    /// A table names two rows alike.
    #[error("two rows have one key")]
    TwoRows,
    /// That, with the table.
    #[error(
        "table '{table}' of {run} or of {other} has two rows of one key, which aqlens never writes: \
         `aqlens verify` says whether its files are those that were written"
    )]
    TwoRowsOf {
        /// The table.
        table: String,
        /// The base.
        run: String,
        /// The other.
        other: String,
    },
    /// A tolerance is none.
    #[error("--tolerance {word}: {problem}")]
    Tolerance {
        /// As it was given.
        word: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A label is used twice, or there are more or fewer labels than runs.
    #[error("{0}")]
    Labels(String),
    /// A table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows could not be set apart.
    #[error("cannot take rows out of a table")]
    Arrow(#[from] ArrowError),
}

impl CompareError {
    /// Whether what was asked for is at fault, not a file.
    pub fn is_wrong_request(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::NoRun { .. })
                | Self::Unfinished { .. }
                | Self::Later { .. }
                | Self::Tolerance { .. }
                | Self::Labels(_)
        )
    }
}

/// Compares runs; `note` hears what is being read.
///
/// # Errors
/// When one is no run, not finished or damaged, or a file cannot be read.
pub fn compare(request: &Request, note: &dyn Fn(&str)) -> Result<Comparison, CompareError> {
    let labels = labels(request)?;
    let runs = request.runs.iter().zip(labels).map(|(root, label)| Opened::open(root, label));
    let runs: Vec<Opened> = runs.collect::<Result<_, _>>()?;
    let (base, others) = runs.split_first().ok_or_else(|| too_few(0))?;
    let mut pairs = Vec::new();
    for (place, other) in others.iter().enumerate() {
        note(&format!("comparing {} with {}", other.label, base.label));
        pairs.push(pair(base, other, place + 1, request, note)?);
    }
    let verdicts = verdicts::verdicts(&runs)?;
    note("reading the measures by layer");
    let curves = curves::curves(&runs)?;
    Ok(Comparison {
        format: FORMAT,
        differs: differs(&pairs, &verdicts),
        runs: runs.iter().map(facts).collect(),
        tolerance: request.tolerances.clone(),
        raw: request.raw,
        pairs,
        verdicts,
        curves,
    })
}

fn pair(
    base: &Opened,
    other: &Opened,
    run: usize,
    request: &Request,
    note: &dyn Fn(&str),
) -> Result<Pair, CompareError> {
    let layers = lineage::layers(base, other);
    let (mut lineage, notes) = lineage::differences(base, other);
    let more_lineage = lineage.len().saturating_sub(LISTED);
    lineage.truncate(LISTED);
    let (roster, changed_inputs) = roster::roster(base, other)?;
    let how = tables::Way { layers, request, changed_inputs: &changed_inputs };
    let tables = tables::tables(base, other, &how, note)?;
    Ok(Pair { run, lineage, more_lineage, layers, notes, roster, tables })
}

fn facts(run: &Opened) -> RunFacts {
    let lineage = &run.record.lineage;
    RunFacts {
        label: run.label.clone(),
        path: run.path.clone(),
        pipeline: lineage.pipeline.clone(),
        model: lineage.model.clone(),
        n_layer: run.n_layer(),
        aqlens: lineage.aqlens.clone(),
        prompts: run.record.counts.prompts,
        skipped: run.record.counts.skipped,
    }
}

fn differs(pairs: &[Pair], verdicts: &[VerdictRow]) -> Differs {
    let tables = || pairs.iter().flat_map(|pair| &pair.tables);
    let values = tables().any(TableComparison::has_changed_values);
    let verdicts = verdicts.iter().any(|row| row.changed);
    let lineage = pairs.iter().any(|pair| !pair.lineage.is_empty() || pair.roster.differs());
    let anything = values || verdicts || lineage || tables().any(TableComparison::differs);
    Differs { verdicts, values, anything }
}

impl TableComparison {
    /// Whether a value in a row that both have is another one.
    pub fn has_changed_values(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| rows.changed > 0)
    }

    /// Whether rows, values or bytes are not the same in both, as far as they were compared.
    pub fn differs(&self) -> bool {
        let rows = self.rows.as_ref();
        let has_other_rows = rows.is_some_and(|rows| rows.only_base + rows.only_other > 0);
        let files = self.files.is_some_and(|files| files.differ());
        let is_one_sided = matches!(self.how, How::OnlyBase | How::OnlyOther);
        self.has_changed_values() || has_other_rows || files || is_one_sided
    }
}

impl Files {
    /// Whether a file is not the same in both.
    pub fn differ(&self) -> bool {
        self.different + self.only_base + self.only_other > 0
    }
}

impl Roster {
    /// Whether something else was asked.
    pub fn differs(&self) -> bool {
        [&self.scenarios, &self.tasks, &self.inputs].iter().any(|members| members.differ())
    }
}

impl Members {
    /// Whether a member is not in both, or not the same.
    pub fn differ(&self) -> bool {
        self.only_base + self.only_other + self.changed > 0
    }
}

fn too_few(n: usize) -> CompareError {
    CompareError::Labels(format!("{n} run directories: two or more can be compared"))
}

/// What each run is called.
fn labels(request: &Request) -> Result<Vec<String>, CompareError> {
    let Request { runs, labels, .. } = request;
    if runs.len() < 2 {
        return Err(too_few(runs.len()));
    }
    if labels.is_empty() {
        return Ok(names_of(runs));
    }
    if labels.len() != runs.len() {
        let problem = format!(
            "{} runs and {} labels: give --label once for each run, in their order, or not at all",
            runs.len(),
            labels.len()
        );
        return Err(CompareError::Labels(problem));
    }
    match labels.iter().enumerate().find(|(i, label)| labels[..*i].contains(label)) {
        Some((_, label)) => {
            let problem = format!("--label {label} is given twice: each run needs another one");
            Err(CompareError::Labels(problem))
        }
        None => Ok(labels.clone()),
    }
}

/// The shortest ends of the paths that tell them apart: their names, mostly.
fn names_of(runs: &[PathBuf]) -> Vec<String> {
    let steps = |path: &Path| -> Vec<String> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        path.components().map(|step| step.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let all: Vec<Vec<String>> = runs.iter().map(|run| steps(run)).collect();
    let longest = all.iter().map(Vec::len).max().unwrap_or(1);
    for n in 1..=longest {
        let names: Vec<String> =
            all.iter().map(|steps| steps[steps.len().saturating_sub(n)..].join("/")).collect();
        let are_apart = (1..names.len()).all(|i| !names[..i].contains(&names[i]));
        if are_apart {
            return names;
        }
    }
    // One directory is given twice.
    let name = |(i, steps): (usize, &Vec<String>)| {
        format!("{} ({})", steps.last().map_or("", String::as_str), i + 1)
    };
    all.iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_what_tells_their_directories_apart() {
        let names = |paths: &[&str]| names_of(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/a/runs/monday", "/a/runs/tuesday"]), ["monday", "tuesday"]);
        assert_eq!(names(&["/a/x/run", "/a/y/run"]), ["x/run", "y/run"]);
        assert_eq!(names(&["/a/run", "/a/run"]), ["run (1)", "run (2)"]);
    }
}

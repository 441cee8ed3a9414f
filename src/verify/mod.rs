//! Whether a run directory is still what its run wrote.
//!
//! Every file that a receipt names is hashed. Receipts and `run.json` carry their own hash,
//! `pipeline.yml` is compared with the lineage. Where that pipeline can still be loaded, the plan says
//! which receipts there must be and what fingerprint each must have, so that a sound receipt of some
//! other run is found too. It writes nothing.

mod doubt;
mod inspect;
mod look;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use self::doubt::Doubt;

use self::look::Look;
use crate::ledger::descent::{Key, is_by_shard, keys_of, made_from, writer_of};
use crate::monitor::{Event, Monitor};
use crate::pipeline::plan::PlanError;
use crate::run_dir::receipt::Receipt;
use crate::run_dir::record::State;
use crate::run_dir::{OpenError, RunDir};
use crate::store::{Store, StoreError};

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It should be there.
    Missing,
    /// Its end is missing.
    Truncated,
    /// Its content is not what was written.
    Altered,
    /// It exists and does not belong to this run.
    Foreign,
    /// The system cannot read it.
    Unreadable,
}

impl Wrong {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::Altered => "altered",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, relative to the run directory.
    pub file: String,
    /// What is wrong with it.
    pub wrong: Wrong,
    /// How that is known, in words that follow the file's name.
    pub why: String,
    /// The receipt that names the file, when it is one that a stage wrote.
    pub receipt: Option<String>,
    /// Whether running the pipeline again repairs it; otherwise a person must move it away.
    pub run_repairs: bool,
}

/// What was found in a run directory.
#[derive(Debug, Default)]
pub struct Verification {
    /// How far the run is, if `run.json` can be read.
    pub state: Option<State>,
    /// Every file that is not as it should be, by name.
    pub findings: Vec<Finding>,
    /// What was made from those of them that a stage wrote, by stage.
    pub doubts: Vec<Doubt>,
    /// Files that a killed process left without a final name; the next run deletes them.
    pub leftovers: Vec<String>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
    /// Stages of shards that are not done yet; zero in a finished run.
    pub open: usize,
    /// Files whose content is proved to be what was written.
    pub sound_files: usize,
    /// Their bytes.
    pub sound_bytes: u64,
}

impl Verification {
    /// Whether the run is finished and every file is as it was written.
    pub fn is_sound(&self) -> bool {
        self.state == Some(State::Finished) && self.findings.is_empty()
    }
}

/// A run directory could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no run to verify.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder could not be read, or a process is writing to it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run's prompts could not be laid out again.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// [`Monitor::is_interrupted`] said to stop.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

/// Compares every file of the run directory `root` with what is recorded about it; writes nothing.
///
/// # Errors
/// When `root` holds no run, a process is working on it, or a folder cannot be listed. A file that
/// cannot be read is a finding.
pub fn verify(root: &Path, monitor: &dyn Monitor) -> Result<Verification, VerifyError> {
    let run = RunDir::open(root)?;
    run.store().check_unlocked()?;
    let found = Look::new(&run).by_plan(monitor)?;
    // A run that began meanwhile was seen half-way: its files are not findings.
    run.store().check_unlocked()?;
    Ok(found)
}

/// What is wrong with the files of a run that this process alone works on: also with those of
/// receipts that `run.json` does not call for, because the run that asks may be of another plan.
///
/// # Errors
/// As [`verify`], but a folder without a run has no damage.
pub(crate) fn damage(store: &Store, monitor: &dyn Monitor) -> Result<Vec<Finding>, VerifyError> {
    let run = RunDir::of(store);
    if !run.holds_run() {
        return Ok(Vec::new());
    }
    Ok(Look::new(&run).by_every_receipt(monitor)?.findings)
}

/// Reports what was found and removes the receipts of these files and of everything that was made
/// from them, so that the run that holds the lock makes just these again.
///
/// # Errors
/// When the receipts cannot be listed, or one cannot be removed.
pub(crate) fn withdraw(
    store: &Store,
    damage: &[Finding],
    monitor: &dyn Monitor,
) -> Result<(), StoreError> {
    for Finding { file, wrong, why, .. } in damage {
        monitor.event(&Event::Note(&format!("{} {file}: {why}", wrong.word())));
    }
    let of_stages = || damage.iter().filter(|finding| finding.receipt.is_some());
    let files = of_stages().map(|finding| finding.file.as_str());
    let made = made_from(files, &keys_of(store)?);
    if !made.is_empty() {
        let words = words(made.keys());
        monitor.event(&Event::Note(&format!("made again too, because made from these: {words}")));
    }
    // Those of the damaged files last: without them nothing would say that the others must go, should
    // this process be killed in between.
    let receipts: Vec<String> =
        made.keys().map(|(kind, part)| Receipt::file(kind, *part)).collect();
    store.remove_all(receipts.iter().map(String::as_str))?;
    store.remove_all(of_stages().filter_map(|finding| finding.receipt.as_deref()))
}

/// [`withdraw`] for files that a stage was about to read when they were found to have changed.
///
/// # Errors
/// As [`withdraw`].
pub(crate) fn withdraw_changed(
    store: &Store,
    files: &BTreeSet<String>,
    monitor: &dyn Monitor,
) -> Result<(), StoreError> {
    let finding = |file: &String| Finding {
        file: file.clone(),
        wrong: Wrong::Altered,
        why: "its content is not what was written".to_owned(),
        receipt: writer_of(file).map(|(kind, part)| Receipt::file(kind, part)),
        run_repairs: true,
    };
    withdraw(store, &files.iter().map(finding).collect::<Vec<_>>(), monitor)
}

/// `similarity (shards 1, 2), divergence`
fn words<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    let mut shards = BTreeMap::<&str, Vec<u32>>::new();
    for (kind, part) in keys {
        shards.entry(kind).or_default().extend(is_by_shard(kind).then_some(*part));
    }
    let words = shards.into_iter().map(|(kind, shards)| place(kind, &shards));
    words.collect::<Vec<_>>().join(", ")
}

/// Most shards that are named one by one.
const NAMED: usize = 5;

/// A stage and the shards that it worked on; none for one that runs once.
pub(crate) fn place(kind: &str, shards: &[u32]) -> String {
    let numbers: Vec<String> = shards.iter().take(NAMED).map(u32::to_string).collect();
    let numbers = numbers.join(", ");
    match shards.len() {
        0 => kind.to_owned(),
        1 => format!("{kind} (shard {numbers})"),
        n if n > NAMED => format!("{kind} (shards {numbers} and {} more)", n - NAMED),
        _ => format!("{kind} (shards {numbers})"),
    }
}

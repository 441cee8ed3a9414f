//! `aqlens verify`: which files of a run are not what the run wrote, and what to do.

use std::io::{self, Write as _};
use std::path::Path;

use super::args::VerifyArgs;
use super::error::CliError;
use super::exit::Exit;
use super::{interrupt, term};
use crate::monitor::VoidMonitor;
use crate::prompt::visible;
use crate::run_dir::record::State;
use crate::run_dir::{OpenError, layout};
use crate::store::StoreError;
use crate::verify::{Doubt, Finding, Verification, VerifyError, Wrong, place, verify};

pub(super) fn main(args: &VerifyArgs) -> Result<Exit, CliError> {
    interrupt::listen(|| term::say("interrupted"));
    let found = verify(&args.run, &VoidMonitor).map_err(|error| match error {
        VerifyError::Open(OpenError::NoRun { .. }) => CliError::Wrong(format!("error: {error}")),
        VerifyError::Store(StoreError::Locked { .. }) => CliError::Later(error.to_string()),
        _ => CliError::failed(&error),
    })?;
    print(&args.run, &found)?;
    Ok(if found.is_sound() { Exit::Done } else { Exit::Failed })
}

fn print(run: &Path, found: &Verification) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for Finding { file, wrong, why, run_repairs, .. } in &found.findings {
        let (file, why) = (visible(file), visible(why));
        let repair = match wrong {
            _ if !run_repairs => "move or delete it by hand",
            Wrong::Foreign => "run --recheck deletes it",
            _ => "run --recheck makes it again",
        };
        writeln!(out, "{:<10} {file}: {why}; {repair}", wrong.word())?;
    }
    for doubt in &found.doubts {
        let (word, why) = why_in_doubt(doubt);
        let place = place(doubt.stage, &doubt.shards);
        let wrote = doubt.wrote.iter().map(|name| visible(name)).collect::<Vec<_>>().join(", ");
        writeln!(
            out,
            "{word:<10} {place}, which wrote {wrote}: {why}; run --recheck makes it again"
        )?;
    }
    for file in found.leftovers.iter().map(|file| visible(file)) {
        writeln!(
            out,
            "{:<10} {file}: a stopped process left it; the next run deletes it",
            "leftover"
        )?;
    }
    for note in &found.notes {
        writeln!(out, "{:<10} {note}", "note")?;
    }
    if found.state == Some(State::Running) {
        writeln!(
            out,
            "{:<10} {} of its stages (counted by shard) are not done; run again to continue",
            "unfinished", found.open
        )?;
    }
    if found.findings.iter().any(|finding| finding.run_repairs) {
        writeln!(out, "\nto repair just these: {}", repair(run, found))?;
    }
    writeln!(
        out,
        "{}: {} files ({} bytes) sound, {}",
        run.display(),
        found.sound_files,
        found.sound_bytes,
        counts(found)
    )
}

/// The word for work that was made from damaged files, and what that means for it.
fn why_in_doubt(doubt: &Doubt) -> (&'static str, String) {
    let first = doubt.from.first().map_or_else(String::new, |file| visible(file));
    let from = match doubt.from.len() {
        0 | 1 => first,
        n => format!("{first} and {} more", n - 1),
    };
    if doubt.was_checked {
        let why =
            format!("made from {from} as written, before the damage: what was read was checked");
        return ("derived", why);
    }
    let why = format!(
        "cannot be vouched for: made from {from}, damaged or not: the aqlens that made it checked \
         nothing that it read"
    );
    ("doubtful", why)
}

/// The command that repairs the run, from its own pipeline file unless that is damaged.
fn repair(run: &Path, found: &Verification) -> String {
    let own = run.join(layout::PIPELINE).display().to_string();
    let damaged = found.findings.iter().any(|finding| finding.file == layout::PIPELINE);
    let pipeline = if damaged { "PIPELINE" } else { &own };
    format!("aqlens run {pipeline} --run-dir {} --recheck", run.display())
}

/// `2 altered, 1 missing`
fn counts(found: &Verification) -> String {
    let mut kinds: Vec<_> = found.findings.iter().map(|finding| finding.wrong).collect();
    kinds.sort_unstable();
    let counts = kinds.chunk_by(|a, b| a == b);
    let counts: Vec<_> = counts.map(|run| format!("{} {}", run.len(), run[0].word())).collect();
    if counts.is_empty() { "nothing wrong".to_owned() } else { counts.join(", ") }
}

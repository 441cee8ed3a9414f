//! What the files that are read must hold: as their receipts say, or as this process wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checksum::Sum;
use super::stamp::FileStamp;
use super::stats::FileStats;
use super::{Store, StoreError};

/// Looks up what is recorded of a file, and of others.
pub(crate) type Ask = fn(&Store, &str) -> Vec<FileStats>;

/// The files whose content is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    /// By name.
    known: BTreeMap<String, Content>,
    /// Those that were found to hold something else.
    changed: BTreeSet<String>,
    /// Whether files of which nothing is known are refused.
    are_strangers_refused: bool,
    /// Who says what a file holds of which nothing is known.
    ask: Option<Ask>,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: u64,
    sum: Sum,
    /// The file's stamp when it was seen to hold this.
    sound: Option<FileStamp>,
}

/// The cheapest sum that is recorded.
fn sum_of(stats: &FileStats) -> Sum {
    match stats.xxh3 {
        Some(checksum) => Sum::Fast(checksum),
        None => Sum::Sha256(stats.sha256.as_str().into()),
    }
}

/// What is known of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds what was written.
    Sound,
    /// It holds something else.
    Changed,
    /// Nothing is known of it, and such files are refused.
    Stranger,
}

impl Verdict {
    /// Nothing for a sound file.
    pub(super) fn allow(self, path: &Path) -> Result<(), StoreError> {
        let path = || path.to_owned();
        match self {
            Self::Sound => Ok(()),
            Self::Changed => Err(StoreError::Changed { path: path() }),
            Self::Stranger => Err(StoreError::Stranger { path: path() }),
        }
    }
}

impl Known {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing is read of which it is not known what it must hold.
    pub(super) fn refuse_strangers(&self) {
        self.files().are_strangers_refused = true;
    }

    /// From now on `ask` knows files of which nothing is known yet.
    pub(super) fn ask_of_strangers(&self, ask: Ask) {
        self.files().ask = Some(ask);
    }

    /// Who is to be asked about a file; `None` when it is known what it holds.
    pub(super) fn whom_to_ask(&self, name: &str) -> Option<Ask> {
        let files = self.files();
        files.ask.filter(|_| !files.known.contains_key(name))
    }

    /// Remembers what a receipt says of a file.
    pub(super) fn expect(&self, stats: &FileStats) {
        let (bytes, sum) = (stats.bytes, sum_of(stats));
        let mut files = self.files();
        match files.known.get_mut(&stats.path) {
            // Whether it was seen to hold that is still true.
            Some(content) if content.bytes == bytes && content.sum == sum => {}
            _ => {
                files.known.insert(stats.path.clone(), Content { bytes, sum, sound: None });
            }
        }
    }

    /// Remembers what this process has just written: `file` has its final name.
    ///
    /// The file is not read again as long as its stamp stays: what went into it passed through the
    /// writer that summed it. That makes a fresh run free of cost. The stamp may be younger than the
    /// file system's clock can tell from a change that follows at once; but who would change it then
    /// is another program that writes into a file of this run, within milliseconds of its making.
    pub(super) fn written(&self, stats: &FileStats, file: &File) {
        let (bytes, sum) = (stats.bytes, sum_of(stats));
        let sound = FileStamp::of_open(file);
        self.files().known.insert(stats.path.clone(), Content { bytes, sum, sound });
    }

    /// Forgets files that are gone.
    pub(super) fn forget(&self, names: &[&str]) {
        let mut files = self.files();
        for name in names {
            files.known.remove(*name);
        }
    }

    /// Names of the files that were found to hold something else than was written, since this was
    /// asked last.
    pub(super) fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.files().changed)
    }

    /// Compares an open file with what it must hold, and rewinds it. What was compared once is not
    /// read again while its stamp stays.
    pub(super) fn look(&self, name: &str, mut file: &File) -> io::Result<Verdict> {
        let content = {
            let files = self.files();
            match files.known.get(name) {
                Some(content) => content.clone(),
                None if files.are_strangers_refused => return Ok(Verdict::Stranger),
                None => return Ok(Verdict::Sound),
            }
        };
        let stamp = FileStamp::of_open(file);
        if stamp.is_some() && stamp == content.sound {
            return Ok(Verdict::Sound);
        }
        let is_sound = content.sum.is_of(content.bytes, file)?;
        file.rewind()?;
        let mut files = self.files();
        if !is_sound {
            files.changed.insert(name.to_owned());
            return Ok(Verdict::Changed);
        }
        // A file that was touched a moment ago could change again and keep its stamp.
        let stamp = stamp.filter(FileStamp::is_quiet);
        if let Some(known) = files.known.get_mut(name)
            && known.sum == content.sum
        {
            known.sound = stamp.filter(|stamp| FileStamp::of_open(file).as_ref() == Some(stamp));
        }
        Ok(Verdict::Sound)
    }

    /// The same of a file that was read whole.
    pub(super) fn look_at(&self, name: &str, bytes: &[u8]) -> Verdict {
        let mut files = self.files();
        let verdict = match files.known.get(name) {
            Some(content) => match content.sum.is_of(content.bytes, bytes) {
                Ok(true) => Verdict::Sound,
                _ => Verdict::Changed,
            },
            None if files.are_strangers_refused => Verdict::Stranger,
            None => Verdict::Sound,
        };
        if verdict == Verdict::Changed {
            files.changed.insert(name.to_owned());
        }
        verdict
    }
}

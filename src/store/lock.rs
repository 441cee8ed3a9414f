//! Who may write to a run directory: one process alone, or several that share its work piece by
//! piece.
//!
//! `run.lock` is held alone by a process that does the whole run, and together by processes that
//! each do a share of it. These take a lock in the folder `.locks` for every piece of work, and each
//! has a file there that names it. All locks are `flock`: the system frees them when a process
//! ends, however it ends. Files of the folder are removed only by a process that is alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::StoreError;

/// The lock of a whole run directory, below its root.
pub const NAME: &str = "run.lock";

/// Folder below the root with the locks of processes that share a run.
pub const FOLDER: &str = ".locks";

/// What the names of files begin with that each name one process.
const PROCESS: &str = "process-";

/// How often and how long to wait for a look at the lock to pass: [`check_free`] holds it for an
/// instant.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(20);

/// Held while a process writes to a run directory, alone or with others.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Alone.
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(NAME);
        let error = |e| StoreError::io("lock", &path, e);
        let mut file = open(&path).map_err(error)?;
        wait_for_looks(&file, File::try_lock, root, &path)?;
        file.set_len(0).map_err(error)?;
        file.rewind().map_err(error)?;
        writeln!(file, "{}", this_process()).map_err(error)?;
        Ok(Self { _file: file })
    }

    /// Beside other processes that take it so.
    pub(super) fn share(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(NAME);
        let file = open(&path).map_err(|e| StoreError::io("lock", &path, e))?;
        wait_for_looks(&file, File::try_lock_shared, root, &path)?;
        Ok(Self { _file: file })
    }
}

fn wait_for_looks(
    file: &File,
    take: impl Fn(&File) -> Result<(), TryLockError>,
    root: &Path,
    path: &Path,
) -> Result<(), StoreError> {
    for look in 0.. {
        match take(file) {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if look < LOOKS => thread::sleep(LOOK),
            Err(TryLockError::WouldBlock) => return Err(locked(root, path)),
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", path, e)),
        }
    }
    Ok(())
}

/// Held while a process works on one piece of a run that it shares with others.
#[derive(Debug)]
pub struct PieceLock {
    _file: File,
}

impl PieceLock {
    /// `None` when another process holds it.
    pub(super) fn try_take(root: &Path, piece: &str) -> Result<Option<Self>, StoreError> {
        let path = root.join(FOLDER).join(piece);
        let error = |e| StoreError::io("lock", &path, e);
        let file = open(&path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(error(e)),
        }
    }
}

/// Shows the other processes that this one shares the run, until it is dropped.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    _file: File,
}

impl Presence {
    pub(super) fn announce(root: &Path, what: &str) -> Result<Self, StoreError> {
        // Processes in containers may have equal numbers.
        for n in 0_u32.. {
            let path = root.join(FOLDER).join(format!("{PROCESS}{}-{n}", std::process::id()));
            let error = |e| StoreError::io("lock", &path, e);
            let mut file = open(&path).map_err(error)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(e)) => return Err(error(e)),
            }
            file.set_len(0).map_err(error)?;
            writeln!(file, "{} ({what})", this_process()).map_err(error)?;
            return Ok(Self { path, _file: file });
        }
        unreachable!("there are fewer processes than numbers")
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A file that stays is distinguished from that of a living process by its lock.
        let _gone = fs::remove_file(&self.path);
    }
}

/// The processes that share the run now, as they describe themselves.
pub(super) fn present(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    let is_process =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PROCESS));
    let alive = |path: &PathBuf| {
        let file = File::open(path).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(())
    };
    let mut processes: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(is_process)
        .filter(|path| alive(path).is_some())
        .filter_map(|path| Some(fs::read_to_string(path).ok()?.trim().to_owned()))
        .collect();
    processes.sort();
    processes
}

/// Removes what processes that shared the run left; for a process that is alone.
pub(super) fn clear(root: &Path) -> Result<(), StoreError> {
    let folder = root.join(FOLDER);
    match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &folder, e)),
        _ => Ok(()),
    }
}

/// Whether no process holds the lock, found without making or changing a file.
pub(super) fn check_free(root: &Path) -> Result<(), StoreError> {
    let path = root.join(NAME);
    // Only a lock that is taken alone is refused by processes that share theirs, and over a network
    // that needs a file open for writing; a folder that may only be read is looked at as far as can
    // be.
    let (file, alone) = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => (File::open(&path), false),
        ok => (ok, true),
    };
    let file = file.map_err(|e| StoreError::io("read", &path, e))?;
    match if alone { file.try_lock() } else { file.try_lock_shared() } {
        Err(TryLockError::WouldBlock) => Err(locked(root, &path)),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path, e)),
        Ok(()) => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).or_else(|e| match (e.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(parent)) => {
            fs::create_dir_all(parent)?;
            options.open(path)
        }
        _ => Err(e),
    })
}

fn locked(root: &Path, path: &Path) -> StoreError {
    let sharing = present(root);
    let alone = fs::read_to_string(path).unwrap_or_default();
    let holder = if !sharing.is_empty() {
        sharing.join(", ")
    } else if alone.trim().is_empty() {
        "another process".to_owned()
    } else {
        alone.trim().to_owned()
    };
    StoreError::Locked { path: root.to_owned(), holder }
}

/// `process 12 on host`
fn this_process() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| format!(" on {}", name.trim()))
        .unwrap_or_default();
    format!("process {}{host}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_lock_refuses_no_run_that_starts_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunLock::take(dir.path()).unwrap());
        let look = File::open(dir.path().join(NAME)).unwrap();
        look.try_lock_shared().unwrap();
        let taken = thread::scope(|scope| {
            let taker = scope.spawn(|| RunLock::take(dir.path()).map(drop));
            thread::sleep(LOOK);
            drop(look);
            taker.join().unwrap()
        });
        taken.unwrap();
    }

    #[test]
    fn processes_that_share_a_run_keep_out_one_that_wants_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::share(dir.path()).unwrap();
        let second = RunLock::share(dir.path()).unwrap();
        let presence = Presence::announce(dir.path(), "share 1/3").unwrap();
        let another = Presence::announce(dir.path(), "share 2/3").unwrap();
        drop(first);
        let message = RunLock::take(dir.path()).unwrap_err().to_string();
        assert!(message.contains("(share 1/3)") && message.contains("(share 2/3)"), "{message}");
        assert!(check_free(dir.path()).is_err(), "a look sees them too");
        drop((presence, another));
        assert!(present(dir.path()).is_empty());
        drop(second);
        let _alone = RunLock::take(dir.path()).unwrap();
        let message = RunLock::share(dir.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    }

    #[test]
    fn a_piece_is_held_by_one_and_free_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let take = || PieceLock::try_take(dir.path(), "part-00001").unwrap();
        let held = take();
        assert!(held.is_some() && take().is_none());
        drop(held);
        assert!(take().is_some());
    }

    #[test]
    fn a_dead_process_is_not_present() {
        let dir = tempfile::tempdir().unwrap();
        let presence = Presence::announce(dir.path(), "share 0/2").unwrap();
        let left = presence.path.clone();
        assert_eq!(present(dir.path()).len(), 1);
        drop(presence);
        open(&left).unwrap();
        assert!(present(dir.path()).is_empty(), "nobody locks the file");
    }
}

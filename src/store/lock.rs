//! Who may write to a run directory: one process alone, or several that share its work piece by
//! piece.
//!
//! `run.lock` is held alone by a process that does the whole run, and together by processes that
//! each do a share of it. These take a lock in the folder `.locks` for every piece of work, and each
//! has a file there that names it. All locks are `flock`: the system frees them when a process
//! ends, however it ends. Files of the folder are removed only by a process that is alone.
//!
//! Locks name their holders, for people ([`super::signed`]).

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::signed::{is_ours, sign, signed, this_process};
use super::{StoreError, place};

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

/// How often to make the folder of locks again that another process removes.
const TRIES: u32 = 100;

/// Held while a process writes to a run directory, alone or with others.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Alone.
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(NAME);
        let mut file = open(root, NAME)?;
        wait_for_looks(&file, File::try_lock, root, &path)?;
        sign(&mut file, &this_process()).map_err(|e| StoreError::io("lock", &path, e))?;
        Ok(Self { _file: file })
    }

    /// Beside other processes that take it so.
    pub(super) fn share(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(NAME);
        let file = open(root, NAME)?;
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
    pub(super) fn try_take(
        root: &Path,
        piece: &str,
        what: &str,
    ) -> Result<Option<Self>, StoreError> {
        let name = format!("{FOLDER}/{piece}");
        let mut file = open(root, &name)?;
        match file.try_lock() {
            Ok(()) => {
                // Others only read it to say whom they wait for.
                let _ = sign(&mut file, &format!("{} ({what})", this_process()));
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &root.join(name), e)),
        }
    }
}

/// Who holds a piece of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process, machine and share, as it wrote them down.
    pub who: String,
    /// For how long it has held the piece, by the clocks of the machines; `None` when that is not
    /// known.
    pub held: Option<Duration>,
}

pub(super) fn holder_of_piece(root: &Path, piece: &str) -> Holder {
    holder_of(&root.join(FOLDER).join(piece))
}

fn holder_of(path: &Path) -> Holder {
    let Some(who) = signed(path) else {
        return Holder { who: "another process".to_owned(), held: None };
    };
    let signed = fs::metadata(path).and_then(|file| file.modified()).ok();
    let held = signed.and_then(|time| SystemTime::now().duration_since(time).ok());
    Holder { who, held }
}

/// The pieces that processes hold now, and who does. Each is looked at for an instant, in which its lock
/// cannot be taken.
pub(super) fn held_pieces(root: &Path) -> Vec<(String, Holder)> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let pieces = files(root).into_iter().filter_map(|path| Some((name(&path)?, path)));
    let held = pieces.filter(|(name, path)| !name.starts_with(PROCESS) && is_held(path));
    let mut held: Vec<_> = held.map(|(name, path)| (name, holder_of(&path))).collect();
    held.sort_by(|(a, _), (b, _)| a.cmp(b));
    held
}

/// The processes at work on the run now: those that share it, or the one that has it alone.
pub(super) fn at_work(root: &Path) -> Vec<Holder> {
    let is_process = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PROCESS))
    };
    let mut all: Vec<PathBuf> = files(root).into_iter().filter(is_process).collect();
    all.retain(|path| is_held(path));
    let alone = root.join(NAME);
    if all.is_empty() && fs::symlink_metadata(&alone).is_ok_and(|found| found.is_file()) {
        all.extend(Some(alone).filter(|path| is_held(path)));
    }
    let mut holders: Vec<Holder> = all.iter().map(|path| holder_of(path)).collect();
    holders.sort_by(|a, b| a.who.cmp(&b.who));
    holders
}

/// Whether a process holds the lock alone.
fn is_held(path: &Path) -> bool {
    place::open_file(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
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
            let name = format!("{FOLDER}/{PROCESS}{}-{n}", std::process::id());
            let path = root.join(&name);
            let error = |e| StoreError::io("lock", &path, e);
            let mut file = open(root, &name)?;
            match file.try_lock() {
                Ok(()) if is_ours(&mut file).map_err(error)? => {}
                Ok(()) | Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(e)) => return Err(error(e)),
            }
            sign(&mut file, &format!("{} ({what})", this_process())).map_err(error)?;
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
    let is_process =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PROCESS));
    let alive = files(root).into_iter().filter(is_process).filter(|path| is_held(path));
    let mut processes: Vec<String> = alive.filter_map(|path| signed(&path)).collect();
    processes.sort();
    processes
}

/// The files in the folder of locks; none when it is not there or leads elsewhere.
fn files(root: &Path) -> Vec<PathBuf> {
    let folder = root.join(FOLDER);
    if !fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
        return Vec::new();
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| entry.path()).collect()
}

/// Removes what processes that shared the run left; for a process that is alone. What is no lock of
/// ours stays, and the folder with it.
pub(super) fn clear(root: &Path) -> Result<(), StoreError> {
    let folder = root.join(FOLDER);
    match fs::symlink_metadata(&folder) {
        Ok(found) if found.is_symlink() => return Err(StoreError::Link { path: folder }),
        Ok(found) if found.is_dir() => {}
        _ => return Ok(()),
    }
    for path in files(root) {
        let is_lock = place::open_file(&path).and_then(|mut file| is_ours(&mut file));
        if is_lock.unwrap_or(false) {
            fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
    }
    match fs::remove_dir(&folder).map_err(|e| (e.kind(), e)) {
        Ok(()) | Err((io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound, _)) => Ok(()),
        Err((_, e)) => Err(StoreError::io("remove", &folder, e)),
    }
}

/// Whether no process holds the lock, found without making or changing a file.
pub(super) fn check_free(root: &Path) -> Result<(), StoreError> {
    let path = root.join(NAME);
    // What is no file was never locked.
    if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    // Only a lock that is taken alone is refused by processes that share theirs, and over a network
    // that needs a file open for writing; a folder that may only be read is looked at as far as can
    // be.
    let (file, alone) = match place::open_own(&path, false) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        Ok(file) => (Ok(file), true),
        Err(_) => (place::open_file(&path), false),
    };
    let file = file.map_err(|e| StoreError::io("read", &path, e))?;
    match if alone { file.try_lock() } else { file.try_lock_shared() } {
        Err(TryLockError::WouldBlock) => Err(locked(root, &path)),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path, e)),
        Ok(()) => Ok(()),
    }
}

/// Opens a lock, making it and its folder when they are missing.
fn open(root: &Path, name: &str) -> Result<File, StoreError> {
    let mut tries = 0..TRIES;
    loop {
        let path = place::with_folders(root, name)?;
        match place::open_own(&path, true) {
            // A process that is alone removed the folder in between.
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
            opened => return opened,
        }
    }
}

fn locked(root: &Path, path: &Path) -> StoreError {
    let sharing = present(root);
    let holder = if sharing.is_empty() {
        signed(path).unwrap_or_else(|| "another process".to_owned())
    } else {
        sharing.join(", ")
    };
    StoreError::Locked { path: root.to_owned(), holder }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
        let take = || PieceLock::try_take(dir.path(), "part-00001", "share 0/2").unwrap();
        let held = take();
        assert!(held.is_some() && take().is_none());
        let holder = holder_of_piece(dir.path(), "part-00001");
        assert!(holder.who.starts_with(&format!("process {}", std::process::id())), "{holder:?}");
        assert!(holder.who.ends_with("(share 0/2)") && holder.held.is_some(), "{holder:?}");
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
        let name = left.strip_prefix(dir.path()).unwrap().to_str().unwrap();
        open(dir.path(), name).unwrap();
        assert!(present(dir.path()).is_empty(), "nobody locks the file");
    }

    #[cfg(unix)]
    fn new_file(path: &Path) -> File {
        let mut options = File::options();
        options.write(true).create(true).truncate(true).open(path).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_somebody_else_in_place_of_a_lock_keeps_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        let lock = dir.path().join(NAME);
        let texts = ["export A=1\n".to_owned(), this_process(), "process ".repeat(1000)];
        for text in texts {
            new_file(&victim).write_all(text.as_bytes()).unwrap();
            fs::hard_link(&victim, &lock).unwrap();
            let held = RunLock::take(dir.path()).unwrap();
            assert!(RunLock::take(dir.path()).is_err(), "it locks all the same");
            assert_eq!(fs::read_to_string(&victim).unwrap(), text);
            drop(held);
            fs::remove_file(&lock).unwrap();
        }
        fs::create_dir(dir.path().join(FOLDER)).unwrap();
        let notes = dir.path().join(FOLDER).join("notes");
        new_file(&notes).write_all(b"mine").unwrap();
        clear(dir.path()).unwrap();
        assert!(notes.exists());
        fs::remove_file(&notes).unwrap();
        drop(PieceLock::try_take(dir.path(), "setup", "share 0/1").unwrap());
        clear(dir.path()).unwrap();
        assert!(!dir.path().join(FOLDER).exists());
    }
}

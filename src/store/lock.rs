//! One process at a time per run directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::StoreError;

const NAME: &str = "run.lock";

/// How often and how long to wait for a look at the lock to pass: [`check_free`] holds it for an
/// instant.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(20);

/// Held while a process writes to a run directory; the system frees it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(NAME);
        let error = |e| StoreError::io("lock", &path, e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(error)?;
        let mut looks = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if looks < LOOKS => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Err(locked(root, &path)),
                Err(TryLockError::Error(e)) => return Err(error(e)),
            }
            looks += 1;
        }
        file.set_len(0).map_err(error)?;
        file.rewind().map_err(error)?;
        writeln!(file, "process {}{}", std::process::id(), host()).map_err(error)?;
        Ok(Self { _file: file })
    }
}

/// Whether nobody holds the lock, found without making or changing a file.
pub(super) fn check_free(root: &Path) -> Result<(), StoreError> {
    let path = root.join(NAME);
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| StoreError::io("read", &path, e))?,
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(locked(root, &path)),
        Err(TryLockError::Error(e)) => Err(StoreError::io("lock", &path, e)),
        Ok(()) => Ok(()),
    }
}

fn locked(root: &Path, path: &Path) -> StoreError {
    let holder = fs::read_to_string(path).unwrap_or_default();
    let holder = if holder.trim().is_empty() { "another process" } else { &holder };
    StoreError::Locked { path: root.to_owned(), holder: holder.trim().to_owned() }
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| format!(" on {}", name.trim()))
        .unwrap_or_default()
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
}

//! Where a name leads: to a file below the root and nowhere else.
//!
//! A run directory may come from somebody else, so nothing in it is believed about where files are. A
//! name that leads out of the folder is refused, and so is a symbolic link where a folder should be:
//! what is written, deleted, locked or listed lies in the run directory itself. (The run directory may
//! be reached by a link: whoever names it chooses it.) A link in place of a file is replaced or removed
//! as what it is, and its target stays; it is only read through.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::StoreError;

/// How often to make a folder again that other processes remove while it is empty.
const TRIES: u32 = 100;

/// Whether all steps of the name lead down from the root.
fn leads_down(name: &str) -> bool {
    let mut steps = Path::new(name).components().peekable();
    steps.peek().is_some()
        && steps.all(|step| matches!(step, Component::Normal(_)))
        && !name.contains('\0')
}

/// The path of `name` below `root`, for messages: steps that do not lead down are left out.
pub(super) fn shown(root: &Path, name: &str) -> PathBuf {
    let steps = Path::new(name).components();
    let down = steps.filter(|step| matches!(step, Component::Normal(_)));
    down.fold(root.to_owned(), |path, step| path.join(step))
}

/// The path of `name` below `root`.
///
/// # Errors
/// When the name leads elsewhere.
pub(super) fn named(root: &Path, name: &str) -> Result<PathBuf, StoreError> {
    if leads_down(name) {
        return Ok(root.join(name));
    }
    Err(StoreError::Name { name: name.to_owned(), root: root.to_owned() })
}

/// The path of `name` below `root`, for whatever changes the folder that it is in or lists it.
///
/// # Errors
/// When the name leads elsewhere, or a folder on the way is a link.
pub(super) fn below(root: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let path = named(root, name)?;
    for folder in folders(root, name) {
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_symlink()) {
            return Err(StoreError::Link { path: folder });
        }
    }
    Ok(path)
}

/// The folders between the root and the file of that name, the upper first.
fn folders(root: &Path, name: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Path::new(name)
        .ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| root.join(folder))
        .collect();
    folders.reverse();
    folders
}

/// [`below`], with the folders on the way, which are made when they are missing. Another process may
/// remove them as long as they are empty.
pub(super) fn with_folders(root: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let path = named(root, name)?;
    let folders = folders(root, name);
    let Some(last) = folders.last() else { return Ok(path) };
    for _ in 0..TRIES {
        match folders.iter().try_for_each(|folder| make(folder)) {
            Ok(()) => return Ok(path),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::io("create", last, io::ErrorKind::NotFound.into()))
}

/// Makes a folder whose parent is there, unless it is there.
pub(super) fn make(folder: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(found) => return Err(in_the_way(folder, &found, "folder")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(StoreError::io("create", folder, e)),
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("create", folder, e))
        }
        _ => Ok(()),
    }
}

/// The error about something that is no file, or no folder, where one should be.
fn in_the_way(path: &Path, found: &Metadata, wanted: &'static str) -> StoreError {
    let path = path.to_owned();
    if found.is_symlink() {
        StoreError::Link { path }
    } else {
        StoreError::Odd { path, is: kind(found), wanted }
    }
}

const NAMED_PIPE: &str = "a named pipe";

/// What is there, in words.
fn kind(found: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = found.file_type();
        if kind.is_fifo() {
            return NAMED_PIPE;
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if found.is_dir() { "a folder" } else { "a file" }
}

/// Opens a file for reading. What is no file (a pipe, a device) is refused and never waited for.
///
/// # Errors
/// As [`File::open`], and when `path` does not lead to a file.
pub fn open_file(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(no_file(&found));
    }
    let mut options = OpenOptions::new();
    options.read(true);
    never_wait(&mut options, false);
    options.open(path)
}

/// Opens for reading what somebody named on the command line, which may be what another program writes
/// (`/dev/stdin`). A pipe in a folder is refused: nobody need ever write to it.
///
/// # Errors
/// As [`File::open`], and for such a pipe.
pub fn open_given(path: &Path) -> io::Result<File> {
    // The pipe between two programs stands in no folder.
    match path.canonicalize().and_then(fs::metadata) {
        Ok(found) if kind(&found) == NAMED_PIPE => Err(no_file(&found)),
        _ => File::open(path),
    }
}

fn no_file(found: &Metadata) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, no file", kind(found)))
}

/// Opens a file of ours for reading and writing, making it when it is missing and `create` says so;
/// neither links nor anything but files are opened.
pub(super) fn open_own(path: &Path, create: bool) -> Result<File, StoreError> {
    let error = |e| StoreError::io("lock", path, e);
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(found) => return Err(in_the_way(path, &found, "file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(error(e)),
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    never_wait(&mut options, true);
    options.open(path).map_err(error)
}

/// Should something else take the file's place after it was looked at, opening it does not wait for it
/// and, where `no_link`, does not follow it.
#[cfg(target_os = "linux")]
fn never_wait(options: &mut OpenOptions, no_link: bool) {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let flags = if no_link { OFlags::NONBLOCK | OFlags::NOFOLLOW } else { OFlags::NONBLOCK };
    options.custom_flags(flags.bits().cast_signed());
}

#[cfg(not(target_os = "linux"))]
fn never_wait(_options: &mut OpenOptions, _no_link: bool) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_down_and_nowhere_else() {
        let root = Path::new("/run");
        for name in ["a", "tables/x/part-00000.parquet", "..a/b..", "a b"] {
            assert_eq!(named(root, name).unwrap(), root.join(name));
        }
        for name in ["", "..", "a/../b", "a/../../b", "/etc/passwd", "./a", "a\0b", "tables/.."] {
            let message = named(root, name).unwrap_err().to_string();
            assert!(message.contains("/run"), "{message}");
            assert!(below(root, name).is_err() && with_folders(root, name).is_err(), "{name:?}");
            assert!(shown(root, name).starts_with(root), "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_a_folder_is_refused_and_its_target_stays_empty() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(other.path(), dir.path().join("tables")).unwrap();
        for path in [below(dir.path(), "tables/x/y"), with_folders(dir.path(), "tables/x/y")] {
            let message = path.unwrap_err().to_string();
            assert!(message.contains("tables is a symbolic link"), "{message}");
        }
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let message = open_own(&pipe, true).unwrap_err().to_string();
        assert!(message.contains("is a named pipe"), "{message}");
        assert_eq!(open_file(&pipe).unwrap_err().to_string(), "it is a named pipe, no file");
        assert_eq!(open_given(&pipe).unwrap_err().to_string(), "it is a named pipe, no file");
        assert!(open_given(Path::new("/dev/null")).is_ok());
        assert!(open_file(dir.path()).is_err());
        assert!(open_file(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
    }
}

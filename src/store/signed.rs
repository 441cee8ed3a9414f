//! The text by which a lock names the process that holds it, for people.
//!
//! It is written only into a file that is empty or holds such a text, and that has no second name:
//! another file in a lock's place keeps what it holds.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use super::place;

/// What the text begins with by which a process names itself, and the most bytes that it has.
const SIGNED: &str = "process ";
const LONGEST: u64 = 1 << 10;

/// Writes down who holds the lock, unless the file holds something else or has a second name.
pub(super) fn sign(file: &mut File, who: &str) -> io::Result<()> {
    if has_second_name(file)? || !is_ours(file)? {
        return Ok(());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{who}")
}

/// Whether the file is empty or holds what [`sign`] writes.
pub(super) fn is_ours(file: &mut File) -> io::Result<bool> {
    let bytes = file.metadata()?.len();
    Ok(bytes == 0 || text_of(file)?.is_some())
}

/// What [`sign`] wrote into the file.
fn text_of(file: &mut File) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    let is_short = text.len() as u64 <= LONGEST;
    let text = String::from_utf8(text).ok().filter(|text| is_short && text.starts_with(SIGNED));
    Ok(text.map(|text| text.trim().to_owned()))
}

/// What [`sign`] wrote into the file of that path.
pub(super) fn signed(path: &Path) -> Option<String> {
    place::open_file(path).and_then(|mut file| text_of(&mut file)).ok()?
}

#[cfg(unix)]
fn has_second_name(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.nlink() > 1)
}

#[cfg(not(unix))]
fn has_second_name(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// `process 12 on host`
pub(super) fn this_process() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| format!(" on {}", name.trim()))
        .unwrap_or_default();
    format!("process {}{host}", std::process::id())
}

//! What the system keeps in its memory of files that were written or read.

use std::path::Path;

/// Lets the system forget what it keeps of a file, as far as that is on the disk. This is advice: the
/// file does not change, and if the advice cannot be given nothing else does either.
#[cfg(target_os = "linux")]
pub(super) fn let_go(path: &Path) {
    use rustix::fs::{Advice, fadvise};

    if let Ok(file) = super::open_file(path) {
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn let_go(_path: &Path) {}

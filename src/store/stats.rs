//! What a finished file is.

use serde::{Deserialize, Serialize};

use super::checksum::Checksum;

/// What a finished file is: enough to see later whether it was altered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStats {
    /// Name relative to the run directory.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// XXH3 of the content, which is compared when the file is read; versions that compared nothing
    /// recorded none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xxh3: Option<Checksum>,
}

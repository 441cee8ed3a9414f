//! A single file outside a run directory.

use std::io::Write as _;
use std::path::Path;

use super::StoreError;

/// Writes a whole file wherever the caller wants it: it appears whole, or not at all, in place of what is
/// there. Its folder must exist.
///
/// # Errors
/// When it cannot be written there.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let error = |e| StoreError::io("write", path, e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temp = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(error)?;
    temp.write_all(bytes).map_err(error)?;
    temp.as_file().sync_all().map_err(error)?;
    temp.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}

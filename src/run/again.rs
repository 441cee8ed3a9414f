//! Work that begins again because a file has changed since it was written.

use std::collections::BTreeSet;

use super::RunError;
use super::work::Work;
use crate::verify;

/// After an error: if a stage was about to read files that have changed since they were written,
/// withdraws the receipts of these and of what was made from them, so that the work that failed can
/// begin again. Once for each of the `damaged` files, which it fills: where one changes again, the
/// folder is not ours alone, or its disk fails.
///
/// # Errors
/// That error, when it has another reason.
pub(super) fn withdraw_changed(
    work: Work<'_>,
    error: RunError,
    damaged: &mut BTreeSet<String>,
) -> Result<(), RunError> {
    let changed = work.store.take_changed();
    let is_new = |file: &String| !damaged.contains(file);
    let is_why = !matches!(error, RunError::Interrupted) && !changed.is_empty();
    if !is_why || !changed.iter().all(is_new) {
        return Err(error);
    }
    verify::withdraw_changed(work.store, &changed, work.monitor)?;
    damaged.extend(changed);
    Ok(())
}

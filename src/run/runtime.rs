//! Which library of ONNX Runtime a process loaded.

use crate::model::{EngineFacts, ModelError};
use crate::monitor::{Event, Monitor};
use crate::store::sha256_of_file;

/// Says which library was loaded: it decides what the numbers are, and runs with all rights of the
/// process.
pub(super) fn say_runtime(facts: &EngineFacts, monitor: &dyn Monitor) {
    let EngineFacts { runtime_version, library, .. } = facts;
    monitor.event(&Event::Note(&format!("ONNX Runtime {runtime_version}, {}", library.display())));
}

/// SHA-256 and place of the library that was loaded.
pub(super) fn library(facts: &EngineFacts) -> Result<(String, String), ModelError> {
    let path = &facts.library;
    let sha256 =
        sha256_of_file(path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
    Ok((sha256, path.display().to_string()))
}

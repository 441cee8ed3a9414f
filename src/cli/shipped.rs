//! What the program carries along, so that `demo` and `init` need neither a checkout nor a network: the demo
//! model, its scenes and the pipelines that ask about them (3 MB).

use std::fs;
use std::path::Path;

use super::error::CliError;
use crate::prompt::visible;
use crate::store::{StoreError, write_new};

/// A file and where it goes, below the folder that is written to.
type Shipped = (&'static str, &'static [u8]);

/// The demo model's folder. A static: of a constant, each place that uses it would carry a copy.
pub(super) static MODEL: &[Shipped] = &[
    ("model.json", include_bytes!("../../data/demo/model.json")),
    ("model.onnx", include_bytes!("../../data/demo/model.onnx")),
    ("model.onnx.data", include_bytes!("../../data/demo/model.onnx.data")),
    ("past.onnx", include_bytes!("../../data/demo/past.onnx")),
    ("head.onnx", include_bytes!("../../data/demo/head.onnx")),
    ("patch.onnx", include_bytes!("../../data/demo/patch.onnx")),
    ("tokenizer.json", include_bytes!("../../data/demo/tokenizer.json")),
];

/// What is asked of it, with names as in the repository, so that the paths in the pipelines lead there.
pub(super) static STUDIES: &[Shipped] = &[
    (FIRST_STUDY, include_bytes!("../../pipelines/experiment-037.yml")),
    ("pipelines/scenes.yml", include_bytes!("../../pipelines/scenes.yml")),
    ("pipelines/uses.yml", include_bytes!("../../pipelines/uses.yml")),
    ("data/scenes.jsonl", include_bytes!("../../data/scenes.jsonl")),
    ("data/tasks.csv", include_bytes!("../../data/tasks.csv")),
];

/// The pipeline that `demo` runs.
pub(super) const FIRST_STUDY: &str = "pipelines/experiment-037.yml";

/// Writes those files below `root` that are not there yet; returns how many.
///
/// # Errors
/// When one is there and holds something else: then nothing is written. When one cannot be read or
/// written.
pub(super) fn unpack(files: &[Shipped], root: &Path) -> Result<usize, CliError> {
    let mut missing = Vec::new();
    let mut others = Vec::new();
    for (name, bytes) in files {
        let path = root.join(name);
        match fs::read(&path) {
            Ok(found) if found == *bytes => {}
            Ok(_) => others.push(visible(&path.display().to_string())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => missing.push((path, *bytes)),
            Err(e) => return Err(CliError::failed(&StoreError::io("read", &path, e))),
        }
    }
    if !others.is_empty() {
        let (is, it) = if others.len() == 1 {
            ("is there and is not the file that this version of aqlens brings along", "it")
        } else {
            ("are there and are not the files that this version of aqlens brings along", "them")
        };
        let others = others.join(", ");
        let root = visible(&root.display().to_string());
        return Err(CliError::Wrong(format!(
            "error: {others} {is}: nothing was written; name another folder than {root}, or move {it} away"
        )));
    }
    for (path, bytes) in &missing {
        write_new(path, bytes).map_err(|error| CliError::failed(&error))?;
    }
    Ok(missing.len())
}

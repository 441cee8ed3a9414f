//! Where the ONNX Runtime library is.
//!
//! It is not built in: it comes with the `onnxruntime` (or `onnxruntime-gpu`) Python package, whose
//! wheel carries `onnxruntime/capi/libonnxruntime.so.1.x`. Looked at, in this order: the path given
//! with `--onnxruntime` or `ORT_DYLIB_PATH` (then nothing else), the Python environment that
//! `aqlens` is installed in, the active environment (`VIRTUAL_ENV`, `CONDA_PREFIX`), `.venv` in the
//! working directory or the executable's folder and their parents, the system's loader.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::ModelError;

const HERE: &str = "the working directory and its parents";
const BESIDE: &str = "the folder of aqlens and its parents";

/// A library to load, and what was looked at before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Absolute path, or the bare file name when the system's loader is to search.
    pub path: PathBuf,
    /// Whether the system's loader is to search: then it may yet not be there.
    pub by_loader: bool,
    /// Every place looked at, in order, and what was there.
    pub tried: Vec<String>,
}

/// What the search looks at; taken from the process by [`Surroundings::of_process`].
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `ORT_DYLIB_PATH`.
    pub dylib: Option<OsString>,
    /// `VIRTUAL_ENV` and `CONDA_PREFIX`, with their names.
    pub environments: Vec<(&'static str, PathBuf)>,
    /// The running executable.
    pub executable: Option<PathBuf>,
    /// The working directory.
    pub working: Option<PathBuf>,
}

impl Surroundings {
    /// Those of the running process.
    pub fn of_process() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            dylib: set("ORT_DYLIB_PATH"),
            environments: ["VIRTUAL_ENV", "CONDA_PREFIX"]
                .into_iter()
                .filter_map(|name| Some((name, PathBuf::from(set(name)?))))
                .collect(),
            executable: env::current_exe().ok().map(|exe| exe.canonicalize().unwrap_or(exe)),
            working: env::current_dir().ok(),
        }
    }
}

/// Finds the library: `explicit` (of `--onnxruntime`) is a file or a folder that holds one.
///
/// # Errors
/// When an explicitly named library is not there. When the search finds nothing, the system's
/// loader is the last resort, so that is no error yet.
pub fn locate(explicit: Option<&Path>, around: &Surroundings) -> Result<Found, ModelError> {
    let mut tried = Vec::new();
    let named = explicit.map(|path| ("--onnxruntime", path.to_owned()));
    let named = named.or_else(|| Some(("ORT_DYLIB_PATH", PathBuf::from(around.dylib.as_ref()?))));
    if let Some((how, path)) = named {
        let found = if path.is_dir() { in_folder(&path) } else { Some(path.clone()) };
        if let Some(file) = found.filter(|file| file.is_file()) {
            return Ok(Found { path: absolute(&file), by_loader: false, tried });
        }
        tried.push(format!("{how}: {} is not there", path.display()));
        return Err(ModelError::NoRuntime { tried });
    }
    for (how, prefix) in prefixes(around) {
        match in_environment(&prefix) {
            Some(file) => return Ok(Found { path: absolute(&file), by_loader: false, tried }),
            None => tried.push(format!("{how}: {} has no onnxruntime library", prefix.display())),
        }
    }
    let name = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    tried.push(format!("the system's loader: {name}"));
    Ok(Found { path: PathBuf::from(name), by_loader: true, tried })
}

/// Python environments to look into, each with the reason.
fn prefixes(around: &Surroundings) -> Vec<(&'static str, PathBuf)> {
    let mut list: Vec<(&'static str, PathBuf)> = Vec::new();
    let folder = around.executable.as_deref().and_then(Path::parent);
    if let Some(prefix) = folder.and_then(Path::parent) {
        list.push(("the environment of aqlens", prefix.to_owned()));
    }
    list.extend(around.environments.iter().cloned());
    for (how, start) in [(HERE, around.working.as_deref()), (BESIDE, folder)] {
        for parent in start.into_iter().flat_map(Path::ancestors) {
            let venv = parent.join(".venv");
            // Without one here, only the nearest missing place is worth reporting.
            if venv.is_dir() || Some(parent) == start {
                list.push((how, venv));
            }
        }
    }
    let mut seen = Vec::new();
    list.retain(|(_, prefix)| {
        let new = !seen.contains(prefix);
        seen.push(prefix.clone());
        new
    });
    list
}

/// The library of the `onnxruntime` package installed in a Python environment.
fn in_environment(prefix: &Path) -> Option<PathBuf> {
    let mut sites = vec![prefix.join("Lib/site-packages")];
    for lib in ["lib", "lib64"] {
        for python in entries(&prefix.join(lib), |name| name.starts_with("python3")) {
            sites.extend(["site-packages", "dist-packages"].map(|site| python.join(site)));
        }
    }
    sites.iter().find_map(|site| in_folder(&site.join("onnxruntime/capi")))
}

/// The library in a folder: the plain name or the versioned one, never a provider's.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    // `.so`, `.so.1.32.0`, `.dylib`, `.1.32.0.dylib`, `.dll`; not `_providers_shared.so`.
    let library = |name: &str| {
        name.trim_start_matches("lib")
            .strip_prefix("onnxruntime.")
            .is_some_and(|rest| rest.split('.').any(|part| ["so", "dylib", "dll"].contains(&part)))
    };
    entries(folder, library).pop()
}

/// Entries of a folder whose name passes, sorted; empty when there is no such folder.
pub(super) fn entries(folder: &Path, keep: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(folder) else { return Vec::new() };
    let kept = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        keep(entry.file_name().to_str()?).then(|| entry.path())
    };
    let mut paths: Vec<PathBuf> = list.filter_map(kept).collect();
    paths.sort();
    paths
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The version in the name of a library's file, such as `1.32.0`.
pub(super) fn version_in_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(".dylib").unwrap_or(name);
    let start = digits.find(|c: char| c.is_ascii_digit())?;
    let version = &digits[start..];
    let plain = version.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(prefix: &Path) -> PathBuf {
        let capi = prefix.join("lib/python3.11/site-packages/onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        for name in ["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"] {
            tempfile::NamedTempFile::new_in(&capi).unwrap().persist(capi.join(name)).unwrap();
        }
        capi.join("libonnxruntime.so.1.32.0").canonicalize().unwrap()
    }

    fn around(root: &Path) -> Surroundings {
        Surroundings {
            executable: Some(root.join("prefix/bin/aqlens")),
            environments: vec![("VIRTUAL_ENV", root.join("active"))],
            working: Some(root.join("project/deep/down")),
            ..Surroundings::default()
        }
    }

    #[test]
    fn environments_are_searched_in_the_documented_order() {
        let root = tempfile::tempdir().unwrap();
        let found = |around: &Surroundings| locate(None, around).unwrap();
        let around = around(root.path());
        assert!(found(&around).by_loader);
        for place in ["project/.venv", "active", "prefix"] {
            let library = wheel(&root.path().join(place));
            assert_eq!(found(&around).path, library, "{place}");
        }
    }

    #[test]
    fn a_named_library_is_the_only_place_looked_at() {
        let root = tempfile::tempdir().unwrap();
        wheel(&root.path().join("active"));
        let mut around = around(root.path());
        let absent = root.path().join("absent.so");
        let message = locate(Some(&absent), &around).unwrap_err().to_string();
        assert!(message.contains("absent.so is not there"), "{message}");
        assert!(message.contains("pip install onnxruntime"), "{message}");
        let library = wheel(&root.path().join("other"));
        around.dylib = Some(library.parent().unwrap().as_os_str().to_owned());
        assert_eq!(locate(None, &around).unwrap().path, library);
    }

    #[test]
    fn what_was_looked_at_is_told() {
        let root = tempfile::tempdir().unwrap();
        let tried = locate(None, &around(root.path())).unwrap().tried.join("\n");
        for part in ["prefix", "VIRTUAL_ENV", "project/deep/down/.venv", "system's loader"] {
            assert!(tried.contains(part), "{part} not in:\n{tried}");
        }
    }

    #[test]
    fn the_version_is_read_from_the_name() {
        let version = |name: &str| version_in_name(Path::new(name));
        assert_eq!(version("/x/libonnxruntime.so.1.32.0").as_deref(), Some("1.32.0"));
        assert_eq!(version("libonnxruntime.1.20.1.dylib").as_deref(), Some("1.20.1"));
        assert_eq!(version("libonnxruntime.so"), None);
    }
}

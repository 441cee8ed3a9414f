//! Where the ONNX Runtime library is.
//!
//! It is not built in: it comes with the `onnxruntime` (or `onnxruntime-gpu`) Python package, whose
//! wheel carries `onnxruntime/capi/libonnxruntime.so.1.x`. A library that is loaded runs with all
//! rights of whoever started `aqlens`, so it is looked for only where that person said, or where
//! whoever installed `aqlens` can write; never in the working directory or a folder above it. In this
//! order:
//!
//! 1. what `--onnxruntime` or `ORT_DYLIB_PATH` names, and then nothing else;
//! 2. the Python environment that `aqlens` lies in (`PREFIX/bin/aqlens`, links resolved);
//! 3. the activated environment (`VIRTUAL_ENV`, `CONDA_PREFIX`);
//! 4. `.venv` in the checkout that `aqlens` was built from, when `aqlens` lies in its `target`;
//! 5. the folders of shared libraries: `LD_LIBRARY_PATH`, then the system's own.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::ModelError;

/// The variable in which the system's loader finds more folders of libraries.
const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// The variable that names the library, instead of `--onnxruntime`.
const NAMED: &str = "ORT_DYLIB_PATH";

/// A library to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its absolute path, links resolved.
    pub path: PathBuf,
    /// Why this place was looked at.
    pub how: &'static str,
}

/// A place that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it is.
    pub how: &'static str,
    /// The folder, or the file that was named.
    pub path: PathBuf,
    /// The libraries in it, the one to take first.
    pub libraries: Vec<PathBuf>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { how, path, libraries } = self;
        match &libraries[..] {
            [] if !path.exists() => write!(f, "{how}: {} is not there", path.display()),
            [] => write!(f, "{how}: {} has no onnxruntime library", path.display()),
            [only] => write!(f, "{how}: {}", only.display()),
            [first, others @ ..] => {
                let n = others.len();
                write!(f, "{how}: {} (and {n} more beside it)", first.display())
            }
        }
    }
}

/// What the search looks at; taken from the process by [`Surroundings::of_process`].
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `ORT_DYLIB_PATH`.
    pub dylib: Option<OsString>,
    /// `VIRTUAL_ENV` and `CONDA_PREFIX`, with their names.
    pub environments: Vec<(&'static str, PathBuf)>,
    /// The running executable, links resolved.
    pub executable: Option<PathBuf>,
    /// The checkout that the executable was built from, links resolved.
    pub checkout: Option<PathBuf>,
    /// Folders of shared libraries, with where they are known from.
    pub shared: Vec<(&'static str, PathBuf)>,
}

impl Surroundings {
    /// Those of the running process.
    pub fn of_process() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let of_loader = set(LIBRARY_PATH);
        let of_loader =
            of_loader.iter().flat_map(env::split_paths).map(|path| (LIBRARY_PATH, path));
        let system = system_folders().into_iter().map(|path| ("the system's libraries", path));
        Self {
            dylib: set(NAMED),
            environments: ["VIRTUAL_ENV", "CONDA_PREFIX"]
                .into_iter()
                .filter_map(|name| Some((name, PathBuf::from(set(name)?))))
                .collect(),
            executable: env::current_exe().ok().map(|exe| absolute(&exe)),
            checkout: Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok(),
            shared: of_loader.chain(system).collect(),
        }
    }
}

/// Folders of the system's shared libraries, which only its administrator can write to.
fn system_folders() -> Vec<PathBuf> {
    if !cfg!(unix) {
        return Vec::new();
    }
    let mut folders = Vec::new();
    for root in ["/usr/local/lib", "/opt/homebrew/lib", "/usr/lib", "/usr/lib64"] {
        folders.push(PathBuf::from(root));
        // Debian's, such as `x86_64-linux-gnu`.
        folders.extend(entries(Path::new(root), |name| name.ends_with("-linux-gnu")));
    }
    folders
}

/// Finds the library: `explicit` (of `--onnxruntime`) is a file, a folder that holds one, or a Python
/// environment.
///
/// # Errors
/// When there is none, with every place that was looked at.
pub fn locate(explicit: Option<&Path>, around: &Surroundings) -> Result<Found, ModelError> {
    let places = places(explicit, around);
    let found = places.iter().find_map(|place| {
        let library = place.libraries.first()?;
        Some(Found { path: absolute(library), how: place.how })
    });
    found.ok_or_else(|| {
        let mut tried: Vec<String> = places.iter().map(ToString::to_string).collect();
        if explicit.is_none() && around.dylib.is_none() {
            tried.extend(not_looked_at(around));
        }
        ModelError::NoRuntime { tried }
    })
}

/// What the search had no place from, and the folders of shared libraries, where it found none.
fn not_looked_at(around: &Surroundings) -> Vec<String> {
    let mut said = Vec::new();
    for (name, path) in &around.environments {
        if !path.is_absolute() {
            said.push(format!("{name}: {} is no whole path", path.display()));
        }
    }
    if around.environments.is_empty() {
        said.push("the activated environment: none is (VIRTUAL_ENV, CONDA_PREFIX)".to_owned());
    }
    let folders: Vec<String> =
        around.shared.iter().map(|(_, path)| path.display().to_string()).collect();
    said.push(format!("shared libraries: none in {}", folders.join(", ")));
    said
}

/// Every place that is looked at, in order: the library is the first of the first place that has one.
/// Of the folders of shared libraries only those that have one are named.
pub fn places(explicit: Option<&Path>, around: &Surroundings) -> Vec<Place> {
    let named = explicit.map(|path| ("--onnxruntime", path.to_owned()));
    let named = named.or_else(|| Some((NAMED, PathBuf::from(around.dylib.as_ref()?))));
    if let Some((how, path)) = named {
        let mut libraries = if path.is_file() { vec![path.clone()] } else { in_folder(&path) };
        if libraries.is_empty() {
            libraries = in_environment(&path);
        }
        return vec![Place { how, path, libraries }];
    }
    let mut places: Vec<Place> = Vec::new();
    for (how, path) in prefixes(around) {
        if places.iter().all(|place| place.path != path) {
            places.push(Place { how, libraries: in_environment(&path), path });
        }
    }
    // A relative one would be looked for in the working directory.
    for (how, path) in around.shared.iter().filter(|(_, path)| path.is_absolute()) {
        let libraries = in_folder(path);
        if !libraries.is_empty() {
            places.push(Place { how, path: path.clone(), libraries });
        }
    }
    places
}

/// Python environments to look into, each with the reason.
fn prefixes(around: &Surroundings) -> Vec<(&'static str, PathBuf)> {
    let mut list = Vec::new();
    let executable = around.executable.as_deref();
    // In another folder it need not be an environment's: above `/tmp/aqlens` everybody writes.
    let programs = executable
        .and_then(Path::parent)
        .filter(|folder| folder.file_name().is_some_and(|name| name == "bin" || name == "Scripts"));
    if let Some(prefix) = programs.and_then(Path::parent) {
        list.push(("the environment of aqlens", prefix.to_owned()));
    }
    let activated = around.environments.iter();
    list.extend(activated.filter(|(_, path)| path.is_absolute()).cloned());
    if let (Some(executable), Some(checkout)) = (executable, &around.checkout)
        && executable.starts_with(checkout.join("target"))
    {
        list.push(("the checkout that aqlens was built from", checkout.join(".venv")));
    }
    list
}

/// The libraries of the `onnxruntime` package that is installed in a Python environment, or, as conda
/// has it, beside Python; of the package in a folder that `pip install --target` filled.
fn in_environment(prefix: &Path) -> Vec<PathBuf> {
    let mut sites = vec![prefix.join("Lib/site-packages")];
    for lib in ["lib", "lib64"] {
        for python in entries(&prefix.join(lib), |name| name.starts_with("python3")) {
            sites.extend(["site-packages", "dist-packages"].map(|site| python.join(site)));
        }
    }
    sites.push(prefix.to_owned());
    let packages = sites.iter().map(|site| site.join("onnxruntime/capi"));
    let folders = packages.chain([prefix.join("lib")]);
    folders.map(|folder| in_folder(&folder)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The libraries in a folder, the one to take first. Two wheels, for the processor and for the GPU, put
/// theirs into one folder, in several versions: where the GPU's provider lies the library must be of the
/// same wheel. Else it is the one of the package that is installed, else the newest.
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    // `.so`, `.so.1.32.0`, `.dylib`, `.1.32.0.dylib`, `.dll`; not `_providers_shared.so`.
    let library = |name: &str| {
        name.trim_start_matches("lib")
            .strip_prefix("onnxruntime.")
            .is_some_and(|rest| rest.split('.').any(|part| ["so", "dylib", "dll"].contains(&part)))
    };
    let mut found = entries(folder, library);
    if found.len() > 1 {
        let has_cuda =
            !entries(folder, |name| name.contains("onnxruntime_providers_cuda.")).is_empty();
        let gpu = if has_cuda { installed(folder, "onnxruntime_gpu-") } else { Vec::new() };
        let plain = installed(folder, "onnxruntime-");
        found.sort_by_cached_key(|path| {
            let version = version_in_name(path);
            let is_of =
                |versions: &[Vec<u64>]| version.as_ref().is_some_and(|v| versions.contains(v));
            Reverse((is_of(&gpu), is_of(&plain), version.clone()))
        });
    }
    found
}

/// The versions of a package that are installed beside `onnxruntime/capi`, as their `NAME-VERSION.dist-info`
/// says.
fn installed(capi: &Path, name: &str) -> Vec<Vec<u64>> {
    let Some(site) = capi.ancestors().nth(2) else { return Vec::new() };
    let infos = entries(site, |entry| entry.starts_with(name) && entry.ends_with(".dist-info"));
    let version = |info: &PathBuf| {
        numbers(info.file_name()?.to_str()?.strip_prefix(name)?.strip_suffix(".dist-info")?)
    };
    infos.iter().filter_map(version).collect()
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

/// The version in the name of a library's file: good enough to choose by, not to record.
fn version_in_name(path: &Path) -> Option<Vec<u64>> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".dylib").unwrap_or(name);
    numbers(&name[name.find(|c: char| c.is_ascii_digit())?..])
}

/// `1.32.0` as numbers; `None` when it is something else.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests;

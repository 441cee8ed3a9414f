//! Opens a file of rows in the format that its name ends in.

use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::problem::{FileProblem, name};
use super::rows::{Columns, RowReader};
use super::source::{Packing, TextSource, empty};
use super::{csv, jsonl, parquet};
use crate::yaml::did_you_mean;

/// Which kinds of file there are, by their ending.
const FORMATS: &str =
    ".jsonl, .ndjson, .csv, .tsv (all four also with .gz or .zst behind) or .parquet";

/// Most names of a folder that are compared with a missing one.
const COMPARED: usize = 10_000;

/// What a file holds, by its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines(Packing),
    Fields(u8, Packing),
    Parquet,
}

/// Opens a file to read two of its columns.
pub(super) fn open_rows(path: &Path, columns: Columns) -> Result<Box<dyn RowReader>, FileProblem> {
    let metadata = fs::metadata(path);
    // Before it is opened: opening a pipe waits for who writes to it.
    if let Some(problem) = metadata.as_ref().ok().and_then(|found| no_file(path, found)) {
        return Err(problem);
    }
    let format = format(path)?;
    let metadata = metadata.map_err(|error| cannot_read(path, &error))?;
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let text = |file, packing| TextSource::new(file, packing);
    let opened = match format {
        _ if metadata.len() == 0 => Err(empty()),
        Format::Lines(packing) => text(file, packing).map(|text| jsonl::open(text, columns)),
        Format::Fields(delimiter, packing) => {
            text(file, packing).and_then(|text| csv::open(text, delimiter, columns))
        }
        Format::Parquet => parquet::open(file, path, columns),
    };
    opened.map_err(|problem| problem.in_file(path))
}

/// The format that a name ends in, in any case.
fn format(path: &Path) -> Result<Format, FileProblem> {
    let lower = name(path).to_lowercase();
    let (plain, packing) = match (lower.strip_suffix(".gz"), lower.strip_suffix(".zst")) {
        (Some(plain), _) => (plain, Packing::Gzip),
        (_, Some(plain)) => (plain, Packing::Zstd),
        _ => (lower.as_str(), Packing::None),
    };
    let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "jsonl" | "ndjson" => Ok(Format::Lines(packing)),
        "csv" => Ok(Format::Fields(b',', packing)),
        "tsv" => Ok(Format::Fields(b'\t', packing)),
        "parquet" if packing == Packing::None => Ok(Format::Parquet),
        _ => {
            let shown = path.display();
            Err(FileProblem::new(format!("the file {shown} must end in {FORMATS}"), advice(ending)))
        }
    }
}

/// What to do about a file with another ending.
fn advice(ending: &str) -> &'static str {
    match ending {
        "json" => "write one object a line: `jq -c '.[]' OLD.json > NEW.jsonl`",
        "parquet" => "unpack it: a Parquet file is packed inside",
        "bz2" | "xz" | "zip" | "tar" | "tgz" | "7z" => {
            "unpack it; .gz and .zst are read as they are"
        }
        "xlsx" | "xls" | "ods" => "save the sheet as \"CSV UTF-8\"",
        "arrow" | "feather" | "ipc" => "write it as Parquet, CSV or JSON lines",
        "txt" => "write each text as a line {\"id\": \"...\", \"text\": \"...\"} of a .jsonl file",
        _ => {
            "a mapping with the keys file, id and text names a file; inputs or tasks with these ids go \
             into a file themselves"
        }
    }
}

/// What is wrong with a path that names no file.
fn no_file(path: &Path, metadata: &Metadata) -> Option<FileProblem> {
    if metadata.is_file() {
        return None;
    }
    let shown = path.display();
    if metadata.is_dir() {
        return Some(FileProblem::new(
            format!("{shown} is a folder"),
            "name a file in it, or all that match a pattern, as in `file: data/*.jsonl`",
        ));
    }
    let what = special(metadata.file_type()).unwrap_or("no ordinary file");
    Some(FileProblem::new(
        format!("{shown} is {what}"),
        "write its content to a file: inputs are read several times, and compared with what they were",
    ))
}

#[cfg(unix)]
fn special(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_fifo() => Some("a pipe"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        _ => None,
    }
}

#[cfg(not(unix))]
fn special(_kind: FileType) -> Option<&'static str> {
    None
}

/// What the system says about a file that cannot be opened, and which file may be meant.
fn cannot_read(path: &Path, error: &io::Error) -> FileProblem {
    let shown = path.display();
    if error.kind() != io::ErrorKind::NotFound {
        let help = "paths are relative to the folder of the pipeline file";
        return FileProblem::new(format!("cannot read the file {shown}: {error}"), help);
    }
    if let Ok(target) = fs::read_link(path) {
        return FileProblem::new(
            format!("{shown} is a link to {}, which is not there", target.display()),
            "make the link again, or name the file itself",
        );
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    if !folder.is_dir() {
        return FileProblem::new(
            format!("cannot read the file {shown}: its folder is not there"),
            "paths are relative to the folder of the pipeline file",
        );
    }
    let help = match nearest(&folder, &name(path)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "paths are relative to the folder of the pipeline file".to_owned(),
    };
    FileProblem::new(format!("the file {shown} is not there"), help)
}

/// The name in a folder that is most like a missing one: the same with another ending, or a near
/// spelling.
fn nearest(folder: &Path, missing: &str) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.take(COMPARED).filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let near = did_you_mean(missing, &known);
    let same_stem = || {
        let readable = |name: &&str| format(Path::new(name)).is_ok() && stem(name) == stem(missing);
        known.iter().copied().find(readable)
    };
    near.or_else(same_stem).map(str::to_owned)
}

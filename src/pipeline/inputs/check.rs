//! The first pass over files: everything that is wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::absolute;
use super::duplicates::{FilePlace, Ids};
use super::input::{FileSource, HashedFile, Input};
use super::open::open_rows;
use super::problem::{FileProblem, mib, name};
use super::rows::{Cell, Cells, ClusterCell, MOST_ROWS, MOST_TEXT, Place, Row, Wrong, nearest};
use super::wanted::Wanted;
use crate::yaml::quote;

/// How many problems of all files together are reported.
const REPORTED: usize = 5;

/// After so many no more rows are read: a small file that unpacks to millions of bad rows takes no longer.
const MOST_PROBLEMS: u64 = 10_000;

/// A row without anything wrong.
pub(super) struct GoodRow {
    /// Its file, from 0, and where it is in that.
    pub(super) place: FilePlace,
    pub(super) input: Input,
}

/// Texts by id, several in the order of their rows.
type Texts = Vec<(String, Vec<String>)>;

/// The texts of small files by id, in their order, and the files as they were read. Several rows with
/// one id are several texts of it.
pub(crate) fn read_texts(wanted: &Wanted) -> Result<(Texts, FileSource), Vec<FileProblem>> {
    let mut texts: Texts = Vec::new();
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen: BTreeMap<(usize, String), FilePlace> = BTreeMap::new();
    let mut problems = Vec::new();
    let files = check_files(wanted, false, &mut |row| {
        let GoodRow { place, input: Input { id, text, .. } } = row;
        let at = *by_id.entry(id.clone()).or_insert_with(|| {
            texts.push((id.clone(), Vec::new()));
            texts.len() - 1
        });
        match seen.insert((at, text.clone()), place) {
            None => texts[at].1.push(text),
            Some(first) if problems.len() < REPORTED => {
                let (here, before) =
                    (words(wanted, place, None), words(wanted, first, Some(place)));
                let message = format!(
                    "{here}: it is word for word the wording of {} in {before}",
                    quote(&id)
                );
                problems.push(FileProblem::new(message, "rephrase or remove one of them"));
            }
            Some(_) => {}
        }
    })?;
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok((texts, source(wanted, files.into_iter().map(|file| file.sha256))))
}

/// The files as they were read.
pub(super) fn source(wanted: &Wanted, sha256: impl Iterator<Item = String>) -> FileSource {
    let hashed = |(path, sha256): (&std::path::PathBuf, _)| HashedFile {
        path: absolute(path.clone()),
        sha256,
    };
    FileSource {
        files: wanted.paths.iter().zip(sha256).map(hashed).collect(),
        is_list: wanted.is_list,
        id: wanted.id.clone(),
        text: wanted.text.clone(),
        cluster: wanted.cluster.clone(),
    }
}

/// A row in words, with its file in front unless that is the file of `beside`.
fn words(wanted: &Wanted, (file, place): FilePlace, beside: Option<FilePlace>) -> String {
    match beside {
        Some((other, _)) if other == file => place.to_string(),
        _ => format!("{}, {place}", name(&wanted.paths[file])),
    }
}

/// What the first pass found of a file with nothing wrong in it.
pub(super) struct Checked {
    pub(super) sha256: String,
    pub(super) rows: u64,
}

/// Reads files once, one after the other. Each row goes to `take` as long as nothing is wrong. With
/// `unique` an id that appears twice is wrong.
pub(super) fn check_files(
    wanted: &Wanted,
    unique: bool,
    take: &mut dyn FnMut(GoodRow),
) -> Result<Vec<Checked>, Vec<FileProblem>> {
    let mut pass = Pass::new(wanted);
    let mut checked = Vec::new();
    for path in &wanted.paths {
        let before = stamp(path);
        checked.extend(pass.read(path, take));
        if stamp(path) != before {
            let help = "wait until nothing writes to it any more";
            let problem = FileProblem::new("it changed while it was read", help);
            pass.found.push(pass.here(), problem.in_file(path));
        }
        pass.file += 1;
        if pass.gave_up {
            break;
        }
    }
    if unique {
        pass.find_duplicates();
    }
    if pass.found.n > 0 { Err(pass.problems()) } else { Ok(checked) }
}

/// Size and time of the last change, as far as they can be had.
fn stamp(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

/// Row and column of a problem: problems are reported in this order.
type Order = (u64, usize);

/// The first problems of a kind, and how many there are.
#[derive(Default)]
struct Found {
    first: Vec<(Order, FileProblem)>,
    n: u64,
}

impl Found {
    fn push(&mut self, order: Order, problem: FileProblem) {
        if self.first.len() < REPORTED {
            self.first.push((order, problem));
        }
        self.n += 1;
    }

    fn append(&mut self, other: Self) {
        self.first.extend(other.first);
        self.first.sort_by_key(|(order, _)| *order);
        self.first.truncate(REPORTED);
        self.n += other.n;
    }
}

struct Pass<'a> {
    wanted: &'a Wanted,
    /// The file that is read, from 0.
    file: usize,
    /// Rows of the files before it.
    before: u64,
    ids: Ids,
    /// Its rows without a cell in that column.
    missing: [Found; 2],
    /// Its rows that do not have the column of clusters.
    clusterless: u64,
    found: Found,
    /// Bytes of all texts so far.
    text_bytes: u64,
    /// Whether ids are made of the rows' numbers, in the first file that has rows.
    numbers: Option<bool>,
    /// Whether so much was wrong that the rest was not read.
    gave_up: bool,
}

impl<'a> Pass<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            file: 0,
            before: 0,
            ids: Ids::default(),
            missing: [Found::default(), Found::default()],
            clusterless: 0,
            found: Found::default(),
            text_bytes: 0,
            numbers: None,
            gave_up: false,
        }
    }

    /// The order of a problem behind all rows so far.
    fn here(&self) -> Order {
        (self.ids.rows(), 0)
    }

    fn is_clean(&self) -> bool {
        self.found.n == 0 && self.missing.iter().all(|found| found.n == 0)
    }

    /// Reads the next file.
    fn read(&mut self, path: &Path, take: &mut dyn FnMut(GoodRow)) -> Option<Checked> {
        self.before = self.ids.rows();
        let mut reader = match open_rows(path, self.wanted.columns(path)) {
            Ok(reader) => reader,
            Err(problem) => {
                self.found.push(self.here(), problem);
                return None;
            }
        };
        while let Some(row) = reader.next_row() {
            if self.ids.rows() == MOST_ROWS || self.text_bytes > MOST_TEXT {
                let most = format!("{MOST_ROWS} rows or {} of text", mib(MOST_TEXT));
                let message = format!("with it there are more than {most}");
                let help = "take a part of them: a model would have to run them all";
                self.found.push(self.here(), FileProblem::new(message, help).in_file(path));
                break;
            }
            match row {
                Ok(row) => {
                    if let Some(row) = self.look(row).filter(|_| self.is_clean()) {
                        take(row);
                    }
                    let missing = self.missing.iter().map(|found| found.n).max();
                    if self.found.n.max(missing.unwrap_or(0)) >= MOST_PROBLEMS {
                        self.gave_up = true;
                        break;
                    }
                }
                Err(problem) => {
                    self.found.push(self.here(), problem.in_file(path));
                    break;
                }
            }
        }
        let rows = self.ids.rows() - self.before;
        if rows == 0 && self.found.n == 0 {
            let help = "it needs at least one row: one for each input or task";
            let problem = FileProblem::new(format!("{} has no rows", name(path)), help);
            self.found.push(self.here(), problem);
        }
        self.fold_missing(reader.names(), path);
        if rows > 0 && *self.numbers.get_or_insert(reader.numbers()) != reader.numbers() {
            self.found.push(self.here(), mixed_ids(path, reader.numbers()));
        }
        if !self.is_clean() {
            return None;
        }
        match reader.sha256() {
            Ok(sha256) => Some(Checked { sha256, rows }),
            Err(error) => {
                self.found.push(self.here(), FileProblem::unreadable(&error).in_file(path));
                None
            }
        }
    }

    /// Notes what is wrong with a row; gives it back when nothing is.
    fn look(&mut self, row: Row) -> Option<GoodRow> {
        match row.cells {
            Ok(Cells { id, text, cluster }) => {
                let id = self.good(id, row.place, 0);
                let text = self.good(text, row.place, 1);
                let cluster = self.good_cluster(cluster, row.place);
                self.text_bytes += text.as_ref().map_or(0, |text| text.len() as u64);
                self.ids.add(id.as_deref());
                let place = (self.file, row.place);
                Some(GoodRow { place, input: Input { id: id?, text: text?, cluster } })
            }
            Err(FileProblem { message, help }) => {
                let problem = self.at(row.place, &message, help);
                self.found.push(self.here(), problem);
                self.ids.add(None);
                None
            }
        }
    }

    fn good(&mut self, cell: Cell, place: Place, column: usize) -> Option<String> {
        let name = [&self.wanted.id, &self.wanted.text][column];
        let usual = || HELP[column].to_owned();
        let (what, help) = match cell {
            Ok(text) if !text.trim().is_empty() => return Some(text),
            Ok(_) => ("is empty".to_owned(), usual()),
            Err(Wrong::Missing) => {
                let problem = self.at(place, &format!("`{name}` is missing"), usual());
                self.missing[column].push((self.ids.rows(), column), problem);
                return None;
            }
            Err(Wrong::Says(what, help)) => (what, help.unwrap_or_else(usual)),
        };
        let problem = self.at(place, &format!("`{name}` {what}"), help);
        self.found.push((self.ids.rows(), column), problem);
        None
    }

    /// The cluster that a row names, if any. What is wrong with it is noted, and leaves no good file.
    fn good_cluster(&mut self, cell: ClusterCell, place: Place) -> Option<String> {
        let (what, help) = match cell {
            Ok(cluster) => return cluster,
            Err(Wrong::Missing) => {
                self.clusterless += 1;
                return None;
            }
            Err(Wrong::Says(what, help)) => (what, help),
        };
        let name = self.wanted.cluster.as_deref().unwrap_or_default();
        let help = help.unwrap_or_else(|| "name the cluster, or leave it empty".to_owned());
        let problem = self.at(place, &format!("`{name}` {what}"), help);
        self.found.push((self.ids.rows(), 2), problem);
        None
    }

    /// A problem with file and place in front.
    fn at(&self, place: Place, what: &str, help: String) -> FileProblem {
        let file = name(&self.wanted.paths[self.file]);
        FileProblem::new(format!("{file}, {place}: {what}"), help)
    }

    /// A column that no row of a file has is one mistake, not one of each row.
    fn fold_missing(&mut self, names: &[String], path: &Path) {
        let rows = self.ids.rows() - self.before;
        let no_line = |column: &str| {
            let lines = if self.gave_up {
                format!("none of the first {rows} lines of")
            } else {
                "no line of".to_owned()
            };
            let message = format!("{lines} {} has the key {}", name(path), quote(column));
            FileProblem::new(message, nearest(names, column))
        };
        if let Some(column) = &self.wanted.cluster
            && rows > 0
            && std::mem::take(&mut self.clusterless) == rows
        {
            self.found.push((self.before, 2), no_line(column));
        }
        for (i, column) in [&self.wanted.id, &self.wanted.text].into_iter().enumerate() {
            let mut missing = std::mem::take(&mut self.missing[i]);
            if missing.n > 0 && missing.n == rows {
                missing = Found::default();
                missing.push((self.before, i), no_line(column));
            }
            self.found.append(missing);
        }
    }

    fn find_duplicates(&mut self) {
        let (duplicates, n) = self.ids.duplicates(self.wanted, REPORTED);
        let mut found = Found::default();
        for duplicate in duplicates {
            let here = words(self.wanted, duplicate.place, None);
            let first = words(self.wanted, duplicate.first, Some(duplicate.place));
            let id = quote(&duplicate.id);
            let message = format!("{here}: the id {id} is already that of {first}");
            let help = "give each row a different id";
            found.push((duplicate.row, 3), FileProblem::new(message, help));
        }
        found.n = n;
        self.found.append(found);
    }

    /// The first of all, and at the last one how many more there are.
    fn problems(self) -> Vec<FileProblem> {
        let n = self.found.n;
        let mut problems: Vec<FileProblem> =
            self.found.first.into_iter().map(|(_, problem)| problem).collect();
        let more = n - problems.len() as u64;
        if more > 0
            && let Some(last) = problems.last_mut()
        {
            let help = &last.help;
            let file = match self.wanted.paths.as_slice() {
                [only] => name(only),
                _ => "these files".to_owned(),
            };
            let rest = if self.gave_up { ", and the rest was not read" } else { "" };
            last.help = format!("{help} ({more} more problems in {file} are not shown{rest})");
        }
        problems
    }
}

/// A file that has ids where the files before it have none, or the other way round.
fn mixed_ids(path: &Path, numbers: bool) -> FileProblem {
    let (here, before) = if numbers { ("no", "one") } else { ("a", "none") };
    FileProblem::new(
        format!("{} has {here} column `row`, and the files before it have {before}", name(path)),
        "with `id: row` a column `row` gives the ids of all files, or none has it and the rows are \
         numbered",
    )
}

/// What to do about a bad id, and about a bad text.
const HELP: [&str; 2] = ["name each row by an id", "write a text or remove the row"];

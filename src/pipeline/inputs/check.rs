//! The first pass over a file: everything that is wrong with it.

use std::path::Path;

use super::duplicates::Ids;
use super::open::open_rows;
use super::rows::{FileProblem, Place, Row, UTF8, Wrong, in_file, name, nearest};
use crate::yaml::quote;

/// How many problems of one file are reported.
const REPORTED: usize = 5;

/// What the first pass found of a file with nothing wrong in it.
pub(super) struct Checked {
    pub(super) sha256: String,
    pub(super) rows: u64,
}

/// Texts by id.
type Texts = Vec<(String, String)>;

/// The texts of a small file by id, in its order, and its SHA-256.
pub(crate) fn read_texts(
    path: &Path,
    columns: [&str; 2],
) -> Result<(Texts, String), Vec<FileProblem>> {
    let mut texts = Vec::new();
    let checked = check_file(path, columns, &mut |id, text| texts.push((id, text)))?;
    Ok((texts, checked.sha256))
}

/// Reads a file once. Each row's id and text go to `take` as long as nothing is wrong.
pub(super) fn check_file(
    path: &Path,
    columns: [&str; 2],
    take: &mut dyn FnMut(String, String),
) -> Result<Checked, Vec<FileProblem>> {
    let mut reader = open_rows(path, columns).map_err(|problem| vec![problem])?;
    let mut pass = Pass::new(path, columns);
    while let Some(row) = reader.next_row() {
        match row {
            Ok(row) => {
                if let Some((id, text)) = pass.look(row).filter(|_| pass.is_clean()) {
                    take(id, text);
                }
            }
            Err(problem) => {
                pass.others.push((pass.ids.rows(), 0), in_file(path, problem));
                break;
            }
        }
    }
    if pass.ids.rows() == 0 && pass.is_clean() {
        let help = "it needs at least one row: one for each input or task";
        return Err(vec![FileProblem::new(format!("{} has no rows", pass.file), help)]);
    }
    pass.fold_missing(reader.names());
    pass.find_duplicates();
    if !pass.is_clean() {
        return Err(pass.problems());
    }
    let sha256 = reader.sha256();
    let sha256 = sha256.map_err(|error| vec![in_file(path, FileProblem::unreadable(&error))])?;
    Ok(Checked { sha256, rows: pass.ids.rows() })
}

/// Whether a cell is missing: then perhaps no row has it.
#[derive(Clone, Copy)]
enum Kind {
    Missing,
    Other,
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
}

struct Pass<'a> {
    path: &'a Path,
    /// Its name.
    file: String,
    columns: [&'a str; 2],
    ids: Ids,
    /// Rows without a cell in that column.
    missing: [Found; 2],
    duplicates: Found,
    others: Found,
}

impl<'a> Pass<'a> {
    fn new(path: &'a Path, columns: [&'a str; 2]) -> Self {
        Self {
            path,
            file: name(path),
            columns,
            ids: Ids::default(),
            missing: [Found::default(), Found::default()],
            duplicates: Found::default(),
            others: Found::default(),
        }
    }

    /// Adds a problem with the place of its row in front, which is looked up only if the problem may
    /// be reported.
    fn report(&mut self, kind: Kind, column: usize, place: Place, what: &str, help: &str) {
        let order = (self.ids.rows(), column);
        let found = match kind {
            Kind::Missing => &mut self.missing[column],
            Kind::Other => &mut self.others,
        };
        if found.first.len() < REPORTED {
            let message = format!("{}, {}: {what}", self.file, place.words(self.path));
            found.first.push((order, FileProblem::new(message, help)));
        }
        found.n += 1;
    }

    fn is_clean(&self) -> bool {
        [&self.others, &self.duplicates].into_iter().chain(&self.missing).all(|found| found.n == 0)
    }

    /// Notes what is wrong with a row; its id and text when nothing is.
    fn look(&mut self, row: Row) -> Option<(String, String)> {
        match row.cells {
            Ok([id, text]) => {
                let id = self.good(id, row.place, 0);
                let text = self.good(text, row.place, 1);
                self.ids.add(id.as_deref());
                id.zip(text)
            }
            Err(FileProblem { message, help }) => {
                self.report(Kind::Other, 0, row.place, &message, &help);
                self.ids.add(None);
                None
            }
        }
    }

    fn good(&mut self, cell: Result<String, Wrong>, place: Place, column: usize) -> Option<String> {
        let name = self.columns[column];
        let (kind, what, help) = match cell {
            Ok(text) if !text.trim().is_empty() => return Some(text),
            Ok(_) => (Kind::Other, "is empty".to_owned(), HELP[column]),
            Err(Wrong::Missing) => (Kind::Missing, "is missing".to_owned(), HELP[column]),
            Err(Wrong::NotUtf8) => (Kind::Other, "is not UTF-8".to_owned(), UTF8),
            Err(Wrong::Says(what)) => (Kind::Other, what, HELP[column]),
        };
        self.report(kind, column, place, &format!("`{name}` {what}"), help);
        None
    }

    /// A column that no row has is one mistake, not one of each row.
    fn fold_missing(&mut self, names: &[String]) {
        for (column, found) in self.columns.into_iter().zip(&mut self.missing) {
            if found.n > 0 && found.n == self.ids.rows() {
                let message = format!("no line of {} has the key {}", self.file, quote(column));
                *found = Found::default();
                found.push((0, 0), FileProblem::new(message, nearest(names, column)));
            }
        }
    }

    fn find_duplicates(&mut self) {
        let (duplicates, n) = self.ids.duplicates(self.path, self.columns, REPORTED);
        for duplicate in duplicates {
            let [place, first] = [duplicate.place, duplicate.first].map(|p| p.words(self.path));
            let id = quote(&duplicate.id);
            let message = format!("{}, {place}: the id {id} is already that of {first}", self.file);
            let problem = FileProblem::new(message, "give each row a different id");
            self.duplicates.push((duplicate.row, 2), problem);
        }
        self.duplicates.n = n;
    }

    /// The first of all, and at the last one how many more there are.
    fn problems(self) -> Vec<FileProblem> {
        let [id, text] = self.missing;
        let kinds = [self.others, self.duplicates, id, text];
        let n: u64 = kinds.iter().map(|found| found.n).sum();
        let mut all: Vec<_> = kinds.into_iter().flat_map(|found| found.first).collect();
        all.sort_by_key(|(order, _)| *order);
        all.truncate(REPORTED);
        let mut problems: Vec<FileProblem> = all.into_iter().map(|(_, problem)| problem).collect();
        let more = n - problems.len() as u64;
        if more > 0
            && let Some(last) = problems.last_mut()
        {
            let help = &last.help;
            last.help = format!("{help} ({more} more problems in {} are not shown)", self.file);
        }
        problems
    }
}

/// What to do about a bad id, and about a bad text.
const HELP: [&str; 2] = ["name each row by an id", "write a text or remove the row"];

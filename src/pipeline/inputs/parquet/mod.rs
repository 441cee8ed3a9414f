//! Parquet: text columns, and ids that are whole numbers, whatever program wrote them.
//!
//! The types are those of Parquet itself: what an Arrow program notes beside them (a category, a large
//! string, a string view) says nothing more about the texts, and is not read.

mod delta;
mod pages;
mod thrift;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_array::{Array as _, ArrayRef};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use self::pages::{MOST_PAGE, Pages};
use super::magic::{START, expect_parquet};
use super::problem::FileProblem;
use super::rows::{
    Cell, Cells, Columns, LONGEST, Place, Places, Row, RowReader, Wrong, cluster, no_whole, places,
    too_long, whole,
};
use crate::guard::caught;
use crate::store::sha256_of_file;

/// Rows that are decoded at a time, at most.
const BATCH: u64 = 1024;

type Builder = ParquetRecordBatchReaderBuilder<File>;

struct ParquetRows {
    /// `None` once it has failed.
    reader: Option<ParquetRecordBatchReader>,
    path: PathBuf,
    columns: Columns,
    numbers: bool,
    names: Vec<String>,
    batch: Option<Batch>,
    /// How many of its rows were given.
    given: usize,
    row: u64,
}

/// The columns of the present rows.
struct Batch {
    /// `None` where ids are made of the rows' numbers.
    ids: Option<ArrayRef>,
    texts: ArrayRef,
    /// `None` where no clusters are asked for.
    clusters: Option<ArrayRef>,
}

/// Begins to read a file.
pub(super) fn open(
    file: File,
    path: &Path,
    columns: Columns,
) -> Result<Box<dyn RowReader>, FileProblem> {
    check_ends(&file).map_err(|error| FileProblem::unreadable(&error))??;
    let opened = caught(|| begin(file, path, columns));
    Ok(Box::new(opened.map_err(|words| broken(&words))??))
}

fn begin(file: File, path: &Path, columns: Columns) -> Result<ParquetRows, FileProblem> {
    let shared = Arc::new(file.try_clone().map_err(|error| FileProblem::unreadable(&error))?);
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = Builder::try_new_with_options(file, options);
    let builder = builder.map_err(|error| broken(&error.to_string()))?;
    let fields = builder.schema().fields().clone();
    let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    let Places { id, text, cluster } = places(&names, &columns)?;
    for column in id.into_iter().chain(cluster) {
        check_type(&fields[column], true)?;
    }
    check_type(&fields[text], false)?;
    let roots: BTreeSet<usize> = id.into_iter().chain([text]).chain(cluster).collect();
    let largest = look(&shared, &builder, &roots)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    // Each of a batch's rows may be the longest value: a dictionary repeats it for a few bits.
    let batch = (MOST_PAGE / largest.max(1)).clamp(1, BATCH);
    let reader = builder.with_projection(mask).with_batch_size(batch as usize).build();
    let reader = Some(reader.map_err(|error| broken(&error.to_string()))?);
    let (path, numbers) = (path.to_owned(), id.is_none());
    Ok(ParquetRows { reader, path, columns, numbers, names, batch: None, given: 0, row: 0 })
}

/// Compares the file's first and last bytes with what they must be.
fn check_ends(file: &File) -> io::Result<Result<(), FileProblem>> {
    let mut file = file;
    let mut start = Vec::new();
    file.take(START).read_to_end(&mut start)?;
    if let Err(problem) = expect_parquet(&start) {
        return Ok(Err(problem));
    }
    let mut end = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut end)?;
    file.rewind()?;
    Ok(match &end {
        b"PAR1" => Ok(()),
        b"PARE" => Err(FileProblem::new(
            "it is an encrypted Parquet file",
            "write it without encryption: nothing here has its key",
        )),
        _ => Err(FileProblem::new(
            "its end is missing: it is cut off, or still being written",
            "copy or write it again",
        )),
    })
}

/// Looks at all pages of the columns; how large the largest is.
fn look(file: &Arc<File>, builder: &Builder, roots: &BTreeSet<usize>) -> Result<u64, FileProblem> {
    let mut all = Pages::default();
    let mut first = 1;
    for group in builder.metadata().row_groups() {
        for &root in roots {
            let schema = builder.parquet_schema();
            let leaf =
                (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
            let Some(leaf) = leaf else { continue };
            let (chunk, name) = (group.column(leaf), schema.column(leaf).name().to_owned());
            let pages = pages::look(file, chunk, &name, first)?;
            if pages.has_delta {
                delta::check(file, chunk, group.num_rows()).map_err(|words| broken(&words))?;
            }
            all.largest = all.largest.max(pages.largest);
        }
        first += group.num_rows().max(0) as u64;
    }
    Ok(all.largest)
}

/// Refuses a column whose type holds no ids (or clusters), or no texts.
fn check_type(field: &Field, is_id: bool) -> Result<(), FileProblem> {
    let (kind, name) = (field.data_type(), field.name());
    let is_number = |kind: &DataType| kind.is_integer() || kind.is_floating();
    if is_text(kind) || (is_id && is_number(kind)) {
        return Ok(());
    }
    let rule = if is_id { "text or whole numbers" } else { "text" };
    let found = match kind {
        DataType::Binary | DataType::FixedSizeBinary(_) => {
            "bytes without the mark of text".to_owned()
        }
        DataType::List(_) => "lists".to_owned(),
        DataType::Struct(_) => "structures of several fields".to_owned(),
        DataType::Null => "nothing but nulls".to_owned(),
        kind => kind.to_string(),
    };
    Err(FileProblem::new(
        format!("column `{name}` must be {rule}, and holds {found}"),
        format!("cast it before writing the file: `pl.col(\"{name}\").cast(pl.String)`"),
    ))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A file that the library cannot read, with its words.
fn broken(words: &str) -> FileProblem {
    FileProblem::new(
        format!("it cannot be read as Parquet: {words}"),
        "write it again, for example with polars' `write_parquet`",
    )
}

impl RowReader for ParquetRows {
    fn next_row(&mut self) -> Option<Result<Row, FileProblem>> {
        loop {
            match &self.batch {
                Some(batch) if self.given < batch.texts.len() => break,
                _ => match self.read_batch()? {
                    Ok(batch) => self.batch = Some(batch),
                    Err(problem) => {
                        self.reader = None;
                        return Some(Err(problem));
                    }
                },
            }
        }
        let Batch { ids, texts, clusters } = self.batch.as_ref()?;
        self.row += 1;
        let id = match ids {
            Some(ids) => cell(ids, self.given),
            None => Ok(self.columns.numbered(self.row)),
        };
        let cluster = match clusters {
            None => Ok(None),
            Some(column) => cluster(cell(column, self.given), is_null(column, self.given)),
        };
        let cells = Ok(Cells { id, text: cell(texts, self.given), cluster });
        self.given += 1;
        Some(Ok(Row { place: Place::Row(self.row), cells }))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn numbers(&self) -> bool {
        self.numbers
    }

    fn sha256(&mut self) -> io::Result<String> {
        // Its end is read first and much of it never: there is no pass to hash on the way.
        sha256_of_file(&self.path)
    }
}

/// Whether there is no value: pandas writes NaN for a whole number that is missing.
fn is_null(column: &ArrayRef, at: usize) -> bool {
    let numbers = column.as_primitive_opt::<Float64Type>();
    column.is_null(at) || numbers.is_some_and(|numbers| numbers.value(at).is_nan())
}

/// The text of a value: text columns are `Utf8` here, ids and clusters may be `Float64` too.
fn cell(column: &ArrayRef, at: usize) -> Cell {
    if column.is_null(at) {
        return Err(Wrong::says("is null"));
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        let number = numbers.value(at);
        if number.is_nan() {
            // So pandas writes a whole number that is missing.
            return Err(Wrong::says("is NaN, no number"));
        }
        return whole(number).ok_or_else(|| no_whole(&number.to_string()));
    }
    let text = column.as_string::<i32>().value(at);
    if text.len() as u64 > LONGEST { Err(too_long(text.len() as u64)) } else { Ok(text.to_owned()) }
}

impl ParquetRows {
    fn read_batch(&mut self) -> Option<Result<Batch, FileProblem>> {
        self.batch = None;
        self.given = 0;
        let reader = self.reader.as_mut()?;
        let batch = match caught(|| reader.next().transpose()) {
            Ok(Ok(batch)) => batch?,
            Ok(Err(error)) => return Some(Err(broken(&error.to_string()))),
            Err(words) => return Some(Err(broken(&words))),
        };
        let column = |name: &str| {
            let column = batch.column_by_name(name).expect("it was asked for");
            let kind =
                if column.data_type().is_floating() { DataType::Float64 } else { DataType::Utf8 };
            cast(column, &kind).map_err(|error| broken(&error.to_string()))
        };
        let columns = || {
            let ids = if self.numbers { None } else { Some(column(&self.columns.id)?) };
            let clusters = self.columns.cluster.as_deref().map(column).transpose()?;
            Ok(Batch { ids, texts: column(&self.columns.text)?, clusters })
        };
        Some(caught(columns).unwrap_or_else(|words| Err(broken(&words))))
    }
}

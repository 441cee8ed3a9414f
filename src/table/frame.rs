//! Small tables read into polars, part after part, for the stages that reduce a whole run.

use std::path::PathBuf;

use polars_core::prelude::{DataFrame, PolarsError};
use polars_io::prelude::{ParquetReader, SerReader as _};

use super::TableError;
use super::cell::{Cell, Unfit};
use super::column::Table;
use super::guard::{guarded, refuse_rows};
use super::source::Source;
use super::writer::PartAddress;
use crate::store::{Store, StoreError};

/// One part of a small table.
#[derive(Debug)]
pub(crate) struct Frame {
    frame: DataFrame,
    path: PathBuf,
}

impl Frame {
    /// Reads the named columns of one part.
    pub(crate) fn read(
        store: &Store,
        table: &'static Table,
        part: u32,
        columns: &[&str],
    ) -> Result<Self, TableError> {
        let name = PartAddress::new(table, part).file();
        let path = store.path(&name);
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let file = store.open_sound(&name)?;
        let bytes = file.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        let frame = guarded(&path, || {
            let error = |e: PolarsError| {
                let problem = format!("cannot be read: {e}");
                TableError::Content { path: path.clone(), problem }
            };
            let mut reader = ParquetReader::new(file);
            let found = reader.get_metadata().map_err(error)?;
            let groups = found.row_groups.iter();
            let most = groups.fold(found.num_rows, |most, group| most.max(group.num_rows()));
            refuse_rows(&path, bytes, most)?;
            reader.with_columns(Some(columns)).set_rechunk(true).finish().map_err(error)
        })?;
        Ok(Self { frame, path })
    }
}

impl Source for Frame {
    fn len(&self) -> usize {
        self.frame.height()
    }

    fn cells<'a, C: Cell<'a>>(&'a self, name: &str) -> Result<Vec<C>, TableError> {
        let column = self.frame.column(name).map_err(|_missing| self.problem(name, Unfit::Type))?;
        C::of_polars(column).map_err(|unfit| self.problem(name, unfit))
    }
}

impl Frame {
    fn problem(&self, column: &str, unfit: Unfit) -> TableError {
        TableError::Content { path: self.path.clone(), problem: unfit.words(column) }
    }
}

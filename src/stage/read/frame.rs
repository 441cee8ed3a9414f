//! Small tables read into polars, part after part, for the stages that reduce a whole run.

use std::path::PathBuf;

use polars::prelude::{Column, DataFrame, PolarsError};

use crate::store::Store;
use crate::table::Table;
use crate::table::TableError;
use crate::table::reader::read_frame;
use crate::table::writer::PartAddress;

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
        let address = PartAddress::new(table, part);
        let frame = read_frame(store, address, columns)?;
        Ok(Self { frame, path: store.path(&address.file()) })
    }

    /// Likewise, when the run has the part.
    pub(crate) fn read_if_there(
        store: &Store,
        table: &'static Table,
        part: u32,
        columns: &[&str],
    ) -> Result<Option<Self>, TableError> {
        let is_there = PartAddress::new(table, part).is_there(store);
        is_there.then(|| Self::read(store, table, part, columns)).transpose()
    }

    /// A text column.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, TableError> {
        self.filled(name, self.column(name)?.str().map(|texts| texts.iter().collect()))
    }

    /// A column of layers, heads, wordings or ranks.
    pub(crate) fn int16s(&self, name: &str) -> Result<Vec<i16>, TableError> {
        self.filled(name, self.column(name)?.i16().map(|numbers| numbers.iter().collect()))
    }

    /// A column of ids or positions.
    pub(crate) fn int32s(&self, name: &str) -> Result<Vec<i32>, TableError> {
        self.filled(name, self.column(name)?.i32().map(|numbers| numbers.iter().collect()))
    }

    /// A column of counts over a run.
    pub(crate) fn int64s(&self, name: &str) -> Result<Vec<i64>, TableError> {
        self.filled(name, self.column(name)?.i64().map(|numbers| numbers.iter().collect()))
    }

    /// A column of measures, null where a measure could not be computed.
    pub(crate) fn measures(&self, name: &str) -> Result<Vec<Option<f64>>, TableError> {
        let numbers = self.column(name)?.f64().map(|numbers| numbers.iter().collect());
        numbers.map_err(|e| self.wrong(name, &e))
    }

    fn column(&self, name: &str) -> Result<&Column, TableError> {
        self.frame.column(name).map_err(|e| self.wrong(name, &e))
    }

    fn filled<T>(
        &self,
        name: &str,
        values: Result<Vec<Option<T>>, PolarsError>,
    ) -> Result<Vec<T>, TableError> {
        let values = values.map_err(|e| self.wrong(name, &e))?;
        let filled = values.into_iter().collect::<Option<Vec<T>>>();
        filled.ok_or_else(|| TableError::Content {
            path: self.path.clone(),
            problem: format!("has a null in column '{name}'"),
        })
    }

    fn wrong(&self, name: &str, error: &PolarsError) -> TableError {
        TableError::Content {
            path: self.path.clone(),
            problem: format!("cannot be used in column '{name}': {error}"),
        }
    }
}

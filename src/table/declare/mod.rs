//! One declaration a table: its name, its columns with units and meanings, which of them are keys,
//! and the row that its writers and readers share.
//!
//! ```text
//! table! {
//!     /// One row per prompt and rank: the most probable next tokens.
//!     pub NEXT_TOKENS: NextTokensRow<'a> = "next_tokens", version 1, row "prompt, rank" {
//!         #[key] scenario: &'a str = SCENARIO,                     a key, and what it means
//!         probability: f64 = says("probability", "softmax over the whole vocabulary"),
//!         logprob: Option<f64> = says("nats", "..."),              may be null
//!     }
//! }
//! ```
//!
//! gives the constant `NEXT_TOKENS` and the row `NextTokensRow`; raw tables, whose numbers are moved
//! without making rows of them, say `raw` in place of a row. A reader of some columns alone declares
//! them as a [`view!`], which does not compile unless the tables have them.

use arrow_array::ArrayRef;

use crate::run_dir::receipt::PartStats;
use crate::store::Store;
use crate::table::TableError;
use crate::table::column::{Dims, Kind, Table};
use crate::table::frame::Frame;
use crate::table::reader::{Part, read_part};
use crate::table::source::Source;
use crate::table::writer::{PartAddress, write_part};

/// Rows that are read from parts of tables with the columns that the row names.
pub(crate) trait ReadRow {
    /// The row, borrowing its texts from the part.
    type Row<'row>;

    /// Its fields, in order: the columns that are read.
    const FIELDS: &'static [RowField];

    /// All rows of a part, in order.
    ///
    /// # Errors
    /// When the part lacks a column, holds another type in it, or a null where none may be.
    fn rows(part: &impl Source) -> Result<Vec<Self::Row<'_>>, TableError>;

    /// Reads its columns of a part of `table`.
    ///
    /// # Errors
    /// When the file is missing, is no Parquet, or lacks a column.
    fn part(store: &Store, table: &'static Table, part: u32) -> Result<Part, TableError> {
        read_part(store, PartAddress::new(table, part), &names(Self::FIELDS))
    }

    /// Likewise, when the run has the part.
    ///
    /// # Errors
    /// As [`ReadRow::part`].
    fn part_if_there(
        store: &Store,
        table: &'static Table,
        part: u32,
    ) -> Result<Option<Part>, TableError> {
        let is_there = PartAddress::new(table, part).is_there(store);
        is_there.then(|| Self::part(store, table, part)).transpose()
    }

    /// Reads its columns of a part into polars, for a stage that reduces a whole run.
    ///
    /// # Errors
    /// As [`ReadRow::part`].
    fn frame(store: &Store, table: &'static Table, part: u32) -> Result<Frame, TableError> {
        Frame::read(store, table, part, &names(Self::FIELDS))
    }

    /// Likewise, when the run has the part.
    ///
    /// # Errors
    /// As [`ReadRow::part`].
    fn frame_if_there(
        store: &Store,
        table: &'static Table,
        part: u32,
    ) -> Result<Option<Frame>, TableError> {
        let is_there = PartAddress::new(table, part).is_there(store);
        is_there.then(|| Self::frame(store, table, part)).transpose()
    }
}

/// The columns of these fields.
pub(crate) fn names(fields: &[RowField]) -> Vec<&'static str> {
    fields.iter().map(|(name, ..)| *name).collect()
}

/// Rows that are written as a part of their table.
pub(crate) trait WriteRow: Sized {
    /// The table.
    const TABLE: &'static Table;

    /// The rows as columns, in the table's order.
    fn columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// Writes the rows as one part; see [`write_part`].
    ///
    /// # Errors
    /// When the file cannot be written.
    fn write(store: &Store, part: u32, rows: &[Self]) -> Result<PartStats, TableError> {
        // Only raw tables have vectors.
        let dims = Dims { d_model: 0, vocab_size: 0 };
        write_part(store, PartAddress::new(Self::TABLE, part), dims, Self::columns(rows))
    }
}

/// A field of a row: its name, what it holds, and whether it may be null.
pub(crate) type RowField = (&'static str, Kind, bool);

/// Whether the table has a column for each field, of its kind and nullability; for [`view!`].
pub(crate) const fn has_columns(table: &Table, fields: &[RowField]) -> bool {
    let mut i = 0;
    while i < fields.len() {
        if !has_column(table, fields[i]) {
            return false;
        }
        i += 1;
    }
    true
}

const fn has_column(table: &Table, (name, kind, is_nullable): RowField) -> bool {
    let mut i = 0;
    while i < table.columns.len() {
        let column = &table.columns[i];
        if is_same(column.name.as_bytes(), name.as_bytes()) {
            return column.kind as u8 == kind as u8 && column.nullable == is_nullable;
        }
        i += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Declares a table; see the module.
macro_rules! table {
    // A raw table.
    (
        $(#[$doc:meta])*
        $vis:vis $table:ident: raw $(by $layer:ident)? = $name:literal, version $version:literal,
        row $row:literal {
            $($(#[$key:ident])? $field:ident: $cell:ty = $meaning:expr,)+
        }
    ) => {
        $(#[$doc])*
        $vis const $table: crate::table::column::Table = crate::table::column::Table {
            name: $name,
            version: $version,
            row: $row,
            by_layer: $crate::table::declare::is_given!($($layer)?),
            columns: &[$(crate::table::column::Column::of::<$cell>(
                stringify!($field),
                $meaning,
                $crate::table::declare::is_given!($($key)?),
            )),+],
        };
    };
    // A small table.
    (
        $(#[$doc:meta])*
        $vis:vis $table:ident: $Row:ident<$a:lifetime> = $name:literal, version $version:literal,
        row $row:literal {
            $($(#[$key:ident])? $field:ident: $cell:ty = $meaning:expr,)+
        }
    ) => {
        $(#[$doc])*
        $vis const $table: crate::table::column::Table = crate::table::column::Table {
            name: $name,
            version: $version,
            row: $row,
            by_layer: false,
            columns: $Row::ALL,
        };

        crate::table::declare::row! {
            #[doc = concat!("One row of table `", $name, "`; `aqlens schema` says what it holds.")]
            $vis struct $Row<$a> { $($field: $cell,)+ }
        }

        impl<$a> $Row<$a> {
            const ALL: &'static [crate::table::column::Column] =
                &[$(crate::table::column::Column::of::<$cell>(
                    stringify!($field),
                    $meaning,
                    $crate::table::declare::is_given!($($key)?),
                )),+];
        }

        impl<$a> crate::table::declare::WriteRow for $Row<$a> {
            const TABLE: &'static crate::table::column::Table = &$table;

            fn columns(rows: &[Self]) -> Vec<arrow_array::ArrayRef> {
                vec![$(
                    <$cell as crate::table::cell::Cell<$a>>::collect(
                        rows.iter().map(|row| row.$field),
                    )
                ),+]
            }
        }
    };
}

/// Declares a row of some columns of one table, or of several that have them all: what one reader
/// needs, and reads.
macro_rules! view {
    (
        $(#[$doc:meta])*
        $vis:vis struct $Row:ident<$a:lifetime> of [$($table:expr),+] {
            $($field:ident: $cell:ty,)+
        }
    ) => {
        crate::table::declare::row! {
            $(#[$doc])*
            $vis struct $Row<$a> { $($field: $cell,)+ }
        }

        const _: () = {
            $(assert!(
                crate::table::declare::has_columns(
                    &$table,
                    <$Row<'_> as crate::table::declare::ReadRow>::FIELDS,
                ),
                concat!(stringify!($Row), " has a column that ", stringify!($table), " has not"),
            );)+
        };
    };
}

/// A row and its reader.
macro_rules! row {
    (
        $(#[$doc:meta])*
        $vis:vis struct $Row:ident<$a:lifetime> { $($field:ident: $cell:ty,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        #[allow(clippy::struct_field_names, reason = "columns keep their names")]
        $vis struct $Row<$a> {
            $(
                #[doc = concat!("Column `", stringify!($field), "`.")]
                pub $field: $cell,
            )+
        }

        impl<$a> crate::table::declare::ReadRow for $Row<$a> {
            type Row<'row> = $Row<'row>;

            const FIELDS: &'static [crate::table::declare::RowField] = &[$((
                stringify!($field),
                <$cell as crate::table::column::Typed>::KIND,
                <$cell as crate::table::column::Typed>::NULLABLE,
            )),+];

            fn rows(
                part: &impl crate::table::source::Source,
            ) -> Result<Vec<$Row<'_>>, crate::table::TableError> {
                $(let $field = part.cells(stringify!($field))?;)+
                let row = |at: usize| $Row { $($field: $field[at],)+ };
                Ok((0..part.len()).map(row).collect())
            }
        }
    };
}

macro_rules! is_given {
    () => {
        false
    };
    ($_:ident) => {
        true
    };
}

pub(crate) use {is_given, row, table, view};

#[cfg(test)]
mod tests;

//! Where rows are read from.

use super::TableError;
use super::cell::Cell;

/// Columns of one part of a table, in memory.
pub(crate) trait Source {
    /// How many rows it has.
    fn len(&self) -> usize;

    /// The cells of a column, in order.
    ///
    /// # Errors
    /// When there is no such column, or it holds another type, or a null where none may be.
    fn cells<'a, C: Cell<'a>>(&'a self, name: &str) -> Result<Vec<C>, TableError>;
}

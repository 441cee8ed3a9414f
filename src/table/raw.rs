//! Columns of raw tables, whose numbers are written without making a row of each: the names beside
//! them, and vectors without a copy.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, Int16Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field};

use super::cell::Cell;
use crate::prompt::PromptKey;

/// The four columns that name a prompt: `scenario`, `input`, `task`, `wording`.
pub(crate) fn keys<'k>(keys: impl Iterator<Item = &'k PromptKey> + Clone) -> Vec<ArrayRef> {
    vec![
        cells(keys.clone().map(|key| &*key.scenario)),
        cells(keys.clone().map(|key| &*key.input)),
        cells(keys.clone().map(|key| &*key.task)),
        cells(keys.map(|key| key.wording)),
    ]
}

/// The columns of one layer's file: its layer behind the four of [`keys`] and in front of the `others`.
pub(crate) fn with_layer(keys: &[ArrayRef], layer: i16, others: &[ArrayRef]) -> Vec<ArrayRef> {
    let rows = keys.first().map_or(0, Array::len);
    [keys, &[layers(layer, rows)], others].concat()
}

/// Column `layer` of so many rows of one layer.
pub(crate) fn layers(layer: i16, rows: usize) -> ArrayRef {
    Arc::new(Int16Array::from_value(layer, rows))
}

/// A column of these cells.
pub(crate) fn cells<'a, C: Cell<'a>>(cells: impl Iterator<Item = C> + Clone) -> ArrayRef {
    C::collect(cells)
}

/// A column of vectors of `width` numbers each, without a copy.
pub(crate) fn fixed_lists(values: impl Into<ScalarBuffer<f32>>, width: usize) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::new(values.into(), None));
    Arc::new(FixedSizeListArray::new(item, width as i32, values, None))
}

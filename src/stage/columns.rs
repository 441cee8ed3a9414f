//! Rows to the Arrow columns of a table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, ListArray, StringArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Field;

pub(crate) use crate::table::raw::fixed_lists;

/// Takes column after column out of a list of rows, in the table's order.
#[derive(Debug)]
pub(crate) struct Columns<'r, R> {
    rows: &'r [R],
    arrays: Vec<ArrayRef>,
}

impl<'r, R> Columns<'r, R> {
    pub(crate) fn of(rows: &'r [R]) -> Self {
        Self { rows, arrays: Vec::new() }
    }

    pub(crate) fn finish(self) -> Vec<ArrayRef> {
        self.arrays
    }

    pub(crate) fn texts<'t>(mut self, field: impl Fn(&'r R) -> &'t str) -> Self
    where
        'r: 't,
    {
        let array = StringArray::from_iter_values(self.rows.iter().map(field));
        self.arrays.push(Arc::new(array));
        self
    }

    pub(crate) fn int16s(mut self, field: impl Fn(&R) -> i16) -> Self {
        self.arrays.push(Arc::new(Int16Array::from_iter_values(self.rows.iter().map(field))));
        self
    }

    pub(crate) fn int32s(mut self, field: impl Fn(&R) -> i32) -> Self {
        self.arrays.push(Arc::new(Int32Array::from_iter_values(self.rows.iter().map(field))));
        self
    }

    pub(crate) fn int64s(mut self, field: impl Fn(&R) -> i64) -> Self {
        self.arrays.push(Arc::new(Int64Array::from_iter_values(self.rows.iter().map(field))));
        self
    }

    /// A column of texts that may be null.
    pub(crate) fn maybe_texts<'t>(mut self, field: impl Fn(&'r R) -> Option<&'t str>) -> Self
    where
        'r: 't,
    {
        self.arrays.push(Arc::new(self.rows.iter().map(field).collect::<StringArray>()));
        self
    }

    /// A column of flags that may be null.
    pub(crate) fn maybe_int16s(mut self, field: impl Fn(&R) -> Option<i16>) -> Self {
        self.arrays.push(Arc::new(self.rows.iter().map(field).collect::<Int16Array>()));
        self
    }

    /// A column of ids or ranks that may be null.
    pub(crate) fn maybe_int32s(mut self, field: impl Fn(&R) -> Option<i32>) -> Self {
        self.arrays.push(Arc::new(self.rows.iter().map(field).collect::<Int32Array>()));
        self
    }

    /// A column of measures; `None` becomes null.
    pub(crate) fn float64s(mut self, field: impl Fn(&R) -> Option<f64>) -> Self {
        self.arrays.push(Arc::new(self.rows.iter().map(field).collect::<Float64Array>()));
        self
    }

    /// A column of lists of ids or places.
    pub(crate) fn int32_lists(mut self, field: impl Fn(&R) -> &[i32]) -> Self {
        let lists = || self.rows.iter().map(&field);
        let values = Int32Array::from_iter_values(lists().flatten().copied());
        let array = list(Arc::new(values), lists().map(<[_]>::len), None);
        self.arrays.push(array);
        self
    }

    /// A column of lists of measures; `None` becomes null.
    pub(crate) fn maybe_float64_lists(mut self, field: impl Fn(&R) -> Option<&[f64]>) -> Self {
        let lists = || self.rows.iter().map(&field);
        let values = Float64Array::from_iter_values(lists().flatten().flatten().copied());
        let lengths = lists().map(|list| list.map_or(0, <[_]>::len));
        let nulls = lists().map(|list| list.is_some()).collect();
        let array = list(Arc::new(values), lengths, Some(nulls));
        self.arrays.push(array);
        self
    }
}

fn list(
    values: ArrayRef,
    lengths: impl Iterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, nulls))
}

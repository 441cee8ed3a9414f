//! Cells of small tables: between the fields of rows and Arrow's columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, Float64Array, Int16Array, Int32Array, Int64Array, ListArray,
    StringArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Float64Type, Int32Type};

use super::column::Typed;

/// A field of a row.
pub(crate) trait Cell<'a>: Typed + Copy + 'a {
    /// Its column.
    type Array: Array + 'static;

    /// The cell of a row; the column has no nulls unless the cell may be null.
    fn at(array: &'a Self::Array, row: usize) -> Self;

    /// The column of these cells.
    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef;
}

macro_rules! cell {
    ($($cell:ty => $array:ident,)+) => {
        $(
            impl<'a> Cell<'a> for $cell {
                type Array = $array;

                fn at(array: &'a $array, row: usize) -> Self {
                    array.value(row)
                }

                fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
                    Arc::new($array::from_iter_values(cells))
                }
            }

            impl<'a> Cell<'a> for Option<$cell> {
                type Array = $array;

                fn at(array: &'a $array, row: usize) -> Self {
                    array.is_valid(row).then(|| array.value(row))
                }

                fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
                    Arc::new(cells.collect::<$array>())
                }
            }
        )+
    };
}

cell! {
    &'a str => StringArray,
    i16 => Int16Array,
    i32 => Int32Array,
    i64 => Int64Array,
    f64 => Float64Array,
}

impl<'a> Cell<'a> for &'a [i32] {
    type Array = ListArray;

    fn at(array: &'a ListArray, row: usize) -> Self {
        let offsets = &array.value_offsets()[row..row + 2];
        &array.values().as_primitive::<Int32Type>().values()
            [offsets[0] as usize..offsets[1] as usize]
    }

    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
        let values = Int32Array::from_iter_values(cells.clone().flatten().copied());
        list(Arc::new(values), cells.map(<[_]>::len), None)
    }
}

impl<'a> Cell<'a> for Option<&'a [f64]> {
    type Array = ListArray;

    fn at(array: &'a ListArray, row: usize) -> Self {
        array.is_valid(row).then(|| {
            let offsets = &array.value_offsets()[row..row + 2];
            let values = array.values().as_primitive::<Float64Type>().values();
            &values[offsets[0] as usize..offsets[1] as usize]
        })
    }

    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
        let values = Float64Array::from_iter_values(cells.clone().flatten().flatten().copied());
        let lengths = cells.clone().map(|cell| cell.map_or(0, <[_]>::len));
        let nulls = cells.clone().map(|cell| cell.is_some()).collect();
        list(Arc::new(values), lengths, Some(nulls))
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

//! Cells of small tables: between the fields of rows and the columns of Arrow and polars.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, ListArray, StringArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::Field;
use polars_core::prelude::Column;

use super::column::Typed;

/// Why a column cannot be read as cells of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It holds another type.
    Type,
    /// It has a null, which the type has not.
    Null,
}

impl Unfit {
    /// In words that follow the file's name.
    pub(crate) fn words(self, column: &str) -> String {
        match self {
            Self::Type => {
                format!("has another type in column '{column}' than this version writes")
            }
            Self::Null => format!("has a null in column '{column}'"),
        }
    }
}

/// A field of a row.
pub(crate) trait Cell<'a>: Typed + Copy + 'a {
    /// The cells of an Arrow column.
    fn of_arrow(array: &'a dyn Array) -> Result<Vec<Self>, Unfit>;

    /// The cells of a polars column.
    fn of_polars(column: &'a Column) -> Result<Vec<Self>, Unfit>;

    /// The Arrow column of these cells.
    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef;
}

/// Cells of a column that has no null.
fn filled<T>(cells: impl Iterator<Item = Option<T>>) -> Result<Vec<T>, Unfit> {
    cells.collect::<Option<_>>().ok_or(Unfit::Null)
}

macro_rules! cell {
    ($($cell:ty => $array:ident, $polars:ident;)+) => {
        $(
            impl<'a> Cell<'a> for $cell {
                fn of_arrow(array: &'a dyn Array) -> Result<Vec<Self>, Unfit> {
                    filled(typed::<$array>(array)?.iter())
                }

                fn of_polars(column: &'a Column) -> Result<Vec<Self>, Unfit> {
                    filled(column.$polars().or(Err(Unfit::Type))?.iter())
                }

                fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
                    // Arrow wants to know how many there are.
                    Arc::new($array::from_iter_values(cells.collect::<Vec<_>>()))
                }
            }

            impl<'a> Cell<'a> for Option<$cell> {
                fn of_arrow(array: &'a dyn Array) -> Result<Vec<Self>, Unfit> {
                    Ok(typed::<$array>(array)?.iter().collect())
                }

                fn of_polars(column: &'a Column) -> Result<Vec<Self>, Unfit> {
                    Ok(column.$polars().or(Err(Unfit::Type))?.iter().collect())
                }

                fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
                    Arc::new(cells.collect::<$array>())
                }
            }
        )+
    };
}

cell! {
    &'a str => StringArray, str;
    i16 => Int16Array, i16;
    i32 => Int32Array, i32;
    i64 => Int64Array, i64;
    f64 => Float64Array, f64;
}

impl<'a> Cell<'a> for &'a [i32] {
    fn of_arrow(array: &'a dyn Array) -> Result<Vec<Self>, Unfit> {
        filled(lists::<Int32Type>(array)?.into_iter())
    }

    /// No stage that reduces a run reads lists.
    fn of_polars(_column: &'a Column) -> Result<Vec<Self>, Unfit> {
        Err(Unfit::Type)
    }

    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
        let values = Int32Array::from_iter_values(cells.clone().flatten().copied());
        list(Arc::new(values), cells.map(<[_]>::len), None)
    }
}

impl<'a> Cell<'a> for Option<&'a [f64]> {
    fn of_arrow(array: &'a dyn Array) -> Result<Vec<Self>, Unfit> {
        lists::<Float64Type>(array)
    }

    /// No stage that reduces a run reads lists.
    fn of_polars(_column: &'a Column) -> Result<Vec<Self>, Unfit> {
        Err(Unfit::Type)
    }

    fn collect(cells: impl Iterator<Item = Self> + Clone) -> ArrayRef {
        let values = Float64Array::from_iter_values(cells.clone().flatten().flatten().copied());
        let lengths = cells.clone().map(|cell| cell.map_or(0, <[_]>::len));
        let nulls = cells.clone().map(|cell| cell.is_some()).collect();
        list(Arc::new(values), lengths, Some(nulls))
    }
}

fn typed<A: 'static>(array: &dyn Array) -> Result<&A, Unfit> {
    array.as_any().downcast_ref().ok_or(Unfit::Type)
}

/// The lists of a column, each as it lies there.
fn lists<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<Vec<Option<&[T::Native]>>, Unfit> {
    let lists: &ListArray = typed(array)?;
    let values = lists.values().as_primitive_opt::<T>().ok_or(Unfit::Type)?.values();
    let cell = |(row, ends): (usize, &[i32])| {
        lists.is_valid(row).then(|| &values[ends[0] as usize..ends[1] as usize])
    };
    Ok(lists.value_offsets().windows(2).enumerate().map(cell).collect())
}

fn list(
    values: ArrayRef,
    lengths: impl Iterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, nulls))
}

//! Columns of some rows of a table, as they are compared.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, UInt32Array,
};
use arrow_schema::ArrowError;
use arrow_schema::DataType;
use arrow_select::take::take;
use serde_json::{Number, Value, json};

/// A column, whatever its file says of widths and nulls.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    Text(StringArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    Float(Float64Array),
    Ints(ListArray),
    Floats(ListArray),
    Vectors(ArrayRef),
}

/// A cell, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(&'a str),
    Int(i64),
    Float(f64),
    Ints(&'a [i32]),
    Floats(&'a [f64]),
    /// What the model gives: compared by the vector's length.
    Vector(&'a [f32]),
}

/// Some rows: their keys, and the columns that are compared.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) keys: Vec<Cells>,
    pub(super) cells: Vec<Cells>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Whether columns of that type can be compared.
pub(super) fn is_known(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float64 => true,
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            matches!(item.data_type(), DataType::Int32 | DataType::Float32 | DataType::Float64)
        }
        _ => false,
    }
}

impl Cells {
    fn of(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::Int16 => Self::Int16(array.as_primitive().clone()),
            DataType::Int32 => Self::Int32(array.as_primitive().clone()),
            DataType::Int64 => Self::Int64(array.as_primitive().clone()),
            DataType::Float64 => Self::Float(array.as_primitive().clone()),
            DataType::FixedSizeList(item, _) if *item.data_type() == DataType::Float32 => {
                Self::Vectors(Arc::clone(array))
            }
            DataType::List(item) => match item.data_type() {
                DataType::Int32 => Self::Ints(array.as_list().clone()),
                DataType::Float64 => Self::Floats(array.as_list().clone()),
                DataType::Float32 => Self::Vectors(Arc::clone(array)),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(array) => array,
            Self::Int16(array) => array,
            Self::Int32(array) => array,
            Self::Int64(array) => array,
            Self::Float(array) => array,
            Self::Ints(array) | Self::Floats(array) => array,
            Self::Vectors(array) => array.as_ref(),
        }
    }

    /// The cell of a row.
    pub(super) fn at(&self, row: usize) -> Cell<'_> {
        if self.array().is_null(row) {
            return Cell::Null;
        }
        match self {
            Self::Text(array) => Cell::Text(array.value(row)),
            Self::Int16(array) => Cell::Int(array.value(row).into()),
            Self::Int32(array) => Cell::Int(array.value(row).into()),
            Self::Int64(array) => Cell::Int(array.value(row)),
            Self::Float(array) => Cell::Float(array.value(row)),
            Self::Ints(lists) => {
                let values = lists.values().as_primitive::<Int32Type>().values();
                Cell::Ints(&values[range(lists, row)])
            }
            Self::Floats(lists) => {
                let values = lists.values().as_primitive::<Float64Type>().values();
                Cell::Floats(&values[range(lists, row)])
            }
            Self::Vectors(array) => Cell::Vector(vector(array, row)),
        }
    }

    /// Appends what distinguishes a row's cell from any other, for keys.
    fn append_to(&self, row: usize, key: &mut Vec<u8>) {
        match self.at(row) {
            Cell::Text(text) => {
                key.extend((text.len() as u64).to_le_bytes());
                key.extend(text.as_bytes());
            }
            Cell::Int(number) => key.extend(number.to_le_bytes()),
            _ => key.push(0),
        }
    }
}

fn range(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = lists.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn vector(array: &ArrayRef, row: usize) -> &[f32] {
    if let Some(lists) = array.as_list_opt::<i32>() {
        return &lists.values().as_primitive::<Float32Type>().values()[range(lists, row)];
    }
    let lists = array.as_fixed_size_list();
    let width = lists.value_length() as usize;
    let at = (lists.offset() + row) * width;
    &lists.values().as_primitive::<Float32Type>().values()[at..at + width]
}

impl Cell<'_> {
    /// As JSON has it; of a list all its numbers.
    pub(super) fn json(self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Int(number) => json!(number),
            Cell::Float(number) => float(number),
            Cell::Ints(numbers) => json!(numbers),
            Cell::Floats(numbers) => numbers.iter().copied().map(float).collect(),
            Cell::Vector(numbers) => numbers.iter().map(|n| float(f64::from(*n))).collect(),
        }
    }
}

/// A number; as text what JSON has no number for.
pub(super) fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| json!(number.to_string()), Value::Number)
}

impl Block {
    /// Those columns of some rows; `None` when one is not there or not of a known type.
    pub(super) fn of(batch: &RecordBatch, keys: &[&str], columns: &[&str]) -> Option<Self> {
        let cells = |names: &[&str]| -> Option<Vec<Cells>> {
            names.iter().map(|name| Cells::of(batch.column_by_name(name)?)).collect()
        };
        let bytes = batch.get_array_memory_size();
        Some(Self { keys: cells(keys)?, cells: cells(columns)?, rows: batch.num_rows(), bytes })
    }

    /// What names a row.
    pub(super) fn key(&self, row: usize) -> Box<[u8]> {
        let mut key = Vec::new();
        for cells in &self.keys {
            cells.append_to(row, &mut key);
        }
        key.into()
    }

    /// These rows alone, in new memory.
    pub(super) fn rows(&self, rows: &[u32]) -> Result<Self, ArrowError> {
        let rows = UInt32Array::from(rows.to_vec());
        let mut bytes = 0;
        let mut some = |all: &[Cells]| -> Result<Vec<Cells>, ArrowError> {
            let taken = all.iter().map(|cells| {
                let array = take(cells.array(), &rows, None)?;
                bytes += array.get_array_memory_size();
                let known = Cells::of(&array);
                known.ok_or_else(|| ArrowError::CastError("rows change their type".to_owned()))
            });
            taken.collect()
        };
        let (keys, cells) = (some(&self.keys)?, some(&self.cells)?);
        Ok(Self { keys, cells, rows: rows.len(), bytes })
    }
}

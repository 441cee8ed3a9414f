//! What a table and its columns are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use crate::run_dir::layout;

/// The column that says of which layer a row is.
pub(super) const LAYER: &str = "layer";

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Utf8,
    /// Layers, heads, wordings, ranks.
    Int16,
    /// Positions, token ids, counts.
    Int32,
    /// Counts over a whole run.
    Int64,
    /// Measures.
    Float64,
    /// A list of token ids.
    ListInt32,
    /// A list of 32-bit floats of any length.
    ListFloat32,
    /// A list of measures of any length.
    ListFloat64,
    /// A vector of `d_model` 32-bit floats.
    ModelVector,
    /// A vector of `vocab_size` 32-bit floats.
    VocabVector,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null (then `status` says why).
    pub nullable: bool,
    /// Its unit; empty for names and words.
    pub unit: &'static str,
    /// Its meaning and source, one sentence.
    pub doc: &'static str,
    /// Whether it is one of those that name a row.
    pub is_key: bool,
}

/// One table of the run directory.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name and folder below `tables/`.
    pub name: &'static str,
    /// Raised when a column changes its name, type or meaning.
    pub version: u32,
    /// What one row is.
    pub row: &'static str,
    /// Whether its parts have one file a layer, all of whose rows have that layer in column `layer`.
    pub by_layer: bool,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// What a column means: its unit, and one sentence.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    unit: &'static str,
    doc: &'static str,
}

/// A meaning, for the declaration of a table.
pub(crate) const fn says(unit: &'static str, doc: &'static str) -> Meaning {
    Meaning { unit, doc }
}

/// Lengths of the fixed-size vectors, from the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Entries of the vocabulary.
    pub vocab_size: usize,
}

impl Table {
    /// The folder with a table's parts, relative to the run directory.
    pub fn folder(&self) -> String {
        layout::table_folder(self.name)
    }

    /// The columns that name a row, in order.
    pub fn keys(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// Whether its rows hold what the model gives, number by number: they take nearly all of a run's
    /// bytes.
    pub fn is_of_vectors(&self) -> bool {
        self.columns.iter().any(|column| column.kind.is_of_vectors())
    }

    /// The file of one part, relative to the run directory.
    pub fn file(&self, layer: Option<i16>, part: u32) -> String {
        layout::table_file(self.name, layer, part)
    }

    /// The Arrow schema, with units and meanings as metadata of fields and file.
    pub fn arrow_schema(&self, dims: Dims) -> Schema {
        let fields: Vec<Field> = self.columns.iter().map(|column| column.field(dims)).collect();
        let metadata = [
            ("aqlens.table", self.name.to_owned()),
            ("aqlens.table_version", self.version.to_string()),
            ("aqlens.row", self.row.to_owned()),
            ("aqlens.columns", self.columns_json()),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value));
        Schema::new_with_metadata(fields, metadata.collect())
    }

    /// `{column: {unit, doc}}`, for readers that do not see Arrow's field metadata.
    fn columns_json(&self) -> String {
        let columns: BTreeMap<&str, BTreeMap<&str, &str>> = self
            .columns
            .iter()
            .map(|c| (c.name, BTreeMap::from([("unit", c.unit), ("doc", c.doc)])))
            .collect();
        serde_json::to_string(&columns).expect("texts serialise")
    }
}

impl Column {
    /// A column of cells of that type.
    pub(crate) const fn of<T: Typed>(name: &'static str, meaning: Meaning, is_key: bool) -> Self {
        let Meaning { unit, doc } = meaning;
        Self { name, kind: T::KIND, nullable: T::NULLABLE, unit, doc, is_key }
    }

    fn field(&self, dims: Dims) -> Field {
        let metadata = [("unit", self.unit), ("doc", self.doc)];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Field::new(self.name, self.kind.data_type(dims), self.nullable)
            .with_metadata(metadata.collect())
    }
}

impl Kind {
    /// The Arrow type.
    pub fn data_type(self, dims: Dims) -> DataType {
        let item = |kind| Arc::new(Field::new("item", kind, false));
        match self {
            Self::Utf8 => DataType::Utf8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::ListInt32 => DataType::List(item(DataType::Int32)),
            Self::ListFloat32 => DataType::List(item(DataType::Float32)),
            Self::ListFloat64 => DataType::List(item(DataType::Float64)),
            Self::ModelVector => {
                DataType::FixedSizeList(item(DataType::Float32), dims.d_model as i32)
            }
            Self::VocabVector => {
                DataType::FixedSizeList(item(DataType::Float32), dims.vocab_size as i32)
            }
        }
    }

    /// Whether it holds measures, activations or probabilities, whose last digits another machine may
    /// change.
    pub fn is_of_floats(self) -> bool {
        matches!(self, Self::Float64 | Self::ListFloat64) || self.is_of_vectors()
    }

    /// Whether a cell holds the many 32-bit floats that the model gives.
    pub fn is_of_vectors(self) -> bool {
        matches!(self, Self::ListFloat32 | Self::ModelVector | Self::VocabVector)
    }

    /// The type as `aqlens schema` and the documentation print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::ListInt32 => "list<int32>",
            Self::ListFloat32 => "list<float32>",
            Self::ListFloat64 => "list<float64>",
            Self::ModelVector => "fixed_size_list<float32>[d_model]",
            Self::VocabVector => "fixed_size_list<float32>[vocab_size]",
        }
    }
}

/// What a cell's type says of its column.
pub(crate) trait Typed {
    /// What the column holds.
    const KIND: Kind;
    /// Whether it may be null.
    const NULLABLE: bool = false;
}

/// Marks a column of vectors of `d_model` floats in a raw table.
#[derive(Debug)]
pub(crate) struct ModelVector;

/// Marks a column of vectors of `vocab_size` floats in a raw table.
#[derive(Debug)]
pub(crate) struct VocabVector;

/// Marks a column of lists of floats in a raw table.
#[derive(Debug)]
pub(crate) struct ListFloat32;

macro_rules! typed {
    ($($cell:ty => $kind:ident,)+) => {
        $(impl Typed for $cell {
            const KIND: Kind = Kind::$kind;
        })+
    };
}

typed! {
    &str => Utf8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    f64 => Float64,
    &[i32] => ListInt32,
    &[f64] => ListFloat64,
    ListFloat32 => ListFloat32,
    ModelVector => ModelVector,
    VocabVector => VocabVector,
}

impl<T: Typed> Typed for Option<T> {
    const KIND: Kind = T::KIND;
    const NULLABLE: bool = true;
}

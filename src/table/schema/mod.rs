//! Every table: its columns, their types, units and sources. `aqlens schema` prints this list and
//! each Parquet file carries its part of it as metadata.

mod columns;
mod evidence;
mod readouts;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

pub use evidence::{
    ALIGNMENT, CONTRAST, EFFECT, GEOMETRY, REFERENCE, SEED_EXPLAIN, VARIANCE_PARTITION, VECTORS,
    WORDING_PAIRS,
};
pub use readouts::{
    ATTENTION_DIVERGENCE, ATTENTION_MASS, INPUT_SURPRISAL, LOGIT_LENS, LOGIT_LENS_DIVERGENCE,
    OUTPUT_CONTRAST, OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN, OUTPUT_WORDING_PAIRS,
};
pub use tables::{
    ACTIVATIONS, ATTENTION, ATTENTION_FOCUS, ATTENTION_OVERLAP, DIVERGENCE, LOGITS, NEXT_TOKENS,
    PROMPTS, SIMILARITY, SKIPPED, VERDICT,
};

/// Every table, in the order of the documentation.
pub const ALL: &[&Table] = &[
    &PROMPTS,
    &SKIPPED,
    &ACTIVATIONS,
    &ATTENTION,
    &LOGITS,
    &REFERENCE,
    &ALIGNMENT,
    &SIMILARITY,
    &DIVERGENCE,
    &SEED_EXPLAIN,
    &VECTORS,
    &CONTRAST,
    &WORDING_PAIRS,
    &VARIANCE_PARTITION,
    &EFFECT,
    &GEOMETRY,
    &ATTENTION_FOCUS,
    &ATTENTION_OVERLAP,
    &ATTENTION_MASS,
    &ATTENTION_DIVERGENCE,
    &NEXT_TOKENS,
    &OUTPUT_DIVERGENCE,
    &OUTPUT_DIVERGENCE_TOKEN,
    &OUTPUT_CONTRAST,
    &OUTPUT_WORDING_PAIRS,
    &INPUT_SURPRISAL,
    &LOGIT_LENS,
    &LOGIT_LENS_DIVERGENCE,
    &VERDICT,
];

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
    /// Whether its files lie in one folder a layer (`layer=11/`), where `layer` is a column of
    /// the path and not of the file.
    pub by_layer: bool,
    /// Its columns, in order.
    pub columns: &'static [Column],
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
    /// Finds a table by name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|table| table.name == name)
    }

    /// The folder with a table's parts, relative to the run directory.
    pub fn folder(&self, layer: Option<i16>) -> String {
        match layer {
            Some(layer) => format!("tables/{}/layer={layer}", self.name),
            None => format!("tables/{}", self.name),
        }
    }

    /// The file of one part, relative to the run directory.
    pub fn file(&self, layer: Option<i16>, part: u32) -> String {
        format!("{}/part-{part:05}.parquet", self.folder(layer))
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
        Schema::new_with_metadata(fields, metadata)
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
    fn field(&self, dims: Dims) -> Field {
        Field::new(self.name, self.kind.data_type(dims), self.nullable)
            .with_metadata([("unit", self.unit), ("doc", self.doc)])
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_stands_for_two_tables_or_two_columns_of_one() {
        let names: BTreeSet<&str> = ALL.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), ALL.len());
        for table in ALL {
            let names: BTreeSet<&str> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), table.columns.len(), "{}", table.name);
        }
    }
}

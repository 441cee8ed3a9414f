//! What a comparison finds: its fields, in the order of the document that `--json` prints (FORMAT.md).

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use super::tolerance::Tolerances;

/// Raised when the document's shape changes.
pub const FORMAT: u32 = 1;

/// The key of a row: its columns and their values.
pub type Key = IndexMap<String, Value>;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: u32,
    /// The runs in the order given; the first is the base.
    pub runs: Vec<RunFacts>,
    /// What counts as a change of a number.
    pub tolerance: Tolerances,
    /// Whether raw tables were compared row by row.
    pub raw: bool,
    /// What differs at all.
    pub differs: Differs,
    /// Each later run with the base.
    pub pairs: Vec<Pair>,
    /// Every verdict in every run.
    pub verdicts: Vec<VerdictRow>,
    /// Measures by layer in every run.
    pub curves: Vec<Curve>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// What it is called here.
    pub label: String,
    /// Its run directory.
    pub path: String,
    /// Its pipeline's name.
    pub pipeline: String,
    /// Its model's source.
    pub model: String,
    /// Blocks of the model; null where the record is of a version that did not keep it.
    pub n_layer: Option<i16>,
    /// The version of aqlens that made it.
    pub aqlens: String,
    /// Prompts of its plan.
    pub prompts: u64,
    /// Those that could not be run.
    pub skipped: u64,
}

/// What differs, over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Differs {
    /// A verdict has another word, or stands in some of the runs only.
    pub verdicts: bool,
    /// A value in a row that both have has changed beyond its tolerance.
    pub values: bool,
    /// Where the numbers come from, what was asked, rows, values, verdicts or bytes of raw tables.
    pub anything: bool,
}

/// A run compared with the base.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Its place among the runs.
    pub run: usize,
    /// What the numbers depend on and is not the same.
    pub lineage: Vec<Difference>,
    /// Differences that are not listed, of which there are too many.
    pub more_lineage: usize,
    /// How rows that a layer names are compared.
    pub layers: Layers,
    /// What else to know, in sentences.
    pub notes: Vec<String>,
    /// Scenarios, tasks and inputs.
    pub roster: Roster,
    /// Every table that one of the two has.
    pub tables: Vec<TableComparison>,
}

/// How rows that a layer names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layers {
    /// Layer by layer, since both models have as many.
    Same,
    /// Not at all, since the models have different depths; curves and effects by relative depth.
    RelativeDepth,
    /// Not at all, since a record does not say how many layers its model has, and the models differ.
    Unknown,
}

/// Something that the numbers depend on and that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field of `run.json`, or `settings.` and the place in `pipeline.yml`, or `stage.` and a kind.
    pub what: String,
    /// The base's value as text; null where it has none.
    pub base: Option<String>,
    /// The other run's.
    pub other: Option<String>,
    /// Both in a sentence.
    pub sentence: String,
}

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Roster {
    /// Scenarios by name.
    pub scenarios: Members,
    /// Tasks, as `scenario/task`.
    pub tasks: Members,
    /// Inputs, as `scenario/input`; changed ones have another text.
    pub inputs: Members,
}

/// Members of two sets; of each list the first [`LISTED`](super::LISTED).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Members {
    /// How many both have.
    pub both: u64,
    /// How many the base alone has.
    pub only_base: u64,
    /// How many the other alone has.
    pub only_other: u64,
    /// Of those that both have, how many are not the same (tasks: another number of wordings).
    pub changed: u64,
    /// The first that the base alone has.
    pub listed_only_base: Vec<String>,
    /// The first that the other alone has.
    pub listed_only_other: Vec<String>,
    /// The first that are not the same.
    pub listed_changed: Vec<String>,
}

/// How a table was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Row by row on their keys.
    Rows,
    /// By the checksums in the receipts.
    Checksums,
    /// Not; `why` says why.
    Not,
    /// One run alone has it.
    OnlyBase,
    /// One run alone has it.
    OnlyOther,
}

/// A table in two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableComparison {
    /// Its name.
    pub table: String,
    /// How it was compared.
    pub how: How,
    /// Why not or not wholly, in words; mostly empty.
    pub why: String,
    /// The table's version in the base.
    pub version_base: Option<u32>,
    /// In the other.
    pub version_other: Option<u32>,
    /// Columns that one of them alone has, or that hold another type: not compared.
    pub columns_not_compared: Vec<String>,
    /// Rows compared; null unless row by row.
    pub rows: Option<Rows>,
    /// Columns that are no keys; empty unless row by row.
    pub columns: Vec<ColumnComparison>,
    /// Files by checksum; null unless by checksum.
    pub files: Option<Files>,
}

/// Rows of two tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rows {
    /// Rows whose key both have.
    pub both: u64,
    /// Rows of the base alone.
    pub only_base: u64,
    /// Rows of the other alone.
    pub only_other: u64,
    /// Of those that both have, rows with a change.
    pub changed: u64,
    /// Of those, rows of inputs whose text is not the same.
    pub changed_of_changed_inputs: u64,
    /// A row of the base alone.
    pub first_only_base: Option<Key>,
    /// A row of the other alone.
    pub first_only_other: Option<Key>,
}

/// A column in the rows that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnComparison {
    /// Its name.
    pub column: String,
    /// What is allowed; null where values are compared exactly.
    pub relative: Option<f64>,
    /// Likewise.
    pub absolute: Option<f64>,
    /// Values that changed beyond that.
    pub changed: u64,
    /// The largest difference of numbers, measured by what is allowed of it; within it where nothing
    /// changed. Null where all are equal.
    pub largest: Option<Change>,
    /// The first change that has no size: of a text, or from a value to none.
    pub first: Option<Change>,
}

/// A value that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where.
    pub key: Key,
    /// Its value in the base; of a list, the element that differs most.
    pub base: Value,
    /// In the other.
    pub other: Value,
    /// How far apart they are, in the column's unit; null for texts and missing values.
    pub size: Option<f64>,
    /// How far they may be; null likewise.
    pub allowed: Option<f64>,
    /// In a list or vector, which element; else null.
    pub element: Option<usize>,
}

/// Files of a table, by their checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Files of one name with one checksum.
    pub same: u64,
    /// Files of one name with two.
    pub different: u64,
    /// Files of the base alone.
    pub only_base: u64,
    /// Files of the other alone.
    pub only_other: u64,
}

/// A verdict in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictRow {
    /// The scenario.
    pub scenario: String,
    /// What it rests on: `flat` is the notebook's, the others are measures of table `effect`.
    pub measure: String,
    /// Whether the runs do not all say the same word.
    pub changed: bool,
    /// In each run, in their order; null where it has none.
    pub runs: Vec<Option<VerdictOf>>,
}

/// A verdict in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictOf {
    /// The word.
    pub verdict: String,
    /// The layer that the numbers are from; -1 = the model's output.
    pub layer: i16,
    /// That layer over the last one, 0..1; null for the output, or where the depth is not known.
    pub depth: Option<f64>,
    /// The difference between tasks (flat: the mean cosine), with its 95 % interval.
    pub value: Option<f64>,
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The same on a scale from 0, as another wording does, to 1, as another input does.
    pub relative: Option<f64>,
    /// Lower end.
    pub relative_low: Option<f64>,
    /// Upper end.
    pub relative_high: Option<f64>,
    /// How many inputs entered.
    pub n_inputs: u64,
}

/// A measure by layer in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The table that it is from.
    pub table: String,
    /// The column.
    pub column: String,
    /// The scenario.
    pub scenario: String,
    /// What else names it there: the measure, or site and space.
    pub measure: String,
    /// In each run, in their order, layers ascending; empty where it has none.
    pub runs: Vec<Vec<Point>>,
}

/// A value on a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The layer; -1 = the model's output.
    pub layer: i16,
    /// That layer over the last one, 0..1; null for the output, or where the depth is not known.
    pub depth: Option<f64>,
    /// The value.
    pub value: f64,
    /// Lower end of its interval or range.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

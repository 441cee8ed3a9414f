//! The rows that effects are made of, shard by shard: values of contrasts, and of all pairs of prompts.

use crate::stage::names::OUTPUT_LAYER;
use crate::store::Store;
use crate::table::reader::Part;
use crate::table::schema::{
    ATTENTION_WORDING_PAIRS, CONTRAST, GEOMETRY_WORDING_PAIRS, LENS_WORDING_PAIRS, OUTPUT_CONTRAST,
    OUTPUT_WORDING_PAIRS, SURPRISAL_WORDING_PAIRS, WORDING_PAIRS,
};
use crate::table::{ReadRow as _, Table, TableError, view};

view! {
    /// An input's value in a contrast, on a layer.
    pub(super) struct LayerContrast<'a> of [CONTRAST] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        value: Option<f64>,
        places: &'a [i32],
        values: Option<&'a [f64]>,
        status: &'a str,
    }
}

view! {
    /// The same of the input's outputs, which have no layer.
    struct OutputContrast<'a> of [OUTPUT_CONTRAST] {
        scenario: &'a str,
        input: &'a str,
        measure: &'a str,
        contrast: &'a str,
        value: Option<f64>,
        places: &'a [i32],
        values: Option<&'a [f64]>,
        status: &'a str,
    }
}

view! {
    /// The values of all pairs of an input's prompts, on a layer.
    pub(super) struct LayerPairs<'a> of [
        WORDING_PAIRS, ATTENTION_WORDING_PAIRS, LENS_WORDING_PAIRS, SURPRISAL_WORDING_PAIRS,
        GEOMETRY_WORDING_PAIRS
    ] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        measure: &'a str,
        tasks: &'a [i32],
        values: Option<&'a [f64]>,
        status: &'a str,
    }
}

view! {
    /// The same of the input's outputs.
    struct OutputPairs<'a> of [OUTPUT_WORDING_PAIRS] {
        scenario: &'a str,
        input: &'a str,
        measure: &'a str,
        tasks: &'a [i32],
        values: Option<&'a [f64]>,
        status: &'a str,
    }
}

impl<'a> From<OutputContrast<'a>> for LayerContrast<'a> {
    fn from(row: OutputContrast<'a>) -> Self {
        let OutputContrast { scenario, input, measure, contrast, value, places, values, status } =
            row;
        let layer = OUTPUT_LAYER;
        Self { scenario, input, layer, measure, contrast, value, places, values, status }
    }
}

impl<'a> From<OutputPairs<'a>> for LayerPairs<'a> {
    fn from(row: OutputPairs<'a>) -> Self {
        let OutputPairs { scenario, input, measure, tasks, values, status } = row;
        Self { scenario, input, layer: OUTPUT_LAYER, measure, tasks, values, status }
    }
}

/// How a value becomes a dissimilarity.
pub(super) type Unlike = fn(f64) -> f64;

const OF_COSINE: Unlike = |cosine| 1.0 - cosine;
/// Of a table whose values are dissimilarities.
const AS_IT_IS: Unlike = |value| value;

/// Tables of pairs that stages over the whole run write: in one part, of all inputs.
const PAIRS_OF_RUN: [(&Table, Unlike); 1] = [(&GEOMETRY_WORDING_PAIRS, AS_IT_IS)];

/// Tables of pairs on layers, and what makes a dissimilarity of their values.
const PAIRS: [(&Table, Unlike); 4] = [
    (&WORDING_PAIRS, OF_COSINE),
    (&ATTENTION_WORDING_PAIRS, AS_IT_IS),
    (&SURPRISAL_WORDING_PAIRS, AS_IT_IS),
    (&LENS_WORDING_PAIRS, AS_IT_IS),
];

/// The parts of a shard that are there.
pub(super) struct Parts {
    contrasts: Option<Part>,
    output_contrasts: Option<Part>,
    pairs: Vec<(Part, Unlike)>,
    output_pairs: Option<Part>,
}

/// The rows of a shard, table by table.
#[derive(Default)]
pub(super) struct Rows<'p> {
    pub(super) contrasts: Vec<(Vec<LayerContrast<'p>>, Unlike)>,
    /// With the part that they are from, for errors.
    pub(super) pairs: Vec<(&'p Part, Vec<LayerPairs<'p>>, Unlike)>,
}

impl Parts {
    pub(super) fn read(store: &Store, part: u32) -> Result<Self, TableError> {
        Ok(Self {
            contrasts: LayerContrast::part_if_there(store, &CONTRAST, part)?,
            output_contrasts: OutputContrast::part_if_there(store, &OUTPUT_CONTRAST, part)?,
            pairs: pairs(store, &PAIRS, part)?,
            output_pairs: OutputPairs::part_if_there(store, &OUTPUT_WORDING_PAIRS, part)?,
        })
    }

    /// What stages over the whole run wrote.
    pub(super) fn of_run(store: &Store) -> Result<Self, TableError> {
        let pairs = pairs(store, &PAIRS_OF_RUN, 0)?;
        Ok(Self { contrasts: None, output_contrasts: None, pairs, output_pairs: None })
    }

    pub(super) fn rows(&self) -> Result<Rows<'_>, TableError> {
        let mut all = Rows::default();
        if let Some(part) = &self.contrasts {
            all.contrasts.push((LayerContrast::rows(part)?, OF_COSINE));
        }
        if let Some(part) = &self.output_contrasts {
            let rows = OutputContrast::rows(part)?.into_iter().map(LayerContrast::from).collect();
            all.contrasts.push((rows, AS_IT_IS));
        }
        if let Some(part) = &self.output_pairs {
            let rows = OutputPairs::rows(part)?.into_iter().map(LayerPairs::from).collect();
            all.pairs.push((part, rows, AS_IT_IS));
        }
        for (part, unlike) in &self.pairs {
            all.pairs.push((part, LayerPairs::rows(part)?, *unlike));
        }
        Ok(all)
    }
}

/// The parts of these tables that are there.
fn pairs(
    store: &Store,
    tables: &[(&'static Table, Unlike)],
    part: u32,
) -> Result<Vec<(Part, Unlike)>, TableError> {
    let mut parts = Vec::new();
    for (table, unlike) in tables {
        parts.extend(LayerPairs::part_if_there(store, table, part)?.map(|part| (part, *unlike)));
    }
    Ok(parts)
}

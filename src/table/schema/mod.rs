//! Every table: its columns, their types, units and sources. `aqlens schema` prints this list and
//! each Parquet file carries its part of it as metadata.

mod causes;
mod columns;
mod decoding;
mod evidence;
mod pairs;
mod readouts;
mod tables;
mod variance;

pub use causes::{
    KNOCKOUT, KnockoutRow, MEDIATION, MediationRow, PATCH, PATCH_DOSE, PATCH_TOKENS, PatchDoseRow,
    PatchRow, PatchTokensRow, USE_EFFECT, USE_VERDICT, UseEffectRow, UseVerdictRow,
};
pub use decoding::{DECODING, DecodingRow};
pub use evidence::{
    ALIGNMENT, AlignmentRow, CONTRAST, ContrastRow, EFFECT, EffectRow, GEOMETRY, GeometryRow,
    REFERENCE, ReferenceRow, SEED_EXPLAIN, SeedExplainRow, WORDING_PAIRS, WordingPairsRow,
};
pub use pairs::{
    ATTENTION_WORDING_PAIRS, AttentionWordingPairsRow, GEOMETRY_WORDING_PAIRS,
    GeometryWordingPairsRow, LENS_WORDING_PAIRS, LensWordingPairsRow, SURPRISAL_WORDING_PAIRS,
    SurprisalWordingPairsRow,
};
pub use readouts::{
    ATTENTION_DIVERGENCE, ATTENTION_MASS, AttentionDivergenceRow, AttentionMassRow,
    INPUT_SURPRISAL, InputSurprisalRow, LOGIT_LENS, LOGIT_LENS_DIVERGENCE, LogitLensDivergenceRow,
    LogitLensRow, OUTPUT_CONTRAST, OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN,
    OUTPUT_WORDING_PAIRS, OutputContrastRow, OutputDivergenceRow, OutputDivergenceTokenRow,
    OutputWordingPairsRow, SINKS, SinksRow,
};
pub use tables::{
    ACTIVATIONS, ATTENTION, ATTENTION_FOCUS, ATTENTION_OVERLAP, AttentionFocusRow,
    AttentionOverlapRow, DIVERGENCE, DivergenceRow, LOGITS, NEXT_TOKENS, NextTokensRow, PROMPTS,
    PromptsRow, SIMILARITY, SKIPPED, SimilarityRow, SkippedRow, VERDICT, VerdictRow,
};
pub use variance::{TOKEN_SPREAD, VARIANCE_PARTITION, VECTORS, VariancePartitionRow};

use crate::table::Table;

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
    &TOKEN_SPREAD,
    &CONTRAST,
    &WORDING_PAIRS,
    &VARIANCE_PARTITION,
    &DECODING,
    &EFFECT,
    &GEOMETRY,
    &GEOMETRY_WORDING_PAIRS,
    &ATTENTION_FOCUS,
    &ATTENTION_OVERLAP,
    &ATTENTION_MASS,
    &ATTENTION_DIVERGENCE,
    &ATTENTION_WORDING_PAIRS,
    &SINKS,
    &NEXT_TOKENS,
    &OUTPUT_DIVERGENCE,
    &OUTPUT_DIVERGENCE_TOKEN,
    &OUTPUT_CONTRAST,
    &OUTPUT_WORDING_PAIRS,
    &INPUT_SURPRISAL,
    &SURPRISAL_WORDING_PAIRS,
    &LOGIT_LENS,
    &LOGIT_LENS_DIVERGENCE,
    &LENS_WORDING_PAIRS,
    &MEDIATION,
    &USE_EFFECT,
    &USE_VERDICT,
    &KNOCKOUT,
    &PATCH,
    &PATCH_DOSE,
    &PATCH_TOKENS,
    &VERDICT,
];

/// The raw tables: large, and deleted when read unless the pipeline retains them.
pub const RAW: [&Table; 3] = [&ACTIVATIONS, &ATTENTION, &LOGITS];

impl Table {
    /// Finds a table by name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|table| table.name == name)
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

//! The tables of all pairs of wordings of what the model reads and says, and of how tasks arrange the
//! inputs: what a difference between tasks is held against.

use super::columns::{INPUT, LAYER, SCENARIO, STATUS};
use crate::table::column::{Meaning, says};
use crate::table::declare::table;

const TASKS: Meaning = says(
    "index",
    "for each prompt of the input in the plan's order, controls left out: its task's place",
);
const VALUES: Meaning = says(
    "the measure's",
    "the dissimilarity (0 = alike) of all pairs of these prompts: (0,1), (0,2), ..., (1,2), ...",
);

table! {
    /// One row per input, layer and measure: attention of all pairs of (task, wording).
    pub ATTENTION_WORDING_PAIRS: AttentionWordingPairsRow<'a> = "attention_wording_pairs", version 1,
        row "scenario, input, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = says(
            "",
            "attention_jsd_full, attention_jsd_no_sink, attention_jsd_input (bits): as jsd_full, \
             jsd_no_sink, jsd_input of attention_divergence with head -1, the mean of the heads' \
             values",
        ),
        tasks: &'a [i32] = TASKS,
        values: Option<&'a [f64]> = VALUES,
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input and layer: lens distributions of all pairs of (task, wording).
    pub LENS_WORDING_PAIRS: LensWordingPairsRow<'a> = "lens_wording_pairs", version 1,
        row "scenario, input, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = says(
            "",
            "lens_jsd_bits (bits): as jsd_bits of logit_lens_divergence",
        ),
        tasks: &'a [i32] = TASKS,
        values: Option<&'a [f64]> = VALUES,
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input: surprisal of its tokens in all pairs of (task, wording).
    pub SURPRISAL_WORDING_PAIRS: SurprisalWordingPairsRow<'a> = "surprisal_wording_pairs", version 1,
        row "scenario, input, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = says("index", "-1: the model's output, after all layers"),
        #[key] measure: &'a str = says(
            "",
            "surprisal_bits (bits a token): mean over the input's tokens of the absolute \
             difference of their surprisals",
        ),
        tasks: &'a [i32] = TASKS,
        values: Option<&'a [f64]> = VALUES,
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input, layer and measure: what the input adds to how unlike all pairs of (task,
    /// wording) arrange the inputs.
    pub GEOMETRY_WORDING_PAIRS: GeometryWordingPairsRow<'a> = "geometry_wording_pairs", version 1,
        row "scenario, input, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = says(
            "",
            "geometry_dcka_span, geometry_dcka_last: 1 - dcka of geometry at that site, as \
             jackknife pseudo-values",
        ),
        tasks: &'a [i32] = TASKS,
        values: Option<&'a [f64]> = says(
            "the measure's",
            "the pseudo-value of the input's cluster, g*d - (g-1)*(d without the cluster) with d = \
             1 - dcka and g clusters, of all pairs of these prompts: (0,1), (0,2), ..., (1,2), ...; \
             their mean over clusters is d without its bias, and one of them may lie outside 0..2",
        ),
        status: &'a str = STATUS,
    }
}

//! The vectors of prompts, and what they vary by.

use super::columns::{INPUT, LAYER, N_INPUTS, N_PERMUTATIONS, SCENARIO, STATUS, TASK, WORDING};
use crate::table::column::{Meaning, ModelVector, says};
use crate::table::declare::table;

const SPACE: Meaning = says(
    "",
    "raw, or standardised: mean and sd of every dimension from the reference set taken out",
);

table! {
    /// One row per prompt, layer and site: one vector for a prompt.
    pub VECTORS: raw by layer = "vectors", version 2,
        row "prompt, layer, site" {
        #[key] scenario: &str = SCENARIO,
        #[key] input: &str = INPUT,
        #[key] task: &str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] site: &str = says("", "span = mean over the input's span, last = last token"),
        values: ModelVector = says("activation", "the vector; zeros unless status is ok"),
        status: &str = STATUS,
    }
}

table! {
    /// One row per input, layer and part: what the input's tokens vary by around the means over them.
    pub TOKEN_SPREAD: raw by layer = "token_spread", version 1,
        row "scenario, input, layer, part" {
        #[key] scenario: &str = SCENARIO,
        #[key] input: &str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] part: &str = says(
            "",
            "input = by token alone, task = by token and task, wording = by token and wording",
        ),
        n_tokens: i32 = says("tokens", "tokens of the input, position 0 left out"),
        values: ModelVector = says(
            "activation",
            "of each dimension the root of the part's sum of squares; zeros unless status is ok",
        ),
        status: &str = STATUS,
    }
}

table! {
    /// One row per layer, site and space: how far inputs, tasks, wordings and their interaction move
    /// the vectors.
    pub VARIANCE_PARTITION: VariancePartitionRow<'a> = "variance_partition", version 2,
        row "scenario, layer, site, space" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = LAYER,
        #[key] site: &'a str = says(
            "",
            "span or last, as in table vectors; token = the input's tokens one by one",
        ),
        #[key] space: &'a str = SPACE,
        n_inputs: i64 = N_INPUTS,
        n_clusters: i64 = says(
            "clusters",
            "clusters of inputs that are one piece of evidence: what p exchanges labels in",
        ),
        n_tasks: i64 = says("tasks", "tasks of the scenario"),
        n_wordings: i64 = says("wordings", "wordings of the task with the fewest; all count"),
        n_cells: i64 = says("wordings", "wordings of all tasks"),
        n_units: i64 = says(
            "units",
            "what the sums of squares are over: inputs; at site token their tokens",
        ),
        ss_total: Option<f64> = says("activation^2", "sum of squares around the grand mean"),
        ss_input: Option<f64> = says("activation^2", "of the inputs' means"),
        ss_task: Option<f64> = says("activation^2", "of the tasks' means"),
        ss_wording: Option<f64> = says(
            "activation^2",
            "of the wordings within tasks; null with one wording",
        ),
        ss_interaction: Option<f64> = says("activation^2", "input by task"),
        ss_rest: Option<f64> = says(
            "activation^2",
            "what is left: input by wording; null with one wording",
        ),
        r2_input: Option<f64> = says("share, 0..1", "ss_input over ss_total"),
        r2_task: Option<f64> = says("share, 0..1", "ss_task over ss_total"),
        r2_wording: Option<f64> = says(
            "share, 0..1",
            "ss_wording over ss_total; null with one wording",
        ),
        r2_interaction: Option<f64> = says("share, 0..1", "ss_interaction over ss_total"),
        partial_eta2: Option<f64> = says("share, 0..1", "ss_task over ss_task and ss_interaction"),
        f_task: Option<f64> = says(
            "ratio",
            "mean square of the task over that of wordings (or interaction); n_tasks - 1 and n_cells \
             - n_tasks degrees of freedom",
        ),
        f_interaction: Option<f64> = says(
            "ratio",
            "mean square of the interaction over that of the rest; null with one wording",
        ),
        p: Option<f64> = says(
            "probability",
            "task labels permuted within each input, statistic partial_eta2: do these prompts \
             move the vectors the same way on all inputs? No evidence for tasks as against \
             wordings",
        ),
        p_max_t: Option<f64> = says(
            "probability",
            "the same, corrected over the layers (largest statistic)",
        ),
        n_permutations: i64 = N_PERMUTATIONS,
        p_wording: Option<f64> = says(
            "probability",
            "wordings dealt out to tasks again, the same way for all inputs, statistic f_task: do \
             tasks move the vectors more than wordings do? Null where a task has one wording",
        ),
        p_wording_max_t: Option<f64> = says(
            "probability",
            "the same, corrected over the layers (largest statistic)",
        ),
        n_reassignments: i64 = says(
            "ways",
            "ways to deal the wordings out behind p_wording, the identity counted; 0 without a test",
        ),
        status: &'a str = STATUS,
    }
}

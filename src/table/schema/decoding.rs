//! The table of tasks that are told from the vectors.

use super::columns::{LAYER, SCENARIO, STATUS};
use crate::table::column::says;
use crate::table::declare::table;

table! {
    /// One row per scenario, layer and site: how well the task can be told on unseen wordings.
    pub DECODING: DecodingRow<'a> = "decoding", version 1, row "scenario, layer, site" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = LAYER,
        #[key] site: &'a str = says("", "span or last, as in table vectors"),
        n_inputs: i64 = says("inputs", "inputs that entered"),
        n_clusters: i64 = says("clusters", "clusters of inputs that entered"),
        n_tasks: i64 = says("tasks", "tasks of the scenario"),
        n_wordings: i64 = says("wordings", "wordings of the task that has the fewest"),
        accuracy: Option<f64> = says(
            "share, 0..1",
            "how often the task is told from the vector of a wording and an input that the \
             classifier was not trained on; null with one wording",
        ),
        ci_low: Option<f64> = says(
            "share, 0..1",
            "lower end of its 95 % interval, inputs and wordings random; null below three wordings",
        ),
        ci_high: Option<f64> = says("share, 0..1", "upper end"),
        accuracy_seen: Option<f64> = says(
            "share, 0..1",
            "the same with the tested wordings in training, on other inputs",
        ),
        gap: Option<f64> = says("share", "accuracy_seen - accuracy: what the text gives away"),
        chance: Option<f64> = says("share, 0..1", "1 / n_tasks"),
        p: Option<f64> = says("probability", "wordings reassigned to tasks, statistic accuracy"),
        p_max_t: Option<f64> = says("probability", "the same, corrected over layers and sites"),
        n_splits: i64 = says(
            "splits",
            "ways to leave one wording of every task out, all of which accuracy is the mean of",
        ),
        n_reassignments: i64 = says(
            "ways",
            "ways to deal the wordings out that are behind p, the pipeline's own counted: 1 over \
             this is the smallest p; 0 without a test",
        ),
        status: &'a str = STATUS,
    }
}

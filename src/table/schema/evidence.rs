//! The tables of vectors that are compared soundly: aligned, held against baselines, with
//! uncertainty.

use super::columns::{
    INPUT, LAYER, SCENARIO, STATUS, TASK, TASK_A, TASK_B, WORDING, column, nullable, value,
};
use super::{Column, Kind, Table};

const MEASURE: Column = column("measure", Kind::Utf8, "", "name of the measure");
const SPACE: Column = column(
    "space",
    Kind::Utf8,
    "",
    "raw, or standardised: mean and sd of every dimension from the reference set taken out",
);
const N_INPUTS: Column = column("n_inputs", Kind::Int64, "inputs", "inputs that entered");
const N_PERMUTATIONS: Column = column(
    "n_permutations",
    Kind::Int64,
    "draws",
    "permutations behind p, the identity counted; 0 without a test",
);

/// One row per prompt: where the input stands and whether it can be compared.
pub const ALIGNMENT: Table = Table {
    name: "alignment",
    version: 1,
    row: "prompt (scenario, input, task, wording)",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("n_tokens", Kind::Int32, "tokens", "length of the prompt"),
        nullable("span_start", Kind::Int32, "position", "first token of the input's span"),
        column("span_tokens", Kind::Int32, "tokens", "how many tokens the input's span has"),
        column(
            "span_sha256",
            Kind::Utf8,
            "",
            "first 16 hex digits of the SHA-256 of the span's token ids, empty without a span: equal \
             spans, equal hash",
        ),
        column("edge_tokens", Kind::Int32, "tokens", "as in prompts: 0 = the span is exact"),
        column(
            "shared_prefix",
            Kind::Int32,
            "tokens",
            "leading tokens that all task prompts of the input share: causally identical states",
        ),
        value(
            "lexical_overlap",
            "share, 0..1",
            "share of the task's distinct word tokens that the input has too, without blanks and \
             case; null when the task has none",
        ),
        column(
            "status",
            Kind::Utf8,
            "",
            "ok, or no_alignment: the span cannot be compared between tasks",
        ),
        column("reason", Kind::Utf8, "", "why not, in words; empty when it can"),
    ],
};

/// One row per captured layer and dimension: what vectors are centred and standardised by.
pub const REFERENCE: Table = Table {
    name: "reference",
    version: 1,
    row: "layer, dimension",
    by_layer: false,
    columns: &[
        LAYER,
        column("dimension", Kind::Int32, "index", "coordinate of the residual stream"),
        value("mean", "activation", "mean over the reference tokens"),
        value("sd", "activation", "their sample standard deviation"),
        column(
            "n_tokens",
            Kind::Int64,
            "tokens",
            "reference tokens: all tokens of the prompts but position 0; at least 200 are needed",
        ),
        column(
            "n_prompts",
            Kind::Int64,
            "prompts",
            "prompts of the run's tasks, drawn by its seed; at least 10 are needed",
        ),
        STATUS,
    ],
};

/// One row per prompt, layer and site: one vector for a prompt.
pub const VECTORS: Table = Table {
    name: "vectors",
    version: 1,
    row: "prompt, layer, site",
    by_layer: true,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("site", Kind::Utf8, "", "span = mean over the input's span, last = last token"),
        column("values", Kind::ModelVector, "activation", "the vector; zeros unless status is ok"),
        STATUS,
    ],
};

/// One row per pair of tasks, layer and token: what it adds to the notebook's number.
pub const SEED_EXPLAIN: Table = Table {
    name: "seed_explain",
    version: 1,
    row: "scenario, input, layer, task_a, task_b, position",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        TASK_A,
        TASK_B,
        column("position", Kind::Int32, "position", "token position in both prompts"),
        column("token_id_a", Kind::Int32, "id", "the token of task_a's prompt there"),
        column("token_id_b", Kind::Int32, "id", "the token of task_b's prompt there"),
        column("segment_a", Kind::Utf8, "", "its letter in prompts.segments"),
        column("segment_b", Kind::Utf8, "", "its letter in prompts.segments"),
        column(
            "shared_prefix",
            Kind::Int16,
            "0 or 1",
            "1 where both prompts are equal up to here: the states are identical by causality",
        ),
        value("cosine", "cosine, -1..1", "cosine of the two tokens' activations"),
        value("weight", "share", "product of their norms over that of the cut vectors"),
        value(
            "contribution",
            "cosine",
            "weight times cosine, 0 for a token without direction; the sum over tokens is flat",
        ),
        STATUS,
    ],
};

/// One row per input, layer, measure and contrast: the input's mean similarity in it.
pub const CONTRAST: Table = Table {
    name: "contrast",
    version: 1,
    row: "scenario, input, layer, measure, contrast",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        MEASURE,
        column(
            "contrast",
            Kind::Utf8,
            "",
            "between = prompts of different tasks, paraphrase = wordings of one task, neutral, \
             scrambled, other_input = each task's first wording against that control of its own",
        ),
        value("value", "the measure's", "mean over the pairs"),
        column("n_pairs", Kind::Int64, "pairs", "pairs that could be compared"),
        STATUS,
    ],
};

/// One row per input, layer and measure: all pairs of (task, wording), for the wording test.
pub const WORDING_PAIRS: Table = Table {
    name: "wording_pairs",
    version: 1,
    row: "scenario, input, layer, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        MEASURE,
        column(
            "tasks",
            Kind::ListInt32,
            "index",
            "for each prompt of the input in the plan's order, controls left out: its task's place",
        ),
        nullable(
            "values",
            Kind::ListFloat64,
            "the measure's",
            "the measure of all pairs of these prompts: (0,1), (0,2), ..., (1,2), ...",
        ),
        STATUS,
    ],
};

/// One row per layer, site and space: how far inputs, tasks, wordings and their interaction move
/// the vectors.
pub const VARIANCE_PARTITION: Table = Table {
    name: "variance_partition",
    version: 1,
    row: "scenario, layer, site, space",
    by_layer: false,
    columns: &[
        SCENARIO,
        LAYER,
        column("site", Kind::Utf8, "", "span or last, as in table vectors"),
        SPACE,
        N_INPUTS,
        column("n_tasks", Kind::Int64, "tasks", "tasks of the scenario"),
        column(
            "n_wordings",
            Kind::Int64,
            "wordings",
            "wordings of each task: as many first ones as the task with the fewest has",
        ),
        value("ss_total", "activation^2", "sum of squares around the grand mean"),
        value("ss_input", "activation^2", "of the inputs' means"),
        value("ss_task", "activation^2", "of the tasks' means"),
        value("ss_wording", "activation^2", "of the wordings within tasks; null with one wording"),
        value("ss_interaction", "activation^2", "input by task"),
        value("ss_rest", "activation^2", "what is left: input by wording; null with one wording"),
        value("r2_input", "share, 0..1", "ss_input over ss_total"),
        value("r2_task", "share, 0..1", "ss_task over ss_total"),
        value("r2_wording", "share, 0..1", "ss_wording over ss_total; null with one wording"),
        value("r2_interaction", "share, 0..1", "ss_interaction over ss_total"),
        value("partial_eta2", "share, 0..1", "ss_task over ss_task and ss_interaction"),
        value("f_task", "ratio", "mean square of the task over that of wordings (or interaction)"),
        value(
            "f_interaction",
            "ratio",
            "mean square of the interaction over that of the rest; null with one wording",
        ),
        value(
            "p",
            "probability",
            "task labels permuted within each input, statistic partial_eta2: do these prompts move \
             the vectors the same way on all inputs? No evidence for tasks as against wordings",
        ),
        value("p_max_t", "probability", "the same, corrected over the layers (largest statistic)"),
        N_PERMUTATIONS,
        STATUS,
    ],
};

/// One row per layer, measure and contrast: the difference between tasks against a baseline.
pub const EFFECT: Table = Table {
    name: "effect",
    version: 1,
    row: "scenario, layer, measure, contrast",
    by_layer: false,
    columns: &[
        SCENARIO,
        column("layer", Kind::Int16, "index", "as in the measure's table; -1 = the model's output"),
        column(
            "measure",
            Kind::Utf8,
            "",
            "as in contrast (a cosine: its dissimilarity is 1 less it) or output_contrast (jsd_bits)",
        ),
        column(
            "contrast",
            Kind::Utf8,
            "",
            "the baseline: paraphrase, neutral, scrambled or other_input, as in contrast",
        ),
        column(
            "n_inputs",
            Kind::Int64,
            "inputs",
            "inputs with both values on every layer of the measure that has any",
        ),
        value("between", "dissimilarity", "mean over inputs of the difference between tasks"),
        value("baseline", "dissimilarity", "mean over inputs of the contrast's difference"),
        value("delta", "dissimilarity", "between less baseline, mean over inputs"),
        value("ci_low", "dissimilarity", "lower end of the 95 % interval of delta"),
        value("ci_high", "dissimilarity", "upper end"),
        column(
            "ci_method",
            Kind::Utf8,
            "",
            "bca, percentile (5 to 7 inputs), constant (no input differs) or none (below 5)",
        ),
        value("d_z", "sd", "delta over the standard deviation of the inputs' deltas"),
        value("auc", "probability", "that a between difference is larger than a baseline one"),
        value("cliffs_delta", "-1..1", "2 auc - 1"),
        value("p", "probability", "one-sided, signs of the inputs' deltas flipped"),
        value("p_max_t", "probability", "the same, corrected over the layers of the measure"),
        value("q", "rate", "Benjamini-Hochberg over all rows of the scenario that have a p"),
        N_PERMUTATIONS,
        value("p_wording", "probability", "wordings reassigned to tasks; contrast paraphrase only"),
        value("p_wording_max_t", "probability", "the same, corrected over the layers"),
        column(
            "n_reassignments",
            Kind::Int64,
            "ways",
            "ways to deal the wordings out that are behind p_wording, the pipeline's own counted: 1 \
             over this is the smallest p_wording; 0 without a test",
        ),
        column(
            "n_wordings",
            Kind::Int64,
            "wordings",
            "wordings of each task that entered p_wording; 0 where no input has them all",
        ),
        STATUS,
    ],
};

/// One row per pair of tasks, layer, site and measure: whether inputs keep their arrangement.
pub const GEOMETRY: Table = Table {
    name: "geometry",
    version: 1,
    row: "scenario, layer, site, task_a, task_b, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        LAYER,
        column("site", Kind::Utf8, "", "span or last, as in table vectors"),
        TASK_A,
        TASK_B,
        column(
            "measure",
            Kind::Utf8,
            "",
            "dcka = debiased linear CKA, cka_biased, rsa_spearman (1 - Pearson), mutual_knn \
             (cosine); all blind to a shift that is the same for every input, and wide below 20 inputs",
        ),
        value("value", "the measure's", "the value"),
        value("chance", "the measure's", "what unrelated arrangements give on average"),
        value("se", "the measure's", "jackknife standard error over inputs; dcka only, else null"),
        value("p", "probability", "inputs of task_b permuted; dcka and rsa_spearman, else null"),
        N_INPUTS,
        N_PERMUTATIONS,
        STATUS,
    ],
};

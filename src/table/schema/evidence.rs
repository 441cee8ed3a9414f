//! The tables of vectors that are compared soundly: aligned, compared with baselines, with
//! uncertainty.

use super::columns::{
    INPUT, LAYER, N_INPUTS, N_PERMUTATIONS, SCENARIO, STATUS, TASK, TASK_A, TASK_B, WORDING,
};
use crate::table::column::{Meaning, says};
use crate::table::declare::table;

const MEASURE: Meaning = says("", "name of the measure");

table! {
    /// One row per prompt: where the input stands and whether it can be compared.
    pub ALIGNMENT: AlignmentRow<'a> = "alignment", version 1,
        row "prompt (scenario, input, task, wording)" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        n_tokens: i32 = says("tokens", "length of the prompt"),
        span_start: Option<i32> = says("position", "first token of the input's span"),
        span_tokens: i32 = says("tokens", "how many tokens the input's span has"),
        span_sha256: &'a str = says(
            "",
            "first 16 hex digits of the SHA-256 of the span's token ids, empty without a span: \
             equal spans, equal hash",
        ),
        edge_tokens: i32 = says("tokens", "as in prompts: 0 = the span is exact"),
        shared_prefix: i32 = says(
            "tokens",
            "leading tokens that all task prompts of the input share: causally identical states",
        ),
        lexical_overlap: Option<f64> = says(
            "share, 0..1",
            "share of the task's distinct word tokens that the input has too, without blanks and \
             case; null when the task has none",
        ),
        status: &'a str = says(
            "",
            "ok, or no_alignment: the span cannot be compared between tasks",
        ),
        reason: &'a str = says("", "why not, in words; empty when it can"),
    }
}

table! {
    /// One row per scenario, captured layer and dimension: what the scenario's vectors are centred and
    /// standardised by.
    pub REFERENCE: ReferenceRow<'a> = "reference", version 3,
        row "scenario, layer, dimension" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = LAYER,
        #[key] dimension: i32 = says("index", "coordinate of the residual stream"),
        mean: Option<f64> = says("activation", "mean over the reference tokens"),
        sd: Option<f64> = says("activation", "their sample standard deviation"),
        n_tokens: i64 = says(
            "tokens",
            "reference tokens: all tokens of the prompts but position 0; at least 200 are needed",
        ),
        n_prompts: i64 = says(
            "prompts",
            "prompts of the scenario's tasks, drawn by the run's seed; at least 10 are needed",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per pair of tasks, layer and token: what it adds to the notebook's number.
    pub SEED_EXPLAIN: SeedExplainRow<'a> = "seed_explain", version 1,
        row "scenario, input, layer, task_a, task_b, position" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] position: i32 = says("position", "token position in both prompts"),
        token_id_a: i32 = says("id", "the token of task_a's prompt there"),
        token_id_b: i32 = says("id", "the token of task_b's prompt there"),
        segment_a: &'a str = says("", "its letter in prompts.segments"),
        segment_b: &'a str = says("", "its letter in prompts.segments"),
        shared_prefix: i16 = says(
            "0 or 1",
            "1 where both prompts are equal up to here: the states are identical by causality",
        ),
        cosine: Option<f64> = says("cosine, -1..1", "cosine of the two tokens' activations"),
        weight: Option<f64> = says("share", "product of their norms over that of the cut vectors"),
        contribution: Option<f64> = says(
            "cosine",
            "weight times cosine, 0 for a token without direction; the sum over tokens is flat",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input, layer, measure and contrast: the input's mean similarity in it.
    pub CONTRAST: ContrastRow<'a> = "contrast", version 2,
        row "scenario, input, layer, measure, contrast" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = MEASURE,
        #[key] contrast: &'a str = says(
            "",
            "between = prompts of different tasks, paraphrase = wordings of one task, neutral, \
             scrambled, other_input = that control of each task against the wording it was made from",
        ),
        value: Option<f64> = says("the measure's", "mean over the pairs"),
        n_pairs: i64 = says("pairs", "pairs that could be compared"),
        places: &'a [i32] = says(
            "index",
            "of controls: for each pair the place of the task's prompt among the input's prompts \
             without controls, as in tasks of wording_pairs; empty for between and paraphrase",
        ),
        values: Option<&'a [f64]> = says(
            "the measure's",
            "of controls: the measure of these pairs; null for between and paraphrase, which are made of the \
             pairs in wording_pairs, and where a pair has none",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input, layer and measure: all pairs of (task, wording), for the wording test.
    pub WORDING_PAIRS: WordingPairsRow<'a> = "wording_pairs", version 1,
        row "scenario, input, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = MEASURE,
        tasks: &'a [i32] = says(
            "index",
            "for each prompt of the input in the plan's order, controls left out: its task's \
             place",
        ),
        values: Option<&'a [f64]> = says(
            "the measure's",
            "the measure of all pairs of these prompts: (0,1), (0,2), ..., (1,2), ...",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per layer, measure and contrast: the difference between tasks against a baseline.
    pub EFFECT: EffectRow<'a> = "effect", version 2,
        row "scenario, layer, measure, contrast" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = says("index", "as in the measure's table; -1 = the model's output"),
        #[key] measure: &'a str = says(
            "",
            "as in contrast (a cosine: its dissimilarity is 1 less it), output_contrast (jsd_bits) or \
             a table of pairs of wordings",
        ),
        #[key] contrast: &'a str = says(
            "",
            "the baseline: paraphrase, neutral, scrambled or other_input, as in contrast",
        ),
        n_inputs: i64 = says(
            "inputs",
            "inputs with both values on every layer of the measure that has any",
        ),
        n_clusters: i64 = says(
            "clusters",
            "clusters of these inputs: of one text, or of one value of the inputs' column `cluster`; \
             each counts once",
        ),
        n_wordings: i64 = says(
            "wordings",
            "distinct wordings of the task with the fewest; those that differ in blanks or case only \
             are one",
        ),
        between: Option<f64> = says(
            "dissimilarity",
            "mean over clusters of the difference between tasks",
        ),
        baseline: Option<f64> = says(
            "dissimilarity",
            "mean over clusters of the contrast's difference",
        ),
        delta: Option<f64> = says("dissimilarity", "between less baseline, mean over clusters"),
        ci_low: Option<f64> = says(
            "dissimilarity",
            "lower end of the 95 % interval of delta, inputs and wordings both random; paraphrase only",
        ),
        ci_high: Option<f64> = says("dissimilarity", "upper end"),
        ci_method: &'a str = says(
            "",
            "crossed (variance over clusters and over wordings, Student's t), constant (neither \
             varies) or none",
        ),
        df: Option<f64> = says("degrees of freedom", "Satterthwaite's, of that interval"),
        var_clusters: Option<f64> = says("dissimilarity^2", "variance of delta over clusters"),
        var_wordings: Option<f64> = says("dissimilarity^2", "variance of delta over wordings"),
        ci_inputs_low: Option<f64> = says(
            "dissimilarity",
            "lower end of the 95 % interval over inputs alone, for these very wordings",
        ),
        ci_inputs_high: Option<f64> = says("dissimilarity", "upper end"),
        ci_inputs_method: &'a str = says(
            "",
            "bca, percentile (5 to 7 clusters), constant (no cluster differs) or none (below 5)",
        ),
        relative: Option<f64> = says(
            "ratio",
            "delta on a scale from 0 (as another wording does) to 1 (as another input does); needs \
             control other_input, further away than another wording; paraphrase only",
        ),
        relative_low: Option<f64> = says("ratio", "lower end of its 95 % interval, as ci_low"),
        relative_high: Option<f64> = says("ratio", "upper end"),
        mde: Option<f64> = says(
            "dissimilarity",
            "smallest true delta that this design finds with power 0.8",
        ),
        mde_relative: Option<f64> = says("ratio", "the same on the scale of relative"),
        median: Option<f64> = says("dissimilarity", "median of the clusters' deltas"),
        prevalence: Option<f64> = says(
            "share, 0..1",
            "share of inputs whose tasks are further apart than any two wordings of one task; \
             paraphrase only",
        ),
        smallest: Option<f64> = says(
            "dissimilarity",
            "the smallest difference that matters, as stage summary names it; paraphrase only",
        ),
        n_beyond: Option<i64> = says("inputs", "inputs whose own delta is larger than that, either way"),
        beyond: &'a str = says("", "ids of the first ten of them, a JSON list; empty without `smallest`"),
        d_z: Option<f64> = says("sd", "delta over the standard deviation of the clusters' deltas"),
        auc: Option<f64> = says(
            "probability",
            "that a between difference is larger than a baseline one",
        ),
        cliffs_delta: Option<f64> = says("-1..1", "2 auc - 1"),
        p: Option<f64> = says("probability", "one-sided, signs of the clusters' deltas flipped"),
        p_max_t: Option<f64> = says(
            "probability",
            "the same, corrected over the layers of the measure",
        ),
        p_joint: Option<f64> = says(
            "probability",
            "the same, corrected over all measures and layers that stage summary names; else null",
        ),
        q: Option<f64> = says(
            "rate",
            "Benjamini-Hochberg over all rows of the scenario that have a p",
        ),
        n_permutations: i64 = N_PERMUTATIONS,
        p_wording: Option<f64> = says(
            "probability",
            "wordings reassigned to tasks; contrast paraphrase only",
        ),
        p_wording_max_t: Option<f64> = says("probability", "the same, corrected over the layers"),
        p_wording_joint: Option<f64> = says(
            "probability",
            "the same, corrected over all measures and layers that stage summary names; else null",
        ),
        p_wording_form: Option<f64> = says(
            "probability",
            "wordings exchanged, with their differences in length and in words taken out; null where \
             form alone says which task a wording is of",
        ),
        n_reassignments: i64 = says(
            "ways",
            "ways to deal the wordings out that are behind p_wording, the pipeline's own counted: \
             1 over this is the smallest p_wording; 0 without a test",
        ),
        warning: &'a str = says("", "what to know of the wordings' form; paraphrase only"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per pair of tasks, layer, site and measure: whether inputs keep their arrangement.
    pub GEOMETRY: GeometryRow<'a> = "geometry", version 2,
        row "scenario, layer, site, task_a, task_b, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = LAYER,
        #[key] site: &'a str = says(
            "",
            "span or last, as in table vectors; token = the input's tokens one by one",
        ),
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] measure: &'a str = says(
            "",
            "dcka = debiased linear CKA, cka_biased, rsa_spearman (1 - Pearson), mutual_knn \
             (cosine); all blind to a shift that is the same for every input, and wide below 20 \
             inputs",
        ),
        value: Option<f64> = says("the measure's", "the value"),
        chance: Option<f64> = says("the measure's", "what unrelated arrangements give on average"),
        se: Option<f64> = says(
            "the measure's",
            "jackknife standard error over clusters of inputs; dcka only, else null",
        ),
        p: Option<f64> = says(
            "probability",
            "inputs of task_b permuted, whole clusters of one size; dcka and rsa_spearman, else null",
        ),
        n_inputs: i64 = N_INPUTS,
        n_clusters: i64 = says("clusters", "clusters of these inputs: what is resampled"),
        n_permutations: i64 = N_PERMUTATIONS,
        status: &'a str = STATUS,
    }
}

//! The tables of what the model reads and says: outputs, attention by segment, surprisal, logit
//! lens.

use super::columns::{
    HEAD, INPUT, LAYER, SCENARIO, STATUS, TASK, TASK_A, TASK_B, TOKEN, TOKEN_ID, WORDING, column,
    nullable, value,
};
use super::{Kind, Table};

/// One row per pair of tasks: how far the next-token distributions differ.
pub const OUTPUT_DIVERGENCE: Table = Table {
    name: "output_divergence",
    version: 1,
    row: "scenario, input, task_a, task_b",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK_A,
        TASK_B,
        value("jsd_bits", "bits, 0..1", "Jensen-Shannon divergence over the whole vocabulary"),
        value("kl_ab", "nats", "KL divergence of b from a: sum of p_a ln(p_a / p_b)"),
        value("kl_ba", "nats", "KL divergence of a from b"),
        value("total_variation", "0..1", "half the sum of absolute differences"),
        value("entropy_a_bits", "bits", "entropy of task_a's distribution"),
        value("entropy_b_bits", "bits", "entropy of task_b's distribution"),
        nullable("same_top", Kind::Int16, "0 or 1", "1 where the most probable token is one"),
        value("overlap_5", "share, 0..1", "shared share of the 5 most probable tokens"),
        value("overlap_10", "share, 0..1", "of the 10 most probable"),
        value("overlap_50", "share, 0..1", "of the 50 most probable"),
        value("rbo_ext", "0..1", "rank-biased overlap, extrapolated; p = 0.9, depth 100"),
        value("rbo_min", "0..1", "its lower bound"),
        value("rbo_residual", "0..1", "how much unseen ranks could add"),
        STATUS,
    ],
};

/// One row per pair of tasks and token: what makes up the Jensen-Shannon divergence.
pub const OUTPUT_DIVERGENCE_TOKEN: Table = Table {
    name: "output_divergence_token",
    version: 1,
    row: "scenario, input, task_a, task_b, rank",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK_A,
        TASK_B,
        column("rank", Kind::Int16, "rank", "1 = the largest contribution; ties: the lower id"),
        TOKEN_ID,
        TOKEN,
        column("probability_a", Kind::Float64, "probability", "under task_a"),
        column("probability_b", Kind::Float64, "probability", "under task_b"),
        column("contribution_bits", Kind::Float64, "bits", "its term of the divergence"),
    ],
};

/// One row per input, measure and contrast: how far the input's outputs differ in it.
pub const OUTPUT_CONTRAST: Table = Table {
    name: "output_contrast",
    version: 1,
    row: "scenario, input, measure, contrast",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        column("measure", Kind::Utf8, "", "jsd_bits, as in output_divergence: 0 = equal outputs"),
        column(
            "contrast",
            Kind::Utf8,
            "",
            "between = prompts of different tasks, in all wordings; paraphrase = wordings of one \
             task; neutral, scrambled, other_input = each task's first wording against that \
             control of its own",
        ),
        value("value", "the measure's", "mean over the pairs"),
        column("n_pairs", Kind::Int64, "pairs", "pairs that could be compared"),
        STATUS,
    ],
};

/// One row per input and measure: all pairs of (task, wording), for the wording test.
pub const OUTPUT_WORDING_PAIRS: Table = Table {
    name: "output_wording_pairs",
    version: 1,
    row: "scenario, input, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        column("measure", Kind::Utf8, "", "jsd_bits, as in output_divergence: 0 = equal outputs"),
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

/// One row per prompt and token of the input: how surprising it is under the task.
pub const INPUT_SURPRISAL: Table = Table {
    name: "input_surprisal",
    version: 1,
    row: "prompt, token of the input",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("span_index", Kind::Int32, "index", "place in the input's span, from 0"),
        column("position", Kind::Int32, "position", "place in the prompt"),
        TOKEN_ID,
        value(
            "surprisal_bits",
            "bits",
            "-log2 of its probability given all before it (Hale 2001); null on a prompt's first token",
        ),
        value(
            "delta_neutral_bits",
            "bits",
            "less the surprisal of the same token under the task's neutral control; null without one",
        ),
        value("entropy_bits", "bits", "entropy of the distribution that predicts it"),
        STATUS,
    ],
};

/// One row per prompt, layer and head: where the last token's attention goes.
pub const ATTENTION_MASS: Table = Table {
    name: "attention_mass",
    version: 1,
    row: "prompt, layer, head",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        LAYER,
        HEAD,
        value("sink_mass", "share, 0..1", "attention to position 0, whatever stands there"),
        value("task_mass", "share, 0..1", "to the task's tokens; position 0 counts nowhere else"),
        value("template_mass", "share, 0..1", "to the template's tokens before the input's end"),
        value("input_mass", "share, 0..1", "to the input's tokens"),
        value("tail_mass", "share, 0..1", "to the template's tokens after the input"),
        value(
            "entropy_bits",
            "bits",
            "of the weights over all positions; head -1 = mean of the heads' entropies",
        ),
        nullable("is_sink", Kind::Int16, "0 or 1", "1 where position 0 takes more than 0.3"),
        STATUS,
    ],
};

/// One row per pair of tasks, layer and head: how far attention is distributed differently.
pub const ATTENTION_DIVERGENCE: Table = Table {
    name: "attention_divergence",
    version: 1,
    row: "scenario, input, layer, head, task_a, task_b, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        HEAD,
        TASK_A,
        TASK_B,
        column(
            "measure",
            Kind::Utf8,
            "",
            "jsd_full, jsd_no_sink, jsd_input (bits, 0 = alike): over position 0, task, template, \
             tail and each token of the input; without position 0; over the input's tokens only. \
             overlap (0..1, 1 = alike) = 1 - total variation of the first",
        ),
        value(
            "value",
            "the measure's",
            "of what is left, made to sum to 1; head -1 = mean of the heads' values, not of weights",
        ),
        value("mass_a", "share, 0..1", "attention of task_a that the measure covers"),
        value("mass_b", "share, 0..1", "attention of task_b that it covers"),
        column("n_heads", Kind::Int16, "heads", "heads with a value: 1 or 0; head -1: how many"),
        STATUS,
    ],
};

/// One row per prompt and layer: what the model would say if it ended there.
pub const LOGIT_LENS: Table = Table {
    name: "logit_lens",
    version: 1,
    row: "prompt, layer",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        LAYER,
        nullable("top_id", Kind::Int32, "id", "the most probable token; ties: the lower id"),
        nullable("top_token", Kind::Utf8, "", "that token decoded alone, not stripped"),
        value("top_probability", "probability", "its probability"),
        value("entropy_bits", "bits", "entropy of the distribution"),
        value(
            "kl_to_final",
            "nats",
            "KL(final, lens): what is lost by reading the model's own output off this layer",
        ),
        nullable(
            "final_rank",
            Kind::Int32,
            "rank",
            "rank here, from 1, of the token that the model itself puts first",
        ),
        STATUS,
    ],
};

/// One row per pair of tasks and layer: where the difference of the outputs appears.
pub const LOGIT_LENS_DIVERGENCE: Table = Table {
    name: "logit_lens_divergence",
    version: 1,
    row: "scenario, input, layer, task_a, task_b",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        TASK_A,
        TASK_B,
        value("jsd_bits", "bits, 0..1", "Jensen-Shannon divergence of the two lens distributions"),
        nullable(
            "onset",
            Kind::Int16,
            "0 or 1",
            "1 on the first captured layer from which on jsd_bits is at least half of the outputs' \
             own divergence; 0 everywhere when that is after the last captured layer",
        ),
        STATUS,
    ],
};

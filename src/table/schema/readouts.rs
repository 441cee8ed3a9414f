//! The tables of what the model reads and says: outputs, attention by segment, surprisal, logit
//! lens.

use super::columns::{
    HEAD, INPUT, LAYER, SCENARIO, STATUS, TASK, TASK_A, TASK_B, TOKEN, TOKEN_ID, WORDING,
};
use crate::table::column::says;
use crate::table::declare::table;

table! {
    /// One row per pair of tasks: how far the next-token distributions differ.
    pub OUTPUT_DIVERGENCE: OutputDivergenceRow<'a> = "output_divergence", version 1,
        row "scenario, input, task_a, task_b" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        jsd_bits: Option<f64> = says(
            "bits, 0..1",
            "Jensen-Shannon divergence over the whole vocabulary",
        ),
        kl_ab: Option<f64> = says("nats", "KL divergence of b from a: sum of p_a ln(p_a / p_b)"),
        kl_ba: Option<f64> = says("nats", "KL divergence of a from b"),
        total_variation: Option<f64> = says("0..1", "half the sum of absolute differences"),
        entropy_a_bits: Option<f64> = says("bits", "entropy of task_a's distribution"),
        entropy_b_bits: Option<f64> = says("bits", "entropy of task_b's distribution"),
        same_top: Option<i16> = says("0 or 1", "1 where the most probable token is one"),
        overlap_5: Option<f64> = says("share, 0..1", "shared share of the 5 most probable tokens"),
        overlap_10: Option<f64> = says("share, 0..1", "of the 10 most probable"),
        overlap_50: Option<f64> = says("share, 0..1", "of the 50 most probable"),
        rbo_ext: Option<f64> = says(
            "0..1",
            "rank-biased overlap, extrapolated; p = 0.9, depth 100",
        ),
        rbo_min: Option<f64> = says("0..1", "its lower bound"),
        rbo_residual: Option<f64> = says("0..1", "how much unseen ranks could add"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per pair of tasks and token: what makes up the Jensen-Shannon divergence.
    pub OUTPUT_DIVERGENCE_TOKEN: OutputDivergenceTokenRow<'a> = "output_divergence_token", version 1,
        row "scenario, input, task_a, task_b, rank" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] rank: i16 = says("rank", "1 = the largest contribution; ties: the lower id"),
        token_id: i32 = TOKEN_ID,
        token: &'a str = TOKEN,
        probability_a: f64 = says("probability", "under task_a"),
        probability_b: f64 = says("probability", "under task_b"),
        contribution_bits: f64 = says("bits", "its term of the divergence"),
    }
}

table! {
    /// One row per input, measure and contrast: how far the input's outputs differ in it.
    pub OUTPUT_CONTRAST: OutputContrastRow<'a> = "output_contrast", version 2,
        row "scenario, input, measure, contrast" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] measure: &'a str = says("", "jsd_bits, as in output_divergence: 0 = equal outputs"),
        #[key] contrast: &'a str = says(
            "",
            "between = prompts of different tasks, in all wordings; paraphrase = wordings of one \
             task; neutral, scrambled, other_input = that control of each task against the wording \
             it was made from",
        ),
        value: Option<f64> = says("the measure's", "mean over the pairs"),
        n_pairs: i64 = says("pairs", "pairs that could be compared"),
        places: &'a [i32] = says(
            "index",
            "of controls: for each pair the place of the task's prompt among the input's prompts \
             without controls, as in tasks of output_wording_pairs; empty for between and paraphrase",
        ),
        values: Option<&'a [f64]> = says(
            "the measure's",
            "of controls: the measure of these pairs; null for between and paraphrase, which are made of the \
             pairs in output_wording_pairs, and where a pair has none",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input and measure: all pairs of (task, wording), for the wording test.
    pub OUTPUT_WORDING_PAIRS: OutputWordingPairsRow<'a> = "output_wording_pairs", version 1,
        row "scenario, input, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] measure: &'a str = says("", "jsd_bits, as in output_divergence: 0 = equal outputs"),
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
    /// One row per prompt and token of the input: how surprising it is under the task.
    pub INPUT_SURPRISAL: InputSurprisalRow<'a> = "input_surprisal", version 2,
        row "prompt, token of the input" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        span_index: i32 = says("index", "place in the input's span, from 0"),
        #[key] position: i32 = says("position", "place in the prompt"),
        token_id: i32 = TOKEN_ID,
        surprisal_bits: Option<f64> = says(
            "bits",
            "-log2 of its probability given all before it (Hale 2001); null on a prompt's first \
             token",
        ),
        delta_neutral_bits: Option<f64> = says(
            "bits",
            "less the mean surprisal of the same token under the task's neutral controls; null \
             without one",
        ),
        entropy_bits: Option<f64> = says("bits", "entropy of the distribution that predicts it"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per prompt, layer and head: where the last token's attention goes.
    pub ATTENTION_MASS: AttentionMassRow<'a> = "attention_mass", version 1,
        row "prompt, layer, head" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] head: i16 = HEAD,
        sink_mass: Option<f64> = says(
            "share, 0..1",
            "attention to position 0, whatever stands there",
        ),
        task_mass: Option<f64> = says(
            "share, 0..1",
            "to the task's tokens; position 0 counts nowhere else",
        ),
        template_mass: Option<f64> = says(
            "share, 0..1",
            "to the template's tokens before the input's end",
        ),
        input_mass: Option<f64> = says("share, 0..1", "to the input's tokens"),
        tail_mass: Option<f64> = says("share, 0..1", "to the template's tokens after the input"),
        entropy_bits: Option<f64> = says(
            "bits",
            "of the weights over all positions; head -1 = mean of the heads' entropies",
        ),
        is_sink: Option<i16> = says("0 or 1", "1 where position 0 takes more than 0.3"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per pair of tasks, layer and head: how far attention is distributed differently.
    pub ATTENTION_DIVERGENCE: AttentionDivergenceRow<'a> = "attention_divergence", version 1,
        row "scenario, input, layer, head, task_a, task_b, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] head: i16 = HEAD,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] measure: &'a str = says(
            "",
            "jsd_full, jsd_no_sink, jsd_input (bits, 0 = alike): over position 0, task, template, \
             tail and each token of the input; without position 0; over the input's tokens only. \
             overlap (0..1, 1 = alike) = 1 - total variation of the first",
        ),
        value: Option<f64> = says(
            "the measure's",
            "of what is left, made to sum to 1; head -1 = mean of the heads' values, not of \
             weights",
        ),
        mass_a: Option<f64> = says("share, 0..1", "attention of task_a that the measure covers"),
        mass_b: Option<f64> = says("share, 0..1", "attention of task_b that it covers"),
        n_heads: i16 = says("heads", "heads with a value: 1 or 0; head -1: how many"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per prompt, layer and sink, and one for position 0, sink or not.
    pub SINKS: SinksRow<'a> = "sinks", version 1,
        row "prompt, layer, position that is a sink; and position 0" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] position: i32 = says("position", "place in the prompt"),
        token_id: Option<i32> = TOKEN_ID,
        token: Option<&'a str> = TOKEN,
        segment: Option<&'a str> = says("", "the position's letter in prompts.segments"),
        norm: Option<f64> = says("activation", "L2 norm of the block's output there"),
        norm_ratio: Option<f64> = says(
            "ratio",
            "norm over the median of the norms of the prompt's positions",
        ),
        norm_share: Option<f64> = says(
            "share, 0..1",
            "of the sum of the squared norms of the prompt's positions",
        ),
        attention: Option<f64> = says(
            "share, 0..1",
            "attention of the prompt's last token to it, mean over the heads",
        ),
        kind: Option<&'a str> = says(
            "",
            "norm = norm_ratio is above the stage's norm_ratio (3), attention = attention is above the \
             stage's (0.3) and it is not the last token itself, both, or none (position 0 alone)",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per prompt and layer: what the model would say if it ended there.
    pub LOGIT_LENS: LogitLensRow<'a> = "logit_lens", version 1,
        row "prompt, layer" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        top_id: Option<i32> = says("id", "the most probable token; ties: the lower id"),
        top_token: Option<&'a str> = says("", "that token decoded alone, not stripped"),
        top_probability: Option<f64> = says("probability", "its probability"),
        entropy_bits: Option<f64> = says("bits", "entropy of the distribution"),
        kl_to_final: Option<f64> = says(
            "nats",
            "KL(final, lens): what is lost by reading the model's own output off this layer",
        ),
        final_rank: Option<i32> = says(
            "rank",
            "rank here, from 1, of the token that the model itself puts first",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per pair of tasks and layer: where the difference of the outputs appears.
    pub LOGIT_LENS_DIVERGENCE: LogitLensDivergenceRow<'a> = "logit_lens_divergence", version 2,
        row "scenario, input, layer, task_a, task_b" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        jsd_bits: Option<f64> = says(
            "bits, 0..1",
            "Jensen-Shannon divergence of the two tasks' lens distributions, first wordings",
        ),
        between_bits: Option<f64> = says(
            "bits, 0..1",
            "mean of that divergence over all pairs of a wording of task_a and a wording of task_b; \
             null for an input that is not drawn, or with one wording of both tasks",
        ),
        within_bits: Option<f64> = says(
            "bits, 0..1",
            "the largest such divergence of two wordings of task_a, or of task_b; null likewise",
        ),
        onset: Option<i16> = says(
            "0 or 1",
            "1 on the first captured layer from which on between_bits is above within_bits and at \
             least half of the outputs' own between divergence; 0 everywhere when that is after the \
             last captured layer; null where the outputs differ no more than wordings make them, or \
             that is not known (status)",
        ),
        status: &'a str = says(
            "",
            "ok, or why the first value that is null is null (aqlens schema lists them)",
        ),
    }
}

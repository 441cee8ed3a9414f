//! The tables of interventions: what the model says when the input's reading is exchanged, and whether a
//! task uses it.

use super::columns::{INPUT, LAYER, N_INPUTS, SCENARIO, STATUS, TASK, TOKEN, TOKEN_ID, WORDING};
use crate::table::column::{Meaning, says};
use crate::table::declare::table;

const DONOR: Meaning = says(
    "",
    "the task A towards whose answer the change is measured; the receiver itself: towards what the model \
     says after the receiver's neutral prefix",
);
const RECEIVER: Meaning =
    says("", "the task B whose prompt is run, with another reading of the input");
const SOURCE: Meaning = says(
    "",
    "whose reading of the input is put into B's prompt: task (A's), paraphrase (of other wordings of B), \
     neutral (of B's neutral prefixes), third (of other tasks), same_run (B's own: must change nothing)",
);
const FROM: Meaning = says("index", "first block that reads the other reading; 0 = all blocks");

table! {
    /// One row per input, pair of tasks, wording, source and first block: what the model says after B's
    /// prompt when the input is read as under another task.
    pub MEDIATION: MediationRow<'a> = "mediation", version 1,
        row "scenario, input, task_donor, task_receiver, wording, source, layer" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_donor: &'a str = DONOR,
        #[key] task_receiver: &'a str = RECEIVER,
        #[key] wording: i16 = says("index", "wording of the receiver; the donor's is the same modulo its own number"),
        #[key] source: &'a str = SOURCE,
        #[key] layer: i16 = FROM,
        gain_nats: Option<f64> = says(
            "nats",
            "KL(A||B) - KL(A||h): what is gained of A's prediction; h is what the model says after the \
             exchange, mean over the sources",
        ),
        gain_total_nats: Option<f64> = says("nats", "KL(A||B): what there is to gain"),
        loss_nats: Option<f64> = says("nats", "KL(B||h): what is lost of B's prediction, mean over the sources"),
        loss_total_nats: Option<f64> = says("nats", "KL(B||A): what there is to lose"),
        jsd_bits: Option<f64> = says("bits, 0..1", "Jensen-Shannon divergence of B and h, mean over the sources"),
        jsd_total_bits: Option<f64> = says("bits, 0..1", "that of A and B, as in output_divergence"),
        ld: Option<f64> = says(
            "logits",
            "logit of A's top token less that of B's, under h; null where both have one top token. For \
             comparison with papers only: destroying B's answer moves it by half",
        ),
        ld_donor: Option<f64> = says("logits", "the same under A"),
        ld_receiver: Option<f64> = says("logits", "the same under B"),
        donor_share: Option<f64> = says("share, 0..1", "of the sources: after the exchange the top token is A's and not B's"),
        receiver_share: Option<f64> = says("share, 0..1", "it is B's and not A's"),
        both_share: Option<f64> = says("share, 0..1", "it is that of both"),
        other_share: Option<f64> = says("share, 0..1", "it is another one"),
        answer_id: Option<i32> = says("id", "the top token after the exchange; null with several sources"),
        shift: Option<i32> = says("tokens", "where the input begins under the first source less where it begins under B"),
        n_tokens: i32 = says("tokens", "of the input, whose keys and values were exchanged"),
        n_sources: i32 = says("prompts", "readings that the row is a mean over"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per donor, receiver and first block: how much of A's prediction the input's reading brings into
    /// B's prompt; the receiver itself as donor: how much of B's own prediction goes with its reading.
    pub USE_EFFECT: UseEffectRow<'a> = "use_effect", version 1,
        row "scenario, task_donor, task_receiver, layer" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] task_donor: &'a str = DONOR,
        #[key] task_receiver: &'a str = RECEIVER,
        #[key] layer: i16 = FROM,
        question: &'a str = says(
            "",
            "sufficient (does A's reading bring A's prediction into B's prompt?), or necessary (is B's prediction \
             lost with its reading?)",
        ),
        n_inputs: i64 = N_INPUTS,
        n_clusters: i64 = says("clusters", "independent inputs"),
        n_wordings: i64 = says("wordings", "pairs of wordings that enter; 1: the interval is over inputs alone"),
        value: Option<f64> = says(
            "share",
            "sufficient: sum over inputs of gain(A) - max(gain(neutral), gain(other wordings), 0), over the sum of \
             what there is to gain. necessary: of loss(neutral) - loss(other wordings), over the sum of what there \
             is to lose",
        ),
        ci_low: Option<f64> = says("share", "lower end of its 95 % interval over inputs and wordings (Fieller's)"),
        ci_high: Option<f64> = says("share", "upper end"),
        p: Option<f64> = says("probability", "of a value above the margin by chance: signs of the inputs' value - margin * total flipped"),
        p_max_t: Option<f64> = says("probability", "corrected over all questions of the scenario"),
        gain: Option<f64> = says("share", "gain under A's reading, over the total"),
        gain_paraphrase: Option<f64> = says("share", "gain under other wordings of B"),
        gain_neutral: Option<f64> = says("share", "gain under B's neutral prefixes"),
        gain_third: Option<f64> = says("share", "gain under tasks that are neither"),
        loss: Option<f64> = says("share", "loss under A's reading (of the receiver itself: under the neutral one), over the total"),
        loss_paraphrase: Option<f64> = says("share", "loss under other wordings of B"),
        donor_share: Option<f64> = says("share, 0..1", "of inputs and wordings: A's top token is said, and B's is another"),
        receiver_share: Option<f64> = says("share, 0..1", "B's top token is said, and A's is another"),
        other_share: Option<f64> = says("share, 0..1", "neither's is said"),
        total_nats: Option<f64> = says("nats", "median over inputs of what there is to gain (of the receiver itself: to lose)"),
        answer: &'a str = says("", "yes, no, undecided, not_testable"),
        obstacle: &'a str = says(
            "",
            "why the values answer nothing: no_effect (less than min_effect to gain or lose), n_too_small (fewer than 5 \
             clusters), control_moves (other wordings move it by more than the margin); empty when nothing does",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per task: whether the model uses how the input was read under it.
    pub USE_VERDICT: UseVerdictRow<'a> = "use_verdict", version 1,
        row "scenario, task" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] task: &'a str = TASK,
        verdict: &'a str = says("", "used, not_used, undecided, not_testable"),
        necessary: &'a str = says("", "yes, no, undecided, not_testable: is the task's prediction lost without its reading?"),
        sufficient: &'a str = says("", "likewise: does its reading bring its prediction into another task's prompt?"),
        sufficient_for: &'a str = says("", "JSON list: the receivers into whose prompts it does"),
        reason: &'a str = says("", "the verdict in a sentence"),
        necessity: Option<f64> = says("share", "value of the necessary row of use_effect"),
        necessity_ci_low: Option<f64> = says("share", "lower end of its 95 % interval"),
        necessity_ci_high: Option<f64> = says("share", "upper end"),
        best_receiver: Option<&'a str> = says("", "the receiver with the largest value"),
        sufficiency: Option<f64> = says("share", "value of that sufficient row of use_effect"),
        sufficiency_ci_low: Option<f64> = says("share", "lower end of its 95 % interval"),
        sufficiency_ci_high: Option<f64> = says("share", "upper end"),
        margin: f64 = says("share", "what is less would not matter"),
        n_inputs: i64 = N_INPUTS,
        n_wordings: i64 = says("wordings", "distinct wordings of the task"),
    }
}

table! {
    /// One row per prompt, cut and kept first token: what the model says when some tokens cannot see others.
    pub KNOCKOUT: KnockoutRow<'a> = "knockout", version 1,
        row "scenario, input, task, wording, cut, keep_first" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] cut: &'a str = says(
            "",
            "who cannot see what: input_from_prefix (the input not what stands before it, the rest sees all), \
             rest_from_prefix, rest_from_input",
        ),
        #[key] keep_first: i16 = says("0 or 1", "1: the prompt's first token stays visible, a sink in many models"),
        probability: Option<f64> = says("probability", "of the uncut prompt's top token, after the cut"),
        probability_uncut: Option<f64> = says("probability", "of that token without the cut"),
        same_top: Option<i16> = says("0 or 1", "1 where the top token is still that one"),
        answer_id: Option<i32> = says("id", "the top token after the cut"),
        loss_nats: Option<f64> = says("nats", "KL(uncut||cut)"),
        jsd_bits: Option<f64> = says("bits, 0..1", "Jensen-Shannon divergence of cut and uncut"),
        status: &'a str = STATUS,
    }
}

const A: Meaning = says("", "the task A whose stream is put in");
const B: Meaning = says("", "the task B into whose prompt");
const GAIN: Meaning = says("nats", "KL(A||B) - KL(A||h): what is gained of A's prediction");
const GAIN_TOTAL: Meaning = says("nats", "KL(A||B): what there is to gain");
const LOSS: Meaning = says("nats", "KL(B||h): what is lost of B's prediction");
const LOSS_TOTAL: Meaning = says("nats", "KL(B||A): what there is to lose");

table! {
    /// One row per input, pair of tasks, layer and segment: what the model says when that segment's residual stream
    /// after that block is the donor's.
    pub PATCH: PatchRow<'a> = "patch", version 1,
        row "scenario, input, task_donor, task_receiver, layer, segment" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_donor: &'a str = A,
        #[key] task_receiver: &'a str = B,
        #[key] layer: i16 = LAYER,
        #[key] segment: &'a str = says("", "prefix (before the input), input, rest (behind it), last (the last token alone)"),
        gain_nats: Option<f64> = GAIN,
        gain_total_nats: Option<f64> = GAIN_TOTAL,
        loss_nats: Option<f64> = LOSS,
        loss_total_nats: Option<f64> = LOSS_TOTAL,
        jsd_bits: Option<f64> = says("bits, 0..1", "Jensen-Shannon divergence of what is said before and after"),
        shapley: Option<f64> = says(
            "share",
            "the segment's share of the gain, averaged over all orders of patching the three; prefix, input and rest \
             sum to 1. Null for last",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input, pair of tasks and dose: the input's residual stream part of the way to the donor's.
    pub PATCH_DOSE: PatchDoseRow<'a> = "patch_dose", version 1,
        row "scenario, input, task_donor, task_receiver, layer, dose_percent" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_donor: &'a str = A,
        #[key] task_receiver: &'a str = B,
        #[key] layer: i16 = LAYER,
        #[key] dose_percent: i16 = says(
            "percent",
            "of the way from the receiver's stream to the donor's; 100 = the donor's",
        ),
        gain_nats: Option<f64> = GAIN,
        gain_total_nats: Option<f64> = GAIN_TOTAL,
        loss_nats: Option<f64> = LOSS,
        loss_total_nats: Option<f64> = LOSS_TOTAL,
        jsd_bits: Option<f64> = says("bits, 0..1", "Jensen-Shannon divergence of what is said before and after"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per input that is shown, pair of tasks, layer and token: the residual stream of that token alone is the
    /// donor's.
    pub PATCH_TOKENS: PatchTokensRow<'a> = "patch_tokens", version 1,
        row "scenario, input, task_donor, task_receiver, layer, place" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task_donor: &'a str = A,
        #[key] task_receiver: &'a str = B,
        #[key] layer: i16 = LAYER,
        #[key] place: i32 = says("index", "token of the input, 0 = its first"),
        token_id: i32 = TOKEN_ID,
        token: &'a str = TOKEN,
        gain_nats: Option<f64> = GAIN,
        gain_total_nats: Option<f64> = GAIN_TOTAL,
        loss_nats: Option<f64> = LOSS,
        loss_total_nats: Option<f64> = LOSS_TOTAL,
        jsd_bits: Option<f64> = says("bits, 0..1", "Jensen-Shannon divergence of what is said before and after"),
        status: &'a str = STATUS,
    }
}

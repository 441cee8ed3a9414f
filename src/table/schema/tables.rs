//! The tables that the model's outputs land in, and those of the notebook's measures.

use super::columns::{
    HEAD, INPUT, LAYER, SCENARIO, STATUS, TASK, TASK_A, TASK_B, TOKEN, TOKEN_ID, WORDING,
};
use crate::table::column::{ListFloat32, ModelVector, VocabVector, says};
use crate::table::declare::table;

table! {
    /// One row per prompt, in the order of the plan; the order of all per-prompt tables.
    pub PROMPTS: PromptsRow<'a> = "prompts", version 5,
        row "prompt (scenario, input, task, wording)" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        role: &'a str = says(
            "",
            "task, or a control: neutral (a prefix without a task), scrambled (the task's own \
             words shuffled), other_input (the task on another input)",
        ),
        base_wording: i16 = says(
            "index",
            "the wording of the task that the prompt holds or, a control, was made from: other_input goes \
             through a task's wordings, one cluster of inputs after the other, the others follow the first",
        ),
        source_input: &'a str = says(
            "",
            "id of the input whose text the prompt holds; differs from input in role other_input",
        ),
        cluster: Option<&'a str> = says(
            "",
            "what column `cluster` of the inputs' file says of the input: those with one value are one \
             piece of evidence; null without a value",
        ),
        input_sha256: &'a str = says(
            "hex",
            "first 16 digits of the SHA-256 of the text of source_input: inputs with one text are one \
             piece of evidence too",
        ),
        form: &'a str = says(
            "",
            "how task and input became a prompt: plain (a text), chat (the model's chat template), or the name \
             of one of the pipeline's `forms`",
        ),
        text: &'a str = says("", "the full prompt as it was tokenised"),
        n_tokens: i32 = says("tokens", "length of the prompt; 0 where its bytes alone tell that it is too long"),
        token_ids: &'a [i32] = says("id", "the prompt's tokens, the tokenizer's special ones among them"),
        input_start: Option<i32> = says(
            "position",
            "first token that holds a character of the input; null when no token does",
        ),
        input_tokens: i32 = says("tokens", "how many tokens the input's span has"),
        segments: &'a str = says(
            "",
            "one letter a token: i input, t task, f template before the input's end, e template \
             after it; a token that touches two goes to the earlier of i, t, f, e",
        ),
        edge_tokens: i32 = says(
            "tokens",
            "tokens of the input's span that also hold other characters than the input's, not \
             counting the blank that GPT-2 joins to a word",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per prompt that could not be run; none when all ran.
    pub SKIPPED: SkippedRow<'a> = "skipped", version 1,
        row "prompt that has no numbers" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        reason: &'a str = says(
            "",
            "too_long or not_finite, as in prompts.status (aqlens schema lists the words)",
        ),
        detail: &'a str = says("", "what exactly was wrong, to follow the prompt's name"),
    }
}

table! {
    /// One row per token and layer: the residual stream.
    pub ACTIVATIONS: raw by layer = "activations", version 2,
        row "prompt, layer, position" {
        #[key] scenario: &str = SCENARIO,
        #[key] input: &str = INPUT,
        #[key] task: &str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] position: i32 = says("position", "token position from the prompt's start"),
        token_id: i32 = TOKEN_ID,
        values: ModelVector = says(
            "activation",
            "output of the block before the final layer norm (the notebook's hook)",
        ),
    }
}

table! {
    /// One row per prompt, layer and head: attention of the last query.
    pub ATTENTION: raw = "attention", version 1,
        row "prompt, layer, head, query" {
        #[key] scenario: &str = SCENARIO,
        #[key] input: &str = INPUT,
        #[key] task: &str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] head: i16 = says("index", "attention head, 0-based"),
        #[key] query: i32 = says("position", "the attending token: the prompt's last"),
        weights: ListFloat32 = says("probability", "softmaxed, one per key 0..=query"),
    }
}

table! {
    /// One row per prompt: scores of the next token.
    pub LOGITS: raw = "logits", version 1,
        row "prompt" {
        #[key] scenario: &str = SCENARIO,
        #[key] input: &str = INPUT,
        #[key] task: &str = TASK,
        #[key] wording: i16 = WORDING,
        values: VocabVector = says("logit", "scores at the prompt's last token"),
    }
}

table! {
    /// One row per pair of tasks, input and layer.
    pub SIMILARITY: SimilarityRow<'a> = "similarity", version 3,
        row "scenario, input, layer, task_a, task_b, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] measure: &'a str = says(
            "",
            "flat = the notebook's: cosine of the flattened activations, cut to the shorter \
             prompt. Cosines of what plays the same part in both prompts: token (mean over the \
             input's tokens, one by one), span (mean over the input's tokens), last (last token); \
             with _centred and _standardised by table reference; instead of the cosine _rel_l2 \
             (distance over the mean norm), _log_norm_ratio (|ln| of the norms' ratio), \
             _rogue_share (share of the 3 largest dimensions in the cosine)",
        ),
        value: Option<f64> = says(
            "the measure's",
            "cosines -1..1; rel_l2 0..2, 0 = equal; log_norm_ratio 0 or more, 0 = equal; \
             rogue_share 0..1",
        ),
        n: i64 = says("numbers", "how many pairs of numbers were compared"),
        position_0_share: Option<f64> = says(
            "share, 0..1",
            "flat: how much of the squared norm of what is compared is position 0's, mean of the two prompts; \
             near 1 the value says that the two first tokens are alike, and little else; null for other measures",
        ),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per layer and measure: similarity over all inputs and pairs.
    pub DIVERGENCE: DivergenceRow<'a> = "divergence", version 3,
        row "scenario, layer, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] layer: i16 = LAYER,
        #[key] measure: &'a str = says("", "the measure of table similarity that is reduced"),
        n_inputs: i64 = says("inputs", "inputs with at least one value"),
        n_pairs: i64 = says("pairs", "values reduced, over all inputs and task pairs"),
        mean: Option<f64> = says("the measure's", "their mean; null without values"),
        sd: Option<f64> = says("the measure's", "sample standard deviation; null below two values"),
        min: Option<f64> = says("the measure's", "the smallest; null without values"),
        max: Option<f64> = says("the measure's", "the largest; null without values"),
        position_0_share: Option<f64> = says(
            "share, 0..1",
            "flat: mean of similarity.position_0_share over the same values; null for other measures",
        ),
    }
}

table! {
    /// One row per prompt, layer, head and rank: where the last token looks.
    pub ATTENTION_FOCUS: AttentionFocusRow<'a> = "attention_focus", version 1,
        row "prompt, layer, head, rank" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] layer: i16 = LAYER,
        #[key] head: i16 = HEAD,
        #[key] rank: i16 = says("rank", "1 = the largest weight; ties go to the lower position"),
        position: i32 = says("position", "the attended token"),
        token_id: i32 = TOKEN_ID,
        token: &'a str = TOKEN,
        weight: f64 = says("probability", "attention of the last token to this one"),
        gap: Option<f64> = says(
            "probability",
            "weight of rank k less that of rank k+1, on each row of the set: how firm the set is; \
             null when the prompt has no rank k+1",
        ),
    }
}

table! {
    /// One row per pair of tasks: how far two focus sets agree.
    pub ATTENTION_OVERLAP: AttentionOverlapRow<'a> = "attention_overlap", version 2,
        row "scenario, input, layer, head, task_a, task_b, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] layer: i16 = LAYER,
        #[key] head: i16 = HEAD,
        #[key] task_a: &'a str = TASK_A,
        #[key] task_b: &'a str = TASK_B,
        #[key] measure: &'a str = says(
            "",
            "jaccard = the notebook's: shared over all of the two focus sets, absolute positions; \
             jaccard_aligned = positions named by what stands there; jaccard_no_sink = so named, \
             the sets without position 0",
        ),
        value: Option<f64> = says("0..1", "the overlap"),
        k: i32 = says("positions", "size of a focus set"),
        status: &'a str = STATUS,
    }
}

table! {
    /// One row per prompt and rank: the most probable next tokens.
    pub NEXT_TOKENS: NextTokensRow<'a> = "next_tokens", version 1,
        row "prompt, rank" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] input: &'a str = INPUT,
        #[key] task: &'a str = TASK,
        #[key] wording: i16 = WORDING,
        #[key] rank: i16 = says("rank", "1 = the most probable; ties go to the lower id"),
        token_id: i32 = TOKEN_ID,
        token: &'a str = TOKEN,
        probability: f64 = says("probability", "softmax over the whole vocabulary"),
        logprob: f64 = says("nats", "natural logarithm of the probability"),
    }
}

table! {
    /// One row per scenario and measure: the answer.
    pub VERDICT: VerdictRow<'a> = "verdict", version 3,
        row "scenario, measure" {
        #[key] scenario: &'a str = SCENARIO,
        #[key] measure: &'a str = says(
            "",
            "what the verdict rests on: flat = the notebook's; a measure of table effect; effect \
             = the run has no such table",
        ),
        layer: i16 = says(
            "index",
            "the layer that the numbers are from: flat: the last captured one; else the one with \
             the largest difference among those that show it; -1 = the model's output, or none",
        ),
        value: Option<f64> = says(
            "the measure's",
            "flat: mean cosine over inputs and task pairs; else how much further apart prompts of \
             different tasks are than wordings of one (effect.delta, contrast paraphrase)",
        ),
        threshold: Option<f64> = says(
            "the measure's",
            "flat: supported when the value is below it; else the smallest difference that matters, null \
             when nothing says it",
        ),
        verdict: &'a str = says(
            "",
            "flat: supported, not_supported or not_testable; else supported, equivalent, \
             undecided or not_testable",
        ),
        reason: &'a str = says("", "the reason in words, with the numbers it rests on"),
        ci_low: Option<f64> = says(
            "the measure's",
            "lower end of the value's 95 % interval, over inputs and wordings",
        ),
        ci_high: Option<f64> = says("the measure's", "upper end; both null for flat"),
        relative: Option<f64> = says(
            "ratio",
            "effect.relative: 0 = as another wording does, 1 = as another input does; null for flat",
        ),
        relative_low: Option<f64> = says("ratio", "lower end of its 95 % interval"),
        relative_high: Option<f64> = says("ratio", "upper end"),
        prevalence: Option<f64> = says("share, 0..1", "effect.prevalence; null for flat"),
        p: Option<f64> = says("probability", "effect.p_joint; null for flat"),
        p_wording: Option<f64> = says("probability", "effect.p_wording_joint; null for flat"),
        p_wording_form: Option<f64> = says("probability", "effect.p_wording_form; null for flat"),
        n_inputs: i64 = says("inputs", "inputs that entered"),
        n_clusters: i64 = says("clusters", "clusters that they form; flat: 0, it counts none"),
        n_wordings: i64 = says("wordings", "distinct wordings of the task with the fewest"),
        warning: &'a str = says("", "effect.warning: what to know of the wordings' form"),
    }
}

//! The tables that the model's outputs land in, and those of the notebook's measures.

use super::columns::{
    HEAD, INPUT, LAYER, SCENARIO, STATUS, TASK, TASK_A, TASK_B, TOKEN, TOKEN_ID, WORDING, column,
    nullable,
};
use super::{Kind, Table};

/// One row per prompt, in the order of the plan; the order of all per-prompt tables.
pub const PROMPTS: Table = Table {
    name: "prompts",
    version: 2,
    row: "prompt (scenario, input, task, wording)",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column(
            "role",
            Kind::Utf8,
            "",
            "task, or a control: neutral (a prefix without a task), scrambled (the task's own \
             words shuffled), other_input (the task on another input)",
        ),
        column(
            "source_input",
            Kind::Utf8,
            "",
            "id of the input whose text the prompt holds; differs from input in role other_input",
        ),
        column("text", Kind::Utf8, "", "the full prompt as it was tokenised"),
        column("n_tokens", Kind::Int32, "tokens", "length of the prompt"),
        column("token_ids", Kind::ListInt32, "id", "the prompt's tokens, no BOS added"),
        nullable(
            "input_start",
            Kind::Int32,
            "position",
            "first token that holds a character of the input; null when no token does",
        ),
        column("input_tokens", Kind::Int32, "tokens", "how many tokens the input's span has"),
        column(
            "segments",
            Kind::Utf8,
            "",
            "one letter a token: i input, t task, f template before the input's end, e template \
             after it; a token that touches two goes to the earlier of i, t, f, e",
        ),
        column(
            "edge_tokens",
            Kind::Int32,
            "tokens",
            "tokens of the input's span that also hold other characters than the input's, not \
             counting the blank that GPT-2 joins to a word",
        ),
        STATUS,
    ],
};

/// One row per prompt that could not be run; none when all ran.
pub const SKIPPED: Table = Table {
    name: "skipped",
    version: 1,
    row: "prompt that has no numbers",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column(
            "reason",
            Kind::Utf8,
            "",
            "too_long or not_finite, as in prompts.status (aqlens schema lists the words)",
        ),
        column("detail", Kind::Utf8, "", "what exactly was wrong, to follow the prompt's name"),
    ],
};

/// One row per token and layer: the residual stream.
pub const ACTIVATIONS: Table = Table {
    name: "activations",
    version: 1,
    row: "prompt, layer, position",
    by_layer: true,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("position", Kind::Int32, "position", "token position from the prompt's start"),
        TOKEN_ID,
        column(
            "values",
            Kind::ModelVector,
            "activation",
            "output of the block before the final layer norm (the notebook's hook)",
        ),
    ],
};

/// One row per prompt, layer and head: attention of the last query.
pub const ATTENTION: Table = Table {
    name: "attention",
    version: 1,
    row: "prompt, layer, head, query",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        LAYER,
        column("head", Kind::Int16, "index", "attention head, 0-based"),
        column("query", Kind::Int32, "position", "the attending token: the prompt's last"),
        column("weights", Kind::ListFloat32, "probability", "softmaxed, one per key 0..=query"),
    ],
};

/// One row per prompt: scores of the next token.
pub const LOGITS: Table = Table {
    name: "logits",
    version: 1,
    row: "prompt",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("values", Kind::VocabVector, "logit", "scores at the prompt's last token"),
    ],
};

/// One row per pair of tasks, input and layer.
pub const SIMILARITY: Table = Table {
    name: "similarity",
    version: 2,
    row: "scenario, input, layer, task_a, task_b, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        LAYER,
        TASK_A,
        TASK_B,
        column(
            "measure",
            Kind::Utf8,
            "",
            "flat = the notebook's: cosine of the flattened activations, cut to the shorter prompt. \
             Cosines of what plays the same part in both prompts: token (mean over the input's \
             tokens, one by one), span (mean over the input's tokens), last (last token); with \
             _centred and _standardised by table reference; instead of the cosine _rel_l2 (distance \
             over the mean norm), _log_norm_ratio (|ln| of the norms' ratio), _rogue_share (share of \
             the 3 largest dimensions in the cosine)",
        ),
        nullable(
            "value",
            Kind::Float64,
            "the measure's",
            "cosines -1..1; rel_l2 0..2, 0 = equal; log_norm_ratio 0 or more, 0 = equal; \
             rogue_share 0..1",
        ),
        column("n", Kind::Int64, "numbers", "how many pairs of numbers were compared"),
        STATUS,
    ],
};

/// One row per layer and measure: similarity over all inputs and pairs.
pub const DIVERGENCE: Table = Table {
    name: "divergence",
    version: 2,
    row: "scenario, layer, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        LAYER,
        column("measure", Kind::Utf8, "", "the measure of table similarity that is reduced"),
        column("n_inputs", Kind::Int64, "inputs", "inputs with at least one value"),
        column("n_pairs", Kind::Int64, "pairs", "values reduced, over all inputs and task pairs"),
        nullable("mean", Kind::Float64, "the measure's", "their mean; null without values"),
        nullable(
            "sd",
            Kind::Float64,
            "the measure's",
            "sample standard deviation; null below two values",
        ),
        nullable("min", Kind::Float64, "the measure's", "the smallest; null without values"),
        nullable("max", Kind::Float64, "the measure's", "the largest; null without values"),
    ],
};

/// One row per prompt, layer, head and rank: where the last token looks.
pub const ATTENTION_FOCUS: Table = Table {
    name: "attention_focus",
    version: 1,
    row: "prompt, layer, head, rank",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        LAYER,
        HEAD,
        column(
            "rank",
            Kind::Int16,
            "rank",
            "1 = the largest weight; ties go to the lower position",
        ),
        column("position", Kind::Int32, "position", "the attended token"),
        TOKEN_ID,
        TOKEN,
        column("weight", Kind::Float64, "probability", "attention of the last token to this one"),
        nullable(
            "gap",
            Kind::Float64,
            "probability",
            "weight of rank k less that of rank k+1, on each row of the set: how firm the set is; \
             null when the prompt has no rank k+1",
        ),
    ],
};

/// One row per pair of tasks: how far two focus sets agree.
pub const ATTENTION_OVERLAP: Table = Table {
    name: "attention_overlap",
    version: 2,
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
            "jaccard = the notebook's: shared over all of the two focus sets, absolute positions; \
             jaccard_aligned = positions named by what stands there; jaccard_no_sink = so named, \
             the sets without position 0",
        ),
        nullable("value", Kind::Float64, "0..1", "the overlap"),
        column("k", Kind::Int32, "positions", "size of a focus set"),
        STATUS,
    ],
};

/// One row per prompt and rank: the most probable next tokens.
pub const NEXT_TOKENS: Table = Table {
    name: "next_tokens",
    version: 1,
    row: "prompt, rank",
    by_layer: false,
    columns: &[
        SCENARIO,
        INPUT,
        TASK,
        WORDING,
        column("rank", Kind::Int16, "rank", "1 = the most probable; ties go to the lower id"),
        TOKEN_ID,
        TOKEN,
        column("probability", Kind::Float64, "probability", "softmax over the whole vocabulary"),
        column("logprob", Kind::Float64, "nats", "natural logarithm of the probability"),
    ],
};

/// One row per scenario and measure: the answer.
pub const VERDICT: Table = Table {
    name: "verdict",
    version: 2,
    row: "scenario, measure",
    by_layer: false,
    columns: &[
        SCENARIO,
        column(
            "measure",
            Kind::Utf8,
            "",
            "what the verdict rests on: flat = the notebook's; a measure of table effect; effect = \
             the run has no such table",
        ),
        column(
            "layer",
            Kind::Int16,
            "index",
            "the layer that the numbers are from: flat: the last captured one; else the one with the \
             largest difference among those that show it; -1 = the model's output, or none",
        ),
        nullable(
            "value",
            Kind::Float64,
            "the measure's",
            "flat: mean cosine over inputs and task pairs; else how much further apart prompts of \
             different tasks are than wordings of one (effect.delta, contrast paraphrase)",
        ),
        nullable(
            "threshold",
            Kind::Float64,
            "the measure's",
            "flat: supported when the value is below it; else the difference that is too small to \
             matter, null when the pipeline does not name it",
        ),
        column(
            "verdict",
            Kind::Utf8,
            "",
            "flat: supported, not_supported or not_testable; else supported, equivalent, undecided \
             or not_testable",
        ),
        column("reason", Kind::Utf8, "", "the reason in words, with the numbers it rests on"),
        nullable(
            "ci_low",
            Kind::Float64,
            "the measure's",
            "lower end of the value's 95 % interval",
        ),
        nullable("ci_high", Kind::Float64, "the measure's", "upper end; both null for flat"),
        nullable("p", Kind::Float64, "probability", "effect.p_max_t; null for flat"),
        nullable(
            "p_wording",
            Kind::Float64,
            "probability",
            "effect.p_wording_max_t; null for flat",
        ),
        column("n_inputs", Kind::Int64, "inputs", "inputs that entered"),
        column("n_wordings", Kind::Int64, "wordings", "wordings of each task that entered"),
    ],
};

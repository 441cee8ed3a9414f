//! Why a value is there or is null: the words of every `status` column.

use crate::math::Undefined;

/// The value was computed.
pub const OK: &str = "ok";
/// A vector is zero everywhere, so it has no direction.
pub const ZERO_NORM: &str = "zero_norm";
/// One of the prompts was not run; see `prompts.status`.
pub const SKIPPED: &str = "skipped";
/// A prompt has at most `k` tokens, so its focus set is all of it.
pub const TOO_FEW_KEYS: &str = "too_few_keys";
/// The prompt has more tokens than the model has positions, and the pipeline says `too_long: skip`.
pub const TOO_LONG: &str = "too_long";

/// The model gave a value that is no number, and the pipeline says `not_finite: skip`.
pub const NOT_FINITE: &str = "not_finite";

/// The token is the first of its prompt, so nothing predicts it.
pub const NO_PREDECESSOR: &str = "no_predecessor";
/// There is nothing to compare the value with: no reference set that is large enough, or no control
/// with the same tokens.
pub const NO_REFERENCE: &str = "no_reference";
/// The two outputs are as good as equal, so nowhere does a difference begin.
pub const NO_DIVERGENCE: &str = "no_divergence";
/// The two outputs differ no more than outputs of wordings of one of the tasks do.
pub const WITHIN_WORDINGS: &str = "within_wordings";
/// The input is not among those that the stage draws for this value.
pub const NOT_DRAWN: &str = "not_drawn";
/// The prompts do not hold the same tokens of the input, so none stands for another.
pub const NO_ALIGNMENT: &str = "no_alignment";
/// Less than a thousandth of the attention is left: what is there is rounding.
pub const LOW_MASS: &str = "low_mass";
/// The scenario has no two prompts for this contrast: no second wording, or no such control.
pub const NO_PAIRS: &str = "no_pairs";
/// What is compared does not vary, so nothing can vary with it.
pub const CONSTANT: &str = "constant";
/// There are fewer of what is counted than the value can be computed from.
pub const N_TOO_SMALL: &str = "n_too_small";

/// Nothing of the prompt stands behind the input, so nothing reads it but the answer itself.
pub const NO_REST: &str = "no_rest";
/// The two tasks' answers hardly differ, so there is nothing that a reading could bring.
pub const NO_EFFECT: &str = "no_effect";

/// Every word and its meaning, for documentation.
pub const ALL: &[(&str, &str)] = &[
    (OK, "the value was computed"),
    (ZERO_NORM, "a vector is zero everywhere, so it has no direction"),
    (SKIPPED, "one of the prompts was not run; see prompts.status"),
    (TOO_FEW_KEYS, "a prompt has at most k tokens, so its focus set is all of it"),
    (TOO_LONG, "the prompt has more tokens than the model has positions"),
    (NOT_FINITE, "the model gave a value that is no number (NaN or infinite) for the prompt"),
    (NO_PREDECESSOR, "the token is the first of its prompt, so nothing predicts it"),
    (
        NO_REFERENCE,
        "there is nothing to hold it against: no reference set of at least 200 tokens of 10 prompts \
         (stage reference), or no control that ran with the same tokens of the input",
    ),
    (NO_DIVERGENCE, "the outputs of the two tasks do not differ, so there is no onset"),
    (
        WITHIN_WORDINGS,
        "the outputs of the two tasks differ no more than those of two wordings of one of them, so \
         there is no onset",
    ),
    (NOT_DRAWN, "the input is not among the baseline_inputs that the stage draws for it"),
    (
        NO_ALIGNMENT,
        "the prompts cannot be compared on the input's tokens: they hold other ones, or the input \
         stands in front of every task (table alignment has the reason)",
    ),
    (LOW_MASS, "less than 0.001 of the attention is left: what is there is rounding"),
    (NO_PAIRS, "the scenario has no two prompts for it: no second wording, or no such control"),
    (
        NO_REST,
        "the prompt ends with the input, so that no token behind it could read another reading: put \
         something behind {input} in the template",
    ),
    (
        NO_EFFECT,
        "the two tasks' answers hardly differ, so there is nothing that a reading could bring",
    ),
    (N_TOO_SMALL, "there are too few inputs, prompts or tokens to compute it from"),
    (CONSTANT, "what is compared does not vary (identical prompts), so there is nothing to test"),
];

/// What a status word means; a word that is not in [`ALL`] stands for itself.
pub fn meaning(word: &str) -> &str {
    ALL.iter().find(|(known, _)| *known == word).map_or(word, |(_, meaning)| meaning)
}

/// The word for a number that could not be computed.
pub fn of(reason: Undefined) -> &'static str {
    match reason {
        Undefined::TooFew => N_TOO_SMALL,
        Undefined::Constant => CONSTANT,
        Undefined::ZeroNorm => ZERO_NORM,
        Undefined::LowMass => LOW_MASS,
        Undefined::NotFinite => NOT_FINITE,
    }
}

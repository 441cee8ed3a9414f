//! The measures of two prompts' activations: their names, as settings and columns `measure` have
//! them, and what each compares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::names::FLAT;
use crate::stage::read::spaces::Space;
use crate::yaml::{Path, Problems};

/// Names a measure in the settings of a stage.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Every measure.
    All,
    /// The notebook's: cosine of the flattened activations, cut to the shorter prompt.
    Flat,
    /// Mean cosine over the tokens of the input, token by token.
    Token,
    /// Cosine of the last token.
    Last,
    /// Cosine of the mean over the input's tokens.
    Span,
    /// As `token`, with the reference set's mean taken off.
    TokenCentred,
    /// As `last`, with the reference set's mean taken off.
    LastCentred,
    /// As `span`, with the reference set's mean taken off.
    SpanCentred,
    /// As `token`, each dimension standardised by the reference set.
    TokenStandardised,
    /// As `last`, each dimension standardised by the reference set.
    LastStandardised,
    /// As `span`, each dimension standardised by the reference set.
    SpanStandardised,
    /// Mean over the input's tokens of the distance over the mean of the two norms: 0 = equal.
    TokenRelL2,
    /// Distance of the last tokens over the mean of their norms.
    LastRelL2,
    /// Distance of the means over the input over the mean of their norms.
    SpanRelL2,
    /// Mean over the input's tokens of how far the norms differ: the logarithm of their ratio, without its sign.
    TokenLogNormRatio,
    /// How far the norms of the last tokens differ: the logarithm of their ratio, without its sign.
    LastLogNormRatio,
    /// How far the norms of the means over the input differ: the logarithm of their ratio, without its sign.
    SpanLogNormRatio,
    /// Mean over the input's tokens of the share that the 3 largest dimensions have in the cosine.
    TokenRogueShare,
    /// Share that the 3 largest dimensions have in the cosine of the last tokens.
    LastRogueShare,
    /// Share that the 3 largest dimensions have in the cosine of the means over the input.
    SpanRogueShare,
}

/// Which vectors of a prompt are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    /// Every token of the input, with the matching token of the other prompt.
    Token,
    /// The prompt's last token.
    Last,
    /// The mean over the input's tokens.
    Span,
}

/// How two vectors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// a·b over the norms, in a space.
    Cosine(Space),
    /// |a - b| over the mean of the norms.
    RelL2,
    /// |ln(|a| / |b|)|.
    LogNormRatio,
    /// The three largest products of two coordinates over the sum of all, without their signs.
    RogueShare,
}

/// What a measure compares, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The flattened activations from the prompts' start.
    Flat,
    /// Vectors with the same role in both prompts.
    At(Site, Form),
}

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    choice: Choice,
    /// As in columns `measure`.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) how: How,
}

const fn at(choice: Choice, name: &'static str, site: Site, form: Form) -> Measure {
    Measure { choice, name, how: How::At(site, form) }
}

const RAW: Form = Form::Cosine(Space::Raw);
const CENTRED: Form = Form::Cosine(Space::Centred);
const STANDARDISED: Form = Form::Cosine(Space::Standardised);

/// Every measure, in the order in which tables have them.
const CATALOGUE: [Measure; 19] = [
    Measure { choice: Choice::Flat, name: FLAT, how: How::Flat },
    at(Choice::Token, "token", Site::Token, RAW),
    at(Choice::Last, "last", Site::Last, RAW),
    at(Choice::Span, "span", Site::Span, RAW),
    at(Choice::TokenCentred, "token_centred", Site::Token, CENTRED),
    at(Choice::LastCentred, "last_centred", Site::Last, CENTRED),
    at(Choice::SpanCentred, "span_centred", Site::Span, CENTRED),
    at(Choice::TokenStandardised, "token_standardised", Site::Token, STANDARDISED),
    at(Choice::LastStandardised, "last_standardised", Site::Last, STANDARDISED),
    at(Choice::SpanStandardised, "span_standardised", Site::Span, STANDARDISED),
    at(Choice::TokenRelL2, "token_rel_l2", Site::Token, Form::RelL2),
    at(Choice::LastRelL2, "last_rel_l2", Site::Last, Form::RelL2),
    at(Choice::SpanRelL2, "span_rel_l2", Site::Span, Form::RelL2),
    at(Choice::TokenLogNormRatio, "token_log_norm_ratio", Site::Token, Form::LogNormRatio),
    at(Choice::LastLogNormRatio, "last_log_norm_ratio", Site::Last, Form::LogNormRatio),
    at(Choice::SpanLogNormRatio, "span_log_norm_ratio", Site::Span, Form::LogNormRatio),
    at(Choice::TokenRogueShare, "token_rogue_share", Site::Token, Form::RogueShare),
    at(Choice::LastRogueShare, "last_rogue_share", Site::Last, Form::RogueShare),
    at(Choice::SpanRogueShare, "span_rogue_share", Site::Span, Form::RogueShare),
];

impl Measure {
    /// Whether it is a cosine, so that 1 less it is a dissimilarity.
    pub(crate) fn is_cosine(&self) -> bool {
        matches!(self.how, How::Flat | How::At(_, Form::Cosine(_)))
    }
}

impl Choice {
    fn name(self) -> &'static str {
        let named = CATALOGUE.iter().find(|measure| measure.choice == self);
        named.map_or("all", |measure| measure.name)
    }
}

/// The measures that settings name, in the order of the catalogue; those that are not `allowed` are
/// left out of `all`, and naming one is a problem, with the reason given beside it as help.
pub(crate) fn chosen(
    choices: &[Choice],
    at: &Path,
    allowed: (impl Fn(&Measure) -> bool, &str),
    problems: &mut Problems,
) -> Option<Vec<Measure>> {
    let (is_allowed, reason) = allowed;
    let mut all_good = true;
    if choices.is_empty() {
        problems.push(at, "no measure is named", "name at least one measure, or leave the key out");
        all_good = false;
    }
    for (i, choice) in choices.iter().enumerate() {
        let (place, name) = (at.index(i), choice.name());
        if choices[..i].contains(choice) {
            problems.push(&place, format!("measure '{name}' is named twice"), "name each once");
            all_good = false;
        }
        if CATALOGUE.iter().any(|measure| measure.choice == *choice && !is_allowed(measure)) {
            let message = format!("measure '{name}' cannot be used here");
            problems.push(&place, message, reason);
            all_good = false;
        }
    }
    let is_chosen = |measure: &&Measure| {
        choices.contains(&measure.choice) || choices.contains(&Choice::All) && is_allowed(measure)
    };
    all_good.then(|| CATALOGUE.iter().filter(is_chosen).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_named_the_same_in_settings_and_tables() {
        for measure in CATALOGUE {
            let written = serde_json::to_value(measure.choice).unwrap();
            assert_eq!(written, measure.name);
            assert_eq!(measure.choice.name(), measure.name);
        }
        assert_eq!(serde_json::to_value(Choice::All).unwrap(), Choice::All.name());
    }

    #[test]
    fn every_measure_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = CATALOGUE.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
    }
}

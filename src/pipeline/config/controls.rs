//! Which controls a scenario asks for.

use std::collections::BTreeSet;

use super::near::refuse_near_auto;
use super::wire::{ControlsConfig, NeutralConfig};
use crate::pipeline::{Controls, MOST_MADE, Neutral};
use crate::prompt::Role;
use crate::yaml::{Path, Problems, quote};

/// How many neutral prefixes `auto` makes for a task: one would leave open whether it is the prefix
/// that matters, and each more is a prompt more for each task and input.
const AUTO: usize = 2;

/// The controls as they are meant; what is wrong with them goes to `problems`.
pub(super) fn controls(config: ControlsConfig, at: &Path, problems: &mut Problems) -> Controls {
    let neutral = config.neutral.map(|neutral| self::neutral(neutral, &at.key("neutral"), problems));
    Controls { neutral, scrambled: config.scrambled, other_input: config.other_input }
}

fn neutral(config: NeutralConfig, at: &Path, problems: &mut Problems) -> Neutral {
    match config {
        NeutralConfig::Text(text) if text == "auto" => Neutral::Auto(AUTO),
        NeutralConfig::Text(text) => {
            check_text(&text, at, problems);
            Neutral::Texts(vec![text])
        }
        NeutralConfig::Texts(texts) => {
            let (n, most) = (texts.len(), Role::MOST_NEUTRAL);
            if !(1..=most).contains(&n) {
                let message = format!("the neutral control has {n} texts, and needs 1 to {most}");
                problems.push(at, message, "write a list of texts, or `auto` to have them made");
            }
            let mut seen = BTreeSet::new();
            for (i, text) in texts.iter().enumerate() {
                check_text(text, &at.index(i), problems);
                if !seen.insert(text) {
                    let message = format!("the neutral text {} appears twice", quote(text));
                    problems.push(&at.index(i), message, "change or remove one of them");
                }
            }
            Neutral::Texts(texts)
        }
        NeutralConfig::Made(made) => {
            let n = usize::try_from(made.auto).ok().filter(|n| (1..=MOST_MADE).contains(n));
            if n.is_none() {
                let message = format!("auto {} is not between 1 and {MOST_MADE}", made.auto);
                let help = "it is how many neutral texts each task has; write more of them as a list";
                problems.push(&at.key("auto"), message, help);
            }
            Neutral::Auto(n.unwrap_or(AUTO))
        }
    }
}

fn check_text(text: &str, at: &Path, problems: &mut Problems) {
    if text.trim().is_empty() {
        let help = "write a text that asks for nothing, or `auto` for some as long as each task";
        problems.push(at, "the neutral control is empty", help);
    } else {
        refuse_near_auto(text, at, problems);
    }
}

//! The texts of controls: prefixes that show how much of a difference is there without a task.
//!
//! Each control belongs to a task. Neutral prefixes of as many tokens (so the input has the same
//! positions) and the task's own words in another order follow its first wording. The task itself for
//! another input of the scenario ([`super::others`] says which) is put in all its wordings in turn, one
//! cluster of inputs after the other: it is the scale of sizes, which no single wording should set.

use std::collections::BTreeSet;

use super::error::PlanError;
use super::neutral::Ruler;
use super::{Neutral, Scenario, Task};
use crate::prompt::{Role, alike};
use crate::store::hex_sha256;

/// Words from which on the drawn order names the text by its hash: the text itself would be hashed
/// once for each of its words.
const MANY_WORDS: usize = 1024;

/// A control of a task.
pub(super) struct Control {
    pub(super) wording: i16,
    /// Its text; several where it is put in the task's wordings in turn.
    pub(super) texts: Vec<String>,
    /// The wording that each of several texts is.
    pub(super) in_turn: Vec<i16>,
    /// What it was made of, for a neutral prefix that was made.
    pub(super) family: Option<usize>,
}

/// The controls of a task that the scenario asks for, in the order of [`Role::CONTROLS`]; without
/// inputs of several clusters there is no other input.
///
/// # Errors
/// When the tokenizer fails.
pub(super) fn texts(
    scenario: &Scenario,
    task: &Task,
    has_others: bool,
    seed: u64,
    ruler: Ruler<'_>,
) -> Result<Vec<Control>, PlanError> {
    let controls = &scenario.controls;
    let first = &task.wordings[0];
    let neutral = match &controls.neutral {
        None => Vec::new(),
        Some(Neutral::Texts(texts)) => texts.iter().cloned().map(|text| (None, text)).collect(),
        Some(Neutral::Auto(n)) => {
            let fillers = ruler.fillers(*n, task, scenario.inputs.first())?;
            fillers.into_iter().map(|(family, text)| (Some(family), text)).collect()
        }
    };
    let neutral = neutral.into_iter().enumerate();
    let control = |wording: i16, text: String, family: Option<usize>| Control {
        wording,
        texts: vec![text],
        in_turn: Vec::new(),
        family,
    };
    let mut texts: Vec<Control> = neutral
        .map(|(i, (family, text))| control(Role::neutral_wording(i), text, family))
        .collect();
    if controls.scrambled {
        // A task of one word has no other order, and so no such control.
        let scrambled = scramble(first, seed);
        let is_other = scrambled != *first;
        texts.extend(is_other.then(|| control(Role::Scrambled.wording(), scrambled, None)));
    }
    if controls.other_input && has_others {
        texts.push(other_input(task));
    }
    Ok(texts)
}

/// The task in all its wordings, copies that differ in blanks or case only left out.
fn other_input(task: &Task) -> Control {
    let mut known = BTreeSet::new();
    let distinct = (0..).zip(&task.wordings).filter(|(_, text)| known.insert(alike(text)));
    let (in_turn, texts) = distinct.map(|(wording, text)| (wording, text.clone())).unzip();
    Control { wording: Role::OtherInput.wording(), texts, in_turn, family: None }
}

/// The words in an order drawn by the seed: never the order they had, unless all are one word.
fn scramble(text: &str, seed: u64) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_one_word = words.windows(2).all(|pair| pair[0] == pair[1]);
    if is_one_word {
        return text.to_owned();
    }
    let name = match words.len() {
        n if n < MANY_WORDS => format!("{text:?}"),
        _ => hex_sha256(text.as_bytes()),
    };
    for draw in 0..64 {
        let mut order: Vec<(String, usize)> = (0..words.len())
            .map(|i| (hex_sha256(format!("scramble {seed} {draw} {i} {name}").as_bytes()), i))
            .collect();
        order.sort();
        let scrambled: Vec<&str> = order.into_iter().map(|(_, i)| words[i]).collect();
        if scrambled != words {
            return scrambled.join(" ");
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrambled_words_are_the_same_words_in_another_order() {
        let text = "What is the ball next to?";
        let scrambled = scramble(text, 37);
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_ne!(scrambled, text);
        assert_eq!(sorted(&scrambled), sorted(text));
        assert_eq!(scramble(text, 37), scrambled);
        assert_eq!(scramble("no no", 1), "no no");
    }
}

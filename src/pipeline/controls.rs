//! The texts of controls: prefixes that show how much of a difference is there without a task.
//!
//! Each control belongs to a task and follows its first wording: a neutral prefix of as many tokens
//! (so the input has the same positions), the task's own words in another order, and the
//! task itself for another input (the next one of the scenario; the last one takes the first).

use super::template::Template;
use super::{Neutral, Scenario, Task};
use crate::model::{ModelError, Tokenizer};
use crate::prompt::Role;
use crate::store::hex_sha256;

/// What a neutral prefix is made of: words that ask for nothing.
const FILLER: &str = "Here is a short text about a few things. It is given as it is, and that is \
    all there is to it. There is no more to say about it here, so it goes on in the same way.";

/// Words tried one by one to make a neutral prefix exactly as long as a task.
const PADS: [&str; 8] = [" it", " is", " so", " and", " the", ".", ",", " a"];

/// The controls of a task that the scenario asks for, in the order of [`Role::CONTROLS`].
///
/// # Errors
/// When the tokenizer fails.
pub(super) fn texts(
    scenario: &Scenario,
    task: &Task,
    seed: u64,
    template: &Template,
    tokenizer: &Tokenizer,
) -> Result<Vec<(Role, String)>, ModelError> {
    let controls = &scenario.controls;
    let first = &task.wordings[0];
    let mut texts = Vec::new();
    match &controls.neutral {
        None => {}
        Some(Neutral::Text(text)) => texts.push((Role::Neutral, text.clone())),
        Some(Neutral::Auto) => {
            let input = &scenario.inputs.first().text;
            let length = |task: &str| -> Result<usize, ModelError> {
                Ok(tokenizer.encode(&template.fill(task, input).text, 0..0)?.ids.len())
            };
            texts.push((Role::Neutral, neutral(length(first)?, length)?));
        }
    }
    if controls.scrambled {
        // A task of one word has no other order, and so no such control.
        let scrambled = scramble(first, seed);
        texts.extend((scrambled != *first).then_some((Role::Scrambled, scrambled)));
    }
    if controls.other_input && scenario.inputs.len() > 1 {
        texts.push((Role::OtherInput, first.clone()));
    }
    Ok(texts)
}

/// A filler with which the prompt has `target` tokens, or the longest one below when none fits.
fn neutral(
    target: usize,
    length: impl Fn(&str) -> Result<usize, ModelError>,
) -> Result<String, ModelError> {
    let words: Vec<&str> = FILLER.split(' ').collect();
    // A task of one token takes the place of a sign.
    let mut text = if length(words[0])? <= target { words[0] } else { "." }.to_owned();
    for word in words.iter().cycle().skip(1) {
        let longer = format!("{text} {word}");
        if length(&longer)? > target {
            break;
        }
        text = longer;
    }
    // What is still missing is less than a word of the filler.
    while length(&text)? < target {
        let mut found = None;
        for pad in PADS {
            let padded = format!("{text}{pad}");
            if length(&padded)? <= target {
                found = Some(padded);
                break;
            }
        }
        match found {
            Some(padded) => text = padded,
            None => break,
        }
    }
    Ok(text)
}

/// The words in an order drawn by the seed: never the order they had, unless all are one word.
fn scramble(text: &str, seed: u64) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    for draw in 0..64 {
        let mut order: Vec<(String, usize)> = (0..words.len())
            .map(|i| (hex_sha256(format!("scramble {seed} {draw} {i} {text:?}").as_bytes()), i))
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

    #[test]
    fn a_neutral_prefix_is_as_long_as_it_should_be() {
        let length = |text: &str| Ok(text.split_inclusive([' ', '.', ',']).count());
        for target in 1..60 {
            let text = neutral(target, length).unwrap();
            assert_eq!(length(&text).unwrap(), target, "{text}");
        }
    }
}

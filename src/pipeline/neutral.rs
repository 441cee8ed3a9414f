//! Neutral prefixes of the length of a task: for each input, a filler with which the prompt has as
//! many tokens as with the task, so that the input has the same positions in both.
//!
//! One filler fits most inputs. Where nothing stands between task and input, the last word of one
//! and the first letters of the other may be one token or several, and each input has its own.

use rayon::prelude::*;

use super::error::PlanError;
use super::template::Template;
use super::{Input, Scenario, Task};
use crate::model::{ModelError, Tokenizer};
use crate::monitor::Monitor;

/// What a neutral prefix is made of: words that ask for nothing.
const FILLER: &str = "Here is a short text about a few things. It is given as it is, and that is \
    all there is to it. There is no more to say about it here, so it goes on in the same way.";

/// Words tried one by one to make a neutral prefix exactly as long as a task.
const PADS: [&str; 8] = [" it", " is", " so", " and", " the", ".", ",", " a"];

/// How many fillers are tried for an input at most when counting words has not led to one.
const TRIES: usize = 48;

/// How many words are taken back to try others in their place.
const TAKEN_BACK: usize = 3;

/// What a prompt's length depends on beside its task and input.
#[derive(Clone, Copy)]
pub(super) struct Ruler<'a> {
    pub(super) template: &'a Template,
    pub(super) tokenizer: &'a Tokenizer,
    /// Positions of the model: a longer prompt cannot be run, and how much longer it is does not
    /// matter.
    pub(super) limit: usize,
}

/// A neutral prefix and whether the prompt has as many tokens as with the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filler {
    pub(super) text: String,
    pub(super) fits: bool,
}

/// The filler that an input has for a task instead of the others' one.
#[derive(Debug)]
pub(super) struct Own {
    /// The input, counted from 0.
    pub(super) i: u64,
    /// Its id.
    pub(super) input: String,
    /// The task, counted from 0.
    pub(super) task: usize,
    pub(super) filler: Filler,
}

impl Ruler<'_> {
    /// The inputs for which a task's filler does not fit, in order, with the fillers that each has
    /// instead; `fillers` has one for each task.
    pub(super) fn others(
        self,
        scenario: &Scenario,
        fillers: &[String],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Own>, PlanError> {
        let tasks = || fillers.iter().zip(&scenario.tasks).enumerate();
        let inputs = (0..).zip(scenario.inputs.read()).par_bridge();
        let of_input = |(i, input): (u64, Result<Input, _>)| -> Result<Vec<Own>, PlanError> {
            if monitor.is_interrupted() {
                return Err(PlanError::Interrupted);
            }
            let input = input?;
            let mut own = Vec::new();
            for (t, (filler, task)) in tasks() {
                if let Some(filler) = self.other(filler, task, &input)? {
                    own.push(Own { i, input: input.id.clone(), task: t, filler });
                }
            }
            Ok(own)
        };
        let both = |mut a: Vec<Own>, mut b: Vec<Own>| {
            a.append(&mut b);
            Ok(a)
        };
        let mut others = inputs.map(of_input).try_reduce(Vec::new, both)?;
        others.sort_unstable_by_key(|own| (own.i, own.task));
        Ok(others)
    }

    /// The filler for a task and an input.
    pub(super) fn filler(self, task: &Task, input: &Input) -> Result<String, ModelError> {
        let target = self.length(&task.wordings[0], input)?;
        Ok(self.search(target.min(self.limit + 1), input, None)?.text)
    }

    /// Another filler for another input when `filler` does not fit there; `None` when it does, or
    /// when the prompt is too long to be run.
    fn other(self, filler: &str, task: &Task, input: &Input) -> Result<Option<Filler>, ModelError> {
        let target = self.length(&task.wordings[0], input)?;
        if target > self.limit || self.length(filler, input)? == target {
            return Ok(None);
        }
        self.search(target, input, Some(filler.split(' ').count())).map(Some)
    }

    fn search(
        self,
        target: usize,
        input: &Input,
        near: Option<usize>,
    ) -> Result<Filler, ModelError> {
        Search { target, length: |text: &str| self.length(text, input) }.filler(near)
    }

    /// Tokens of the prompt with this text in the place of a task; of one that cannot be run no more
    /// than that it is too long.
    fn length(self, task: &str, input: &Input) -> Result<usize, ModelError> {
        let text = self.template.fill(task, &input.text).text;
        if self.tokenizer.too_long(&text).is_some() {
            return Ok(self.limit + 1);
        }
        let n = self.tokenizer.encode(&text, 0..0)?.ids.len();
        Ok(n.min(self.limit + 1))
    }
}

/// A search for a filler with which the prompt has `target` tokens.
struct Search<L> {
    target: usize,
    /// Tokens of the prompt with a filler.
    length: L,
}

impl<L: Fn(&str) -> Result<usize, ModelError>> Search<L> {
    /// A filler that fits, or the longest that is too short. `near` is how many words it has, about.
    fn filler(&self, near: Option<usize>) -> Result<Filler, ModelError> {
        // A task of one token takes the place of a sign.
        let first = first_word();
        let head = if (self.length)(first)? <= self.target { first } else { "." };
        let n = self.most_words(head, near.unwrap_or(1).max(1))?;
        // What is still missing is less than a word of the filler.
        let mut tries = TRIES;
        for back in 0..=TAKEN_BACK.min(n - 1) {
            let text = words(head, n - back);
            let length = (self.length)(&text)?;
            if let Some(text) = self.padded(&text, length, &mut tries)? {
                return Ok(Filler { text, fits: true });
            }
        }
        Ok(Filler { text: words(head, n), fits: false })
    }

    /// The most words with which the prompt is not too long, at least one: each word adds a token or
    /// more. Steps away from `near`, each step twice as long as the one before, then halves what is
    /// left, so that few prompts are tokenised.
    fn most_words(&self, head: &str, near: usize) -> Result<usize, ModelError> {
        // `short` words are not too many, `long` words are.
        let (mut short, mut long) = (1, self.target + 2);
        let (mut n, mut step) = (near.clamp(1, self.target + 1), 1);
        while short + 1 < long {
            if (self.length)(&words(head, n))? <= self.target {
                short = n;
                n += step;
            } else {
                long = n;
                n = n.saturating_sub(step);
            }
            step *= 2;
            if n <= short || n >= long {
                n = usize::midpoint(short, long);
            }
        }
        Ok(short)
    }

    /// The text, which makes the prompt `length` tokens long, with pads behind it that make it fit;
    /// `None` when there are none, or no `tries` left.
    fn padded(
        &self,
        text: &str,
        length: usize,
        tries: &mut usize,
    ) -> Result<Option<String>, ModelError> {
        if length >= self.target {
            return Ok((length == self.target).then(|| text.to_owned()));
        }
        for pad in PADS {
            if *tries == 0 {
                return Ok(None);
            }
            *tries -= 1;
            let longer = format!("{text}{pad}");
            let then = (self.length)(&longer)?;
            // A pad that only joins what is there leads nowhere.
            if then > length
                && let Some(found) = self.padded(&longer, then, tries)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn first_word() -> &'static str {
    FILLER.split(' ').next().unwrap_or_default()
}

/// `head` and the words of the filler after its first, `n` in all, over and over.
fn words(head: &str, n: usize) -> String {
    let mut text = head.to_owned();
    for word in FILLER.split(' ').cycle().skip(1).take(n.saturating_sub(1)) {
        text.push(' ');
        text.push_str(word);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_neutral_prefix_is_as_long_as_it_should_be_wherever_the_search_begins() {
        let length = |text: &str| Ok(text.split_inclusive([' ', '.', ',']).count());
        for target in 1..60 {
            let filler = Search { target, length }.filler(None).unwrap();
            assert!(filler.fits && length(&filler.text).unwrap() == target, "{}", filler.text);
            for near in [1, 7, 40, 90] {
                let other = Search { target, length }.filler(Some(near)).unwrap();
                assert_eq!(other, filler, "from {near} words");
            }
        }
    }

    #[test]
    fn a_filler_is_found_by_other_words_where_the_last_one_joins_what_follows() {
        // Only a text that ends in a comma has as many tokens as it should.
        let length =
            |text: &str| Ok(text.split(' ').count() * 2 + usize::from(text.ends_with(',')));
        let filler = Search { target: 9, length }.filler(None).unwrap();
        assert_eq!(filler, Filler { text: "Here is a short,".to_owned(), fits: true });
        let filler = Search { target: 9, length: |text: &str| Ok(text.split(' ').count() * 2) };
        let filler = filler.filler(None).unwrap();
        assert_eq!(filler, Filler { text: "Here is a short".to_owned(), fits: false });
    }

    #[test]
    fn few_prompts_are_tokenised_for_a_long_filler() {
        let calls = Cell::new(0);
        let length = |text: &str| {
            calls.set(calls.get() + 1);
            Ok(text.split(' ').count())
        };
        let filler = Search { target: 100_000, length }.filler(None).unwrap();
        assert!(filler.fits && calls.get() < 50, "{} calls", calls.get());
    }
}

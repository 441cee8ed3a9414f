//! Texts that ask for nothing, of any length: whole sentences as far as the number of tokens allows.
//!
//! A text is made of the sentences of one family, so that two texts for the same task share none. Where
//! no sentence makes it exactly as long as it should be, words of the family's sentences do, and then
//! single words and signs behind them: such a text may end anywhere.

use super::error::PlanError;

/// Sentences of one text each: no question, no demand, nothing of a picture's things, colours, places
/// or numbers. In each family one sentence of each number of words, from one on.
pub(super) const FAMILIES: [[&str; 12]; 4] = [
    [
        "Right.",
        "So then.",
        "Here it is.",
        "Here is a text.",
        "This is a short text.",
        "Here is a text about something.",
        "A text like this one may follow.",
        "It is given as it is for now.",
        "There is no more to say about it here.",
        "It goes on in the same way as it did.",
        "Some texts are short and some of them go on longer.",
        "What is said here is said and it is left like that.",
    ],
    [
        "Well.",
        "And so.",
        "That is that.",
        "Some words come first.",
        "Then the rest comes after.",
        "These are words and no more.",
        "Words like these stand in many texts.",
        "They come one after the other as usual.",
        "After these words there are some others to read.",
        "Nothing has to be done with what is said above.",
        "In a while the next part of all this comes along.",
        "People write such things now and then when they have the time.",
    ],
    [
        "Now.",
        "Very well.",
        "As it were.",
        "Now we go on.",
        "It was written some day.",
        "Many a note begins like this.",
        "A note can be long or short.",
        "Somebody wrote it down and put it away.",
        "Later it was found again and it was kept.",
        "For the most part a note is just a note.",
        "One reads it from the beginning and then to its end.",
        "Such a note has been made every week for a long time.",
    ],
    [
        "Okay.",
        "Of course.",
        "By the way.",
        "What follows is given.",
        "As always there is more.",
        "A few lines are given next.",
        "Lines of this kind are rather common.",
        "Most of us have read them before today.",
        "They are here because something has to be here.",
        "It makes no difference who wrote them all or why.",
        "If they were left out the rest would be the same.",
        "All in all these lines are there to take up some room.",
    ],
];

/// Most texts that are made for a task: one of each family.
pub(crate) const MOST_MADE: usize = FAMILIES.len();

/// These sentences make up the first part of a long text: not the longest, so that with a token more
/// than they have, there is a sentence for the last one's place.
const LONGER: std::ops::Range<usize> = 5..11;

/// About how many words those have.
const WORDS: usize = 8;

/// Words tried one by one to make a text exactly as long as it should be.
const PADS: [&str; 8] = [" it", " is", " so", " and", " the", ".", ",", " a"];

/// How many texts of whole sentences, and how many others, are tried at most.
const TRIES: usize = 48;

/// How many sentences, or words, are taken back to try others in their place.
const TAKEN_BACK: usize = 3;

/// A neutral prefix and whether the prompt has as many tokens as with the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filler {
    pub(super) text: String,
    pub(super) fits: bool,
}

/// A search for a filler with which the prompt has `target` tokens.
pub(super) struct Search<L> {
    /// Whose sentences, of [`FAMILIES`].
    pub(super) family: usize,
    pub(super) target: usize,
    /// Tokens of the prompt with a filler.
    pub(super) length: L,
}

impl<L: Fn(&str) -> Result<usize, PlanError>> Search<L> {
    /// A filler that fits, or the longest that is too short. `near` is how many words it has, about.
    pub(super) fn filler(&self, near: Option<usize>) -> Result<Filler, PlanError> {
        let near = near.unwrap_or(1).max(1);
        if let Some(text) = self.whole(near)? {
            return Ok(Filler { text, fits: true });
        }
        // A task of one token takes the place of a sign.
        let first = self.words("", 1);
        let head = if (self.length)(&first)? <= self.target { first.as_str() } else { "." };
        let n = self.most(near, &|n| self.words(head, n))?;
        // What is still missing is less than a word.
        let mut tries = TRIES;
        for back in 0..=TAKEN_BACK.min(n - 1) {
            let text = self.words(head, n - back);
            let length = (self.length)(&text)?;
            if let Some(text) = self.padded(&text, length, &mut tries)? {
                return Ok(Filler { text, fits: true });
            }
        }
        Ok(Filler { text: self.words(head, n), fits: false })
    }

    /// A text of whole sentences that fits: as many of the longer ones as there is room for, and one
    /// of any length behind them.
    fn whole(&self, near: usize) -> Result<Option<String>, PlanError> {
        let sentences = &FAMILIES[self.family];
        let n = self.most((near / WORDS).max(1), &|n| self.sentences(n))?;
        let mut tries = TRIES;
        for back in 0..=TAKEN_BACK.min(n) {
            let start = self.sentences(n - back);
            let length = (self.length)(&start)?;
            if length == self.target && !start.is_empty() {
                return Ok(Some(start));
            }
            if length >= self.target {
                continue;
            }
            // Sentences have about a token a word and one for the full stop: those of that length first.
            let missing = self.target - length;
            let mut order: Vec<usize> = (0..sentences.len()).collect();
            order.sort_by_key(|i| (i + 2).abs_diff(missing));
            for i in order {
                if tries == 0 {
                    return Ok(None);
                }
                tries -= 1;
                let text = joined(&start, sentences[i]);
                if (self.length)(&text)? == self.target {
                    return Ok(Some(text));
                }
            }
        }
        Ok(None)
    }

    /// `n` of the longer sentences, over and over.
    fn sentences(&self, n: usize) -> String {
        let longer = FAMILIES[self.family][LONGER].iter().copied();
        longer.cycle().take(n).collect::<Vec<_>>().join(" ")
    }

    /// `n` words of the sentences from the middle ones on, over and over; `head`, if there is one, in
    /// the place of the first.
    fn words(&self, head: &str, n: usize) -> String {
        let sentences = FAMILIES[self.family][LONGER].iter();
        let words = sentences.flat_map(|sentence| sentence.split(' ')).cycle().take(n);
        let words = words.enumerate();
        let word = |(i, word)| if i == 0 && !head.is_empty() { head } else { word };
        words.map(word).collect::<Vec<_>>().join(" ")
    }

    /// The largest number, at least one, with which the text is not too long: each part adds a token or
    /// more. Steps away from `near`, each step twice as long as the one before, then halves what is
    /// left, so that few prompts are tokenised.
    fn most(&self, near: usize, text: &dyn Fn(usize) -> String) -> Result<usize, PlanError> {
        // `short` parts are not too many, `long` parts are.
        let (mut short, mut long) = (1, self.target + 2);
        let (mut n, mut step) = (near.clamp(1, self.target + 1), 1);
        while short + 1 < long {
            if (self.length)(&text(n))? <= self.target {
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
    ) -> Result<Option<String>, PlanError> {
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

fn joined(start: &str, sentence: &str) -> String {
    if start.is_empty() { sentence.to_owned() } else { format!("{start} {sentence}") }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Words, and signs at their ends.
    #[allow(clippy::unnecessary_wraps, reason = "a tokenizer may fail")]
    fn tokens(text: &str) -> Result<usize, PlanError> {
        let signs = text.chars().filter(|c| matches!(c, '.' | ',')).count();
        Ok(text.split_whitespace().count() + signs)
    }

    fn filler(family: usize, target: usize, near: Option<usize>) -> Filler {
        Search { family, target, length: tokens }.filler(near).unwrap()
    }

    #[test]
    fn each_family_has_a_sentence_of_every_length_and_no_two_share_one() {
        let mut all = Vec::new();
        for family in FAMILIES {
            for (i, sentence) in family.iter().enumerate() {
                assert_eq!(sentence.split(' ').count(), i + 1, "{sentence}");
                assert!(sentence.ends_with('.') && !sentence.contains('?'), "{sentence}");
                all.push(*sentence);
            }
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 48);
    }

    #[test]
    fn a_neutral_prefix_is_as_long_as_it_should_be_wherever_the_search_begins() {
        for family in 0..FAMILIES.len() {
            for target in 1..120 {
                let found = filler(family, target, None);
                assert!(found.fits && tokens(&found.text).unwrap() == target, "{}", found.text);
                for near in [1, 7, 40, 90] {
                    assert_eq!(filler(family, target, Some(near)), found, "from {near} words");
                }
            }
        }
    }

    #[test]
    fn it_is_whole_sentences_where_there_is_room_for_one() {
        for (family, sentences) in FAMILIES.iter().enumerate() {
            for target in 2..150 {
                let text = filler(family, target, None).text;
                assert!(text.ends_with('.'), "{target}: {text}");
                for sentence in text.split_inclusive('.') {
                    assert!(sentences.contains(&sentence.trim()), "{target}: {text}");
                }
            }
        }
        assert_eq!(filler(0, 7, None).text, "Here is a text about something.");
    }

    #[test]
    fn a_filler_is_found_by_other_words_where_the_last_one_joins_what_follows() {
        // Only a text that ends in a comma has as many tokens as it should.
        let length =
            |text: &str| Ok(text.split(' ').count() * 2 + usize::from(text.ends_with(',')));
        let found = Search { family: 0, target: 9, length }.filler(None).unwrap();
        assert_eq!(found, Filler { text: "Here is a text,".to_owned(), fits: true });
        let length = |text: &str| Ok(text.split(' ').count() * 2);
        let found = Search { family: 0, target: 9, length }.filler(None).unwrap();
        assert_eq!(found, Filler { text: "Here is a text".to_owned(), fits: false });
    }

    #[test]
    fn few_prompts_are_tokenised_for_a_long_filler() {
        let calls = Cell::new(0);
        let length = |text: &str| {
            calls.set(calls.get() + 1);
            tokens(text)
        };
        let found = Search { family: 1, target: 100_000, length }.filler(None).unwrap();
        assert!(found.fits && calls.get() < 90, "{} calls", calls.get());
    }
}

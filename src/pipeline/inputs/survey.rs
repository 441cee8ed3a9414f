//! What is odd about many texts: counted on the way, with the first of each kind.

use super::duplicates::Ids;
use super::input::Input;
use crate::prompt::is_hidden;

/// Endings of files of texts.
const ENDINGS: [&str; 6] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"];

/// Endings of packed ones.
const PACKED: [&str; 2] = [".gz", ".zst"];

/// Something odd about a text: it is used as it is, and was perhaps not meant so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Odd {
    /// It holds `{task}` or `{input}`, which mean nothing in it.
    Placeholder,
    /// It holds a backslash and a letter in the place of a line break or a tab.
    Escape,
    /// It ends in a line break.
    LineBreak,
    /// It begins or ends with another blank.
    Blank,
    /// It holds a character without a shape, or a blank that is none of ASCII.
    Hidden,
    /// It looks like the name of a file of texts.
    FileName,
}

impl Odd {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Placeholder,
        Self::Escape,
        Self::LineBreak,
        Self::Blank,
        Self::Hidden,
        Self::FileName,
    ];

    /// Whether a text is odd in this way.
    pub fn is_in(self, text: &str) -> bool {
        match self {
            Self::Placeholder => text.contains("{task}") || text.contains("{input}"),
            Self::Escape => has_escape(text),
            Self::LineBreak => text.ends_with(['\n', '\r']),
            Self::Blank => {
                text.trim_start().len() < text.len() || text.trim_end_matches([' ', '\t']) != text
            }
            Self::Hidden => text.chars().any(is_odd),
            Self::FileName => looks_like_file_name(text),
        }
    }
}

/// Whether a backslash stands in front of `n`, `t` or `r` where no longer word begins, as in `\nabla`.
fn has_escape(text: &str) -> bool {
    text.match_indices('\\').any(|(at, _)| {
        let mut after = text[at + 1..].chars();
        matches!(after.next(), Some('n' | 't' | 'r'))
            && after.next().is_none_or(|c| !c.is_ascii_lowercase())
    })
}

/// Joiners and variants of emoji and of Indian scripts have no shape and are meant.
fn is_odd(c: char) -> bool {
    match c {
        '\n' | '\t' | '\u{3000}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => false,
        c => is_hidden(c) || (c.is_whitespace() && !c.is_ascii()),
    }
}

/// Whether a text looks like the name of a file of texts: one word with such an ending.
pub(crate) fn looks_like_file_name(text: &str) -> bool {
    has_file_ending(text) && !text.trim().contains(char::is_whitespace)
}

/// Whether a text ends as the name of a file of texts does.
pub(crate) fn has_file_ending(text: &str) -> bool {
    let start = text.floor_char_boundary(text.len().saturating_sub(16));
    let word = text[start..].trim().to_lowercase();
    let word = PACKED.iter().find_map(|packed| word.strip_suffix(packed)).unwrap_or(&word);
    ENDINGS.iter().any(|ending| word.ends_with(ending))
}

/// What is odd about the texts of inputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Each kind that was found: how many texts are odd in that way, and the id of the first.
    pub odd: Vec<(Odd, u64, String)>,
    /// How many inputs have the text of an earlier one.
    pub repeats: u64,
    /// The first of them: the earlier input and the later one, counted from 0.
    pub first_repeat: Option<(u64, u64)>,
}

/// A survey under way.
#[derive(Debug, Default)]
pub(super) struct Surveying {
    survey: Survey,
    texts: Ids,
}

impl Surveying {
    pub(super) fn add(&mut self, input: &Input) {
        let Input { id, text, .. } = input;
        self.texts.add(Some(text));
        for odd in Odd::ALL {
            if odd == Odd::Blank || !odd.is_in(text) {
                continue;
            }
            match self.survey.odd.iter_mut().find(|(known, ..)| *known == odd) {
                Some((_, n, _)) => *n += 1,
                None => self.survey.odd.push((odd, 1, id.clone())),
            }
        }
    }

    pub(super) fn finish(mut self) -> Survey {
        let (pairs, n) = self.texts.suspicious(1);
        self.survey.repeats = n;
        self.survey.first_repeat = pairs.first().copied();
        self.survey.odd.sort();
        self.survey
    }
}

/// The survey of inputs that are at hand.
pub(super) fn survey(inputs: &[Input]) -> Survey {
    let mut surveying = Surveying::default();
    for input in inputs {
        surveying.add(input);
    }
    surveying.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_texts_are_told_from_others() {
        let odd =
            |text: &str| Odd::ALL.into_iter().filter(|odd| odd.is_in(text)).collect::<Vec<_>>();
        assert_eq!(odd("Where is {input}?"), [Odd::Placeholder]);
        assert_eq!(odd(r"one\n\nTwo\t"), [Odd::Escape]);
        assert_eq!(odd("a\n"), [Odd::LineBreak]);
        assert_eq!(odd("a "), [Odd::Blank]);
        assert_eq!(odd("\ta"), [Odd::Blank]);
        assert_eq!(odd("a\u{a0}b\u{200b}"), [Odd::Hidden]);
        assert_eq!(odd("data/inputs.CSV.gz"), [Odd::FileName]);
        for text in [r"\nabla \text C:\new", "👩\u{200d}👧 ❤\u{fe0f} {x}", "see data.csv", "a\nb"]
        {
            assert_eq!(odd(text), [], "{text}");
        }
    }

    #[test]
    fn repeated_texts_are_counted_and_the_first_named() {
        let input = |id: &str, text: &str| Input {
            id: id.to_owned(),
            text: text.to_owned(),
            cluster: None,
        };
        let inputs = [input("a", "x"), input("b", "y\n"), input("c", "x"), input("d", "x")];
        let found = survey(&inputs);
        assert_eq!((found.repeats, found.first_repeat), (2, Some((0, 2))));
        assert_eq!(found.odd, [(Odd::LineBreak, 1, "b".to_owned())]);
    }
}

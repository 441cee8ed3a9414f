//! What is odd about many texts: counted on the way, with the first of each kind.

use super::duplicates::Ids;
use super::input::Input;
use crate::math::DisjointSets;
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

/// What is odd about the texts of inputs, and which of them are one piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Each kind that was found: how many texts are odd in that way, and the id of the first.
    pub odd: Vec<(Odd, u64, String)>,
    /// How many inputs have the text of an earlier one.
    pub repeats: u64,
    /// The first of them: the earlier input and the later one, counted from 0.
    pub first_repeat: Option<(u64, u64)>,
    /// How many clusters the inputs are: those with one value in the column of clusters, or with one
    /// text, are one, and whatever these are joined to.
    pub clusters: u64,
    /// For each input the number of its cluster, in the order in which they appear; empty when each
    /// input is its own.
    cluster_of: Vec<u32>,
}

impl Survey {
    /// The cluster of an input, counted from 0; equal for inputs that are one piece of evidence.
    pub fn cluster(&self, input: u64) -> u64 {
        let at = usize::try_from(input).ok();
        at.and_then(|at| self.cluster_of.get(at)).map_or(input, |cluster| u64::from(*cluster))
    }
}

/// A survey under way.
#[derive(Debug, Default)]
pub(super) struct Surveying {
    survey: Survey,
    texts: Ids,
    clusters: Ids,
    has_clusters: bool,
}

impl Surveying {
    pub(super) fn add(&mut self, input: &Input) {
        let Input { id, text, cluster } = input;
        self.texts.add(Some(text));
        self.add_cluster(cluster.as_deref());
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

    /// Takes in the next input's cluster: of inputs without any nothing is kept.
    fn add_cluster(&mut self, cluster: Option<&str>) {
        if cluster.is_some() && !self.has_clusters {
            self.has_clusters = true;
            (1..self.texts.rows()).for_each(|_| self.clusters.add(None));
        }
        if self.has_clusters {
            self.clusters.add(cluster);
        }
    }

    pub(super) fn finish(mut self) -> Survey {
        let (pairs, n) = self.texts.suspicious(1);
        self.survey.repeats = n;
        self.survey.first_repeat = pairs.first().copied();
        self.survey.odd.sort();
        self.survey.clusters = self.texts.rows();
        if n > 0 || self.has_clusters {
            let mut sets = DisjointSets::new(self.texts.rows() as usize);
            let mut join = |a: u64, b: u64| sets.join(a as usize, b as usize);
            self.texts.repeats(&mut join);
            self.clusters.repeats(&mut join);
            let (numbers, count) = sets.numbers();
            self.survey.clusters = count as u64;
            self.survey.cluster_of = numbers;
        }
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
        assert_eq!((found.clusters, found.cluster_of.as_slice()), (2, &[0, 1, 0, 0][..]));
        assert_eq!(found.odd, [(Odd::LineBreak, 1, "b".to_owned())]);
    }

    #[test]
    fn inputs_of_one_cluster_or_text_are_counted_once() {
        let clusters = |inputs: &[(&str, Option<&str>)]| {
            let input = |(text, cluster): &(&str, Option<&str>)| Input {
                id: String::new(),
                text: (*text).to_owned(),
                cluster: cluster.map(str::to_owned),
            };
            let found = survey(&inputs.iter().map(input).collect::<Vec<_>>());
            let of = (0..inputs.len() as u64).map(|i| found.cluster(i)).collect::<Vec<_>>();
            (found.clusters, of)
        };
        assert_eq!(clusters(&[("a", None), ("b", None)]), (2, vec![0, 1]));
        // The third joins the second, whose text it has, to the last, whose cluster it is of.
        let joined = [("a", None), ("b", None), ("b", Some("x")), ("c", None), ("d", Some("x"))];
        assert_eq!(clusters(&joined), (3, vec![0, 1, 1, 2, 1]));
        assert_eq!(clusters(&[("a", Some("x")), ("b", Some("x"))]), (1, vec![0, 0]));
        assert_eq!(clusters(&[("x", Some("a")), ("b", Some("x"))]), (2, vec![0, 1]));
    }
}

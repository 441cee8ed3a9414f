//! Which shards of a plan a process does beside others.

use std::fmt;
use std::str::FromStr;

use super::share::Share;

/// Shards by their numbers: `3,7,12-20`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardList {
    /// First and last of each range, ascending, with a gap between one and the next.
    ranges: Vec<(u32, u32)>,
}

/// A text that lists no shards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardListError {
    /// Neither a number nor a range.
    #[error("'{0}' is no list of shards: write numbers and ranges from 0 on, as in 3,7,12-20")]
    Shape(String),
    /// The range ends before it begins.
    #[error("the range '{0}' ends before it begins: write the smaller number first")]
    Backwards(String),
}

impl ShardList {
    /// Whether the shard is in the list.
    pub fn holds(&self, part: u32) -> bool {
        let next = self.ranges.partition_point(|(first, _)| *first <= part);
        next.checked_sub(1).is_some_and(|at| part <= self.ranges[at].1)
    }

    /// How many shards it lists; more than 4 billion count as that.
    pub fn len(&self) -> u32 {
        let of = |(first, last): &(u32, u32)| (last - first).saturating_add(1);
        self.ranges.iter().map(of).fold(0, u32::saturating_add)
    }

    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The largest number in it.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|(_, last)| *last)
    }
}

impl FromIterator<u32> for ShardList {
    /// In any order, each any number of times.
    fn from_iter<I: IntoIterator<Item = u32>>(parts: I) -> Self {
        parts.into_iter().map(|part| (part, part)).collect()
    }
}

impl FromIterator<(u32, u32)> for ShardList {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(ranges: I) -> Self {
        let mut all: Vec<(u32, u32)> = ranges.into_iter().collect();
        all.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for (first, last) in all {
            match ranges.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }
}

impl FromStr for ShardList {
    type Err = ShardListError;

    fn from_str(text: &str) -> Result<Self, ShardListError> {
        let shape = || ShardListError::Shape(text.to_owned());
        let number = |digits: &str| {
            // `parse` would take a sign too.
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten().ok_or_else(shape)
        };
        let range = |piece: &str| {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(ShardListError::Backwards(piece.to_owned()));
            }
            Ok((first, last))
        };
        text.split(',').map(range).collect()
    }
}

impl fmt::Display for ShardList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// The shards that a process does beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which of them.
    pub of: Shards,
    /// Whether it leaves those that other processes are working on to them. Else it waits, and does what they
    /// leave undone.
    pub joins: bool,
}

/// Some of a plan's shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shards {
    /// All.
    All,
    /// A share.
    Share(Share),
    /// These.
    Listed(ShardList),
}

impl Chosen {
    /// Whether the shard is one of them.
    pub fn holds(&self, part: u32) -> bool {
        match &self.of {
            Shards::All => true,
            Shards::Share(share) => share.holds(part),
            Shards::Listed(list) => list.holds(part),
        }
    }

    /// How many of a run's `shards` they are.
    pub fn count(&self, shards: u32) -> u32 {
        match &self.of {
            Shards::All => shards,
            Shards::Share(share) => share.count(shards),
            Shards::Listed(list) => list.len().min(shards),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joins = if self.joins { "whatever is free" } else { "" };
        match (&self.of, self.joins) {
            (Shards::All, true) => f.write_str(joins),
            (Shards::All, false) => f.write_str("all shards"),
            (Shards::Share(share), true) => write!(f, "{joins} of share {share}"),
            (Shards::Share(share), false) => write!(f, "share {share}"),
            (Shards::Listed(list), true) => write!(f, "{joins} of shards {list}"),
            (Shards::Listed(list), false) => write!(f, "shards {list}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> ShardList {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_is_written_as_short_as_can_be() {
        for (text, short) in [
            ("3,7,12-20", "3,7,12-20"),
            ("5,4,3,3-4", "3-5"),
            ("0-2,3,9,8", "0-3,8-9"),
            ("1-9,2-3,20", "1-9,20"),
            ("4294967295,4294967294", "4294967294-4294967295"),
        ] {
            assert_eq!(list(text).to_string(), short);
            assert_eq!(list(short), list(text));
        }
        assert_eq!([7, 5, 6, 5].into_iter().collect::<ShardList>().to_string(), "5-7");
        assert_eq!(ShardList::default().to_string(), "");
    }

    #[test]
    fn a_list_holds_what_it_names() {
        let list = list("3,7,12-20");
        let held: Vec<u32> = (0..30).filter(|part| list.holds(*part)).collect();
        assert_eq!(held, [[3, 7].to_vec(), (12..=20).collect()].concat());
        assert_eq!((list.len(), list.last()), (11, Some(20)));
        assert_eq!("0-4294967295".parse::<ShardList>().unwrap().len(), u32::MAX);
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_rule() {
        for text in ["", "a", "1,", ",1", "1--2", "-1", "+1", "1-", "1 2", "99999999999"] {
            let refused = text.parse::<ShardList>().unwrap_err().to_string();
            assert!(refused.contains("as in 3,7,12-20"), "{text}: {refused}");
        }
        let refused = "1,9-7".parse::<ShardList>().unwrap_err().to_string();
        assert!(refused.contains("'9-7' ends before it begins"), "{refused}");
    }
}

//! A share of a plan: which of its shards one of several processes does.

use std::fmt;
use std::str::FromStr;

/// The shards whose number leaves `k` when divided by `n`: every shard is in one of the shares
/// `0/n` to `n-1/n`, however many shards there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    k: u32,
    n: u32,
}

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// Not two numbers.
    #[error("'{0}' is no share: write K/N, as in 0/3 for the first of three")]
    Shape(String),
    /// No share at all.
    #[error("'{0}' divides the shards into no shares: N in K/N must be 1 or more")]
    None(String),
    /// Counted from 1, most likely.
    #[error("'{text}' is not one of the shares 0/{n} to {last}/{n}: K in K/N is counted from 0")]
    Beyond {
        /// What was written.
        text: String,
        /// How many shares there are.
        n: u32,
        /// The last one's number.
        last: u32,
    },
}

impl Share {
    /// Whether the shard belongs to it.
    pub fn holds(self, part: u32) -> bool {
        part % self.n == self.k
    }

    /// How many of a run's `shards` belong to it.
    pub fn count(self, shards: u32) -> u32 {
        shards / self.n + u32::from(shards % self.n > self.k)
    }

    /// How many shares there are.
    pub fn n(self) -> u32 {
        self.n
    }

    /// The share among `n` that a shard belongs to.
    pub(crate) fn of(part: u32, n: u32) -> Self {
        Self { k: part % n, n }
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let shape = || ShareError::Shape(text.to_owned());
        let number = |digits: &str| {
            // `parse` would take a sign too.
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten().ok_or_else(shape)
        };
        let (k, n) = text.split_once('/').ok_or_else(shape)?;
        let (k, n) = (number(k)?, number(n)?);
        if n == 0 {
            return Err(ShareError::None(text.to_owned()));
        }
        if k >= n {
            return Err(ShareError::Beyond { text: text.to_owned(), n, last: n - 1 });
        }
        Ok(Self { k, n })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.k, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_in_exactly_one_share() {
        let shares: Vec<Share> = (0..3).map(|k| format!("{k}/3").parse().unwrap()).collect();
        for part in 0..20 {
            let holders: Vec<_> = shares.iter().filter(|share| share.holds(part)).collect();
            assert_eq!(holders, [&Share::of(part, 3)]);
        }
    }

    #[test]
    fn a_share_counts_the_shards_that_it_holds() {
        for (k, n, shards) in [(0, 3, 0), (0, 3, 1), (1, 3, 1), (2, 3, 20), (1, 3, 20), (0, 1, 7)] {
            let share = Share { k, n };
            let held = (0..shards).filter(|part| share.holds(*part)).count();
            assert_eq!(share.count(shards) as usize, held, "{share} of {shards}");
        }
    }

    #[test]
    fn a_share_is_written_as_it_is_read() {
        assert_eq!("11/12".parse::<Share>().unwrap().to_string(), "11/12");
    }

    #[test]
    fn what_is_no_share_is_refused_with_the_rule() {
        let refused = |text: &str| text.parse::<Share>().unwrap_err().to_string();
        for text in ["", "3", "a/b", "1/2/3", "-1/3", "+1/3", "1/", "/3", " 1/3", "1/99999999999"] {
            assert!(refused(text).contains("write K/N"), "{text}");
        }
        assert!(refused("0/0").contains("1 or more"));
        assert!(refused("3/3").contains("0/3 to 2/3"));
    }
}

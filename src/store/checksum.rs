//! A fast checksum: what shows that a file is still the one that was written, each time it is read.
//!
//! SHA-256 is what proves a file to others; it costs as much as the analyses that read the file.
//! XXH3 costs less than reading does, and nobody is expected to forge these files.

use std::hash::Hasher as _;
use std::io::{self, Read};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use twox_hash::XxHash3_64;

use super::hash::{each_piece, to_hex};

/// XXH3 (64 bits) of some bytes; in JSON 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum(u64);

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let number = u64::from_str_radix(&text, 16).ok();
        let number = number.filter(|_| text.len() == 16 && text.bytes().all(is_hex));
        number.map(Self).ok_or_else(|| D::Error::custom("a checksum has 16 hex digits"))
    }
}

/// A checksum that is being computed.
#[derive(Default)]
pub(super) struct Summing(XxHash3_64);

impl Summing {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(super) fn checksum(&self) -> Checksum {
        Checksum(self.0.finish())
    }
}

impl std::fmt::Debug for Summing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.checksum().fmt(f)
    }
}

/// What tells a file's content from any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    /// Of files that this version wrote.
    Fast(Checksum),
    /// Of files of versions that recorded nothing else.
    Sha256(Box<str>),
}

impl Sum {
    /// Whether what is left to read is `bytes` bytes long and has this sum. No more than a piece of
    /// it is in memory.
    pub(super) fn is_of(&self, bytes: u64, content: impl Read) -> io::Result<bool> {
        match self {
            Self::Fast(checksum) => {
                let mut sum = Summing::default();
                let length = each_piece(content, |piece| sum.update(piece))?;
                Ok(length == bytes && sum.checksum() == *checksum)
            }
            Self::Sha256(sha256) => {
                let mut sum = Sha256::new();
                let length = each_piece(content, |piece| sum.update(piece))?;
                Ok(length == bytes && to_hex(&sum.finalize()) == **sha256)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::hash::PIECE;
    use crate::store::hex_sha256;

    fn sums(bytes: &[u8]) -> [Sum; 2] {
        let mut summing = Summing::default();
        // As it is written: in pieces.
        bytes.chunks(7).for_each(|piece| summing.update(piece));
        [Sum::Fast(summing.checksum()), Sum::Sha256(hex_sha256(bytes).into())]
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes: Vec<u8> = (0..300_u32).map(|i| (i * 37 % 251) as u8).collect();
        for sum in sums(&bytes) {
            assert!(sum.is_of(300, &bytes[..]).unwrap());
            assert!(!sum.is_of(299, &bytes[..]).unwrap() && !sum.is_of(300, &bytes[1..]).unwrap());
            for i in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[i / 8] ^= 1 << (i % 8);
                assert!(!sum.is_of(300, &flipped[..]).unwrap(), "bit {i}");
            }
        }
    }

    #[test]
    fn more_than_a_piece_is_read_to_its_end() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|i| (i % 253) as u8).collect();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 0x40;
        for sum in sums(&bytes) {
            assert!(sum.is_of(bytes.len() as u64, &bytes[..]).unwrap());
            assert!(!sum.is_of(bytes.len() as u64, &flipped[..]).unwrap());
        }
    }

    #[test]
    fn it_is_the_xxh3_of_other_programs_and_reads_back() {
        // As `xxhsum -H3` and Python's xxhash give it.
        let empty = Summing::default().checksum();
        assert_eq!(serde_json::to_string(&empty).unwrap(), "\"2d06800538d394c2\"");
        assert_eq!(serde_json::from_str::<Checksum>("\"2d06800538d394c2\"").unwrap(), empty);
        for wrong in ["\"2d06800538d394c\"", "\"2D06800538D394C2\"", "\"+d06800538d394c2\"", "7"] {
            assert!(serde_json::from_str::<Checksum>(wrong).is_err(), "{wrong}");
        }
    }
}

//! SHA-256, also of what comes piece by piece.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::place::open_file;

/// How many bytes of a file are read at once.
pub(super) const PIECE: usize = 1 << 17;

/// SHA-256 of some bytes, lower-case hex.
pub fn hex_sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// A number from 0 to 2⁵² that the SHA-256 of some bytes draws: every such number is a float64.
pub fn hashed_number(bytes: &[u8]) -> u64 {
    u64::from_str_radix(&hex_sha256(bytes)[..13], 16).expect("thirteen hex digits are a number")
}

/// SHA-256 of a file's content, read in pieces, lower-case hex.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    each_piece(open_file(path)?, |piece| hash.update(piece))?;
    Ok(to_hex(&hash.finalize()))
}

/// Hands over what is left to read, piece by piece; gives its length.
pub(super) fn each_piece(mut content: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok(length),
            Ok(n) => {
                take(&piece[..n]);
                length += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// A SHA-256 that is being computed.
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes in a text in a way that keeps it apart from the next one: its length, then its bytes.
    pub fn update_text(&mut self, text: &str) {
        self.update(&(text.len() as u64).to_le_bytes());
        self.update(text.as_bytes());
    }

    /// The hash.
    pub fn bytes(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The hash, lower-case hex.
    pub fn hex(self) -> String {
        to_hex(&self.bytes())
    }
}

/// A reader that hashes what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    digest: Digest,
}

impl<R: Read> HashingReader<R> {
    /// Nothing is read yet.
    pub fn new(inner: R) -> Self {
        Self { inner, digest: Digest::default() }
    }

    /// The hash of everything: reads what is left.
    pub fn sha256(&mut self) -> io::Result<String> {
        io::copy(self, &mut io::sink())?;
        Ok(self.digest.clone().hex())
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.digest.update(&buf[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::hex_sha256;

    #[test]
    fn pieces_hash_to_the_hash_of_the_whole() {
        let mut reader = HashingReader::new(&b"some bytes"[..]);
        reader.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(reader.sha256().unwrap(), hex_sha256(b"some bytes"));
    }

    #[test]
    fn texts_are_kept_apart() {
        let of = |texts: [&str; 2]| {
            let mut digest = Digest::default();
            for text in texts {
                digest.update_text(text);
            }
            digest.hex()
        };
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
    }
}

//! Sealed JSON: a small file that carries the hash of its own text.
//!
//! What a receipt or `run.json` says is trusted without further checks, so a flipped bit in one must
//! be seen. The last field, `sha256`, is the hash of the text without that field.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::hex_sha256;

const LABEL: &str = ",\n  \"sha256\": \"";
const END: &str = "\"\n}\n";

/// Why a sealed file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenSeal {
    /// Its end is missing.
    Truncated,
    /// It is not the text that was sealed.
    Altered,
}

/// The JSON of `value`, which must be an object with fields, with its seal.
pub fn sealed_json<T: Serialize>(value: &T) -> String {
    let mut body = serde_json::to_string_pretty(value).expect("records serialise");
    body.push('\n');
    let open = body.strip_suffix("\n}\n").expect("a sealed value is an object with fields");
    format!("{open}{LABEL}{}{END}", hex_sha256(body.as_bytes()))
}

/// What a sealed text holds, if no byte of it has changed.
pub fn read_sealed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BrokenSeal> {
    let open = bytes.strip_suffix(END.as_bytes()).ok_or(BrokenSeal::Truncated)?;
    let open = std::str::from_utf8(open).map_err(|_not_text| BrokenSeal::Altered)?;
    let (open, seal) = open.rsplit_once(LABEL).ok_or(BrokenSeal::Altered)?;
    let body = format!("{open}\n}}\n");
    if hex_sha256(body.as_bytes()) != seal {
        return Err(BrokenSeal::Altered);
    }
    serde_json::from_str(&body).map_err(|_another_shape| BrokenSeal::Altered)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sealed() -> (BTreeMap<String, u32>, Vec<u8>) {
        let value = BTreeMap::from([("part".to_owned(), 3), ("skipped".to_owned(), 0)]);
        let text = sealed_json(&value);
        (value, text.into_bytes())
    }

    #[test]
    fn a_sealed_text_is_json_and_reads_back() {
        let (value, bytes) = sealed();
        assert_eq!(read_sealed::<BTreeMap<String, u32>>(&bytes), Ok(value));
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["part"], 3);
        assert_eq!(json["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let (_, bytes) = sealed();
        for i in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[i / 8] ^= 1 << (i % 8);
            assert!(read_sealed::<BTreeMap<String, u32>>(&flipped).is_err(), "bit {i}");
        }
    }

    #[test]
    fn every_shorter_text_is_truncated() {
        let (_, bytes) = sealed();
        for n in 0..bytes.len() {
            let read = read_sealed::<BTreeMap<String, u32>>(&bytes[..n]);
            assert_eq!(read, Err(BrokenSeal::Truncated), "{n} bytes");
        }
    }
}

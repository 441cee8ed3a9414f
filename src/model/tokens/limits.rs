//! What is known of a text's tokens from its bytes alone: that a text is too long should not cost its
//! tokenising.

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// Texts up to this many bytes are tokenised whatever is known of them, and so counted exactly.
const SHORT: usize = 64 << 10;

/// Bytes of the longest token that tells anything.
const LONGEST: usize = 4096;

/// Bytes a position that are tokenised where bytes do not tell the number of tokens, and the least
/// that are.
const BYTES_A_POSITION: usize = 256;
const LEAST: usize = 256 << 10;

/// Bytes that a text may become before it is split into tokens.
const NORMALISED: u64 = 64 << 20;

/// Patterns of published tokenizers, which never try one place twice for long.
const KNOWN_PATTERNS: [&str; 4] = [
    // GPT-2.
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    // GPT-4, Llama 3.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Qwen 2 and 3.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // SmolLM's and others' single digits.
    r"\p{N}",
];

/// What a tokenizer's parts say about texts.
#[derive(Debug)]
pub(super) struct Limits {
    n_positions: usize,
    /// Bytes of a text that one token holds at most; `None` when a token may hold any number, or text
    /// may be dropped.
    longest: Option<usize>,
    /// How many times as long a text may become before it is split.
    growth: u64,
    /// Whether nothing in it can take long.
    pub(super) is_quick: bool,
}

impl Limits {
    /// Of a tokenizer without special tokens.
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer, n_positions: usize) -> Self {
        let json = |part: Option<serde_json::Result<Value>>| {
            part.and_then(Result::ok).unwrap_or(Value::Null)
        };
        let normalizer = json(tokenizer.get_normalizer().map(serde_json::to_value));
        let splitter = json(tokenizer.get_pre_tokenizer().map(serde_json::to_value));
        let decoder = json(tokenizer.get_decoder().map(serde_json::to_value));
        let longest = longest(tokenizer, &normalizer, &splitter);
        let parts = [&normalizer, &splitter, &decoder];
        let is_quick = longest.is_some() && !parts.into_iter().any(has_unknown_pattern);
        Self { n_positions, longest, growth: growth(&normalizer), is_quick }
    }

    /// Why a text of so many bytes is too long, to follow a prompt's name; `None` where its tokens
    /// must be counted. `specials` tokens stand around it.
    pub(super) fn too_long(&self, bytes: usize, specials: usize) -> Option<String> {
        let limit = self.n_positions;
        let most = limit.saturating_mul(BYTES_A_POSITION).max(LEAST);
        match self.longest {
            Some(longest) if bytes > SHORT => {
                let least = bytes.div_ceil(longest) + specials;
                if least > limit {
                    return Some(format!(
                        "has at least {least} tokens, as it has {bytes} bytes and no token more \
                         than {longest}, and the model reads {limit} at most"
                    ));
                }
            }
            None if bytes > most => {
                return Some(format!(
                    "has {bytes} bytes, and the model reads {limit} tokens at most: texts of more \
                     than {most} bytes are not tokenised for it, as this tokenizer may drop text \
                     or join any amount of it"
                ));
            }
            _ => {}
        }
        let grown = self.growth.saturating_mul(bytes as u64);
        (grown > NORMALISED).then(|| {
            format!(
                "has {bytes} bytes, which this tokenizer's normaliser may make {grown}: more than \
                 {NORMALISED} are not tokenised"
            )
        })
    }
}

/// Bytes of a text that one token holds at most, where nothing of a text is ever dropped.
fn longest(
    tokenizer: &tokenizers::Tokenizer,
    normalizer: &Value,
    splitter: &Value,
) -> Option<usize> {
    let ModelWrapper::BPE(bpe) = tokenizer.get_model() else { return None };
    let has = |token: &str| tokenizer.token_to_id(token).is_some();
    let affixes = [&bpe.continuing_subword_prefix, &bpe.end_of_word_suffix];
    // A character that is in no token has no token, or one for any number of them.
    let is_complete = if is_byte_level(splitter) {
        affixes.iter().all(|affix| affix.is_none())
            && ByteLevel::alphabet().into_iter().all(|byte| has(byte.encode_utf8(&mut [0; 4])))
    } else {
        bpe.byte_fallback && (0..=255_u8).all(|byte| has(&format!("<{byte:#04X}>")))
    };
    let added = tokenizer.get_added_tokens_decoder();
    let takes_blanks = added.values().any(|token| token.lstrip || token.rstrip);
    if !is_complete || takes_blanks || !keeps_bytes(normalizer) || !keeps_text(splitter) {
        return None;
    }
    // A character of a byte-level token stands for a byte.
    let bytes = |token: &String| {
        if is_byte_level(splitter) { token.chars().count() } else { token.len() }
    };
    let own = tokenizer.get_vocab(false).keys().map(bytes).max()?;
    let longest = added.values().map(|token| token.content.len()).fold(own, usize::max);
    (1..=LONGEST).contains(&longest).then_some(longest)
}

fn kind(part: &Value) -> &str {
    part["type"].as_str().unwrap_or_default()
}

/// The parts of a sequence, or the only part.
fn parts<'v>(part: &'v Value, list: &str) -> &'v [Value] {
    part[list].as_array().map_or(std::slice::from_ref(part), Vec::as_slice)
}

/// Whether what is split is bytes, each a character of its own.
fn is_byte_level(splitter: &Value) -> bool {
    parts(splitter, "pretokenizers").last().is_some_and(|last| kind(last) == "ByteLevel")
}

/// Whether a text has no fewer bytes afterwards, each from one place.
fn keeps_bytes(normalizer: &Value) -> bool {
    parts(normalizer, "normalizers").iter().all(|part| match kind(part) {
        "Prepend" => true,
        "Replace" => part["pattern"]["String"].as_str().is_some_and(|pattern| {
            !pattern.is_empty()
                && part["content"].as_str().unwrap_or_default().len() >= pattern.len()
        }),
        _ => part.is_null(),
    })
}

/// Whether all of a text is in the pieces.
fn keeps_text(splitter: &Value) -> bool {
    parts(splitter, "pretokenizers").iter().all(|part| match kind(part) {
        "ByteLevel" | "Digits" | "Metaspace" => true,
        "Split" | "Punctuation" => part["behavior"].as_str().is_some_and(|how| how != "Removed"),
        _ => part.is_null(),
    })
}

/// How many times as long a text may become, by the rules of Unicode and the texts that are put in.
fn growth(normalizer: &Value) -> u64 {
    let length = |text: &Value| text.as_str().unwrap_or_default().len() as u64;
    let of = |part: &Value| match kind(part) {
        "Replace" => {
            let pattern = length(&part["pattern"]["String"]);
            let content = length(&part["content"]);
            if pattern == 0 { content + 1 } else { content.div_ceil(pattern).max(1) }
        }
        "Prepend" => length(&part["prepend"]) / 1024 + 1,
        "Precompiled" => longest_entry(part["precompiled_charsmap"].as_str().unwrap_or_default()),
        // U+FDFA, three bytes, is eighteen characters.
        "NFKC" | "NFKD" => 11,
        "NFC" | "NFD" => 4,
        "BertNormalizer" | "Bert" => 8,
        "ByteLevel" | "Lowercase" => 2,
        _ => 1,
    };
    let parts = parts(normalizer, "normalizers").iter();
    parts.map(of).fold(1, u64::saturating_mul)
}

/// Bytes of the longest text in a `SentencePiece` map of characters, base64: what it puts in for one.
fn longest_entry(map: &str) -> u64 {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = map.bytes().filter_map(digit).collect();
    let bytes: Vec<u8> = digits
        .chunks(4)
        .flat_map(|four| {
            let word = four.iter().fold(0_u32, |word, digit| word << 6 | u32::from(*digit));
            let word = word << (6 * (4 - four.len()));
            word.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect();
    // The size of a table, the table, and then the texts, each with a zero behind it.
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return 1 };
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).unwrap_or(rest);
    let longest = texts.split(|byte| *byte == 0).map(<[u8]>::len).max();
    (longest.unwrap_or(0) as u64).max(1)
}

/// Whether a part searches with a pattern that is not one of the known ones.
fn has_unknown_pattern(part: &Value) -> bool {
    match part {
        Value::Object(map) => map.iter().any(|(key, value)| match value.as_str() {
            Some(pattern) => key == "Regex" && !KNOWN_PATTERNS.contains(&pattern),
            None => has_unknown_pattern(value),
        }),
        Value::Array(list) => list.iter().any(has_unknown_pattern),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_normaliser_tells_how_long_a_text_may_become() {
        let twice = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let bomb = json!({"type": "Sequence", "normalizers": vec![twice.clone(); 40]});
        assert_eq!((growth(&twice), growth(&bomb)), (2, 1 << 40));
        let pattern = json!({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "yyy"});
        assert_eq!(growth(&pattern), 4);
        assert_eq!((growth(&Value::Null), growth(&json!({"type": "Strip"}))), (1, 1));
    }

    #[test]
    fn the_longest_entry_of_a_map_of_characters_is_found() {
        // A table of four bytes, then "ab" and "abcde" with zeros behind them.
        assert_eq!(longest_entry("BAAAAAAAAABhYgBhYmNkZQA="), 5);
        assert_eq!(longest_entry("BAAAAAAAAABhYg"), 2);
        assert_eq!((longest_entry(""), longest_entry("AAAA!")), (1, 1));
    }

    #[test]
    fn what_drops_or_shortens_text_has_no_bound() {
        let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        assert!(keeps_bytes(&Value::Null) && keeps_bytes(&replace(" ", "▁")));
        assert!(!keeps_bytes(&replace("  ", " ")) && !keeps_bytes(&replace("", "x")));
        assert!(!keeps_bytes(&json!({"type": "NFC"})) && !keeps_bytes(&json!({"type": "Strip"})));
        let split = |how: &str| json!({"type": "Split", "behavior": how});
        assert!(keeps_text(&Value::Null) && keeps_text(&split("Isolated")));
        assert!(!keeps_text(&split("Removed")) && !keeps_text(&json!({"type": "Whitespace"})));
    }

    #[test]
    fn only_patterns_that_are_known_are_trusted() {
        let split = |pattern: &str| json!({"pretokenizers": [{"pattern": {"Regex": pattern}}]});
        assert!(!has_unknown_pattern(&split(KNOWN_PATTERNS[1])));
        assert!(has_unknown_pattern(&split("(a+)+$")));
        assert!(!has_unknown_pattern(&json!({"pattern": {"String": "(a+)+$"}})));
    }
}

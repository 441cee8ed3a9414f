//! One token as text, with the blanks that belong to it.
//!
//! Decoders of `SentencePiece` models (Llama 2, Mistral, Gemma) take the first blank of a text away: alone,
//! `▁red` and `red` would both be "red". So a token is decoded behind a letter, which is cut off again.

use serde_json::Value;

/// Tokens that are one letter, with or without a blank in front.
const LETTERS: [&str; 6] = ["a", "▁a", "e", "▁e", "A", "▁A"];

/// Decodes single tokens of one tokenizer.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The token that others are decoded behind, and its text; none where nothing is taken away.
    letter: Option<(u32, String)>,
}

impl Decoder {
    /// Of a tokenizer without special tokens.
    pub(super) fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        let decoder = tokenizer.get_decoder().map(serde_json::to_value).and_then(Result::ok);
        if !decoder.as_ref().is_some_and(strips) {
            return Self::default();
        }
        let letter = LETTERS.iter().find_map(|letter| {
            let id = tokenizer.token_to_id(letter)?;
            Some((id, tokenizer.decode(&[id], false).ok()?))
        });
        Self { letter }
    }

    /// The text of a token; nothing for an id that no token has.
    pub(super) fn text(&self, tokenizer: &tokenizers::Tokenizer, id: u32) -> String {
        let decode = |ids: &[u32]| tokenizer.decode(ids, false).unwrap_or_default();
        let behind = self.letter.as_ref().and_then(|(letter, text)| {
            decode(&[*letter, id]).strip_prefix(text.as_str()).map(str::to_owned)
        });
        behind.unwrap_or_else(|| decode(&[id]))
    }
}

/// Whether a decoder takes blanks off the beginning of a text.
fn strips(decoder: &Value) -> bool {
    match decoder["type"].as_str() {
        Some("Metaspace" | "Strip") => true,
        Some("Sequence") => {
            decoder["decoders"].as_array().is_some_and(|all| all.iter().any(strips))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    /// A byte-fallback tokenizer with this decoder; ids count from 0.
    fn tokenizer(decoder: &str) -> tokenizers::Tokenizer {
        let vocab =
            r#"{"<unk>":0,"a":1,"▁red":2,"red":3,"▁":4,"<0xC3>":5,"<0xA9>":6,"é":7,"▁▁":8}"#;
        let model = format!(
            r#"{{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,
            "end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,
            "vocab":{vocab},"merges":[]}}"#
        );
        let json = format!(
            r#"{{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":null,"post_processor":null,"decoder":{decoder},"model":{model}}}"#
        );
        tokenizers::Tokenizer::from_str(&json).unwrap()
    }

    /// As in Llama 2 and Gemma 1.
    const SEQUENCE: &str = r#"{"type":"Sequence","decoders":[
        {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
        {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#;
    /// As in T5 and older conversions.
    const METASPACE: &str =
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#;

    #[test]
    fn the_blank_of_a_token_is_kept() {
        for decoder in [SEQUENCE, METASPACE] {
            let tokenizer = tokenizer(decoder);
            assert_eq!(tokenizer.decode(&[2], false).unwrap(), "red", "what is mended");
            let decoder = Decoder::of(&tokenizer);
            let text = |id| decoder.text(&tokenizer, id);
            assert_eq!([2, 3, 4, 7, 8, 1].map(text), [" red", "red", " ", "é", "  ", "a"]);
            assert_eq!(text(99), "", "no such token");
        }
    }

    #[test]
    fn bytes_that_are_no_whole_character_are_marked() {
        let tokenizer = tokenizer(SEQUENCE);
        let decoder = Decoder::of(&tokenizer);
        assert_eq!([5, 6].map(|id| decoder.text(&tokenizer, id)), ["\u{fffd}", "\u{fffd}"]);
    }

    #[test]
    fn a_decoder_that_takes_nothing_away_is_used_as_it_is() {
        let replace = r#"{"type":"Replace","pattern":{"String":"▁"},"content":" "}"#;
        let tokenizer = tokenizer(replace);
        let decoder = Decoder::of(&tokenizer);
        assert!(decoder.letter.is_none());
        assert_eq!(decoder.text(&tokenizer, 2), " red");
    }
}

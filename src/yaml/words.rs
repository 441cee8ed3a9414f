//! Words for messages: quoted values and likely spellings.

/// Longest value that a message quotes whole, in characters.
const QUOTED: usize = 60;

/// A value in quotes, with control characters escaped, cut when it is long.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (i, c) in text.chars().enumerate() {
        if i == QUOTED {
            quoted.push('…');
            break;
        }
        if c.is_control() || c == '"' || c == '\\' {
            quoted.extend(c.escape_debug());
        } else {
            quoted.push(c);
        }
    }
    quoted.push('"');
    quoted
}

/// The line, counted from 1, that a byte is in.
pub fn line_of(bytes: &[u8], offset: usize) -> usize {
    bytes[..offset].split(|byte| *byte == b'\n').count()
}

/// What people write for a word of ours that is spelt quite otherwise.
const MEANT: [(&str, &str); 3] = [("gpu", "cuda"), ("nvidia", "cuda"), ("processor", "cpu")];

/// The known word nearest to a misspelt one, when it is near enough.
pub fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.chars().count() > QUOTED {
        return None;
    }
    let word = word.to_lowercase();
    let meant = MEANT.iter().find(|(written, _)| *written == word).map(|(_, meant)| *meant);
    if let Some(candidate) = known.iter().find(|candidate| Some(**candidate) == meant) {
        return Some(candidate);
    }
    known
        .iter()
        // With swaps of neighbours as one step.
        .map(|candidate| (strsim::osa_distance(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_spellings_are_found_and_far_ones_are_not() {
        let known = ["layers", "too_long", "batch_tokens"];
        assert_eq!(did_you_mean("layer", &known), Some("layers"));
        assert_eq!(did_you_mean("Lyaers", &known), Some("layers"));
        assert_eq!(did_you_mean("batch-tokens", &known), Some("batch_tokens"));
        assert_eq!(did_you_mean("colour", &known), None);
        assert_eq!(did_you_mean("GPU", &["auto", "cpu", "cuda"]), Some("cuda"));
        assert_eq!(did_you_mean("gpu", &["auto"]), None, "only where cuda can be meant");
    }

    #[test]
    fn quoted_values_are_short_and_hold_no_control_characters() {
        assert_eq!(quote("a \u{1b}[31m\"b\""), r#""a \u{1b}[31m\"b\"""#);
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 63);
    }
}

//! Tokens as a reader can see them.

use std::fmt::Write as _;

/// The token with its whitespace visible: a space is `␣`, a line's end `⏎`, a tab `⇥`; other
/// control characters show as their picture, and characters that would turn or hide the text
/// around them as their code point.
pub fn visible(token: &str) -> String {
    let mut out = String::with_capacity(token.len() + 2);
    for c in token.chars() {
        match c {
            ' ' => out.push('␣'),
            '\n' => out.push('⏎'),
            '\r' => out.push('␍'),
            '\t' => out.push('⇥'),
            '\u{7f}' => out.push('␡'),
            '\0'..='\u{1f}' => {
                out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
            }
            '\u{a0}' => out.push('⍽'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                write!(out, "⟨{:04X}⟩", u32::from(c)).expect("a String takes every write");
            }
            c => out.push(c),
        }
    }
    if out.is_empty() { "∅".to_owned() } else { out }
}

/// Whether a line ends with this token.
pub(super) fn ends_line(token: &str) -> bool {
    token.ends_with('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_and_controls_are_seen() {
        assert_eq!(visible(" red"), "␣red");
        assert_eq!(visible("\n\n"), "⏎⏎");
        assert_eq!(visible("\t\r\u{a0}"), "⇥␍⍽");
        assert_eq!(visible("\0\u{1b}"), "␀␛");
        assert_eq!(visible("a\u{202e}b"), "a⟨202E⟩b");
        assert_eq!(visible(""), "∅");
        assert_eq!(visible("é🙂"), "é🙂");
    }
}

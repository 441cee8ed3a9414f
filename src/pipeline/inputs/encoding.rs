//! Text that is not UTF-8: what it most likely is.

use super::rows::Wrong;
use crate::yaml::quote;

/// What windows-1252 has at 0x80 to 0x9f; nothing at five of them.
const WINDOWS_1252: [Option<char>; 32] = [
    Some('€'),
    None,
    Some('‚'),
    Some('ƒ'),
    Some('„'),
    Some('…'),
    Some('†'),
    Some('‡'),
    Some('ˆ'),
    Some('‰'),
    Some('Š'),
    Some('‹'),
    Some('Œ'),
    None,
    Some('Ž'),
    None,
    None,
    Some('‘'),
    Some('’'),
    Some('“'),
    Some('”'),
    Some('•'),
    Some('–'),
    Some('—'),
    Some('˜'),
    Some('™'),
    Some('š'),
    Some('›'),
    Some('œ'),
    None,
    Some('ž'),
    Some('Ÿ'),
];

/// The character that a byte is in windows-1252.
fn windows_1252(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => Some(char::from(byte)),
    }
}

/// The text of some bytes, or what they are.
pub(super) fn text(bytes: &[u8]) -> Result<String, Wrong> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let (what, help) = not_utf8(bytes, bytes[error.valid_up_to()]);
            Err(Wrong::Says(what, Some(help)))
        }
    }
}

/// What bytes are that are not UTF-8, in words that follow the name of what holds them, and what to do.
/// `first` is the first of them that cannot be read.
fn not_utf8(bytes: &[u8], first: u8) -> (String, String) {
    let is_mostly_utf8 = bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii());
    if is_mostly_utf8 {
        return (
            format!("is UTF-8 with a damaged character in it (byte 0x{first:02X})"),
            "write that character again, or remove it".to_owned(),
        );
    }
    let Some(read) = bytes.iter().map(|byte| windows_1252(*byte)).collect::<Option<String>>()
    else {
        return (
            format!("is neither UTF-8 nor windows-1252 (byte 0x{first:02X})"),
            "find out the encoding that the file was saved in and convert it: `iconv -f ENCODING -t \
             UTF-8 OLD > NEW`"
                .to_owned(),
        );
    };
    let at = bytes.iter().position(|byte| *byte == first).unwrap_or_default();
    let around: String = read.chars().skip(at.saturating_sub(10)).take(20).collect();
    (
        format!(
            "is not UTF-8 and looks like windows-1252: byte 0x{first:02X} would be in {}",
            quote(&around)
        ),
        "convert the file: `iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW`, or save it as UTF-8 (in Excel \
         \"CSV UTF-8\")"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> (String, String) {
        match text(bytes) {
            Err(Wrong::Says(what, Some(help))) => (what, help),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn windows_1252_is_read_for_the_message_and_its_advice_is_right() {
        let (what, help) = words(b"A ball costs 5 \x80 \x96 \x93red\x94");
        assert_eq!(
            what,
            "is not UTF-8 and looks like windows-1252: byte 0x80 would be in \"l costs 5 € – “red”\""
        );
        assert!(help.contains("`iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW`"), "{help}");
        assert!(words(b"caf\xe9").0.ends_with("would be in \"café\""));
    }

    #[test]
    fn other_bytes_are_not_called_windows_1252() {
        assert_eq!(words(b"a\x81").0, "is neither UTF-8 nor windows-1252 (byte 0x81)");
        let damaged = words(
            "café".as_bytes().iter().chain(b" \xe9 x").copied().collect::<Vec<_>>().as_slice(),
        );
        assert_eq!(damaged.0, "is UTF-8 with a damaged character in it (byte 0xE9)");
        assert_eq!(text("café €".as_bytes()).unwrap(), "café €");
    }
}

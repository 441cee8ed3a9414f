//! From a place in the tree to a place in the text.
//!
//! The parser gives positions only with its errors: so the walk stops with an error at the value
//! that is asked for, and the position of the error is the answer.

use std::fmt;
use std::ops::Range;

use serde::de::{
    DeserializeSeed, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::node::{Node, Value};

/// Bytes of the value that is reached by taking the child of each number in turn.
pub(super) fn value_span(text: &str, ordinals: &[usize], node: Option<&Node>) -> Range<usize> {
    let Some(start) = find(text, ordinals, Part::Value) else { return 0..0 };
    let rest = &text[start..];
    let block = match node.map(|node| &node.value) {
        Some(Value::Map(_)) => !rest.starts_with('{'),
        Some(Value::List(_)) => !rest.starts_with('['),
        Some(Value::Null) => true,
        _ => false,
    };
    // A block of lines, and a missing value, are shown by their key.
    if block && let Some(span) = key_span(text, ordinals) {
        return span;
    }
    start..start + length(rest, node)
}

/// Bytes of the key of the last entry in `ordinals`; `None` when it is an element of a sequence.
pub(super) fn key_span(text: &str, ordinals: &[usize]) -> Option<Range<usize>> {
    let start = find(text, ordinals, Part::Key)?;
    let rest = &text[start..];
    let length = match rest.as_bytes().first() {
        Some(b'"' | b'\'') => quoted_length(rest),
        _ => {
            line(rest).split(": ").next().unwrap_or_default().trim_end().trim_end_matches(':').len()
        }
    };
    Some(start..start + length.max(1).min(rest.len()))
}

/// How much of `rest` is the value that begins it, on its first line.
fn length(rest: &str, node: Option<&Node>) -> usize {
    let first = line(rest);
    let whole = first.split(" #").next().unwrap_or_default().trim_end().len();
    let length = match node.map(|node| &node.value) {
        _ if rest.starts_with(['"', '\'']) => quoted_length(rest),
        Some(Value::Text(text)) if rest.starts_with(text.as_str()) => line(text).len(),
        Some(Value::Bool(_) | Value::Int(_) | Value::Float(_)) => {
            first.find([',', ']', '}', ' ']).unwrap_or(whole)
        }
        Some(Value::List(_)) if first.starts_with('[') => bracket_length(first).unwrap_or(whole),
        Some(Value::Map(_)) if first.starts_with('{') => bracket_length(first).unwrap_or(whole),
        _ => whole,
    };
    length.max(1).min(rest.len())
}

fn line(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or_default()
}

/// Up to the closing quote, when it is on the same line.
fn quoted_length(rest: &str) -> usize {
    let first = line(rest);
    let quote = first.as_bytes()[0];
    let mut bytes = first.bytes().enumerate().skip(1);
    while let Some((i, byte)) = bytes.next() {
        if byte == b'\\' && quote == b'"' {
            bytes.next();
        } else if byte == quote {
            return i + 1;
        }
    }
    first.len()
}

/// Up to the bracket that closes the first, brackets in quotes aside.
fn bracket_length(first: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = first.as_bytes().get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' | b'\'' => at += quoted_length(&first[at..]) - 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// Where the value, or the key in front of it, begins.
fn find(text: &str, ordinals: &[usize], part: Part) -> Option<usize> {
    if part == Part::Key && ordinals.is_empty() {
        return None;
    }
    let source = serde_yaml::Deserializer::from_str(text);
    let error = Seek { ordinals, part }.deserialize(source).err()?;
    let found = error.to_string().contains(FOUND);
    let start = error.location()?.index();
    (found && text.is_char_boundary(start)).then_some(start)
}

const FOUND: &str = "aqlens: the value is here";

#[derive(Clone, Copy)]
struct Seek<'a> {
    ordinals: &'a [usize],
    part: Part,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

macro_rules! stop {
    ($($visit:ident($($type:ty)?)),+) => {
        $(fn $visit<E: serde::de::Error>(self $(, _: $type)?) -> Result<(), E> {
            Err(E::custom(FOUND))
        })+
    };
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    stop!(
        visit_unit(),
        visit_none(),
        visit_bool(bool),
        visit_i64(i64),
        visit_u64(u64),
        visit_f64(f64),
        visit_str(&str)
    );

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.ordinals.split_first() else {
            return Err(A::Error::custom(FOUND));
        };
        for _ in 0..*first {
            source.next_element::<IgnoredAny>()?;
        }
        if rest.is_empty() && self.part == Part::Key {
            return Ok(());
        }
        source.next_element_seed(Seek { ordinals: rest, part: self.part }).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.ordinals.split_first() else {
            return Err(A::Error::custom(FOUND));
        };
        for _ in 0..*first {
            source.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        if rest.is_empty() && self.part == Part::Key {
            let stop = Seek { ordinals: &[], part: Part::Value };
            return source.next_key_seed(stop).map(|_| ());
        }
        source.next_key::<IgnoredAny>()?;
        source.next_value_seed(Seek { ordinals: rest, part: self.part })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _source: A) -> Result<(), A::Error> {
        Err(A::Error::custom(FOUND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::node::Origin;
    use crate::yaml::parse::parse;
    use crate::yaml::problem::Step;

    const TEXT: &str = "é: 日本 # note\n'k:': \"q: \\\" [\"\nlist: [a, {x: 1, y: b c}]\nblock:\n  - kind: extract\n    layers: [0, 12]\n  - kind: tokens\nempty:\nlong: |\n  one\n  two\n";

    fn shown(path: &[Step]) -> (String, Option<String>) {
        let tree = parse(TEXT, Origin::File).unwrap();
        let ordinals = tree.ordinals(path);
        assert_eq!(ordinals.len(), path.len());
        let node = tree.at(&crate::yaml::Path(path.to_vec()));
        let key = key_span(TEXT, &ordinals).map(|span| TEXT[span].to_owned());
        (TEXT[value_span(TEXT, &ordinals, node)].to_owned(), key)
    }

    fn key(key: &str) -> Step {
        Step::Key(key.to_owned())
    }

    #[test]
    fn every_value_and_key_is_found_in_the_text() {
        let i = Step::Index;
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(shown(&[key("é")]), ("日本".into(), some("é")));
        assert_eq!(shown(&[key("k:")]), ("\"q: \\\" [\"".into(), some("'k:'")));
        assert_eq!(shown(&[key("list")]), ("[a, {x: 1, y: b c}]".into(), some("list")));
        assert_eq!(shown(&[key("list"), i(0)]), ("a".into(), None));
        assert_eq!(shown(&[key("list"), i(1)]), ("{x: 1, y: b c}".into(), None));
        assert_eq!(shown(&[key("list"), i(1), key("x")]), ("1".into(), some("x")));
        assert_eq!(shown(&[key("list"), i(1), key("y")]), ("b c".into(), some("y")));
        assert_eq!(shown(&[key("block")]), ("block".into(), some("block")));
        assert_eq!(shown(&[key("block"), i(0)]), ("kind: extract".into(), None));
        assert_eq!(shown(&[key("block"), i(0), key("layers"), i(1)]), ("12".into(), None));
        assert_eq!(shown(&[key("block"), i(1), key("kind")]), ("tokens".into(), some("kind")));
        assert_eq!(shown(&[key("empty")]), ("empty".into(), some("empty")));
        assert_eq!(shown(&[key("long")]), ("|".into(), some("long")));
    }
}

//! Why a part of the tree is not what it should be, in words.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::problem::{Path, Problems, Spot, Step};
use super::{did_you_mean, quote};

/// Why a tree is not a `T`: what, and the way to it from the inside out.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: What,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum What {
    Unknown { key: String, known: &'static [&'static str] },
    Variant { word: String, known: &'static [&'static str] },
    Missing(&'static str),
    Twice(&'static str),
    Wrong { expected: String, found: String },
    Other(String),
}

impl Fault {
    /// Adds it to the problems, in words; the steps run from the value at `at` inwards.
    pub(super) fn report(self, at: &Path, problems: &mut Problems) {
        let mut path = at.clone();
        path.0.extend(self.steps);
        let subject = match path.0.last() {
            Some(Step::Key(key)) => format!("`{key}`"),
            Some(Step::Index(index)) => format!("element {index}"),
            None => "the pipeline".to_owned(),
        };
        let (spot, message, help) = match self.what {
            What::Unknown { key, known } => {
                let help = match did_you_mean(&key, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "nothing can be set here".to_owned(),
                    None => format!("the keys here are {}", known.join(", ")),
                };
                (Spot::Key, format!("unknown key `{}`", key.escape_debug()), help)
            }
            What::Variant { word, known } => {
                let help = match did_you_mean(&word, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write one of {}", known.join(", ")),
                };
                let rule = format!("{subject} must be one of {}", known.join(", "));
                (Spot::Value, format!("{rule}, found {}", quote(&word)), help)
            }
            What::Missing(field) => (
                Spot::Value,
                format!("the key `{field}` is missing"),
                format!("add `{field}:` here"),
            ),
            What::Twice(field) => (
                Spot::Key,
                format!("the key `{field}` appears twice"),
                "remove one of them".to_owned(),
            ),
            What::Wrong { expected, found } => {
                let help = advice(&expected, &found).to_owned();
                (Spot::Value, format!("{subject} must be {expected}, found {found}"), help)
            }
            What::Other(words) => {
                (Spot::Value, format!("{subject}: {words}"), "change the value".to_owned())
            }
        };
        problems.push_spot(&path, spot, message, help);
    }
}

/// serde's names of types in the words of a person who writes YAML.
fn plain(expected: &str) -> String {
    let words = match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "a borrowed string" => "text",
        "a sequence" => "a list",
        other if other.starts_with("a nonzero") => "a whole number, 1 or more",
        other if other.starts_with("struct ") || other == "a map" => "a mapping",
        other => other,
    };
    words.to_owned()
}

/// The least and the most of serde's types of whole numbers.
fn bounds(expected: &str) -> Option<(i64, u64)> {
    let least = i64::from(expected.starts_with("a nonzero "));
    Some(match expected.strip_prefix("a nonzero ").unwrap_or(expected) {
        "u8" => (least, u8::MAX.into()),
        "u16" => (least, u16::MAX.into()),
        "u32" => (least, u32::MAX.into()),
        "u64" | "usize" => (least, u64::MAX),
        "i16" => (i16::MIN.into(), i16::MAX as u64),
        "i64" => (i64::MIN, i64::MAX as u64),
        _ => return None,
    })
}

fn advice(expected: &str, found: &str) -> &'static str {
    let is_quoted_number = found
        .strip_prefix("the text \"")
        .is_some_and(|text| text.trim_end_matches('"').parse::<f64>().is_ok());
    match expected {
        "text" if found == "nothing" => "write the text after the colon",
        "text" if found == "a list" || found == "a mapping" => {
            "write one text here, in quotes if it holds `: ` or begins with a bracket"
        }
        "text" | "text or a list of texts" => "put it in quotes if it should be text",
        "a list" => "write it in brackets, for example [0, 2, 4]",
        "a mapping" => "write `key: value` lines here",
        "true or false" => "write true or false, without quotes",
        _ if is_quoted_number => "write the number without quotes",
        "a number" => "write a number, for example 0.5",
        words if words.starts_with("a whole number") => "write a number, for example 5",
        _ => "write one of these words",
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl From<What> for Fault {
    fn from(what: What) -> Self {
        Self { what, steps: Vec::new() }
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(words: T) -> Self {
        What::Other(words.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_value(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let number = match found {
            Unexpected::Unsigned(value) => value.into(),
            Unexpected::Float(value) => value as i128,
            // How serde's visitors name a number beyond 64 bits.
            Unexpected::Other(words) if words.starts_with("integer") => i128::MAX,
            _ => i128::MIN,
        };
        let rule = match bounds(&expected) {
            Some((least, most)) if number > i128::from(most) => {
                format!("a whole number from {least} to {most}")
            }
            _ => plain(&expected),
        };
        let found = match found {
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Signed(value) => format!("the number {value}"),
            Unexpected::Float(value) => format!("the number {value}"),
            Unexpected::Str(text) => format!("the text {}", quote(text)),
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        What::Wrong { expected: rule, found }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        What::Unknown { key: key.to_owned(), known }.into()
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        What::Variant { word: word.to_owned(), known }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        What::Missing(field).into()
    }

    fn duplicate_field(field: &'static str) -> Self {
        What::Twice(field).into()
    }
}

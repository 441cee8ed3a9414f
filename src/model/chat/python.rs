//! What transformers gives chat templates of Python: JSON as its `json` module writes it, and a date.

use std::io;

use chrono::NaiveDate;
use chrono::format::{Item, StrftimeItems};
use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};
use serde::Serialize as _;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Most blanks that a level of JSON is set in.
const WIDEST: usize = 16;

/// `tojson` as transformers has it: nothing is escaped for HTML, and `indent` is its only setting here.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands the settings over")]
pub(super) fn to_json(value: &Value, settings: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = settings.get("indent")?;
    // Every other letter is written as it is anyway.
    let ascii: Option<bool> = settings.get("ensure_ascii")?;
    settings.assert_all_used()?;
    if ascii == Some(true) {
        return Err(invalid("`tojson` with ensure_ascii is not known here"));
    }
    let mut json = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut json, OneLine)),
        Some(n) => {
            let blanks = " ".repeat(n.min(WIDEST));
            let formatter = PrettyFormatter::with_indent(blanks.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        }
    };
    written.map_err(|error| invalid(&format!("a value cannot be written as JSON: {error}")))?;
    let text = String::from_utf8(json).map_err(|error| invalid(&error.to_string()))?;
    Ok(Value::from(text))
}

/// JSON in one line with blanks after commas and colons.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// The day in a format of Python's; midnight where a template asks for the time.
///
/// # Errors
/// When no day is given, or the format is not known.
pub(super) fn strftime(date: Option<NaiveDate>, format: &str) -> Result<String, Error> {
    let Some(date) = date else {
        return Err(invalid(
            "the template asks for the date: give one as `date: 2026-01-31` below `chat:`, so that the \
             same pipeline has the same prompts tomorrow",
        ));
    };
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    if items.contains(&Item::Error) {
        return Err(invalid(&format!("the format {format:?} of a date is not known")));
    }
    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
    Ok(midnight.format_with_items(items.into_iter()).to_string())
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_owned())
}

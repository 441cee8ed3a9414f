//! The environment in which transformers runs chat templates, in minijinja.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python;

/// The only template's name.
pub(super) const NAME: &str = "chat";

/// Steps of one rendering: templates of long chats take some thousands.
const FUEL: u64 = 5_000_000;

/// Depth of macros that call macros.
const DEPTH: usize = 64;

/// An environment with the template in it; the error says where the template is wrong.
pub(super) fn environment(source: &str) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| words(&error))?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.set_formatter(write_as_python);
    environment.add_filter("tojson", python::to_json);
    environment.add_test("iterable", is_iterable);
    environment.add_function("raise_exception", raise);
    environment.add_template_owned(NAME, source.to_owned()).map_err(|error| words(&error))?;
    Ok(environment)
}

/// `None` is not, as in Python: templates ask it of `tools`, and then for their number.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// What a template says when it refuses messages.
fn raise(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// Jinja2 writes what Python's `str` makes of a value.
fn write_as_python(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let word = match value.kind() {
        ValueKind::None => Some("None"),
        ValueKind::Bool if value.is_true() => Some("True"),
        ValueKind::Bool => Some("False"),
        _ => None,
    };
    match word {
        Some(word) => out.write_str(word).map_err(Error::from),
        None => minijinja::escape_formatter(out, state, value),
    }
}

/// An error in one line: what and where.
pub(super) fn words(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}

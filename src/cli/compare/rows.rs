//! Keys, values and changes in words.

use serde_json::Value;

use crate::cli::grid::number;
use crate::compare::{Change, ColumnComparison, Key};

/// Longest text of a value, in characters.
const LONGEST: usize = 40;

/// `scenario scenes, input s-1, layer 3`
pub(super) fn key(key: &Key) -> String {
    let cells: Vec<String> =
        key.iter().map(|(name, value)| format!("{name} {}", self::value(value))).collect();
    cells.join(", ")
}

/// A value in few characters.
pub(super) fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(own) if own.is_f64() => digits(own.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    };
    let n = text.chars().count();
    if n <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A number with six digits behind its point, or a power of ten.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{value:.6}"),
        _ => format!("{value:.3e}"),
    }
}

/// What changed in a column, a sentence: `effect.p: 3 changed, the largest by 0.02 (0.5 -> 0.52) at ...`
pub(super) fn column(table: &str, column: &ColumnComparison) -> String {
    let largest = column.largest.as_ref().filter(|own| own.size > own.allowed);
    let by = largest.map_or_else(String::new, |largest| {
        let size = number(largest.size.unwrap_or(0.0));
        format!(", the largest by {size} ({}) at {}", both(largest), key(&largest.key))
    });
    let also = column.first.as_ref().map_or_else(String::new, |first| {
        let word = if largest.is_some() { "; also" } else { "," };
        format!("{word} {} at {}", both(first), key(&first.key))
    });
    format!("{table}.{}: {} changed{by}{also}", column.column, column.changed)
}

fn both(change: &Change) -> String {
    let element = change.element.map_or(String::new(), |at| format!(", element {at}"));
    let text = |own: &Value| match own {
        Value::String(_) => format!("\"{}\"", value(own)),
        _ => value(own),
    };
    format!("{} -> {}{element}", text(&change.base), text(&change.other))
}

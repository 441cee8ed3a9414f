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
    let mut text = format!("{table}.{}: {} changed", column.column, column.changed);
    // Where nothing with a size is beyond its tolerance, the largest is none of the changes.
    let largest = column.largest.as_ref().filter(|largest| is_beyond(column, largest));
    if let Some(largest) = largest {
        let size = number(largest.size.unwrap_or(0.0));
        text += &format!(", the largest by {size} ({}) at {}", both(largest), key(&largest.key));
    }
    if let Some(first) = &column.first {
        let word = if largest.is_some() { "; also" } else { "," };
        text += &format!("{word} {} at {}", both(first), key(&first.key));
    }
    text
}

/// Whether a difference counts as a change: all others are smaller by its measure.
fn is_beyond(column: &ColumnComparison, largest: &Change) -> bool {
    let (Some(relative), Some(absolute)) = (column.relative, column.absolute) else { return true };
    // Of vectors only their lengths say it; then a change is known by its count.
    if largest.element.is_some() {
        return column.changed > 0;
    }
    let numbers = [&largest.base, &largest.other].map(|value| value.as_f64().unwrap_or(0.0).abs());
    largest.size.unwrap_or(0.0) > absolute + relative * numbers[0].max(numbers[1])
}

fn both(change: &Change) -> String {
    let element = change.element.map_or(String::new(), |at| format!(", element {at}"));
    format!("{} -> {}{element}", value(&change.base), value(&change.other))
}

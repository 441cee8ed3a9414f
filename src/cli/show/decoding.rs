//! How well the task can be told from the vectors on wordings that were not seen.

use std::io::Write;

use indexmap::IndexMap;

use crate::cli::error::CliError;
use crate::cli::grid::{Small, write_sentence};
use crate::store::Store;
use crate::table::preview::cell;
use crate::table::schema::DECODING;
use crate::table::{ReadRow as _, view};

view! {
    /// How well the task is told on a layer.
    struct Told<'a> of [DECODING] {
        scenario: &'a str,
        layer: i16,
        site: &'a str,
        accuracy: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        accuracy_seen: Option<f64>,
        chance: Option<f64>,
        p_max_t: Option<f64>,
        status: &'a str,
    }
}

/// A line for each scenario and site: accuracy where it is best, beside chance and the accuracy on
/// wordings that were seen.
pub(super) fn write(out: &mut impl Write, store: &Store) -> Result<(), CliError> {
    let Some(part) = Told::part_if_there(store, &DECODING, 0)? else { return Ok(()) };
    let mut places: IndexMap<(&str, &str), Vec<Told<'_>>> = IndexMap::new();
    for row in Told::rows(&part)? {
        places.entry((row.scenario, row.site)).or_default().push(row);
    }
    let head = ["scenario", "vector", "chance", "best (95 % interval)", "p", "wordings seen"];
    let mut table = Small::new(head);
    for ((scenario, site), rows) in &places {
        let best = rows.iter().max_by(|a, b| {
            // Of equally good layers the first.
            let key = |row: &Told<'_>| row.accuracy.or(row.accuracy_seen).unwrap_or(-1.0);
            key(a).total_cmp(&key(b)).then(b.layer.cmp(&a.layer))
        });
        let Some(best) = best else { continue };
        let number = |value: Option<f64>| value.map_or_else(String::new, |x| format!("{x:.3}"));
        table.push(vec![
            cell(scenario),
            cell(site),
            number(best.chance),
            told(best),
            best.p_max_t.map_or_else(String::new, |p| format!("{p:.4}")),
            number(best.accuracy_seen),
        ]);
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let title = "How often the task is told from a vector, on wordings and inputs that were not seen \
                 (table decoding)";
    write_sentence(out, 0, title)?;
    table.write(out)?;
    Ok(())
}

/// `0.998 (0.861 to 1.000) at layer 3`, or why there is no accuracy.
fn told(row: &Told<'_>) -> String {
    let Some(accuracy) = row.accuracy else { return row.status.to_owned() };
    let interval = match (row.ci_low, row.ci_high) {
        (Some(low), Some(high)) => format!(" ({low:.3} to {high:.3})"),
        _ => String::new(),
    };
    format!("{accuracy:.3}{interval} at layer {}", row.layer)
}

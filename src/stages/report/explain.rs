//! What the notebook's number is made of, for the first pair of tasks of the first shown input.

use std::collections::BTreeMap;

use super::gather::missing;
use super::roster::Roster;
use super::sources::Sources;
use crate::render::evidence::{Explained, ExplainedLayer};
use crate::stage::StageError;
use crate::table::schema::SEED_EXPLAIN;
use crate::table::{ReadRow as _, view};

view! {
    /// What a token adds to the notebook's number of a pair of tasks.
    struct Added<'a> of [SEED_EXPLAIN] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        task_a: &'a str,
        task_b: &'a str,
        position: i32,
        token_id_a: i32,
        token_id_b: i32,
        segment_a: &'a str,
        segment_b: &'a str,
        shared_prefix: i16,
        weight: Option<f64>,
        contribution: Option<f64>,
        status: &'a str,
    }
}

/// The letter of the input in columns `segment_*`.
const INPUT: &str = "i";

/// Reads one scenario's; `None` without the table or without a pair.
pub(super) fn read(
    sources: &Sources<'_>,
    roster: &Roster,
    scenario: usize,
) -> Result<Option<Explained>, StageError> {
    let Some((name, entry)) = roster.scenarios.get_index(scenario) else { return Ok(None) };
    let Some((input, part)) = entry.shown.first() else { return Ok(None) };
    let (Some(a), Some(b)) = (entry.tasks.get_index(0), entry.tasks.get_index(1)) else {
        return Ok(None);
    };
    let Some(part) = sources.optional::<Added<'_>>(&SEED_EXPLAIN, *part)? else { return Ok(None) };
    let mut layers: BTreeMap<i16, ExplainedLayer> = BTreeMap::new();
    let is_own = |row: &&Added<'_>| {
        row.scenario == name && row.input == input && row.task_a == a && row.task_b == b
    };
    for row in Added::rows(&part)?.iter().filter(is_own) {
        let of = layers
            .entry(row.layer)
            .or_insert_with(|| ExplainedLayer { layer: row.layer, ..ExplainedLayer::default() });
        if let Some(contribution) = row.contribution {
            let sum = &mut of.parts[kind(row)];
            sum.tokens += 1;
            sum.weight += row.weight.unwrap_or_default();
            sum.contribution += contribution;
        } else {
            of.missing = missing(row.status);
        }
    }
    let explained = Explained {
        input: input.clone(),
        tasks: (a.clone(), b.clone()),
        layers: layers.into_values().collect(),
    };
    Ok((!explained.layers.is_empty()).then_some(explained))
}

/// Place of a token among [`PARTS`](crate::render::evidence::PARTS).
fn kind(row: &Added<'_>) -> usize {
    if row.position == 0 {
        0
    } else if row.shared_prefix == 1 {
        1
    } else if row.token_id_a != row.token_id_b {
        4
    } else if row.segment_a == INPUT && row.segment_b == INPUT {
        2
    } else {
        3
    }
}

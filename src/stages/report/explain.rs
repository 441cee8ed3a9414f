//! What the notebook's number is made of, for the first pair of tasks of the first shown input.

use std::collections::BTreeMap;

use super::gather::missing;
use super::roster::Roster;
use super::sources::{Sources, measure};
use crate::render::evidence::{Explained, ExplainedLayer};
use crate::stage::StageError;
use crate::table::reader::Part;
use crate::table::schema::SEED_EXPLAIN;

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
    let columns = [
        "scenario",
        "input",
        "layer",
        "task_a",
        "task_b",
        "position",
        "token_id_a",
        "token_id_b",
        "segment_a",
        "segment_b",
        "shared_prefix",
        "weight",
        "contribution",
        "status",
    ];
    let Some(part) = sources.optional(&SEED_EXPLAIN, *part, &columns)? else { return Ok(None) };
    let (scenarios, inputs) = (part.texts("scenario")?, part.texts("input")?);
    let (first, second) = (part.texts("task_a")?, part.texts("task_b")?);
    let (layer, status) = (part.int16s("layer")?, part.texts("status")?);
    let mut layers: BTreeMap<i16, ExplainedLayer> = BTreeMap::new();
    let is_own = |row: &usize| {
        scenarios.value(*row) == name
            && inputs.value(*row) == input
            && first.value(*row) == a
            && second.value(*row) == b
    };
    for row in (0..part.rows()).filter(is_own) {
        let of = layers.entry(layer.value(row)).or_insert_with(|| ExplainedLayer {
            layer: layer.value(row),
            ..ExplainedLayer::default()
        });
        let (weight, contribution) = (part.float64s("weight")?, part.float64s("contribution")?);
        if let Some(contribution) = measure(contribution, row) {
            let sum = &mut of.parts[kind(&part, row)?];
            sum.tokens += 1;
            sum.weight += measure(weight, row).unwrap_or_default();
            sum.contribution += contribution;
        } else {
            of.missing = missing(status.value(row));
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
fn kind(part: &Part, row: usize) -> Result<usize, StageError> {
    let is_equal = part.int32s("token_id_a")?.value(row) == part.int32s("token_id_b")?.value(row);
    let of_input = |name| Ok::<_, StageError>(part.texts(name)?.value(row) == INPUT);
    Ok(if part.int32s("position")?.value(row) == 0 {
        0
    } else if part.int16s("shared_prefix")?.value(row) == 1 {
        1
    } else if !is_equal {
        4
    } else if of_input("segment_a")? && of_input("segment_b")? {
        2
    } else {
        3
    })
}

//! The reduced tables of the sound measures: effects and shares of variance, row for row.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::gather::missing;
use super::sources::{Sources, measure};
use crate::render::evidence::{Effect, EffectPoint, Partition, PartitionRow};
use crate::render::page::Scenario;
use crate::stage::StageError;
use crate::stage::names::FLAT;
use crate::table::reader::Part;
use crate::table::schema::{EFFECT, VARIANCE_PARTITION, VERDICT};

/// Fills each scenario's effects, when stage `effect` found some.
pub(super) fn add_effects(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let columns = [
        "scenario",
        "layer",
        "measure",
        "contrast",
        "n_inputs",
        "between",
        "baseline",
        "delta",
        "ci_low",
        "ci_high",
        "ci_method",
        "d_z",
        "p_max_t",
        "q",
        "p_wording_max_t",
        "status",
    ];
    let Some(part) = sources.optional(&EFFECT, 0, &columns)? else { return Ok(()) };
    let judged = judged_measures(sources)?;
    let (scenario, name) = (part.texts("scenario")?, part.texts("measure")?);
    let contrast = part.texts("contrast")?;
    let mut all: IndexMap<(&str, &str, &str), Effect> = IndexMap::new();
    for row in 0..part.rows() {
        let key = (scenario.value(row), name.value(row), contrast.value(row));
        let effect = all.entry(key).or_insert_with(|| Effect {
            measure: key.1.to_owned(),
            contrast: key.2.to_owned(),
            is_judged: judged.contains(key.1),
            points: Vec::new(),
        });
        effect.points.push(effect_point(&part, row)?);
    }
    for of in scenarios.iter_mut() {
        of.evidence.effects = Some(Vec::new());
    }
    for ((name, _, _), mut effect) in all {
        effect.points.sort_by_key(|point| point.layer);
        if let Some(of) = scenarios.iter_mut().find(|s| s.name == name) {
            of.evidence.effects.get_or_insert_default().push(effect);
        }
    }
    Ok(())
}

fn effect_point(part: &Part, row: usize) -> Result<EffectPoint, StageError> {
    let value = |name: &str| Ok::<_, StageError>(measure(part.float64s(name)?, row));
    Ok(EffectPoint {
        layer: part.int16s("layer")?.value(row),
        n_inputs: part.int64s("n_inputs")?.value(row),
        between: value("between")?,
        baseline: value("baseline")?,
        delta: value("delta")?,
        ci_low: value("ci_low")?,
        ci_high: value("ci_high")?,
        ci_method: part.texts("ci_method")?.value(row).to_owned(),
        d_z: value("d_z")?,
        p_max_t: value("p_max_t")?,
        q: value("q")?,
        p_wording_max_t: value("p_wording_max_t")?,
        missing: missing(part.texts("status")?.value(row)),
    })
}

/// The measures that verdicts rest on, the notebook's left out.
fn judged_measures(sources: &Sources<'_>) -> Result<BTreeSet<String>, StageError> {
    let Some(part) = sources.optional(&VERDICT, 0, &["measure"])? else {
        return Ok(BTreeSet::new());
    };
    let names = part.texts("measure")?.iter().flatten().filter(|name| *name != FLAT);
    Ok(names.map(str::to_owned).collect())
}

/// Fills each scenario's shares of variance, when stage `variance` found some; standardised vectors
/// first, and of each site the input's before the last token's.
pub(super) fn add_partitions(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let columns = [
        "scenario",
        "layer",
        "site",
        "space",
        "n_inputs",
        "n_wordings",
        "ss_total",
        "ss_rest",
        "r2_input",
        "r2_task",
        "r2_wording",
        "r2_interaction",
        "partial_eta2",
        "p_max_t",
        "status",
    ];
    let Some(part) = sources.optional(&VARIANCE_PARTITION, 0, &columns)? else { return Ok(()) };
    let (scenario, site) = (part.texts("scenario")?, part.texts("site")?);
    let space = part.texts("space")?;
    let mut all: IndexMap<(&str, &str, &str), Vec<PartitionRow>> = IndexMap::new();
    for row in 0..part.rows() {
        let key = (scenario.value(row), site.value(row), space.value(row));
        all.entry(key).or_default().push(partition_row(&part, row)?);
    }
    for of in scenarios.iter_mut() {
        of.evidence.partitions = Some(Vec::new());
    }
    for ((name, site, space), mut rows) in all {
        rows.sort_by_key(|row| row.layer);
        if let Some(of) = scenarios.iter_mut().find(|s| s.name == name) {
            let (site, space) = (site.to_owned(), space.to_owned());
            of.evidence.partitions.get_or_insert_default().push(Partition { site, space, rows });
        }
    }
    for partitions in scenarios.iter_mut().filter_map(|s| s.evidence.partitions.as_mut()) {
        partitions.sort_by_key(|p| (p.site != "span", p.space != "standardised"));
    }
    Ok(())
}

fn partition_row(part: &Part, row: usize) -> Result<PartitionRow, StageError> {
    let value = |name: &str| Ok::<_, StageError>(measure(part.float64s(name)?, row));
    let rest = value("ss_rest")?.zip(value("ss_total")?);
    Ok(PartitionRow {
        layer: part.int16s("layer")?.value(row),
        n_inputs: part.int64s("n_inputs")?.value(row),
        n_wordings: part.int64s("n_wordings")?.value(row),
        input: value("r2_input")?,
        task: value("r2_task")?,
        wording: value("r2_wording")?,
        interaction: value("r2_interaction")?,
        rest: rest.filter(|(_, total)| *total > 0.0).map(|(rest, total)| rest / total),
        partial_eta2: value("partial_eta2")?,
        p_max_t: value("p_max_t")?,
        missing: missing(part.texts("status")?.value(row)),
    })
}

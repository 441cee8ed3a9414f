//! The reduced tables of the sound measures: effects and shares of variance, row for row.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::gather::missing;
use super::sources::Sources;
use crate::render::evidence::{Effect, EffectPoint, Partition, PartitionRow};
use crate::render::page::Scenario;
use crate::stage::StageError;
use crate::stage::names::{FLAT, PARAPHRASE};
use crate::table::schema::{EFFECT, VARIANCE_PARTITION, VERDICT};
use crate::table::{ReadRow as _, view};

view! {
    /// A difference between tasks against a baseline, on a layer.
    struct EffectRow<'a> of [EFFECT] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        n_inputs: i64,
        n_clusters: i64,
        between: Option<f64>,
        baseline: Option<f64>,
        delta: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        ci_inputs_low: Option<f64>,
        ci_inputs_high: Option<f64>,
        relative: Option<f64>,
        prevalence: Option<f64>,
        smallest: Option<f64>,
        p_max_t: Option<f64>,
        p_joint: Option<f64>,
        q: Option<f64>,
        p_wording_max_t: Option<f64>,
        p_wording_joint: Option<f64>,
        p_wording_form: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// A measure that a verdict rests on.
    struct Judged<'a> of [VERDICT] {
        measure: &'a str,
    }
}

view! {
    /// Shares of the variance on a layer.
    struct Shares<'a> of [VARIANCE_PARTITION] {
        scenario: &'a str,
        layer: i16,
        site: &'a str,
        space: &'a str,
        n_inputs: i64,
        n_wordings: i64,
        n_units: i64,
        ss_total: Option<f64>,
        ss_rest: Option<f64>,
        r2_input: Option<f64>,
        r2_task: Option<f64>,
        r2_wording: Option<f64>,
        r2_interaction: Option<f64>,
        partial_eta2: Option<f64>,
        f_task: Option<f64>,
        p_wording_max_t: Option<f64>,
        n_reassignments: i64,
        status: &'a str,
    }
}

/// Fills each scenario's effects, when stage `effect` found some.
pub(super) fn add_effects(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let Some(part) = sources.optional::<EffectRow<'_>>(&EFFECT, 0)? else { return Ok(()) };
    let judged = judged_measures(sources)?;
    let mut all: IndexMap<(&str, &str, &str), Effect> = IndexMap::new();
    for row in EffectRow::rows(&part)? {
        let key = (row.scenario, row.measure, row.contrast);
        let effect = all.entry(key).or_insert_with(|| Effect {
            measure: row.measure.to_owned(),
            contrast: row.contrast.to_owned(),
            is_judged: judged.contains(row.measure),
            points: Vec::new(),
        });
        effect.points.push(effect_point(&row));
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

fn effect_point(row: &EffectRow<'_>) -> EffectPoint {
    // A control stands beside one wording, so nothing says how it varies with wordings.
    let (ci_low, ci_high) = match row.contrast {
        PARAPHRASE => (row.ci_low, row.ci_high),
        _ => (row.ci_inputs_low, row.ci_inputs_high),
    };
    EffectPoint {
        layer: row.layer,
        n_inputs: row.n_inputs,
        n_clusters: row.n_clusters,
        between: row.between,
        baseline: row.baseline,
        delta: row.delta,
        ci_low,
        ci_high,
        relative: row.relative,
        prevalence: row.prevalence,
        smallest: row.smallest,
        p: row.p_joint.or(row.p_max_t),
        q: row.q,
        p_wording: row.p_wording_joint.or(row.p_wording_max_t),
        p_wording_form: row.p_wording_form,
        missing: missing(row.status),
    }
}

/// The measures that verdicts rest on, the notebook's left out.
fn judged_measures(sources: &Sources<'_>) -> Result<BTreeSet<String>, StageError> {
    let Some(part) = sources.optional::<Judged<'_>>(&VERDICT, 0)? else {
        return Ok(BTreeSet::new());
    };
    let rows = Judged::rows(&part)?.into_iter();
    let names = rows.map(|row| row.measure.to_owned()).filter(|name| name != FLAT);
    Ok(names.collect())
}

/// Fills each scenario's shares of variance, when stage `variance` found some; standardised vectors
/// first, and of each site the input's tokens before their mean and the last token.
pub(super) fn add_partitions(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let table = sources.optional::<Shares<'_>>(&VARIANCE_PARTITION, 0)?;
    let Some(part) = table else { return Ok(()) };
    let mut all: IndexMap<(&str, &str, &str), Vec<PartitionRow>> = IndexMap::new();
    for row in Shares::rows(&part)? {
        let key = (row.scenario, row.site, row.space);
        all.entry(key).or_default().push(partition_row(&row));
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
        let site = |site: &str| ["token", "span", "last"].iter().position(|other| *other == site);
        partitions.sort_by_key(|p| (site(&p.site), p.space != "standardised"));
    }
    Ok(())
}

fn partition_row(row: &Shares<'_>) -> PartitionRow {
    let rest = row.ss_rest.zip(row.ss_total);
    PartitionRow {
        layer: row.layer,
        n_inputs: row.n_inputs,
        n_wordings: row.n_wordings,
        n_units: row.n_units,
        input: row.r2_input,
        task: row.r2_task,
        wording: row.r2_wording,
        interaction: row.r2_interaction,
        rest: rest.filter(|(_, total)| *total > 0.0).map(|(rest, total)| rest / total),
        partial_eta2: row.partial_eta2,
        f_task: row.f_task,
        p_wording_max_t: row.p_wording_max_t,
        n_reassignments: row.n_reassignments,
        missing: missing(row.status),
    }
}

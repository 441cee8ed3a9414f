//! How often the task is told on unseen wordings: table `decoding`, row for row.

use indexmap::IndexMap;

use super::gather::missing;
use super::sources::Sources;
use crate::render::page::Scenario;
use crate::render::told::{Told, ToldPoint};
use crate::stage::StageError;
use crate::table::schema::DECODING;
use crate::table::{ReadRow as _, view};

view! {
    /// How often the task is told on a layer.
    struct ToldRow<'a> of [DECODING] {
        scenario: &'a str,
        layer: i16,
        site: &'a str,
        n_inputs: i64,
        n_clusters: i64,
        n_tasks: i64,
        n_wordings: i64,
        accuracy: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        accuracy_seen: Option<f64>,
        chance: Option<f64>,
        p_max_t: Option<f64>,
        status: &'a str,
    }
}

/// Fills each scenario's accuracies, when stage `decoding` found some; the input's vectors before the
/// last token's.
pub(super) fn add(sources: &Sources<'_>, scenarios: &mut [Scenario]) -> Result<(), StageError> {
    let Some(part) = sources.optional::<ToldRow<'_>>(&DECODING, 0)? else { return Ok(()) };
    let mut all: IndexMap<(&str, &str), Vec<ToldPoint>> = IndexMap::new();
    for row in ToldRow::rows(&part)? {
        all.entry((row.scenario, row.site)).or_default().push(point(&row));
    }
    for of in scenarios.iter_mut() {
        of.evidence.decoding = Some(Vec::new());
    }
    for ((name, site), mut points) in all {
        points.sort_by_key(|point| point.layer);
        if let Some(of) = scenarios.iter_mut().find(|s| s.name == name) {
            let site = site.to_owned();
            of.evidence.decoding.get_or_insert_default().push(Told { site, points });
        }
    }
    for sites in scenarios.iter_mut().filter_map(|s| s.evidence.decoding.as_mut()) {
        sites.sort_by_key(|told| told.site != "span");
    }
    Ok(())
}

fn point(row: &ToldRow<'_>) -> ToldPoint {
    ToldPoint {
        layer: row.layer,
        n_inputs: row.n_inputs,
        n_clusters: row.n_clusters,
        n_tasks: row.n_tasks,
        n_wordings: row.n_wordings,
        accuracy: row.accuracy,
        interval: row.ci_low.zip(row.ci_high),
        seen: row.accuracy_seen,
        chance: row.chance,
        p_max_t: row.p_max_t,
        missing: missing(row.status),
    }
}

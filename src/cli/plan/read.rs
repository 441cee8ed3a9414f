//! From table `effect` to what is to be planned.

use indexmap::{IndexMap, IndexSet};

use super::planned::{Measured, Planned};
use crate::cli::error::CliError;
use crate::prompt::visible;
use crate::run_dir::RunDir;
use crate::run_dir::summary::Evidence;
use crate::stage::judged::Judged;
use crate::stage::names::{OUTPUT_LAYER, PARAPHRASE};
use crate::stage::read::wordings::{Wordings, add_wordings};
use crate::store::Store;
use crate::table::schema::EFFECT;
use crate::table::{ReadRow as _, view};

view! {
    /// What every version of the table has.
    struct Named<'a> of [EFFECT] {
        scenario: &'a str,
    }
}

/// What is to be planned; all that is judged where nothing is named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) scenario: Option<&'a str>,
    pub(super) measure: Option<&'a str>,
    pub(super) layer: Option<i16>,
}

/// What is to be planned of the first `most` scenarios, and how many more there are.
///
/// # Errors
/// When the run has no table `effect`, an older one, nothing in it that was asked for, or nothing that
/// can be planned with.
pub(super) fn plans(
    run: &RunDir,
    shards: u32,
    asked: &Asked<'_>,
    most: usize,
) -> Result<(Vec<Planned>, usize), CliError> {
    let store = run.store();
    let root = visible(&store.root().display().to_string());
    let Some(named) = Named::frame_if_there(store, &EFFECT, 0)? else {
        return Err(no_table(&root));
    };
    let frame = match Measured::frame(store, &EFFECT, 0) {
        Ok(frame) => frame,
        // It can be read, and lacks columns.
        Err(_) if Named::rows(&named).is_ok() => {
            return Err(CliError::Wrong(format!(
                "error: table 'effect' of {root} was written by an earlier version of aqlens and does not \
                 say what inputs and wordings vary by: run its pipeline again"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let rows = Measured::rows(&frame)?;
    let rows: Vec<&Measured<'_>> = rows.iter().filter(|row| row.contrast == PARAPHRASE).collect();
    let mut scenarios: IndexMap<&str, Vec<&Measured<'_>>> = IndexMap::new();
    for row in rows.iter().filter(|row| asked.scenario.is_none_or(|name| name == row.scenario)) {
        scenarios.entry(row.scenario).or_default().push(row);
    }
    if let (true, Some(name)) = (scenarios.is_empty(), asked.scenario) {
        return Err(nothing(&root, "scenario", name, rows.iter().map(|row| row.scenario)));
    }
    if scenarios.is_empty() {
        return Err(CliError::Wrong(format!(
            "error: table 'effect' of {root} compares no tasks with wordings: give every task several \
             wordings in its pipeline and run it again"
        )));
    }
    let more = scenarios.len().saturating_sub(most);
    scenarios.truncate(most);
    let judged = judged(run)?;
    let wordings = wordings(store, shards, &scenarios)?;
    let mut plans = Vec::new();
    for (name, own) in &scenarios {
        let chosen = choose(own, asked, judged.get(*name).map(Vec::as_slice));
        let sizes = wordings.get(*name).map(Wordings::sizes).unwrap_or_default();
        plans.extend(chosen.iter().map(|row| Planned::of(row, &sizes)));
    }
    if plans.is_empty() {
        return Err(nothing_asked(&root, asked, &rows));
    }
    let refusals: Vec<String> = plans.iter().filter_map(Planned::refusal).collect();
    if refusals.len() == plans.len() {
        let name = visible(&plans[0].scenario);
        return Err(CliError::Wrong(format!("error: {name} {}", refusals[0])));
    }
    Ok((plans, more))
}

/// Nothing was asked for that the table has.
fn nothing_asked(root: &str, asked: &Asked<'_>, rows: &[&Measured<'_>]) -> CliError {
    match (asked.measure, asked.layer) {
        (Some(name), None) => nothing(root, "measure", name, rows.iter().map(|row| row.measure)),
        (_, Some(layer)) => {
            let layers =
                rows.iter().filter(|row| asked.measure.is_none_or(|own| own == row.measure));
            let layers: Vec<String> = layers.map(|row| row.layer.to_string()).collect();
            nothing(root, "layer", &layer.to_string(), layers.iter().map(String::as_str))
        }
        (None, None) => CliError::Wrong(format!(
            "error: table 'effect' of {root} has no measure that the verdict rests on: name one with \
             --measure"
        )),
    }
}

fn no_table(root: &str) -> CliError {
    CliError::Wrong(format!(
        "error: {root} has no table 'effect': add the stages `contrast`, `outputs` and `effect` to its \
         pipeline and run it again"
    ))
}

/// Names that are listed in an error.
const NAMED: usize = 20;

fn nothing<'a>(
    root: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> CliError {
    let known: IndexSet<&str> = known.collect();
    let mut listed: Vec<String> = known.iter().take(NAMED).map(|name| visible(name)).collect();
    if known.len() > NAMED {
        listed.push(format!("and {} more", known.len() - NAMED));
    }
    let (name, listed) = (visible(name), listed.join(", "));
    CliError::Wrong(format!(
        "error: table 'effect' of {root} has no {what} {name} to plan with; it has {listed}"
    ))
}

/// By scenario what the verdict rests on.
fn judged(run: &RunDir) -> Result<IndexMap<String, Vec<Evidence>>, CliError> {
    let scenarios = run.summary()?.map_or_else(Vec::new, |summaries| summaries.scenarios);
    Ok(scenarios.into_iter().map(|own| (own.scenario, own.evidence)).collect())
}

/// The wordings of these scenarios; parts behind those that they begin in are not read.
fn wordings(
    store: &Store,
    shards: u32,
    scenarios: &IndexMap<&str, Vec<&Measured<'_>>>,
) -> Result<IndexMap<String, Wordings>, CliError> {
    let mut wordings = IndexMap::new();
    for part in 0..shards {
        if scenarios.keys().all(|name| wordings.contains_key(*name)) {
            break;
        }
        add_wordings(store, part, &mut wordings)?;
        wordings.retain(|name: &String, _| scenarios.contains_key(name.as_str()));
    }
    Ok(wordings)
}

/// A row for each measure: on the layer that was asked for, else on the last one that is judged, else on
/// the last one.
fn choose<'r, 'a>(
    rows: &[&'r Measured<'a>],
    asked: &Asked<'_>,
    judged: Option<&[Evidence]>,
) -> Vec<&'r Measured<'a>> {
    let default = Judged::default().measures;
    let measures: Vec<&str> = match (asked.measure, judged) {
        (Some(measure), _) => vec![measure],
        (None, Some(evidence)) if !evidence.is_empty() => {
            evidence.iter().map(|own| own.measure.as_str()).collect()
        }
        _ => default.iter().map(String::as_str).collect(),
    };
    let of_measure = |measure: &str| -> Option<&'r Measured<'a>> {
        let own = || rows.iter().copied().filter(|row| row.measure == measure);
        let evidence = judged.into_iter().flatten().find(|own| own.measure == measure);
        let counts = |layer: i16| {
            evidence.is_none_or(|own| own.layers.is_empty() || own.layers.contains(&layer))
        };
        match asked.layer {
            // What has no layers is planned as it is.
            Some(layer) => own().find(|row| row.layer == layer || row.layer == OUTPUT_LAYER),
            None => own().filter(|row| counts(row.layer)).max_by_key(|row| row.layer),
        }
    };
    measures.into_iter().filter_map(of_measure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(measure: &'static str, layer: i16) -> Measured<'static> {
        Measured {
            scenario: "one",
            layer,
            measure,
            contrast: PARAPHRASE,
            n_clusters: 20,
            delta: Some(0.3),
            relative: Some(0.6),
            mde: Some(0.2),
            smallest: None,
            var_clusters: Some(0.1),
            var_wordings: Some(0.1),
        }
    }

    #[test]
    fn the_last_judged_layer_is_planned_unless_another_is_asked_for() {
        let rows = [row("span", 2), row("span", 9), row("jsd_bits", -1)];
        let rows: Vec<&Measured<'_>> = rows.iter().collect();
        let asked = |measure, layer| Asked { scenario: None, measure, layer };
        let layers = |asked: Asked<'_>| -> Vec<i16> {
            choose(&rows, &asked, None).iter().map(|row| row.layer).collect()
        };
        assert_eq!(layers(asked(None, None)), [-1]);
        assert_eq!(layers(asked(Some("span"), None)), [9]);
        assert_eq!(layers(asked(Some("span"), Some(2))), [2]);
        assert!(layers(asked(Some("span"), Some(4))).is_empty());
        assert_eq!(layers(asked(Some("jsd_bits"), Some(4))), [-1]);
    }
}

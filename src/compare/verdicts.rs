//! The verdicts of all runs, side by side.

use indexmap::IndexMap;

use super::CompareError;
use super::document::{VerdictOf, VerdictRow};
use super::opened::Opened;
use crate::run_dir::summary::{Evidence, ScenarioSummary};
use crate::stage::names::FLAT;

/// Every verdict, in the order of the first run that has it.
///
/// # Errors
/// When a `summary.json` cannot be read, or is not what was written.
pub(super) fn verdicts(runs: &[Opened]) -> Result<Vec<VerdictRow>, CompareError> {
    let mut rows: IndexMap<(String, String), Vec<Option<VerdictOf>>> = IndexMap::new();
    for (place, opened) in runs.iter().enumerate() {
        let Some(summaries) = opened.run.summary()? else { continue };
        for scenario in &summaries.scenarios {
            let all = scenario.evidence.iter().map(|own| (own.measure.as_str(), of(opened, own)));
            for (measure, verdict) in all.chain([(FLAT, notebooks(opened, scenario))]) {
                let name = (scenario.scenario.clone(), measure.to_owned());
                let row = rows.entry(name).or_insert_with(|| vec![None; runs.len()]);
                row[place] = Some(verdict);
            }
        }
    }
    let row = |((scenario, measure), runs): ((String, String), Vec<Option<VerdictOf>>)| {
        let words: Vec<Option<&str>> =
            runs.iter().map(|own| own.as_ref().map(|own| own.verdict.as_str())).collect();
        let changed = words.iter().any(|word| *word != words[0]);
        VerdictRow { scenario, measure, changed, runs }
    };
    Ok(rows.into_iter().map(row).collect())
}

fn of(run: &Opened, own: &Evidence) -> VerdictOf {
    VerdictOf {
        verdict: own.verdict.word().to_owned(),
        layer: own.layer,
        depth: run.depth(own.layer),
        value: own.delta,
        low: own.ci_low,
        high: own.ci_high,
        relative: own.relative,
        relative_low: own.relative_low,
        relative_high: own.relative_high,
        n_inputs: own.n_inputs,
    }
}

/// The notebook's: a mean cosine without an interval.
fn notebooks(run: &Opened, scenario: &ScenarioSummary) -> VerdictOf {
    VerdictOf {
        verdict: scenario.verdict.word().to_owned(),
        layer: scenario.layer,
        depth: run.depth(scenario.layer),
        value: scenario.value,
        low: None,
        high: None,
        relative: None,
        relative_low: None,
        relative_high: None,
        n_inputs: scenario.n_inputs,
    }
}

//! Small tables with a layer a column: similarity, effects against baselines, shares of variance.

use std::io::Write;

use indexmap::{IndexMap, IndexSet};

use crate::cli::error::CliError;
use crate::cli::grid::{Small, write_sentence};
use crate::run_dir::summary::{Evidence, ScenarioSummary};
use crate::stage::names::{FLAT, OUTPUT_LAYER, PARAPHRASE};
use crate::store::Store;
use crate::table::preview::cell;
use crate::table::schema::{DIVERGENCE, EFFECT, VARIANCE_PARTITION};
use crate::table::{ReadRow as _, view};

/// In columns `site` and `space` of table `variance_partition`.
const SPAN: &str = "span";
const STANDARDISED: &str = "standardised";
const RAW: &str = "raw";

/// What stands before position 0's shares.
const POSITION_0: &str = "  position 0's share";

view! {
    /// Mean similarity of a scenario's tasks.
    struct Reduced<'a> of [DIVERGENCE] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        mean: Option<f64>,
    }
}

view! {
    /// How much further apart tasks are than a baseline.
    struct Effect<'a> of [EFFECT] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        delta: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// What the vectors of a layer vary by.
    struct Share<'a> of [VARIANCE_PARTITION] {
        scenario: &'a str,
        layer: i16,
        site: &'a str,
        space: &'a str,
        r2_input: Option<f64>,
        r2_task: Option<f64>,
        r2_wording: Option<f64>,
        r2_interaction: Option<f64>,
        status: &'a str,
    }
}

/// The notebook's similarity on every layer, or on some when the terminal is too narrow for all; below
/// it position 0's share of what is compared, where `summaries` have it.
pub(super) fn write_similarity(
    out: &mut impl Write,
    store: &Store,
    summaries: &[ScenarioSummary],
) -> Result<(), CliError> {
    let Some(part) = Reduced::part_if_there(store, &DIVERGENCE, 0)? else { return Ok(()) };
    let mut means: IndexMap<&str, IndexMap<i16, Option<f64>>> = IndexMap::new();
    for row in Reduced::rows(&part)?.iter().filter(|row| row.measure == FLAT) {
        means.entry(row.scenario).or_default().insert(row.layer, row.mean);
    }
    let Some(layers) = means.first().map(|(_, means)| means.keys().copied().collect::<Vec<_>>())
    else {
        return Ok(());
    };
    let table = |layers: &[i16], digits| similarity(&means, summaries, layers, digits);
    let widths = (2..=layers.len()).rev().map(|n| table(&spread(&layers, n), 3));
    let fitting = std::iter::once(table(&layers, 4)).chain(widths).find(Small::fits);
    writeln!(out)?;
    let title = "Similarity by layer, mean over inputs and pairs of tasks (table divergence)";
    write_sentence(out, 0, title)?;
    fitting.unwrap_or_else(|| table(&layers[layers.len() - 1..], 3)).write(out)?;
    Ok(())
}

/// A line for each scenario, and one for its shares.
fn similarity(
    means: &IndexMap<&str, IndexMap<i16, Option<f64>>>,
    summaries: &[ScenarioSummary],
    layers: &[i16],
    digits: usize,
) -> Small {
    let numbers = layers.iter().map(i16::to_string);
    let mut table = Small::new(std::iter::once("layer".to_owned()).chain(numbers));
    for (scenario, means) in means {
        let mean = |layer| match means.get(layer) {
            Some(Some(mean)) => format!("{mean:.digits$}"),
            _ => "-".to_owned(),
        };
        table.push(std::iter::once(cell(scenario)).chain(layers.iter().map(mean)).collect());
        let summary = summaries.iter().find(|summary| summary.scenario == *scenario);
        let share = |layer: &i16| {
            let of_layer = summary?.layers.iter().find(|of| of.layer == *layer)?;
            Some(format!("{:.3}", of_layer.position_0_share?))
        };
        let shares: Vec<Option<String>> = layers.iter().map(share).collect();
        if shares.iter().any(Option::is_some) {
            let cells = shares.into_iter().map(|share| share.unwrap_or_else(|| "-".to_owned()));
            table.push(std::iter::once(POSITION_0.to_owned()).chain(cells).collect());
        }
    }
    table
}

/// `n` of the layers, the first and the last among them, as evenly as can be.
fn spread(layers: &[i16], n: usize) -> Vec<i16> {
    let last = layers.len() - 1;
    (0..n).map(|i| layers[(i * last + (n - 1) / 2) / (n - 1)]).collect()
}

/// A verdict by evidence with the effects of its measure on its scenario.
struct Judged<'a> {
    scenario: &'a str,
    evidence: &'a Evidence,
    effects: Vec<&'a Effect<'a>>,
}

impl<'a> Judged<'a> {
    /// The effect on a layer against a baseline.
    fn at(&self, layer: i16, contrast: &str) -> Option<&'a Effect<'a>> {
        let is_it = |effect: &&Effect<'_>| effect.layer == layer && effect.contrast == contrast;
        self.effects.iter().copied().find(is_it)
    }

    /// The effect against a baseline where that against wordings is largest.
    fn largest(&self, contrast: &str) -> Option<&'a Effect<'a>> {
        self.at(self.evidence.layer, contrast)
    }
}

/// How much further apart tasks are than wordings of one task, for each measure that is judged: on
/// the first and last layer and where it is largest, there also against the controls.
pub(super) fn write_effects(
    out: &mut impl Write,
    store: &Store,
    scenarios: &[ScenarioSummary],
) -> Result<(), CliError> {
    let Some(part) = Effect::part_if_there(store, &EFFECT, 0)? else { return Ok(()) };
    let rows = Effect::rows(&part)?;
    let mut judged = Vec::new();
    for summary in scenarios {
        for evidence in &summary.evidence {
            let scenario = summary.scenario.as_str();
            let is_own =
                |row: &&Effect<'_>| row.scenario == scenario && row.measure == evidence.measure;
            let effects: Vec<&Effect<'_>> = rows.iter().filter(is_own).collect();
            if !effects.is_empty() {
                judged.push(Judged { scenario, evidence, effects });
            }
        }
    }
    if judged.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let title = "How much further apart tasks are than wordings of one task (table effect)";
    write_sentence(out, 0, title)?;
    against_wordings(&judged).write(out)?;
    let controls = against_controls(&judged);
    if !controls.is_empty() {
        controls.write(out)?;
    }
    Ok(())
}

/// A line for each scenario and measure.
fn against_wordings(judged: &[Judged<'_>]) -> Small {
    let layers = judged.iter().flat_map(|one| one.effects.iter().map(|effect| effect.layer));
    let ends = ends(layers.filter(|layer| *layer != OUTPUT_LAYER));
    let header = ["scenario", "measure"].map(str::to_owned).into_iter();
    let header = header.chain(ends.iter().map(|layer| format!("layer {layer}")));
    let mut table = Small::new(header.chain(["largest (95 % interval)".to_owned()]));
    for one in judged {
        let mut row = vec![cell(one.scenario), cell(&one.evidence.measure)];
        let at = |layer: &i16| one.at(*layer, PARAPHRASE).map_or_else(String::new, delta);
        row.extend(ends.iter().map(at));
        row.push(one.largest(PARAPHRASE).map_or_else(String::new, |effect| {
            let interval = match (effect.ci_low, effect.ci_high) {
                (Some(low), Some(high)) => format!(" ({low:.4} to {high:.4})"),
                _ => String::new(),
            };
            let place = match effect.layer {
                OUTPUT_LAYER => "in the output".to_owned(),
                layer => format!("at layer {layer}"),
            };
            format!("{}{interval} {place}", delta(effect))
        }));
        table.push(row);
    }
    table
}

/// Where an effect is largest, the difference between tasks against each control.
fn against_controls(judged: &[Judged<'_>]) -> Small {
    let has_value = |effect: &&&Effect<'_>| effect.contrast != PARAPHRASE && effect.delta.is_some();
    let named = judged.iter().flat_map(|one| one.effects.iter().filter(has_value));
    let controls: IndexSet<&str> = named.map(|effect| effect.contrast).collect();
    let header = ["than a control", "measure", "layer"].into_iter().chain(controls.iter().copied());
    let mut table = Small::new(header);
    for one in judged {
        let effects: Vec<_> = controls.iter().map(|control| one.largest(control)).collect();
        if !effects.iter().flatten().any(|effect| effect.delta.is_some()) {
            continue;
        }
        let layer = match one.evidence.layer {
            OUTPUT_LAYER => "output".to_owned(),
            layer => layer.to_string(),
        };
        let mut row = vec![cell(one.scenario), cell(&one.evidence.measure), layer];
        row.extend(effects.into_iter().map(|effect| effect.map_or_else(String::new, delta)));
        table.push(row);
    }
    table
}

/// The first and the last of some layers, once where they are one.
fn ends(layers: impl Iterator<Item = i16> + Clone) -> Vec<i16> {
    let mut ends: Vec<i16> = layers.clone().min().into_iter().chain(layers.max()).collect();
    ends.dedup();
    ends
}

/// An effect's number, or why there is none.
fn delta(effect: &Effect<'_>) -> String {
    effect.delta.map_or_else(|| effect.status.to_owned(), |delta| format!("{delta:.4}"))
}

/// Shares of the variance of the input's vectors: on the first and last layer and where the task's is
/// largest.
pub(super) fn write_shares(out: &mut impl Write, store: &Store) -> Result<(), CliError> {
    let Some(part) = Share::part_if_there(store, &VARIANCE_PARTITION, 0)? else { return Ok(()) };
    let rows = Share::rows(&part)?;
    let of_spans = || rows.iter().filter(|row| row.site == SPAN);
    // Without a reference set there are no standardised vectors.
    let is_there = of_spans().any(|row| row.space == STANDARDISED && row.r2_task.is_some());
    let space = if is_there { STANDARDISED } else { RAW };
    let mut scenarios: IndexMap<&str, Vec<&Share<'_>>> = IndexMap::new();
    for row in of_spans().filter(|row| row.space == space) {
        scenarios.entry(row.scenario).or_default().push(row);
    }
    let ends = ends(of_spans().map(|row| row.layer));
    let header = std::iter::once(format!("{space} vectors"));
    let header = header.chain(ends.iter().map(|layer| format!("layer {layer}")));
    let mut table = Small::new(header.chain(["largest task share".to_owned()]));
    for (scenario, rows) in &scenarios {
        let at = |layer: &i16| rows.iter().find(|row| row.layer == *layer).map(|row| shares(row));
        let mut row = vec![cell(scenario)];
        row.extend(ends.iter().map(|layer| at(layer).unwrap_or_default()));
        let largest = rows
            .iter()
            .filter(|row| row.r2_task.is_some())
            .max_by(|a, b| a.r2_task.unwrap_or_default().total_cmp(&b.r2_task.unwrap_or_default()));
        row.push(
            largest
                .map_or_else(String::new, |row| format!("{} at layer {}", shares(row), row.layer)),
        );
        table.push(row);
    }
    if table.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let title = "Variance of input vectors in %: input / task / wording / interaction (table \
                 variance_partition)";
    write_sentence(out, 0, title)?;
    table.write(out)?;
    Ok(())
}

/// `71 / 21 / 5 / 2`, or why there are no shares.
fn shares(row: &Share<'_>) -> String {
    if row.r2_input.is_none() && row.r2_task.is_none() {
        return row.status.to_owned();
    }
    let share = |share: Option<f64>| {
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}", share * 100.0))
    };
    [row.r2_input, row.r2_task, row.r2_wording, row.r2_interaction].map(share).join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_layers_are_spread_from_the_first_to_the_last() {
        let layers: Vec<i16> = (0..12).collect();
        assert_eq!(spread(&layers, 12), layers);
        assert_eq!(spread(&layers, 2), [0, 11]);
        assert_eq!(spread(&layers, 4), [0, 4, 7, 11]);
        assert_eq!(spread(&[3, 9], 2), [3, 9]);
        for n in 2..=12 {
            let few = spread(&layers, n);
            assert!(few.is_sorted() && few.len() == n, "{few:?}");
            assert_eq!(few.iter().collect::<IndexSet<_>>().len(), n, "{few:?}");
        }
    }
}

//! The sentences of a summary. Each is made of the numbers, and none says more than they do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::rule::{self, Bound, Row, is_found, is_shown};
use crate::run_dir::summary::{
    AttentionSummary, EvidenceVerdict, LayerSummary, OutputSummary, ScenarioSummary, SinkSummary,
    Verdict,
};
use crate::stage::feasible::{LEVEL, unseen};
use crate::stage::judged::Judged;
use crate::stage::names::OUTPUT_LAYER;
use crate::table::status;
use crate::yaml::quote;

/// A position with more than this share of the squared norm is most of a flat cosine.
const MOST: f64 = 0.5;

/// `1 input`, `2 inputs`.
fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Why the verdict is what it is.
pub(super) fn reason(summary: &ScenarioSummary) -> String {
    let layer = summary.layer;
    let skipped = match summary.n_skipped {
        0 => String::new(),
        n => format!(" ({n} of {} skipped)", count(summary.n_prompts, "prompt")),
    };
    let Some(value) = summary.value else {
        return if summary.n_tasks < 2 {
            format!("{}: there is no pair of tasks to compare", count(summary.n_tasks, "task"))
        } else {
            format!(
                "no pair of {} could be compared at layer {layer}{skipped}; table similarity says \
                 why in its status column",
                count(summary.n_tasks, "task")
            )
        };
    };
    let threshold = summary.threshold;
    let mut printed = format!("{value:.4}");
    if printed == format!("{threshold:.4}") && value.to_string() != threshold.to_string() {
        // Rounded, it would seem to be the threshold itself.
        printed = format!("{printed} ({value} unrounded)");
    }
    let (side, meaning) = match summary.verdict {
        Verdict::Supported => ("below", "tasks produce divergent representations"),
        _ => ("not below", "representations remain similar across tasks"),
    };
    format!(
        "mean flat cosine at layer {layer} is {printed} over {} of {} on {}{skipped}, {side} the \
         threshold {threshold}: {meaning} (the notebook's test; it has no baseline){}",
        count(summary.n_pairs, "pair"),
        count(summary.n_tasks, "task"),
        count(summary.n_inputs, "input"),
        of_position_0(summary),
    )
}

/// What the value mostly is, where one position has more than half of what it is made of.
fn of_position_0(summary: &ScenarioSummary) -> String {
    let judged = summary.layers.iter().find(|layer| layer.layer == summary.layer);
    match judged.and_then(|layer| layer.position_0_share) {
        Some(share) if share > MOST => format!(
            "; position 0 has {share:.3} of the squared norm of what is compared, so the value mostly says \
             how alike the prompts' first tokens are, whatever the tasks are"
        ),
        _ => String::new(),
    }
}

/// What else was measured.
pub(super) fn findings(summary: &ScenarioSummary) -> Vec<String> {
    let form = (!["", "plain"].contains(&summary.form.as_str()))
        .then(|| format!("the prompts are of form {}", quote(&summary.form)));
    let layers = layers(&summary.layers);
    let attention = summary.attention.as_ref().map(attention);
    let sinks = sinks(&summary.sinks);
    let outputs = summary.outputs.as_ref().map(outputs);
    [form, layers, attention, sinks, outputs].into_iter().flatten().collect()
}

fn layers(layers: &[LayerSummary]) -> Option<String> {
    let means: Vec<(i16, f64)> =
        layers.iter().filter_map(|layer| Some((layer.layer, layer.mean?))).collect();
    let (first, last) = (means.first()?, means.last()?);
    if means.len() == 1 {
        return Some(format!(
            "mean flat cosine is {:.4} at layer {}, the only layer with a value",
            first.1, first.0
        ));
    }
    let least = means.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a })?;
    let most = means.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    Some(format!(
        "mean flat cosine is {:.4} at layer {}, the first captured, and {:.4} at layer {}, the \
         last; it is smallest at layer {} ({:.4}) and largest at layer {} ({:.4})",
        first.1, first.0, last.1, last.0, least.0, least.1, most.0, most.1
    ))
}

fn attention(attention: &AttentionSummary) -> String {
    format!(
        "the last token's attention focus at layer {} overlaps by {} on average (Jaccard over {}); \
         the focus is identical in {:.1} % of them",
        attention.layer,
        attention.printed,
        count(attention.n_pairs, "pair"),
        attention.identical * 100.0
    )
}

/// Where sinks are, and how often.
fn sinks(sinks: &[SinkSummary]) -> Option<String> {
    let n_prompts = sinks.iter().map(|layer| layer.n_prompts).max()?;
    let listed = |n: fn(&SinkSummary) -> u64| {
        let mut by_count: BTreeMap<Reverse<u64>, Vec<String>> = BTreeMap::new();
        for layer in sinks.iter().filter(|layer| n(layer) > 0) {
            by_count.entry(Reverse(n(layer))).or_default().push(layer.layer.to_string());
        }
        let words = by_count.iter().map(|(Reverse(n), layers)| {
            let s = if layers.len() == 1 { "" } else { "s" };
            format!("{n} at layer{s} {}", layers.join(", "))
        });
        words.collect::<Vec<_>>().join("; ")
    };
    let at_0 = match listed(|layer| layer.n_at_position_0) {
        none if none.is_empty() => "none".to_owned(),
        listed => listed,
    };
    let elsewhere = match listed(|layer| layer.n_elsewhere) {
        none if none.is_empty() => "no other position is one".to_owned(),
        listed => format!("another position is one in {listed} ({})", sink_tokens(sinks)),
    };
    let prompts = count(n_prompts, "prompt");
    Some(format!("of {prompts} position 0 is a sink in {at_0}; {elsewhere} (table sinks)"))
}

/// The most frequent tokens of some layers' sinks, each once.
fn sink_tokens(sinks: &[SinkSummary]) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for token in sinks.iter().flat_map(|layer| &layer.tokens) {
        *counts.entry(&token.token).or_default() += token.n;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| Reverse(*n));
    let words = counts.iter().take(3).map(|(token, _)| format!("{token:?}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Counts the tasks that ran: one that was skipped leads to no token.
fn outputs(outputs: &OutputSummary) -> String {
    let (fewest, most) = (outputs.fewest_tasks, outputs.most_tasks);
    let range = if fewest == most { String::new() } else { format!("{fewest} to ") };
    let tasks = format!("{range}{}", count(most, "task"));
    if outputs.n_inputs == 1 {
        return format!(
            "{tasks} lead to {} as most probable next",
            count(outputs.distinct_top1 as u64, "distinct token")
        );
    }
    format!(
        "{tasks} lead to {:.2} distinct tokens as most probable next on average over {}; they all \
         agree on {:.1} % of the inputs",
        outputs.distinct_top1,
        count(outputs.n_inputs, "input"),
        outputs.unanimous * 100.0
    )
}

/// What a verdict that rests on evidence says, from its rows and the one that is shown.
pub(super) fn evidence(
    verdict: EvidenceVerdict,
    (rows, row): (&[Row], &Row),
    bound: Bound,
    judged: &Judged,
) -> String {
    let found = rows.iter().filter(|row| is_found(row, bound)).count();
    let of_layers = |n: usize| match rows {
        [one] if one.layer == OUTPUT_LAYER => "in what the model says next".to_owned(),
        [one] => format!("on layer {}", one.layer),
        rows if n == 0 => format!("on {} layers", rows.len()),
        rows => format!("on {n} of {} layers", rows.len()),
    };
    let numbers = numbers(row, rows.len());
    let mut text = match verdict {
        EvidenceVerdict::Supported => format!(
            "{} prompts of different tasks are further apart than wordings of one task, more than \
             chance makes them: {numbers}",
            of_layers(found)
        ),
        EvidenceVerdict::Equivalent if is_shown(row) => format!(
            "tasks differ more than wordings of one task do, by less than matters ({}): {numbers}",
            smallest(bound)
        ),
        EvidenceVerdict::Equivalent => format!(
            "{} the difference between tasks is that between wordings of one task, to within what \
             matters ({}): {numbers}",
            of_layers(rows.len()),
            smallest(bound)
        ),
        EvidenceVerdict::Undecided | EvidenceVerdict::NotTestable => format!(
            "{} neither shown nor ruled out is that tasks differ more than wordings of one task do, by as \
             much as matters: {numbers}; {}",
            of_layers(0),
            lacking(rows, row, bound, judged)
        ),
    };
    if verdict != EvidenceVerdict::Supported
        && let Some(beyond) = exceptions(rows)
    {
        text = format!("{text}; {beyond}");
    }
    if !row.warning.is_empty() {
        text = format!("{text}; note: {}", row.warning);
    }
    text
}

/// The smallest difference that matters, in words.
fn smallest(bound: Bound) -> String {
    match bound {
        Bound::Own(bound) => format!("{bound} in the measure's unit"),
        Bound::Relative(bound) => {
            format!("{bound} of the way from another wording to another input")
        }
    }
}

/// The row with most inputs that differ by more than matters.
pub(super) fn most_beyond(rows: &[Row]) -> Option<&Row> {
    rows.iter().max_by_key(|row| row.n_beyond.unwrap_or(0))
}

/// How many inputs differ by more than matters, and which; `None` when none does.
fn exceptions(rows: &[Row]) -> Option<String> {
    let row = most_beyond(rows)?;
    let n = row.n_beyond.filter(|n| *n > 0)?.unsigned_abs();
    let more = if n > row.beyond.len() as u64 { ", ..." } else { "" };
    let place =
        if row.layer == OUTPUT_LAYER { String::new() } else { format!(" on layer {}", row.layer) };
    Some(format!(
        "{n} of {} by themselves differ by more than matters{place}: {}{more}",
        count(row.n_inputs.unsigned_abs(), "input"),
        row.beyond.join(", ")
    ))
}

/// The numbers of the row that is shown.
fn numbers(row: &Row, layers: usize) -> String {
    let place = match (row.layer, layers) {
        (OUTPUT_LAYER, _) | (_, 1) => String::new(),
        (layer, _) => format!("most at layer {layer}, "),
    };
    let delta = row.delta.map_or_else(String::new, |delta| format!("delta {delta:.4}"));
    let interval = row.interval.map_or_else(
        || ", no interval".to_owned(),
        |(low, high)| format!(" (95 % interval {low:.4} to {high:.4})"),
    );
    let p = |p: Option<f64>| p.map_or_else(|| "none".to_owned(), |p| format!("{p:.4}"));
    format!(
        "{place}{delta}{interval}{} over {} and at least {} a task; p {} over inputs and {} over {}, \
         corrected over all that is judged",
        relative(row),
        clusters(row),
        count(row.n_wordings.unsigned_abs(), "wording"),
        p(row.p),
        p(row.p_wording),
        count(row.n_reassignments.unsigned_abs(), "way") + " to deal the wordings out",
    )
}

/// The size on the scale from another wording to another input.
fn relative(row: &Row) -> String {
    let Some(relative) = row.relative else { return String::new() };
    let interval = row
        .relative_interval
        .map_or_else(String::new, |(low, high)| format!(", {low:.3} to {high:.3}"));
    format!(", {relative:.3} of the way from another wording to another input{interval},")
}

fn clusters(row: &Row) -> String {
    let inputs = count(row.n_inputs.unsigned_abs(), "input");
    if row.n_clusters == row.n_inputs {
        return inputs;
    }
    format!("{inputs} in {}", count(row.n_clusters.unsigned_abs(), "cluster"))
}

/// What an undecided verdict would have needed.
fn lacking(rows: &[Row], row: &Row, bound: Bound, judged: &Judged) -> String {
    let mut lacking = Vec::new();
    if row.interval.is_none_or(|(low, _)| low <= 0.0) {
        lacking.push("the interval is not above 0");
    }
    if row.p.is_none_or(|p| p >= LEVEL) {
        lacking.push("it does not hold over inputs");
    }
    if row.p_wording.is_none_or(|p| p >= LEVEL) {
        lacking.push("wordings dealt out at random do as well");
    }
    if is_shown(row) {
        lacking.push("it is smaller than what matters");
    }
    let too_few = few_inputs(rows, bound);
    lacking.push(match bound {
        _ if too_few.is_some() => too_few.as_deref().unwrap_or_default(),
        _ if rows.iter().all(|row| bound.holds(row)) => {
            let has_some = rows.iter().any(|row| rule::has_exceptions(row, judged));
            if has_some { "single inputs differ by more than matters" } else { "" }
        }
        _ => bound
            .without_scale(row)
            .unwrap_or("the interval is not within what is too small to matter"),
    });
    lacking.retain(|text| !text.is_empty());
    lacking.join(", ")
}

/// What keeps intervals that all lie within the bound from deciding: inputs that nobody saw; `None` when
/// nothing does.
fn few_inputs(rows: &[Row], bound: Bound) -> Option<String> {
    let is_short = |row: &&Row| bound.is_around(row) && !bound.holds(row);
    let row = rows.iter().filter(is_short).max_by_key(|row| bound.needed(row))?;
    if !rows.iter().all(|row| bound.is_around(row)) {
        return None;
    }
    let (clusters, needed) = (row.n_clusters.unsigned_abs(), bound.needed(row)?);
    let most = row.most?;
    Some(format!(
        "these inputs differ by less than matters, but {} without one that differs leave room \
         for a share of {:.3} of all inputs that differ by up to {most} in the measure's unit, which would \
         be more than matters: {} like these would do",
        count(clusters, "independent input"),
        unseen(clusters),
        count(needed, "independent input"),
    ))
}

/// The run has no table `effect`.
pub(super) fn no_effect_stage() -> String {
    "nothing here tells a difference between tasks from one between wordings of one task: give the \
     tasks several `wordings` and add the stages `reference`, `contrast` and `effect`"
        .to_owned()
}

/// Table `effect` lacks the measure.
pub(super) fn no_rows(measure: &str) -> String {
    format!(
        "table effect has no rows of {measure} on these layers: name it in the `measures` of stage \
         `contrast` (`jsd_bits` comes from stage `outputs`), or leave it out of those of `summary`"
    )
}

/// No input has a value on any of the layers.
pub(super) fn no_values(word: &str) -> String {
    format!("no input has a value: {}", status::meaning(word))
}

/// All differences are the same.
pub(super) fn nothing_varies() -> String {
    "prompts of different tasks are exactly as far apart as wordings of one task, on every input"
        .to_owned()
}

/// No input has all pairs of its prompts.
pub(super) fn no_ways() -> String {
    "not every input has all pairs of its prompts, so wordings cannot be dealt out again".to_owned()
}

/// Why the notebook's test and the evidence say different things; `None` when they do not.
pub(super) fn disagreement(notebook: Verdict, evidence: EvidenceVerdict) -> Option<String> {
    let why = match (notebook, evidence) {
        (Verdict::Supported, EvidenceVerdict::Undecided | EvidenceVerdict::Equivalent) => {
            "the notebook's test says supported: other words in front of the input and other places \
             of its words lower the flat cosine by themselves, and no wording of the same task stood \
             beside them"
        }
        (Verdict::NotSupported, EvidenceVerdict::Supported) => {
            "the notebook's test says not supported: the first token, which all prompts share in \
             kind, can hold the flat cosine near 1 alone, and 0.9 is no baseline; against wordings of \
             one task the difference shows"
        }
        (Verdict::Supported | Verdict::NotSupported, EvidenceVerdict::NotTestable) => {
            "the notebook's test answers all the same, since it asks for no baseline"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

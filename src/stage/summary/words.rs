//! The sentences of a summary. Every one is made of the numbers; none says more than they do.

use super::document::{AttentionSummary, LayerSummary, OutputSummary, ScenarioSummary, Verdict};

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
         threshold {threshold}: {meaning} (the notebook's test; it has no baseline)",
        count(summary.n_pairs, "pair"),
        count(summary.n_tasks, "task"),
        count(summary.n_inputs, "input"),
    )
}

/// What else was measured.
pub(super) fn findings(summary: &ScenarioSummary) -> Vec<String> {
    let layers = layers(&summary.layers);
    let attention = summary.attention.as_ref().map(attention);
    let outputs = summary.outputs.as_ref().map(outputs);
    [layers, attention, outputs].into_iter().flatten().collect()
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

//! The logit lens.

use super::{Figure, Group, Section, reasons};
use crate::render::axis::Axis;
use crate::render::evidence::{Lens, LensLayer, Mean};
use crate::render::numbers;
use crate::render::panel::{Mark, Panel};
use crate::render::strips;
use crate::render::strips::{Part, Strip};

pub(super) fn lens(name: &str, lens: &Lens) -> Section {
    let mut section = Section {
        heading: "In which layer do the tasks begin to say different things?",
        intro: "The logit lens: every layer's state at the last token, read through the model's \
                own final norm and unembedding. First, how far two tasks' readings differ; then, how \
                far those of two wordings of one task do, which is what a difference between tasks \
                must exceed; last, how much such a reading loses compared with the model's own \
                output. Where it loses much, a small difference says nothing. Intervals are over \
                inputs, those of one cluster taken together."
            .to_owned(),
        ..Section::default()
    };
    let of = |mean: fn(&LensLayer) -> &Mean| -> Vec<(i16, &Mean)> {
        lens.layers.iter().map(|at| (at.layer, mean(at))).collect()
    };
    // Beside its baseline where there is one: both then share an axis.
    let has_baseline = lens.layers.iter().any(|at| at.within.value.is_some());
    let between = of(if has_baseline { |at| &at.between } else { |at| &at.divergence });
    let within = of(|at| &at.within);
    let wordings = if has_baseline { "all" } else { "first" };
    let tasks = &*format!("JSD between tasks, {wordings} wordings");
    let bits = Axis::around(between.iter().chain(&within).filter_map(|(_, mean)| top(mean)));
    let loss = of(|at| &at.kl_to_final);
    let nats = Axis::around(loss.iter().filter_map(|(_, mean)| top(mean)));
    let panels = [
        (tasks, "bits", bits, between),
        ("JSD between wordings of one task, the largest", "bits", bits, within),
        ("KL from the model's own output", "nats", nats, loss),
    ];
    let mut group = Group::default();
    for (what, unit, axis, layers) in panels {
        if let Some(svg) = mean_panel(&format!("{name}: {what} by layer"), unit, axis, &layers) {
            let n = layers.iter().map(|(_, mean)| mean.n).max().unwrap_or(0);
            let caption = format!("{what}; {unit}, mean over {n} inputs and its 95 % interval");
            group.figures.push(Figure { svg, caption });
        } else if !layers.is_empty() {
            let why = reasons(layers.iter().map(|(_, mean)| mean.missing.as_str()));
            section.notes.push(format!("{what}: no value ({why})."));
        }
    }
    section.groups.push(group);
    section.groups.extend(onsets(name, lens));
    let others = [
        (lens.n_alike, "their outputs do not differ, so no layer can be the first."),
        (
            lens.n_within,
            "their outputs differ no more than those of two wordings of one of the tasks, so the \
             difference is not the task's.",
        ),
        (
            lens.n_unknown,
            "how far wordings differ is not known: the task has but one wording, or the input is \
             not among those of which stage lens compares all wordings (baseline_inputs).",
        ),
    ];
    for (n, why) in others.into_iter().filter(|(n, _)| *n > 0) {
        section.notes.push(format!("{} without an onset: {why}", pairs_of_prompts(n)));
    }
    section.grids.push(numbers::lens(lens));
    section
}

/// The upper end of what is drawn of a mean.
fn top(mean: &Mean) -> Option<f64> {
    mean.interval.map(|(_, high)| high).or(mean.value)
}

fn mean_panel(title: &str, unit: &str, axis: Axis, layers: &[(i16, &Mean)]) -> Option<String> {
    let mark = |(layer, mean): &(i16, &Mean)| {
        let value = mean.value?;
        let ends = mean.interval;
        let interval = ends.map_or_else(String::new, |(l, h)| format!(", from {l:.6} to {h:.6}"));
        let hint = format!("layer {layer}: mean {value:.6}{interval}, {} inputs", mean.n);
        Some(Mark { layer: *layer, value, ends, is_hollow: false, hint })
    };
    let marks: Vec<Mark> = layers.iter().filter_map(mark).collect();
    let layers: Vec<i16> = layers.iter().map(|(layer, _)| *layer).collect();
    let panel = Panel {
        title,
        name: unit,
        axis,
        layers: &layers,
        marks: &marks,
        bounds: &[],
        is_line: true,
    };
    (!marks.is_empty()).then(|| panel.draw())
}

fn onsets(name: &str, lens: &Lens) -> Option<Group> {
    if lens.n_pairs == 0 {
        return None;
    }
    let row = |label: String, n: u64| {
        let share = n as f64 / lens.n_pairs as f64;
        let hint = format!("{label}: {n} of {}", pairs_of_prompts(lens.n_pairs));
        let parts = vec![Part { value: share, hint, ..Part::default() }];
        Strip { label, parts, after: format!("{n} of {}", lens.n_pairs) }
    };
    let layers = lens.layers.iter().map(|at| row(format!("layer {}", at.layer), at.onsets));
    let after = row("after the last captured".to_owned(), lens.n_after);
    let rows: Vec<Strip> = layers.chain([after]).collect();
    let title = format!("{name}: onset of the difference by layer");
    let svg = strips::strips(&title, Axis::unit([]), 1, &rows);
    let caption = "Onset: the first captured layer from which on two tasks' readings differ more \
                   than two wordings of one of them, and by at least half of what their outputs \
                   do. Share of the pairs of tasks whose outputs differ more than wordings make \
                   them."
        .to_owned();
    Some(Group { figures: vec![Figure { svg, caption }], ..Group::default() })
}

fn pairs_of_prompts(n: u64) -> String {
    if n == 1 { "1 pair of prompts".to_owned() } else { format!("{n} pairs of prompts") }
}

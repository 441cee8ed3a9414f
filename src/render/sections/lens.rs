//! The logit lens.

use super::{Figure, Group, Section, reasons};
use crate::render::axis::Axis;
use crate::render::evidence::{Lens, Mean};
use crate::render::numbers;
use crate::render::panel::{Mark, Panel};
use crate::render::strips;
use crate::render::strips::{Part, Strip};

pub(super) fn lens(name: &str, lens: &Lens) -> Section {
    let mut section = Section {
        heading: "In which layer do the tasks begin to say different things?",
        intro: "The logit lens: every layer's state at the last token, read through the model's \
                own final norm and unembedding. First, how far two tasks' readings differ; \
                second, how much such a reading loses compared with the model's own output. Where it \
                loses much, a small difference says nothing."
            .to_owned(),
        ..Section::default()
    };
    let divergence: Vec<(i16, &Mean)> =
        lens.layers.iter().map(|at| (at.layer, &at.divergence)).collect();
    let loss: Vec<(i16, &Mean)> =
        lens.layers.iter().map(|at| (at.layer, &at.kl_to_final)).collect();
    let panels = [
        ("JSD between tasks", "bits", divergence),
        ("KL from the model's own output", "nats", loss),
    ];
    let mut group = Group::default();
    for (what, unit, layers) in panels {
        if let Some(svg) = mean_panel(&format!("{name}: {what} by layer"), unit, &layers) {
            let caption = format!("{what}, {unit}: mean and range");
            group.figures.push(Figure { svg, caption });
        } else if !layers.is_empty() {
            let why = reasons(layers.iter().map(|(_, mean)| mean.missing.as_str()));
            section.notes.push(format!("{what}: no value ({why})."));
        }
    }
    section.groups.push(group);
    section.groups.extend(onsets(name, lens));
    if lens.n_alike > 0 {
        section.notes.push(format!(
            "{} more: their outputs do not differ, so no layer can be the first.",
            pairs_of_prompts(lens.n_alike)
        ));
    }
    section.grids.push(numbers::lens(lens));
    section
}

fn mean_panel(title: &str, unit: &str, layers: &[(i16, &Mean)]) -> Option<String> {
    let mark = |(layer, mean): &(i16, &Mean)| {
        let value = mean.value?;
        let ends = mean.min.zip(mean.max);
        let range = ends.map_or_else(String::new, |(l, h)| format!(", from {l:.6} to {h:.6}"));
        let hint = format!("layer {layer}: mean {value:.6}{range}, {} values", mean.n);
        Some(Mark { layer: *layer, value, ends, is_hollow: false, hint })
    };
    let marks: Vec<Mark> = layers.iter().filter_map(mark).collect();
    let ends = layers.iter().filter_map(|(_, mean)| mean.max);
    let axis = Axis::around(ends);
    let layers: Vec<i16> = layers.iter().map(|(layer, _)| *layer).collect();
    let panel = Panel { title, name: unit, axis, layers: &layers, marks: &marks, is_line: true };
    (!marks.is_empty()).then(|| panel.draw())
}

fn onsets(name: &str, lens: &Lens) -> Option<Group> {
    if lens.n_pairs == 0 {
        return None;
    }
    let row = |label: String, n: u64| {
        let share = n as f64 / lens.n_pairs as f64;
        let hint = format!("{label}: {n} of {}", pairs_of_prompts(lens.n_pairs));
        let parts = vec![Part { kind: 0, value: share, hint }];
        Strip { label, parts, after: format!("{n} of {}", lens.n_pairs) }
    };
    let layers = lens.layers.iter().map(|at| row(format!("layer {}", at.layer), at.onsets));
    let after = row("after the last captured".to_owned(), lens.n_after);
    let rows: Vec<Strip> = layers.chain([after]).collect();
    let title = format!("{name}: onset of the difference by layer");
    let svg = strips::strips(&title, Axis::unit([]), 1, &rows);
    let caption = "Onset: the first captured layer from which on two tasks' readings differ by at \
                   least half of what their outputs do. Share of the pairs of prompts."
        .to_owned();
    Some(Group { figures: vec![Figure { svg, caption }], ..Group::default() })
}

fn pairs_of_prompts(n: u64) -> String {
    if n == 1 { "1 pair of prompts".to_owned() } else { format!("{n} pairs of prompts") }
}

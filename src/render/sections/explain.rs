//! What the notebook's number is made of.

use super::{Group, Section, key, reasons};
use crate::render::axis::Axis;
use crate::render::evidence::{Explained, ExplainedLayer, ExplainedPart, PARTS};
use crate::render::numbers;
use crate::render::strips;
use crate::render::strips::{Part, Strip};

pub(super) fn explain(name: &str, explained: &Explained) -> Section {
    let (a, b) = &explained.tasks;
    let mut section = Section {
        heading: "What the notebook's number is made of",
        intro: format!(
            "The flat cosine of {a} and {b} for input {}, cut into what groups of tokens add to \
             it. The state at position 0 says little about the input, and that of a shared prefix \
             nothing about the tasks; at different tokens, different words are compared; only the \
             input's part compares the input with itself.",
            explained.input
        ),
        key: key(&PARTS),
        ..Section::default()
    };
    let rows = || explained.layers.iter();
    if rows().all(|layer| !layer.missing.is_empty()) {
        let why = reasons(rows().map(|layer| layer.missing.as_str()));
        section.notes.push(format!("No value: {why}."));
        return section;
    }
    // Parts below 0 pile up to the left: their sum ends the axis there.
    let below = rows().map(|layer| layer.parts.iter().map(|part| part.contribution.min(0.0)).sum());
    let axis = Axis::unit(below);
    let strips: Vec<Strip> = rows().map(explain_strip).collect();
    let title = format!("{name}: what the flat cosine of {a} and {b} is made of, by layer");
    let svg = strips::strips(&title, axis, PARTS.len(), &strips);
    section.groups.push(Group::of(svg));
    section.notes.push(
        "Shared prefix: leading tokens that both prompts have, whose states are equal by \
         causality. Input: the same token of the input in both prompts. Parts below 0 go left; \
         all parts add up to the number behind the bar."
            .to_owned(),
    );
    section.grids.push(numbers::explained(explained));
    section
}

fn explain_strip(layer: &ExplainedLayer) -> Strip {
    let part = |(kind, part): (usize, &ExplainedPart)| {
        (part.tokens > 0).then(|| Part {
            kind,
            value: part.contribution,
            hint: format!(
                "layer {}, {}: {:.6} from {} tokens with {:.6} of the weight",
                layer.layer, PARTS[kind], part.contribution, part.tokens, part.weight
            ),
            ..Part::default()
        })
    };
    let is_there = layer.missing.is_empty();
    let total = format!("= {:.4}", layer.total());
    let parts = layer.parts.iter().enumerate().filter_map(part);
    Strip {
        label: format!("layer {}", layer.layer),
        parts: if is_there { parts.collect() } else { Vec::new() },
        after: if is_there { total } else { layer.missing.clone() },
    }
}

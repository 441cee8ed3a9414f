//! Whether the model uses what differs, and where.

use super::{Figure, Group, Section, key};
use crate::render::axis::Axis;
use crate::render::causes::{PairUse, Relay, Share, TaskUse, TokenMap, UseCurve, Uses};
use crate::render::cells::{Cell, cells};
use crate::render::numbers;
use crate::render::panel::{Beside, Mark, Panel};
use crate::render::strips::{self, Part, Strip};
use crate::render::token::visible;

/// Segments of a prompt, in their order.
const SEGMENTS: [&str; 3] = ["before the input", "input", "behind the input"];

/// Relays that are drawn at once, and on demand.
const MOST_RELAYS: usize = 2;
const MORE_RELAYS: usize = 12;

pub(super) fn uses(name: &str, uses: &Uses) -> Section {
    let mut section = Section {
        heading: "Does the model use what differs?",
        intro: "What the model says next is computed again with the input's keys and values exchanged for those that \
                the same input had under another task; everything else stays. Brought: how much of the other task's \
                prediction that reading brings along, less what neutral prefixes or other wordings bring. Lost: how much \
                of a task's own prediction goes when the input is read as under no task. 1 is the whole difference \
                between the two predictions."
            .to_owned(),
        key: if uses.relays.is_empty() { Vec::new() } else { key(&SEGMENTS) },
        ..Section::default()
    };
    for task in &uses.tasks {
        let verdict = task.verdict.replace('_', " ");
        section.notes.push(format!("{}: {verdict}. {}.", task.task, super::sentence(&task.reason)));
    }
    section.groups.extend(bars(name, uses));
    section.groups.extend(matrix(name, uses));
    let curves = uses.curves.iter().map(|curve| curve_figure(name, curve, uses.margin));
    let figures: Vec<Figure> = curves.collect();
    if !figures.is_empty() {
        let title = "From which block on the exchange still brings it".to_owned();
        section.groups.push(Group { title, figures, ..Group::default() });
    }
    let relays: Vec<Group> =
        uses.relays.iter().take(MORE_RELAYS).map(|relay| relay_group(name, relay)).collect();
    for (place, group) in relays.into_iter().enumerate() {
        let groups = if place < MOST_RELAYS { &mut section.groups } else { &mut section.more };
        groups.push(group);
    }
    section.groups.extend(uses.maps.iter().map(|map| map_group(name, map)));
    section.notes.push(format!(
        "Used: the interval of what is lost, or of what is brought under some other task, lies above {} and p over the \
         inputs is below 0.05, corrected over all questions of the scenario. Not used: both lie below it, and another \
         task is used, so that the exchange is known to show a use. Intervals take inputs and wordings as random.",
        uses.margin
    ));
    section.grids.push(numbers::uses(uses));
    if !uses.cuts.is_empty() {
        section.grids.push(numbers::cuts(&uses.cuts));
    }
    section
}

/// Two bars for each task: what is lost, what is brought.
fn bars(name: &str, uses: &Uses) -> Option<Group> {
    let of = |task: &TaskUse| {
        let lost = bar(&task.task, "lost", task.necessity, &task.necessary);
        let brought = task.sufficiency.as_ref();
        let into = brought.map_or(String::new(), |(_, into)| format!(" under {into}"));
        let brought =
            bar("", &format!("brought{into}"), brought.map(|(share, _)| *share), &task.sufficient);
        [lost, brought]
    };
    let rows: Vec<Strip> = uses.tasks.iter().flat_map(of).collect();
    if rows.iter().all(|row| row.parts.is_empty()) {
        return None;
    }
    let values = rows.iter().flat_map(|row| row.parts.iter().map(|part| part.value));
    let title = format!("{name}: what is lost and brought with each task's reading");
    let svg = strips::strips(&title, Axis::unit(values), 1, &rows);
    let n = uses.tasks.iter().map(|task| task.n_inputs).max().unwrap_or(0);
    let caption = format!(
        "Share of the whole difference, with its 95 % interval; {n} inputs. Below {} would not matter.",
        uses.margin
    );
    let title = "What is lost without a task's reading, and what it brings to another".to_owned();
    Some(Group { title, figures: vec![Figure { svg, caption }], ..Group::default() })
}

fn bar(task: &str, what: &str, share: Option<Share>, answer: &str) -> Strip {
    let label = if task.is_empty() { what.to_owned() } else { format!("{task}: {what}") };
    let part = share.map(|share| Part {
        value: share.value,
        ends: share.ends,
        hint: format!("{label}: {}", range(share)),
        ..Part::default()
    });
    let after = share.map_or_else(
        || answer.replace('_', " "),
        |share| format!("{:.2}, {}", share.value, answer.replace('_', " ")),
    );
    Strip { label, parts: part.into_iter().collect(), after }
}

fn range(share: Share) -> String {
    let ends =
        share.ends.map_or_else(String::new, |(low, high)| format!(", from {low:.4} to {high:.4}"));
    format!("{:.4}{ends}", share.value)
}

/// Donors by receivers.
fn matrix(name: &str, uses: &Uses) -> Option<Group> {
    let tasks: Vec<String> = uses.tasks.iter().map(|task| task.task.clone()).collect();
    if tasks.len() < 2 || uses.pairs.iter().all(|pair| pair.value.is_none()) {
        return None;
    }
    let n = tasks.len();
    let mut all = vec![Cell::default(); n * n];
    for pair in &uses.pairs {
        all[pair.donor * n + pair.receiver] = pair_cell(&tasks, pair);
    }
    let title = format!("{name}: what each task's reading brings under each other task");
    let svg = cells(&title, &tasks, &tasks, 46.0, &all);
    let caption = "Row: whose reading; column: whose prompt. Colour: share of its prediction that it brings, beyond the \
                   controls; number: share of inputs that then get its answer."
        .to_owned();
    let title = "Whose reading brings what where".to_owned();
    Some(Group { title, figures: vec![Figure { svg, caption }], ..Group::default() })
}

fn pair_cell(tasks: &[String], pair: &PairUse) -> Cell {
    let (donor, receiver) = (&tasks[pair.donor], &tasks[pair.receiver]);
    let Some(share) = pair.value else {
        let hint = format!("{donor} under {receiver}: no value; {}", pair.missing);
        return Cell { value: None, text: "–".to_owned(), hint };
    };
    let says = pair.donor_share.map_or_else(String::new, |share| format!("{share:.2}"));
    let [neutral, wordings] = pair
        .controls
        .map(|value| value.map_or_else(|| "none".to_owned(), |value| format!("{value:.4}")));
    let hint = format!(
        "{donor} under {receiver}: {}; neutral {neutral}, other wordings {wordings}; its answer {says}",
        range(share)
    );
    Cell { value: Some(share.value), text: says, hint }
}

fn curve_figure(name: &str, curve: &UseCurve, margin: f64) -> Figure {
    let UseCurve { donor, receiver, points, n_inputs } = curve;
    let layers: Vec<i16> = points.iter().map(|(layer, ..)| *layer).collect();
    let mark = |(layer, share, _): &(i16, Option<Share>, Option<f64>)| {
        let share = (*share)?;
        let hint = format!("from block {layer} on: {}", range(share));
        Some(Mark { layer: *layer, value: share.value, ends: share.ends, is_hollow: false, hint })
    };
    let marks: Vec<Mark> = points.iter().filter_map(mark).collect();
    let ends = marks.iter().filter_map(|mark| mark.ends).flat_map(|(low, high)| [low, high]);
    let neutral = points.iter().filter_map(|(_, _, neutral)| *neutral);
    let axis = Axis::around(marks.iter().map(|mark| mark.value).chain(ends).chain(neutral));
    let bounds: Vec<(i16, f64)> = layers.iter().map(|layer| (*layer, margin)).collect();
    let svg = Panel {
        title: &format!("{name}: what {donor}'s reading brings under {receiver}, by first block"),
        name: "share brought",
        axis,
        layers: &layers,
        marks: &marks,
        bounds: &bounds,
        is_line: true,
    }
    .draw_beside(&Beside {
        level: None,
        dashed: points.iter().map(|(layer, _, neutral)| (*layer, *neutral)).collect(),
    });
    let caption = format!(
        "{donor} under {receiver}, {n_inputs} inputs: keys and values exchanged from this block on, with the 95 % \
         interval over inputs; dashed: neutral prefixes; shaded: below the margin"
    );
    Figure { svg, caption }
}

fn relay_group(name: &str, relay: &Relay) -> Group {
    let Relay { donor, receiver, layers, n_inputs } = relay;
    let row = |(layer, shares): &(i16, [f64; 3])| {
        let part = |(kind, value): (usize, &f64)| {
            let hint = format!("layer {layer}, {}: {value:.4}", SEGMENTS[kind]);
            Part { kind, value: *value, hint, ..Part::default() }
        };
        let parts = shares.iter().enumerate().map(part).collect();
        Strip { label: format!("layer {layer}"), parts, after: String::new() }
    };
    let rows: Vec<Strip> = layers.iter().map(row).collect();
    let lowest =
        layers.iter().flat_map(|(_, shares)| shares.iter().copied().filter(|share| *share < 0.0));
    let title = format!("{name}: where {donor}'s answer is under {receiver}, by layer");
    let svg = strips::strips(&title, Axis::unit(lowest), SEGMENTS.len(), &rows);
    let caption = format!(
        "Shapley shares of the three segments in bringing {donor}'s prediction into {receiver}'s prompt by their residual \
         streams after each block, mean over {n_inputs} inputs; they sum to 1."
    );
    let title = format!("Where it is: {donor} under {receiver}");
    Group { title, figures: vec![Figure { svg, caption }], ..Group::default() }
}

fn map_group(name: &str, map: &TokenMap) -> Group {
    let TokenMap { input, donor, receiver, layers, columns, values } = map;
    let columns: Vec<String> = columns.iter().map(|token| visible(token)).collect();
    let rows: Vec<String> = layers.iter().map(|layer| format!("layer {layer}")).collect();
    let cell = |(i, value): (usize, &Option<f64>)| {
        let (row, column) = (&rows[i / columns.len()], &columns[i % columns.len()]);
        match value {
            None => Cell {
                value: None,
                text: "–".to_owned(),
                hint: format!("{row}, {column}: no value"),
            },
            Some(value) => Cell {
                value: Some(*value),
                text: if *value >= 0.095 { format!("{value:.1}") } else { String::new() },
                hint: format!("{row}, {column}: {value:.4}"),
            },
        }
    };
    let all: Vec<Cell> = values.iter().enumerate().map(cell).collect();
    let title = format!("{name}, {input}: {donor}'s tokens in {receiver}'s prompt");
    let svg = cells(&title, &rows, &columns, 27.0, &all);
    let caption = format!(
        "{input}: share of {donor}'s prediction that one token's residual stream brings into {receiver}'s prompt; the first \
         column is all that stands before the input, the last all behind it."
    );
    let title = format!("Which token carries it: {donor} under {receiver}");
    Group { title, figures: vec![Figure { svg, caption }], ..Group::default() }
}

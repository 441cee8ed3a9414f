//! Shares of the variance.

use super::{Figure, Group, Section, key, reasons, sentence};
use crate::render::axis::Axis;
use crate::render::evidence::{Partition, PartitionRow};
use crate::render::strips;
use crate::render::strips::{Part, Strip};
use crate::render::{names, numbers};

/// What the parts of a variance partition are called, in their order.
const SHARES: [&str; 5] = ["input", "task", "wording", "input × task", "rest"];

pub(super) fn variance(name: &str, partitions: &[Partition]) -> Section {
    let mut section = Section {
        heading: "What moves the vectors?",
        intro: "The variance of all vectors of a layer, cut into what the inputs, the tasks, the \
                wordings of a task and the interaction of input and task make of it. The \
                interaction is the notebook's claim: each input is moved by a task in its own way. \
                A mean over the input's tokens hides what a task does to each of them in another \
                way; token by token it shows."
            .to_owned(),
        key: key(&SHARES),
        ..Section::default()
    };
    for partition in partitions {
        let what = format!("{}, {}", sentence(names::site(&partition.site)), partition.space);
        if partition.rows.iter().all(|row| row.input.is_none() && row.task.is_none()) {
            let why = reasons(partition.rows.iter().map(|row| row.missing.as_str()));
            section.notes.push(format!("{what}: no value ({why})."));
            continue;
        }
        let rows: Vec<Strip> = partition.rows.iter().map(variance_strip).collect();
        let title = format!("{name}: shares of variance by layer, {what}");
        let svg = strips::strips(&title, Axis::unit([]), SHARES.len(), &rows);
        let figures = vec![Figure { svg, caption: counts(&partition.rows) }];
        section.groups.push(Group { title: what, figures, ..Group::default() });
    }
    section.notes.push(
        "The order within a bar is that of the key. F: the task's mean square over that of its \
         wordings, about 1 where tasks differ no more than wordings do. p: the wordings dealt out to \
         the tasks again, the same way for all inputs, corrected over the layers. Standardised: the \
         reference set's mean is taken off every dimension and its spread divided out, so that a \
         few large dimensions do not decide alone."
            .to_owned(),
    );
    if partitions.iter().flat_map(|p| &p.rows).all(|row| row.n_wordings < 2) {
        section.notes.push(
            "Each task has one wording, so what its wording does counts as the task's; F is over the \
             interaction, and has no p that speaks about tasks."
                .to_owned(),
        );
    }
    section.grids.push(numbers::variance(partitions));
    section
}

fn variance_strip(row: &PartitionRow) -> Strip {
    let shares = [row.input, row.task, row.wording, row.interaction, row.rest];
    let part = |(kind, value): (usize, Option<f64>)| {
        let value = value?;
        let hint = format!("layer {}, {}: {value:.6}", row.layer, SHARES[kind]);
        Some(Part { kind, value, hint, ..Part::default() })
    };
    let p = row.p_wording_max_t.map_or_else(String::new, |p| format!(", p = {p:.4}"));
    // As many digits as there is room for.
    let f = row.f_task.map(|f| format!("F = {f:.*}{p}", usize::from(f < 99.95)));
    Strip {
        label: format!("layer {}", row.layer),
        parts: shares.into_iter().enumerate().filter_map(part).collect(),
        after: f.unwrap_or_else(|| row.missing.clone()),
    }
}

/// What a figure rests on: inputs, their units, and ways to deal the wordings out.
fn counts(rows: &[PartitionRow]) -> String {
    let most = |number: fn(&PartitionRow) -> i64| rows.iter().map(number).max().unwrap_or(0);
    let (inputs, units, ways) =
        (most(|row| row.n_inputs), most(|row| row.n_units), most(|row| row.n_reassignments));
    let tokens = if units > inputs { format!(" with {units} tokens") } else { String::new() };
    let ways = if ways > 0 { format!("; p over {ways} ways to deal out") } else { String::new() };
    format!("Share of the sum of squares, {inputs} inputs{tokens}{ways}.")
}

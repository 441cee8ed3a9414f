//! Whether the task can be told on wordings that were not seen.

use super::{Figure, Group, Section, reasons, sentence};
use crate::render::axis::Axis;
use crate::render::panel::{Beside, Mark, Panel};
use crate::render::told::{Told, ToldPoint};
use crate::render::{names, numbers};

pub(super) fn decoding(name: &str, sites: &[Told]) -> Section {
    let mut section = Section {
        heading: "Can the task be told from the vector, whatever its wording?",
        intro: "A linear classifier names the task of vectors whose wording and whose input it was \
                not trained on. If what it finds is the task, it is right more often than chance; if \
                it is the text, only the dashed line is, which is the same classifier tested on \
                wordings that it was trained on."
            .to_owned(),
        ..Section::default()
    };
    let mut group = Group::default();
    for told in sites {
        let what = sentence(names::site(&told.site));
        if told.points.iter().all(|point| point.accuracy.or(point.seen).is_none()) {
            let why = reasons(told.points.iter().map(|point| point.missing.as_str()));
            section.notes.push(format!("{what}: no value ({why})."));
            continue;
        }
        let svg = panel(&format!("{name}: {what}, accuracy by layer"), told);
        group.figures.push(Figure { svg, caption: caption(&what, told) });
    }
    section.groups.push(group);
    section.notes.push(
        "Chance is one over the number of tasks. The band takes inputs and wordings for random; it needs \
         three wordings of every task. p: the wordings are dealt to the tasks again, corrected over \
         layers and vectors. An accuracy below chance is no error: with few wordings, leaving one out \
         leaves its like in the other task. That a task can be told does not say that the model uses it."
            .to_owned(),
    );
    section.grids.push(numbers::decoding(sites));
    section
}

fn panel(title: &str, told: &Told) -> String {
    let layers: Vec<i16> = told.points.iter().map(|point| point.layer).collect();
    let marks: Vec<Mark> = told.points.iter().filter_map(mark).collect();
    let seen = told.points.iter().map(|point| (point.layer, point.seen)).collect();
    let chance = told.points.iter().find_map(|point| point.chance);
    let beside = Beside { level: chance, dashed: seen };
    Panel {
        title,
        name: "accuracy (share of vectors)",
        axis: Axis::unit([]),
        layers: &layers,
        marks: &marks,
        bounds: &[],
        is_line: true,
    }
    .draw_beside(&beside)
}

fn mark(point: &ToldPoint) -> Option<Mark> {
    let value = point.accuracy?;
    let ends = point.interval;
    let range = ends.map_or_else(String::new, |(l, h)| format!(", {l:.4} to {h:.4}"));
    let seen = point.seen.map_or_else(String::new, |seen| format!("; wordings seen: {seen:.4}"));
    let p = point.p_max_t.map_or_else(String::new, |p| format!("; p = {p:.4}"));
    let hint = format!("layer {}: {value:.4}{range}{seen}{p}", point.layer);
    Some(Mark { layer: point.layer, value, ends, is_hollow: false, hint })
}

/// What is drawn, of how many.
fn caption(what: &str, told: &Told) -> String {
    let Some(point) = told.points.iter().max_by_key(|point| point.n_inputs) else {
        return what.to_owned();
    };
    let ToldPoint { n_inputs, n_clusters, n_tasks, n_wordings, .. } = point;
    let chance = point.chance.map_or_else(String::new, |c| format!(", chance {c:.2} (line)"));
    let band = if told.points.iter().any(|point| point.interval.is_some()) {
        " with its 95 % interval"
    } else {
        ""
    };
    format!(
        "{what}: share of vectors whose task is told{band}; dashed: wordings seen. {n_inputs} inputs in \
         {n_clusters} clusters, {n_tasks} tasks of at least {n_wordings} wordings{chance}"
    )
}

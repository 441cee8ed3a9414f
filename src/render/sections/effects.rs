//! The difference between tasks against each baseline.

use super::{Figure, Group, Section, reasons, sentence};
use crate::render::axis::Axis;
use crate::render::evidence::{Effect, EffectPoint};
use crate::render::page::Piece;
use crate::render::panel::{Mark, Panel};
use crate::render::{names, numbers};

/// The contrast between wordings of one task.
const PARAPHRASE: &str = "paraphrase";

/// A corrected p value below this makes a filled mark.
const LEVEL: f64 = 0.05;

pub(super) fn effect(name: &str, effects: &[Effect]) -> Section {
    let mut section = Section {
        heading: "Do tasks move the input further than a baseline does?",
        intro: "Each point is a difference of differences: how far two tasks' prompts of the same \
                input lie apart, less how far the baseline's do, mean over the inputs, with its \
                95 % interval. Above 0, changing the task moves the input further than the \
                baseline does; the interval says how certain that is."
            .to_owned(),
        ..Section::default()
    };
    let any_judged = effects.iter().any(|effect| effect.is_judged);
    let mut measures: Vec<&str> = Vec::new();
    for effect in effects {
        if !measures.contains(&effect.measure.as_str()) {
            measures.push(&effect.measure);
        }
    }
    for (place, measure) in measures.into_iter().enumerate() {
        let of: Vec<&Effect> = effects.iter().filter(|e| e.measure == measure).collect();
        let is_open = of[0].is_judged || (!any_judged && place == 0);
        let group = effect_group(name, measure, &of);
        let groups = if is_open { &mut section.groups } else { &mut section.more };
        groups.extend(Some(group).filter(|group| !group.figures.is_empty()));
    }
    let all = || effects.iter().flat_map(|effect| &effect.points);
    if all().any(|point| point.delta.is_some()) {
        section.notes.push(format!(
            "Unit: dissimilarity (1 less a cosine, or bits), mean over clusters of inputs; inputs of one text \
             are one cluster. Against other wordings of the same task the interval takes inputs and \
             wordings as random, and what is shaded is too small to matter. Filled: the interval is above 0 \
             and the one-sided p values over the inputs and over wordings dealt out to the tasks again are \
             below {LEVEL}, corrected over all measures and layers that the verdict rests on (largest \
             statistic; over the layers for other measures). Hollow: it is not, or there is no test. Against a \
             control, which stands beside one wording of each task, interval and p are over inputs alone: they \
             speak about these very wordings. All panels of a measure share one axis. Controls: a neutral \
             prefix of the same length, which asks for nothing; the task's own words in another order; another \
             input under the same task. Where a measure's name says nothing else, vectors are standardised by \
             the reference set."
        ));
    }
    for effect in effects.iter().filter(|e| e.points.iter().all(|p| p.delta.is_none())) {
        let why = reasons(effect.points.iter().map(|point| point.missing.as_str()));
        let (measure, against) = (names::with_column(&effect.measure), against(&effect.contrast));
        section.notes.push(sentence(&format!("{measure} {against}: no value ({why}).")));
    }
    section.grids.push(numbers::effects(effects));
    section
}

fn effect_group(name: &str, measure: &str, effects: &[&Effect]) -> Group {
    let points = || effects.iter().flat_map(|effect| &effect.points);
    let ends = |p: &EffectPoint| {
        let bound = p.smallest.into_iter().flat_map(|bound| [bound, -bound]);
        [p.delta, p.ci_low, p.ci_high].into_iter().flatten().chain(bound)
    };
    let axis = Axis::around(points().flat_map(ends));
    let drawn = effects.iter().filter(|e| e.points.iter().any(|p| p.delta.is_some()));
    let figures = drawn.map(|effect| {
        let layers: Vec<i16> = effect.points.iter().map(|point| point.layer).collect();
        let marks: Vec<Mark> =
            effect.points.iter().filter_map(|p| effect_mark(&effect.contrast, p)).collect();
        let bounds: Vec<(i16, f64)> =
            effect.points.iter().filter_map(|p| Some((p.layer, p.smallest?))).collect();
        let against = against(&effect.contrast);
        let title = format!("{name}: {}, tasks {against}, by layer", names::measure(measure));
        let panel = Panel {
            title: &title,
            name: &format!("delta, {}", names::unit(measure)),
            axis,
            layers: &layers,
            marks: &marks,
            bounds: &bounds,
            is_line: false,
        };
        let clusters = effect.points.iter().map(|point| point.n_clusters).max().unwrap_or(0);
        let n = names::count(clusters, "cluster");
        Figure { svg: panel.draw(), caption: format!("{}, {n}", sentence(&against)) }
    });
    let after = if effects[0].is_judged { ", which the verdict rests on" } else { "" };
    let Piece { text, code } = names::piece(measure);
    Group { title: sentence(&text), code, after, figures: figures.collect() }
}

fn effect_mark(contrast: &str, point: &EffectPoint) -> Option<Mark> {
    let value = point.delta?;
    let ends = point.ci_low.zip(point.ci_high);
    let interval = match ends {
        Some((low, high)) => format!(", from {low:.6} to {high:.6}"),
        None => String::new(),
    };
    let words =
        |name: &str, p: Option<f64>| p.map_or_else(String::new, |p| format!(", {name} {p:.4}"));
    let numbers = [
        words("of the way to another input", point.relative),
        words("prevalence", point.prevalence),
        words("matters from", point.smallest),
        words("p", point.p),
        words("p over wordings", point.p_wording),
    ];
    let numbers = numbers.concat();
    let is_small = |p: Option<f64>| p.is_some_and(|p| p < LEVEL);
    // Against paraphrases a difference counts only when it is also one between tasks in general,
    // not between these very wordings.
    let is_sure = point.ci_low.is_some_and(|low| low > 0.0)
        && is_small(point.p)
        && (contrast != PARAPHRASE || is_small(point.p_wording));
    let layer = names::layer(point.layer);
    Some(Mark {
        layer: point.layer,
        value,
        ends,
        is_hollow: !is_sure,
        hint: format!("{layer}: delta {value:.6}{interval}{numbers}, {} inputs", point.n_inputs),
    })
}

/// A contrast in words.
fn against(contrast: &str) -> String {
    format!("against {}", names::baseline(contrast))
}

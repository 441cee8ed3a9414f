//! What the model says, how it reads the input, and where it looks.

use super::{Figure, Group, Section, reasons};
use crate::render::axis::Axis;
use crate::render::evidence::{HeadMap, HeadMeasure, OutputPair, SurprisalMean};
use crate::render::page::Input;
use crate::render::strips;
use crate::render::strips::{Part, Strip};
use crate::render::{heads, numbers, surprisal};

pub(super) fn outputs(tasks: &[String], pairs: &[OutputPair]) -> Section {
    let mut notes = vec![
        "TV: total variation, 0 to 1. KL: divergence of the second task's distribution from the \
         first's (→) and the other way round (←). Same top-1: share of inputs with the same most \
         probable token. Top-5, top-10: share of the most probable tokens that both have. RBO: \
         rank-biased overlap of the rankings, 1 = equal."
            .to_owned(),
    ];
    if pairs.iter().all(|pair| pair.means.iter().all(|mean| mean.value.is_none())) {
        let missing = pairs.iter().flat_map(|pair| &pair.means).map(|mean| mean.missing.as_str());
        notes.push(format!("No value: {}.", reasons(missing)));
    }
    Section {
        heading: "How far do the outputs differ?",
        intro: "The distributions of the next token over the whole vocabulary, task against task; \
                first wordings, mean over the inputs. JSD is 0 for equal outputs and 1 bit for \
                outputs that share no token. None of these numbers has a baseline: two wordings of \
                one task differ too, and by how much less is measure jsd_bits of table effect."
            .to_owned(),
        grids: vec![numbers::outputs(tasks, pairs)],
        is_table: true,
        notes,
        ..Section::default()
    }
}

pub(super) fn surprise(name: &str, tasks: &[SurprisalMean]) -> Section {
    let mut section = Section {
        heading: "Does the task make the input itself more or less expected?",
        intro: "Surprisal of the input's own tokens, less that under a neutral prefix of the same \
                length, in bits a token: each input's mean over its tokens, mean over the inputs, \
                with its 95 % interval over inputs, those of one cluster taken together. Left of 0, \
                the task made the input more expected. Whether tasks differ more than wordings do is \
                measure surprisal_bits of table effect."
            .to_owned(),
        ..Section::default()
    };
    if tasks.iter().any(|task| task.delta.value.is_some()) {
        let rows: Vec<Strip> = tasks.iter().map(surprise_strip).collect();
        let ends = |(low, high): (f64, f64)| [low, high];
        let ends = tasks.iter().filter_map(|task| task.delta.interval).flat_map(ends);
        let axis = Axis::around(tasks.iter().filter_map(|task| task.delta.value).chain(ends));
        let title = format!("{name}: surprisal of the input against the neutral prefix, by task");
        let svg = strips::strips(&title, axis, 1, &rows);
        let n = tasks.iter().map(|task| task.delta.n).max().unwrap_or(0);
        let caption =
            format!("Bits a token against the neutral prefix, first wordings; {n} inputs");
        let figures = vec![Figure { svg, caption }];
        section.groups.push(Group { figures, ..Group::default() });
    } else {
        let why = reasons(tasks.iter().map(|task| task.delta.missing.as_str()));
        section.notes.push(format!("No difference to a neutral prefix: {why}."));
    }
    section.grids.push(numbers::surprisal(tasks));
    section
}

fn surprise_strip(task: &SurprisalMean) -> Strip {
    let ends = task.delta.interval;
    let interval = ends.map_or_else(String::new, |(l, h)| format!(", from {l:+.6} to {h:+.6}"));
    let n = task.delta.n;
    let part = task.delta.value.map(|value| Part {
        kind: 0,
        value,
        ends,
        hint: format!("{}: {value:+.6} bits a token{interval}, {n} inputs", task.task),
    });
    let bits = task.delta.value.map(|value| format!("{value:+.3} bits"));
    Strip {
        label: task.task.clone(),
        parts: part.into_iter().collect(),
        after: bits.unwrap_or_else(|| task.delta.missing.clone()),
    }
}

pub(super) fn head_maps(name: &str, maps: &[HeadMap]) -> Section {
    let mut section = Section {
        heading: "Where do the heads look?",
        intro: "Attention of the last token, head by head.".to_owned(),
        ..Section::default()
    };
    let mut group = Group::default();
    for map in maps {
        let (what, unit) = match map.what {
            HeadMeasure::Sink => {
                ("Attention to position 0 (a sink in many models)", "share, mean over prompts")
            }
            HeadMeasure::InputDivergence => (
                "Difference between tasks over the input's tokens",
                "JSD in bits, mean over pairs and inputs",
            ),
        };
        if map.cells.iter().all(|cell| cell.value.is_none()) {
            let why = reasons(map.cells.iter().map(|cell| cell.missing.as_str()));
            section.notes.push(format!("{what}: no value ({why})."));
            continue;
        }
        let svg = heads::map(map, &format!("{name}: {what}"));
        group.figures.push(Figure { svg, caption: format!("{what}: {unit}") });
        section.grids.push(numbers::heads(map, what));
    }
    section.groups.push(group);
    section.notes.push(
        "Where a head looks is not what it reads there: a weight is not an importance.".to_owned(),
    );
    section
}

pub(super) fn input_surprisal(input: &Input) -> Section {
    let mut section = Section {
        heading: "Surprisal of the input under each task",
        grids: vec![numbers::input_surprisal(input)],
        ..Section::default()
    };
    let all = || input.surprisal.iter().flat_map(|task| &task.tokens);
    if all().all(|token| token.bits.is_none()) {
        let why = reasons(all().map(|token| token.missing.as_str()));
        section.notes.push(format!("No value: {why}."));
        return section;
    }
    let title = format!("{}: surprisal of the input's tokens under each task", input.id);
    let svg = surprisal::bars(&input.surprisal, &title);
    section.groups.push(Group::of(svg));
    let neutral = if all().any(|token| token.delta.is_some()) {
        " The line across a bar: the same token under the task's neutral controls."
    } else {
        ""
    };
    section.notes.push(format!(
        "Bits a token (−log₂ of its probability given all before it); all rows share one axis.\
         {neutral}"
    ));
    let longest = input.surprisal.iter().map(|task| task.tokens.len()).max().unwrap_or(0);
    if longest > surprisal::MOST_TOKENS || input.surprisal.len() > surprisal::MOST_TASKS {
        section.notes.push(format!(
            "Drawn are the first {} tokens and {} tasks; table input_surprisal has them all.",
            surprisal::MOST_TOKENS,
            surprisal::MOST_TASKS
        ));
    }
    section
}

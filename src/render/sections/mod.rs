//! The sections of the sound measures: pictures with their captions, and the numbers under them.

mod causes;
mod decoding;
mod effects;
mod explain;
mod lens;
mod readouts;
mod variance;

use serde::Serialize;

use super::numbers;
use super::page::{Input, Scenario};
use super::strips;
use super::tables::Grid;

/// A section, ready to be escaped and shown.
#[derive(Debug, Default, Serialize)]
pub(super) struct Section {
    pub(super) heading: &'static str,
    /// What question it answers.
    pub(super) intro: String,
    /// The key of its colours, in the order of the parts.
    pub(super) key: Vec<Swatch>,
    pub(super) groups: Vec<Group>,
    /// Groups that open on demand, under this line.
    pub(super) more: Vec<Group>,
    /// How to read it, and what is not there and why.
    pub(super) notes: Vec<String>,
    /// The numbers under it.
    #[serde(skip)]
    pub(super) grids: Vec<Grid>,
    /// Whether the numbers are the section: then they are not hidden.
    pub(super) is_table: bool,
    /// Whether it stands under an input.
    pub(super) is_of_input: bool,
}

/// A colour of the key.
#[derive(Debug, Serialize)]
pub(super) struct Swatch {
    colour: String,
    name: &'static str,
}

/// Pictures that belong together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    title: String,
    /// The name of a column, in small type beside the title; empty for none.
    code: String,
    /// What the title says behind it.
    after: &'static str,
    figures: Vec<Figure>,
}

/// A picture.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    svg: String,
    caption: String,
}

impl Group {
    /// One picture that needs no words.
    fn of(svg: String) -> Self {
        let figures = vec![Figure { svg, caption: String::new() }];
        Self { figures, ..Self::default() }
    }
}

/// The key of strips whose parts have these names.
fn key(names: &[&'static str]) -> Vec<Swatch> {
    let swatch = |(kind, name): (usize, &&'static str)| Swatch {
        colour: strips::colour(kind, names.len()).hex(),
        name,
    };
    names.iter().enumerate().map(swatch).collect()
}

/// The sections of a scenario, in the order of the page.
pub(super) fn of_scenario(scenario: &Scenario) -> Vec<Section> {
    let evidence = &scenario.evidence;
    let name = &scenario.name;
    let sections = [
        evidence.effects.as_ref().map(|effects| effects::effect(name, effects)),
        evidence.uses.as_ref().map(|uses| causes::uses(name, uses)),
        evidence.partitions.as_ref().map(|partitions| variance::variance(name, partitions)),
        evidence.decoding.as_ref().map(|told| decoding::decoding(name, told)),
        evidence.lens.as_ref().map(|found| lens::lens(name, found)),
        evidence.outputs.as_ref().map(|pairs| readouts::outputs(&scenario.tasks, pairs)),
        evidence.surprisal.as_ref().map(|tasks| readouts::surprise(name, tasks)),
        (!evidence.heads.is_empty()).then(|| readouts::head_maps(name, &evidence.heads)),
    ];
    sections.into_iter().flatten().collect()
}

/// What the notebook's number is made of.
pub(super) fn of_notebook(scenario: &Scenario) -> Option<Section> {
    scenario
        .evidence
        .explained
        .as_ref()
        .map(|explained| explain::explain(&scenario.name, explained))
}

/// The sections of one input.
pub(super) fn of_input(tasks: &[String], input: &Input) -> Vec<Section> {
    let mut sections = Vec::new();
    if !input.surprisal.is_empty() {
        sections.push(readouts::input_surprisal(input));
    }
    if !input.output_tokens.is_empty() {
        sections.push(Section {
            heading: "Tokens that make the outputs differ",
            grids: vec![numbers::output_tokens(tasks, &input.output_tokens)],
            is_table: true,
            ..Section::default()
        });
    }
    for section in &mut sections {
        section.is_of_input = true;
    }
    sections
}

/// The distinct reasons among some, in their order.
fn reasons<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    for reason in all.filter(|reason| !reason.is_empty()) {
        if !distinct.contains(&reason) {
            distinct.push(reason);
        }
    }
    if distinct.is_empty() { "the table has no rows".to_owned() } else { distinct.join("; ") }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

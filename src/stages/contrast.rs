//! How alike different tasks leave an input, compared with how alike it stays when the task does not
//! change: the numbers that the tests over inputs are based on.
//!
//! A similarity below 1 between two tasks says nothing by itself: any change of the prompt moves the
//! activations. For every input, captured layer and measure the table has the mean similarity of
//!
//! - `between`: all pairs of prompts of different tasks, over all their wordings;
//! - `paraphrase`: all pairs of wordings of one task;
//! - `neutral`, `scrambled`, `other_input`: that control of each task and the wording that it was made
//!   from.
//!
//! A mean is over the pairs that could be compared, and `n_pairs` counts them; without any it is null
//! and `status` has the reason of the first. Where the pipeline asks for no second wording or no such
//! control, the row says `no_pairs`. Another input is never compared token by token. Rows of controls
//! have their pairs too, by the place of the task's prompt.
//!
//! `wording_pairs` has the similarities of all pairs of the tasks' prompts one by one, for the test
//! that deals the wordings out to the tasks again. Reads `prompts`, `activations` and, when there,
//! `reference`; writes both tables. Cost: one pass over the activations, and a dot product a pair.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::Statistics;
use crate::prompt::Role;
use crate::stage::compare::spans::Spans;
use crate::stage::compare::vector_measure::{Choice, Measure, chosen};
use crate::stage::compare::{Cell, Compared};
use crate::stage::names::{BETWEEN, PARAPHRASE};
use crate::stage::read::hidden::{Layer, by_input_and_layer};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
use crate::stage::read::spaces::Reference;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{
    ACTIVATIONS, CONTRAST, ContrastRow, PROMPTS, REFERENCE, WORDING_PAIRS, WordingPairsRow,
};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "contrast",
    version: 3,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[&REFERENCE],
    writes: &[&CONTRAST, &WORDING_PAIRS],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// Compares the difference between tasks with that between wordings and controls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What to compare: cosines of stage `similarity`.
    pub measures: Vec<Choice>,
}

impl Default for Config {
    fn default() -> Self {
        let measures =
            [Choice::SpanStandardised, Choice::LastStandardised, Choice::Span, Choice::Last];
        Self { measures: measures.to_vec() }
    }
}

impl Config {
    /// Valid when every measure is a cosine and named once.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Contrast> {
        let cosines =
            (Measure::is_cosine, "the effect is 1 less a cosine: name measures that are one");
        let measures = chosen(&self.measures, &at.key("measures"), cosines, problems)?;
        Some(Contrast { measures })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Contrast {
    measures: Vec<Measure>,
}

impl Stage for Contrast {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        let names: Vec<&str> = self.measures.iter().map(|measure| measure.name).collect();
        serde_json::json!({ "measures": names })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let designs: Vec<Design<'_>> = prompts.inputs().into_iter().map(Design::of).collect();
        let scenarios = designs.iter().map(|design| design.input.scenario()).collect();
        let reference = Reference::read(context.store, &scenarios)?;
        let found =
            by_input_and_layer(context, DESCRIPTION.kind, &prompts, &designs, |layer, design| {
                self.compare(layer, design, &reference)
            })?;
        let contrasts: Vec<ContrastRow<'_>> =
            found.iter().flat_map(|(contrasts, _)| contrasts).map(Contrasted::row).collect();
        let wordings: Vec<WordingPairsRow<'_>> =
            found.iter().flat_map(|(_, wordings)| wordings).map(Wordings::row).collect();
        let parts = vec![
            ContrastRow::write(context.store, context.part, &contrasts)?,
            WordingPairsRow::write(context.store, context.part, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// What is compared with what among the prompts of one input.
#[derive(Debug)]
struct Design<'p> {
    input: InputGroup<'p>,
    spans: Spans<'p>,
    /// The tasks' prompts in the order of the plan, then the controls.
    prompts: Vec<&'p PromptRow>,
    /// For each of the tasks' prompts: the place of its task.
    tasks: Vec<i32>,
    /// All pairs of the tasks' prompts, then each control with the prompt of its task.
    pairs: Vec<(usize, usize)>,
    /// The contrast that each of them belongs to, by its place in [`CONTRASTS`].
    contrasts: Vec<usize>,
    /// For each contrast with a control: the places of its pairs' tasks' prompts.
    places: [Vec<i32>; CONTRASTS.len()],
}

/// What is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Between,
    Paraphrase,
    Control(Role),
}

/// Every contrast, in the order of the tables.
const CONTRASTS: [Kind; 5] = [
    Kind::Between,
    Kind::Paraphrase,
    Kind::Control(Role::Neutral),
    Kind::Control(Role::Scrambled),
    Kind::Control(Role::OtherInput),
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Between => BETWEEN,
            Self::Paraphrase => PARAPHRASE,
            Self::Control(role) => role.name(),
        }
    }
}

impl<'p> Design<'p> {
    fn of(input: InputGroup<'p>) -> Self {
        let mut prompts = input.tasks();
        let n = prompts.len();
        let mut names: Vec<&str> = Vec::new();
        let mut tasks = Vec::with_capacity(n);
        for prompt in &prompts {
            let name = &*prompt.key.task;
            let place = names.iter().position(|known| *known == name);
            tasks.push(place.unwrap_or(names.len()) as i32);
            if place.is_none() {
                names.push(name);
            }
        }
        let mut all: Vec<(usize, usize)> = pairs(n).collect();
        let mut contrasts: Vec<usize> =
            all.iter().map(|(a, b)| usize::from(tasks[*a] == tasks[*b])).collect();
        prompts.extend(input.prompts.iter().filter(|prompt| prompt.role() != Role::Task));
        for (control, prompt) in prompts.iter().enumerate().skip(n) {
            let kind = CONTRASTS.iter().position(|kind| *kind == Kind::Control(prompt.role()));
            let base = prompts[..n].iter().position(|own| own.is_base_of(prompt));
            if let (Some(base), Some(kind)) = (base, kind) {
                all.push((base, control));
                contrasts.push(kind);
            }
        }
        let places = std::array::from_fn(|place| {
            let own = all.iter().zip(&contrasts).skip(pairs(n).count());
            own.filter(|(_, kind)| **kind == place).map(|((base, _), _)| *base as i32).collect()
        });
        Self { input, spans: Spans::of(input), prompts, tasks, pairs: all, contrasts, places }
    }

    /// A row for each contrast, from the cells of all pairs.
    fn contrast_rows(
        &self,
        layer: i16,
        measure: &'static str,
        cells: &[Cell],
    ) -> impl Iterator<Item = Contrasted<'_>> {
        (0..CONTRASTS.len()).map(move |place| {
            let own = cells.iter().zip(&self.contrasts).filter(|(_, kind)| **kind == place);
            let own: Vec<&Cell> = own.map(|(cell, _)| cell).collect();
            let values: Statistics = own.iter().filter_map(|cell| cell.value).collect();
            let status = match own.first() {
                _ if values.n() > 0 => status::OK,
                Some(cell) => cell.status,
                None => status::NO_PAIRS,
            };
            let each = || own.iter().map(|cell| cell.value).collect::<Option<Vec<f64>>>();
            let is_control = !self.places[place].is_empty();
            Contrasted {
                design: self,
                layer,
                measure,
                place,
                value: values.mean(),
                n_pairs: values.n() as i64,
                values: is_control.then(each).flatten(),
                status,
            }
        })
    }

    /// The values of all pairs of the tasks' prompts, from the cells of all pairs.
    fn wordings(&self, layer: i16, measure: &'static str, cells: &[Cell]) -> Wordings<'_> {
        let own = &cells[..pairs(self.tasks.len()).count()];
        let values: Option<Vec<f64>> = own.iter().map(|cell| cell.value).collect();
        let values = values.filter(|values| !values.is_empty());
        let failed = own.iter().find(|cell| cell.value.is_none());
        let status = match &values {
            Some(_) => status::OK,
            None => failed.map_or(status::NO_PAIRS, |cell| cell.status),
        };
        Wordings { design: self, layer, measure, values, status }
    }
}

/// A measure in one contrast, on one layer.
#[derive(Debug)]
struct Contrasted<'p> {
    design: &'p Design<'p>,
    layer: i16,
    measure: &'static str,
    /// The contrast's place in [`CONTRASTS`].
    place: usize,
    value: Option<f64>,
    n_pairs: i64,
    /// Of the pairs with a control, when all have one.
    values: Option<Vec<f64>>,
    status: &'static str,
}

impl Contrasted<'_> {
    fn row(&self) -> ContrastRow<'_> {
        ContrastRow {
            scenario: self.design.input.scenario(),
            input: self.design.input.input(),
            layer: self.layer,
            measure: self.measure,
            contrast: CONTRASTS[self.place].name(),
            value: self.value,
            n_pairs: self.n_pairs,
            places: &self.design.places[self.place],
            values: self.values.as_deref(),
            status: self.status,
        }
    }
}

/// A measure of all pairs of the tasks' prompts, on one layer.
#[derive(Debug)]
struct Wordings<'p> {
    design: &'p Design<'p>,
    layer: i16,
    measure: &'static str,
    values: Option<Vec<f64>>,
    status: &'static str,
}

impl Wordings<'_> {
    fn row(&self) -> WordingPairsRow<'_> {
        WordingPairsRow {
            scenario: self.design.input.scenario(),
            input: self.design.input.input(),
            layer: self.layer,
            measure: self.measure,
            tasks: &self.design.tasks,
            values: self.values.as_deref(),
            status: self.status,
        }
    }
}

/// What is found for one input on one layer.
type Found<'p> = (Vec<Contrasted<'p>>, Vec<Wordings<'p>>);

impl Contrast {
    /// What is found for one input on one layer, by measure, then contrast.
    fn compare<'p>(
        &self,
        layer: &Layer,
        design: &'p Design<'p>,
        reference: &Reference,
    ) -> Result<Found<'p>, StageError> {
        let reference = reference.layer(design.input.scenario(), layer.number);
        let compared = Compared::new(&design.prompts, layer, &design.spans, reference)?;
        let cells = compared.measure(&self.measures, &design.pairs);
        let layer = layer.number;
        let (mut contrasts, mut wordings) = (Vec::new(), Vec::new());
        for (measure, cells) in self.measures.iter().map(|measure| measure.name).zip(&cells) {
            contrasts.extend(design.contrast_rows(layer, measure, cells));
            wordings.push(design.wordings(layer, measure, cells));
        }
        Ok((contrasts, wordings))
    }
}

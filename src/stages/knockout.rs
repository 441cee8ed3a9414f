//! What the model says when some tokens cannot see others.
//!
//! The prompt of a task is a prefix, the input and a rest. A cut leaves keys and values out of what some tokens
//! read, in all blocks; every token keeps its position:
//!
//! | `cut` | who cannot see what |
//! |---|---|
//! | `input_from_prefix` | the input not what stands before it: it is read as if nothing had been asked |
//! | `rest_from_prefix` | what stands behind the input not what stands before it: the question is seen through the input alone |
//! | `rest_from_input` | what stands behind the input not the input |
//!
//! With `keep_first` 1 the prompt's first token stays visible: in many models it is a sink, and heads that find
//! nothing look there (in `rest_from_input` it is visible in any case). It is another kind of intervention than
//! stage `mediate`'s: nothing foreign is put in. Geva et al. 2023 (arXiv 2304.14767) cut attention like this.
//!
//! Reads `prompts`, writes `knockout`; runs the model: about two prompts for each of the tasks' prompts.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::{self, Distribution, jsd_bits};
use crate::stage::compare::spans::Spans;
use crate::stage::model::spliced::{self, Needs, Piece, Reading, Run, compute};
use crate::stage::model::{batches, head};
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts};
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::WriteRow as _;
use crate::table::schema::{KNOCKOUT, KnockoutRow, PROMPTS};
use crate::table::status;
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "knockout",
    version: 1,
    scope: Scope::Shard,
    unit: "inputs",
    reads: &[&PROMPTS],
    reads_if_there: &[],
    writes: &[&KNOCKOUT],
    file: None,
    depends_on: DependsOn { layers: false, seed: true, head: false, lineage: false },
};

/// Cuts the input off from the task, and the rest of the prompt off from either.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many inputs of a scenario are taken at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_inputs: 100 }
    }
}

impl Config {
    /// Valid with at least a few inputs.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Knockout> {
        head::has(
            DESCRIPTION.kind,
            "a past.onnx in a folder of format 1 or 3",
            facts.has_past,
            at,
            problems,
        )?;
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems)?;
        Some(Knockout { max_inputs })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Knockout {
    max_inputs: u64,
}

/// The cuts, each with whether the first token stays visible.
const CUTS: [(Cut, bool); 5] = [
    (Cut::InputFromPrefix, false),
    (Cut::InputFromPrefix, true),
    (Cut::RestFromPrefix, false),
    (Cut::RestFromPrefix, true),
    (Cut::RestFromInput, true),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    InputFromPrefix,
    RestFromPrefix,
    RestFromInput,
}

impl Cut {
    fn word(self) -> &'static str {
        match self {
            Self::InputFromPrefix => "input_from_prefix",
            Self::RestFromPrefix => "rest_from_prefix",
            Self::RestFromInput => "rest_from_input",
        }
    }
}

/// A row to be written.
struct Row<'p> {
    prompt: &'p PromptRow,
    cut: Cut,
    keeps_first: bool,
    values: Result<Values, &'static str>,
}

/// What a cut changed.
#[derive(Debug, Clone, Copy)]
struct Values {
    probability: f64,
    uncut: f64,
    same_top: bool,
    answer: usize,
    loss: f64,
    jsd: f64,
}

impl Stage for Knockout {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn needs_past(&self) -> bool {
        true
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "max_inputs": self.max_inputs })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let inputs = prompts.taken(context);
        let units = inputs.len() as u64;
        context.start(&DESCRIPTION, units);
        let rows = rows(context, &inputs)?;
        let rows: Vec<KnockoutRow<'_>> = rows.iter().map(Row::row).collect();
        let part = KnockoutRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// The rows of all inputs, in their order; as many inputs at a time as the model runs batches.
fn rows<'p>(context: &Context<'_>, inputs: &[InputGroup<'p>]) -> Result<Vec<Row<'p>>, StageError> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    spliced::check_folder(context, DESCRIPTION.kind, Needs::Placed)?;
    batches::in_order(context, &DESCRIPTION, inputs.len(), |i| of_input(context, inputs[i]))
}

fn of_input<'p>(context: &Context<'_>, input: InputGroup<'p>) -> Result<Vec<Row<'p>>, StageError> {
    let spans = Spans::of(input);
    let tasks = input.tasks();
    let places: Vec<_> = tasks.iter().map(|prompt| spans.read_by_rest(prompt)).collect();
    let with = tasks.iter().zip(&places).filter_map(|(prompt, place)| {
        let span = place.clone().ok()?;
        Some(Cuttable { tokens: &prompt.token_ids, start: span.start, end: span.end })
    });
    let with: Vec<Cuttable<'_>> = with.collect();
    let mut computed = cut_all(context, &with)?.into_iter();
    let mut rows = Vec::new();
    for (prompt, place) in tasks.into_iter().zip(&places) {
        let values = match place {
            Ok(_) => computed.next().unwrap_or([Err(status::SKIPPED); CUTS.len()]),
            Err(word) => [Err(*word); CUTS.len()],
        };
        let cuts = CUTS.into_iter().zip(values);
        rows.extend(cuts.map(|((cut, keeps_first), values)| Row {
            prompt,
            cut,
            keeps_first,
            values,
        }));
    }
    Ok(rows)
}

/// A prompt that can be cut: its tokens, and where the input begins and ends.
#[derive(Debug, Clone, Copy)]
struct Cuttable<'p> {
    tokens: &'p [i32],
    start: usize,
    end: usize,
}

/// What the model says after a prompt.
struct Said {
    next: Distribution,
    /// The most probable token.
    top: usize,
}

/// The word for why there are no values.
type Word = &'static str;

/// What every cut changes in every prompt.
fn cut_all(
    context: &Context<'_>,
    prompts: &[Cuttable<'_>],
) -> Result<Vec<[Result<Values, Word>; CUTS.len()]>, StageError> {
    let whole: Vec<Run<'_>> = prompts
        .iter()
        .map(|of| Run { past: Vec::new(), tokens: of.tokens, first: 0, keep: of.end })
        .collect();
    let whole =
        compute(context, &whole, |_, computed| (Said::of(&computed.logits), computed.reading))?;
    let (uncut, whole): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
    let unasked = prompts.iter().zip(&whole).flat_map(|(of, whole)| {
        [false, true].map(|keeps_first| Run {
            past: first_token(whole, keeps_first, of),
            tokens: &of.tokens[of.start..of.end],
            first: of.start,
            keep: of.end - of.start,
        })
    });
    let unasked = compute(context, &unasked.collect::<Vec<_>>(), |_, computed| computed.reading)?;
    let rests =
        prompts.iter().zip(&whole).zip(unasked.chunks(2)).flat_map(|((of, whole), unasked)| {
            CUTS.map(|(cut, keeps_first)| of.rest(whole, unasked, cut, keeps_first))
        });
    let values = compute(context, &rests.collect::<Vec<_>>(), |i, computed| {
        let uncut = uncut[i / CUTS.len()].as_ref().map_err(|word| *word)?;
        Ok(uncut.against(&Said::of(&computed.logits)?))
    })?;
    Ok(values.as_chunks().0.to_vec())
}

/// The prompt's first token, when it stays visible and there is one before the input.
fn first_token<'r>(whole: &'r Reading, keeps_first: bool, of: &Cuttable<'_>) -> Vec<Piece<'r>> {
    let count = usize::from(keeps_first).min(of.start);
    (count > 0).then(|| Piece::own(whole, 0..count)).into_iter().collect()
}

impl<'r> Cuttable<'r> {
    /// What stands behind the input, over what it may still see.
    fn rest(
        &self,
        whole: &'r Reading,
        unasked: &'r [Reading],
        cut: Cut,
        keeps_first: bool,
    ) -> Run<'r> {
        let own = |tokens| Piece::own(whole, tokens);
        let past = match cut {
            Cut::InputFromPrefix => {
                let reading = &unasked[usize::from(keeps_first)];
                vec![own(0..self.start), Piece::own(reading, 0..self.end - self.start)]
            }
            Cut::RestFromPrefix => {
                let mut past = first_token(whole, keeps_first, self);
                past.push(own(self.start..self.end));
                past
            }
            Cut::RestFromInput => vec![own(0..self.start)],
        };
        Run { past, tokens: &self.tokens[self.end..], first: self.end, keep: 0 }
    }
}

impl Said {
    fn of(logits: &[f32]) -> Result<Self, Word> {
        let next = Distribution::from_logits(logits).map_err(status::of)?;
        Ok(Self { next, top: math::top_k(logits, 1)[0] })
    }

    /// What the prompt's own prediction becomes by a cut.
    fn against(&self, cut: &Self) -> Values {
        Values {
            probability: cut.next.probabilities()[self.top],
            uncut: self.next.probabilities()[self.top],
            same_top: self.top == cut.top,
            answer: cut.top,
            loss: self.next.kl(&cut.next),
            jsd: jsd_bits(&self.next, &cut.next),
        }
    }
}

impl Row<'_> {
    fn row(&self) -> KnockoutRow<'_> {
        let key = &self.prompt.key;
        let [scenario, input, task]: [&Arc<str>; 3] = [&key.scenario, &key.input, &key.task];
        let values = self.values.as_ref().ok();
        KnockoutRow {
            scenario,
            input,
            task,
            wording: key.wording,
            cut: self.cut.word(),
            keep_first: i16::from(self.keeps_first),
            probability: values.map(|own| own.probability),
            probability_uncut: values.map(|own| own.uncut),
            same_top: values.map(|own| i16::from(own.same_top)),
            answer_id: values.map(|own| own.answer as i32),
            loss_nats: values.map(|own| own.loss),
            jsd_bits: values.map(|own| own.jsd),
            status: self.values.as_ref().err().copied().unwrap_or(status::OK),
        }
    }
}

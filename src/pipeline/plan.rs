//! From a pipeline to prompts and shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::controls;
use super::template::Template;
use super::{Input, Pipeline, Scenario};
use crate::model::{ModelError, Tokenizer};
use crate::prompt::{Prompt, PromptKey, Role};
use crate::store::hex_sha256;

/// How many prompts a shard has, about, unless the pipeline says `shard_inputs`.
const SHARD_PROMPTS: usize = 256;

/// Everything that is to be run, in order; prompts are made when they are asked for, shard by
/// shard.
#[derive(Debug)]
pub struct Plan<'p> {
    scenarios: Vec<ScenarioPlan<'p>>,
    template: Template,
    shard_inputs: Option<usize>,
}

/// Prompts that are run, measured and recorded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// Its number, from 0, in the names of its files.
    pub part: u32,
    /// Its prompts: all prompts of an input stand in one shard, one after the other.
    pub prompts: Vec<Prompt>,
}

/// The plan could not be made or followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The tokenizer failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

#[derive(Debug)]
struct ScenarioPlan<'p> {
    name: Arc<str>,
    inputs: &'p [Input],
    framings: Vec<Framing>,
}

/// One text that goes in front of (or behind) an input.
#[derive(Debug)]
struct Framing {
    task: Arc<str>,
    wording: i16,
    text: String,
}

impl<'p> Plan<'p> {
    /// Lays out scenario x input x task x wording, each task's controls after its wordings, in the
    /// pipeline's order. The same pipeline gives the same plan.
    ///
    /// # Errors
    /// When the tokenizer fails on the text of a control.
    pub fn new(pipeline: &'p Pipeline, tokenizer: &Tokenizer) -> Result<Self, PlanError> {
        let template = Template::parse(&pipeline.prompt).expect("a pipeline's template is checked");
        let scenario = |scenario: &'p Scenario| -> Result<ScenarioPlan<'p>, PlanError> {
            Ok(ScenarioPlan {
                name: scenario.name.as_str().into(),
                inputs: &scenario.inputs,
                framings: framings(scenario, pipeline.seed, &template, tokenizer)?,
            })
        };
        let scenarios = pipeline.scenarios.iter().map(scenario).collect::<Result<_, _>>()?;
        let shard_inputs = pipeline.shard_inputs.map(|inputs| inputs.get() as usize);
        Ok(Self { scenarios, template, shard_inputs })
    }

    /// The shards in order: whole inputs, `shard_inputs` of them or else as many as make about 256
    /// prompts; a shard may hold the last inputs of a scenario and the first of the next.
    pub fn shards(&self) -> impl Iterator<Item = Result<ShardPlan, PlanError>> {
        let mut inputs = self.inputs().peekable();
        let mut part = 0;
        std::iter::from_fn(move || {
            let mut prompts = inputs.next()?;
            let mut n_inputs = 1;
            while let Some(next) = inputs.next_if(|next| self.fits(n_inputs, &prompts, next)) {
                prompts.extend(next);
                n_inputs += 1;
            }
            part += 1;
            Some(Ok(ShardPlan { part: part - 1, prompts }))
        })
    }

    fn fits(&self, n_inputs: usize, prompts: &[Prompt], next: &[Prompt]) -> bool {
        match self.shard_inputs {
            Some(limit) => n_inputs < limit,
            None => prompts.len() + next.len() <= SHARD_PROMPTS,
        }
    }

    /// How many shards there are.
    pub fn n_shards(&self) -> u32 {
        self.shards().count() as u32
    }

    /// How many prompts all shards have.
    pub fn n_prompts(&self) -> u64 {
        let of = |s: &ScenarioPlan<'_>| (s.inputs.len() * s.framings.len()) as u64;
        self.scenarios.iter().map(of).sum()
    }

    /// The share of each scenario's inputs that makes at most about `max_inputs`, where that is
    /// below 1.
    pub fn shares(&self, max_inputs: Option<u64>) -> BTreeMap<String, f64> {
        let share = |s: &ScenarioPlan<'_>| {
            let share = max_inputs? as f64 / s.inputs.len() as f64;
            (share < 1.0).then(|| (s.name.to_string(), share))
        };
        self.scenarios.iter().filter_map(share).collect()
    }

    /// SHA-256 over keys and texts of all prompts, in order.
    ///
    /// # Errors
    /// As the iterator of [`Plan::shards`].
    pub(super) fn sha256(&self) -> Result<String, PlanError> {
        let mut all = Vec::new();
        for shard in self.shards() {
            for prompt in &shard?.prompts {
                let key = &prompt.key;
                for text in [&*key.scenario, &*key.input, &*key.task, &*prompt.text] {
                    all.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    all.extend_from_slice(text.as_bytes());
                }
                all.extend_from_slice(&key.wording.to_le_bytes());
            }
        }
        Ok(hex_sha256(&all))
    }

    /// At most `n` of the tasks' own prompts, drawn by the hash of seed and name and given in the
    /// order of the plan: the same ones however the plan is cut into shards.
    ///
    /// # Errors
    /// As the iterator of [`Plan::shards`].
    pub fn sample(&self, n: usize, seed: u64) -> Result<Vec<Prompt>, PlanError> {
        let mut drawn: BTreeMap<String, (usize, Prompt)> = BTreeMap::new();
        let mut place = 0;
        for shard in self.shards() {
            for prompt in shard?.prompts.into_iter().filter(|p| p.role() == Role::Task) {
                place += 1;
                let key = &prompt.key;
                let name = (seed, &*key.scenario, &*key.input, &*key.task, key.wording);
                let draw = hex_sha256(format!("sample {name:?}").as_bytes());
                drawn.insert(draw, (place, prompt));
                if drawn.len() > n {
                    drawn.pop_last();
                }
            }
        }
        let mut drawn: Vec<_> = drawn.into_values().collect();
        drawn.sort_by_key(|(place, _)| *place);
        Ok(drawn.into_iter().map(|(_, prompt)| prompt).collect())
    }

    /// All prompts of each input.
    fn inputs(&self) -> impl Iterator<Item = Vec<Prompt>> {
        self.scenarios.iter().flat_map(move |scenario| {
            let n = scenario.inputs.len();
            (0..n).map(move |i| {
                let other = &scenario.inputs[(i + 1) % n];
                self.prompts(scenario, &scenario.inputs[i], other)
            })
        })
    }

    fn prompts(&self, scenario: &ScenarioPlan<'_>, input: &Input, other: &Input) -> Vec<Prompt> {
        let id: Arc<str> = input.id.as_str().into();
        let prompt = |framing: &Framing| {
            let is_other = Role::of_wording(framing.wording) == Role::OtherInput;
            let (source_input, text) = if is_other {
                (other.id.as_str().into(), &other.text)
            } else {
                (Arc::clone(&id), &input.text)
            };
            let filled = self.template.fill(&framing.text, text);
            Prompt {
                key: PromptKey {
                    scenario: Arc::clone(&scenario.name),
                    input: Arc::clone(&id),
                    task: Arc::clone(&framing.task),
                    wording: framing.wording,
                },
                source_input,
                text: filled.text,
                input_span: filled.input_span,
                task_spans: filled.task_spans,
            }
        };
        scenario.framings.iter().map(prompt).collect()
    }
}

/// Every wording of every task, and the controls of each after its wordings.
fn framings(
    scenario: &Scenario,
    seed: u64,
    template: &Template,
    tokenizer: &Tokenizer,
) -> Result<Vec<Framing>, ModelError> {
    let mut framings = Vec::new();
    for task in &scenario.tasks {
        let id: Arc<str> = task.id.as_str().into();
        let framing = |wording, text| Framing { task: Arc::clone(&id), wording, text };
        let wordings = (0..).zip(&task.wordings);
        framings.extend(wordings.map(|(wording, text)| framing(wording, text.clone())));
        let controls = controls::texts(scenario, task, seed, template, tokenizer)?;
        framings.extend(controls.into_iter().map(|(role, text)| framing(role.wording(), text)));
    }
    Ok(framings)
}

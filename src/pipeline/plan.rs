//! From a pipeline to prompts and shards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use super::error::PlanError;

use super::Pipeline;
use super::framing::{Framing, Unfit, framings};
use super::neutral::Ruler;
use super::others::{Earlier, first_other};
use super::scenario_plan::{SHARD_WEIGHT, ScenarioPlan, weight};
use super::special::Special;
use crate::model::Tokenizer;
use crate::monitor::{Monitor, VoidMonitor};
use crate::prompt::{Prompt, Role};
use crate::store::{Digest, hex_sha256};
use crate::yaml::Warning;

/// Everything that is to be run, in order; prompts are made when they are asked for.
pub struct Plan<'p> {
    scenarios: Vec<ScenarioPlan<'p>>,
    shard_inputs: Option<u64>,
    unfit: Vec<Unfit>,
    special: Vec<Special>,
    monitor: &'p dyn Monitor,
}

/// Prompts that are run, measured and recorded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// Its number, from 0, in the names of its files.
    pub part: u32,
    /// Its prompts: all prompts of an input are in one shard, one after the other.
    pub prompts: Vec<Prompt>,
}

impl fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenarios, shard_inputs, unfit, special: _, monitor: _ } = self;
        let mut plan = f.debug_struct("Plan");
        plan.field("scenarios", scenarios)
            .field("shard_inputs", shard_inputs)
            .field("unfit", unfit)
            .finish_non_exhaustive()
    }
}

impl<'p> Plan<'p> {
    /// Lays out scenario x input x task x wording, each task's controls after its wordings, in the
    /// pipeline's order. The same pipeline gives the same plan.
    ///
    /// # Errors
    /// When the tokenizer fails on the text of a control, or a file of inputs, which is read for
    /// controls as long as their task, is not what it was when the pipeline was loaded.
    pub fn new(pipeline: &'p Pipeline, tokenizer: &Tokenizer) -> Result<Self, PlanError> {
        Self::heeding(pipeline, tokenizer, &VoidMonitor)
    }

    /// Likewise; it, and later every pass over the plan, ends with [`PlanError::Interrupted`] soon
    /// after the monitor says to stop.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn heeding(
        pipeline: &'p Pipeline,
        tokenizer: &Tokenizer,
        monitor: &'p dyn Monitor,
    ) -> Result<Self, PlanError> {
        let limit = pipeline.card.n_positions;
        let bare = tokenizer.bare();
        let mut scenarios = Vec::new();
        let (mut unfit, mut special) = (Vec::new(), Vec::new());
        for scenario in &pipeline.scenarios {
            let form = &pipeline.forms[scenario.form];
            let tokenizer = if form.adds_special_tokens { tokenizer } else { &bare };
            let ruler = Ruler { form, tokenizer, limit };
            special.extend(Special::of(scenario, form, tokenizer, monitor)?);
            let survey = scenario.inputs.survey();
            let has_others = survey.clusters > 1;
            let (framings, not_fit) =
                framings(scenario, has_others, pipeline.seed, ruler, monitor)?;
            unfit.extend(not_fit);
            scenarios.push(ScenarioPlan {
                name: scenario.name.as_str().into(),
                inputs: &scenario.inputs,
                form,
                label: form.label().into(),
                weight: weight(pipeline, form, &scenario.inputs, &framings),
                framings,
                first_other: first_other(&scenario.inputs, &survey)?,
                survey,
            });
        }
        let shard_inputs = pipeline.shard_inputs.map(|inputs| inputs.get().into());
        Ok(Self { scenarios, shard_inputs, unfit, special, monitor })
    }

    /// Controls that are not what they should be, in words: a neutral prefix that no filler makes as
    /// long as its task; and plain texts with special tokens in them. One line of each, however many
    /// there are.
    pub fn warnings(&self) -> Vec<Warning> {
        [Special::warnings(&self.special), Unfit::warnings(&self.unfit)].concat()
    }

    /// For each scenario its first input under the first wording of each of the first `most` tasks.
    ///
    /// # Errors
    /// When a chat template fails on one of them.
    pub fn first_prompts(
        &self,
        most: usize,
    ) -> impl Iterator<Item = Result<Vec<Prompt>, PlanError>> {
        self.scenarios.iter().map(move |scenario| {
            let first = scenario.inputs.first();
            let framings =
                scenario.framings.iter().filter(|framing| framing.wording == 0).take(most);
            framings.map(|framing| scenario.prompt(framing, 0, first, first)).collect()
        })
    }

    /// For each scenario its first input under every wording of every task, without controls.
    ///
    /// # Errors
    /// As [`Plan::first_prompts`].
    pub fn first_wordings(&self) -> impl Iterator<Item = Result<Vec<Prompt>, PlanError>> {
        self.scenarios.iter().map(move |scenario| {
            let first = scenario.inputs.first();
            let is_task = |framing: &&Framing| Role::of_wording(framing.wording) == Role::Task;
            let framings = scenario.framings.iter().filter(is_task);
            framings.map(|framing| scenario.prompt(framing, 0, first, first)).collect()
        })
    }

    /// The shards in order: whole inputs, `shard_inputs` of them or else as many as make 512 prompts
    /// or about 256 MiB of raw tables, as the mean length of the texts has it. Each scenario is cut by
    /// itself, so that what runs together of it does not depend on the others; a shard holds the last
    /// inputs of a scenario and the next one, or several, where these fit whole. Files of inputs are
    /// read as the shards are asked for.
    ///
    /// # Errors
    /// When a file is not what it was when the pipeline was loaded; nothing comes after an error.
    pub fn shards(&self) -> impl Iterator<Item = Result<ShardPlan, PlanError>> + Send {
        let mut inputs = self.inputs();
        let mut parts = (0..).zip(self.shard_sizes());
        let mut failed = false;
        std::iter::from_fn(move || {
            let (part, n_inputs) = parts.next().filter(|_| !failed)?;
            let mut prompts = Vec::new();
            for _ in 0..n_inputs {
                match inputs.next()? {
                    Ok(of_input) => prompts.extend(of_input),
                    Err(error) => {
                        failed = true;
                        return Some(Err(error));
                    }
                }
            }
            Some(Ok(ShardPlan { part, prompts }))
        })
    }

    /// How many inputs each shard has: known without reading any.
    fn shard_sizes(&self) -> impl Iterator<Item = u64> + Send {
        let blocks = |scenario: &ScenarioPlan<'_>| {
            let (inputs, weight) = (scenario.inputs.len(), scenario.weight);
            // At least one input, however large it is.
            let most = self.shard_inputs.unwrap_or((SHARD_WEIGHT / weight).max(1));
            let sizes = (0..inputs / most).map(move |_| most).chain([inputs % most]);
            sizes.filter(|inputs| *inputs > 0).map(move |inputs| (inputs, weight))
        };
        let mut blocks = self.scenarios.iter().flat_map(blocks).peekable();
        std::iter::from_fn(move || {
            let (mut inputs, mut used) = (0_u64, 0_u64);
            while let Some(&(more, weight)) = blocks.peek() {
                let weight = more.saturating_mul(weight).saturating_add(used);
                let fits = match self.shard_inputs {
                    Some(limit) => inputs + more <= limit,
                    None => weight <= SHARD_WEIGHT,
                };
                if inputs > 0 && !fits {
                    break;
                }
                (inputs, used) = (inputs + more, weight);
                blocks.next();
            }
            (inputs > 0).then_some(inputs)
        })
    }

    /// How many shards there are.
    pub fn n_shards(&self) -> u32 {
        self.shard_sizes().count() as u32
    }

    /// How many prompts all shards have.
    pub fn n_prompts(&self) -> u64 {
        let of = |s: &ScenarioPlan<'_>| s.inputs.len() * s.framings.len() as u64;
        self.scenarios.iter().map(of).sum()
    }

    /// By scenario, the fraction of its inputs, 0 to 1, that makes at most about `max_inputs`; only
    /// fractions below 1.
    pub fn fractions(&self, max_inputs: Option<u64>) -> BTreeMap<String, f64> {
        let fraction = |s: &ScenarioPlan<'_>| {
            let fraction = max_inputs? as f64 / s.inputs.len() as f64;
            (fraction < 1.0).then(|| (s.name.to_string(), fraction))
        };
        self.scenarios.iter().filter_map(fraction).collect()
    }

    /// SHA-256 over keys, texts and clusters of all prompts, in order.
    ///
    /// # Errors
    /// As the iterator of [`Plan::shards`].
    pub(crate) fn sha256(&self) -> Result<String, PlanError> {
        let mut digest = Digest::default();
        for shard in self.shards() {
            for prompt in &shard?.prompts {
                let key = &prompt.key;
                for text in [&*key.scenario, &*key.input, &*key.task, &*prompt.text] {
                    digest.update_text(text);
                }
                digest.update(&key.wording.to_le_bytes());
                if let Some(cluster) = &prompt.cluster {
                    digest.update_text(cluster);
                }
                if prompt.is_bare {
                    digest.update_text("bare");
                }
            }
        }
        Ok(digest.hex())
    }

    /// At most `n` of the tasks' own prompts of each scenario, drawn by the hash of seed and name and
    /// given in the order of the plan: the same ones however the plan is cut into shards, and whatever
    /// other scenarios there are.
    ///
    /// # Errors
    /// As the iterator of [`Plan::shards`].
    pub fn sample(&self, n: usize, seed: u64) -> Result<Vec<Prompt>, PlanError> {
        let mut sampled = Vec::new();
        if n == 0 {
            return Ok(sampled);
        }
        let mut drawn: BTreeMap<String, (usize, Prompt)> = BTreeMap::new();
        let mut take = |drawn: &mut BTreeMap<String, (usize, Prompt)>| {
            let mut of_scenario: Vec<_> = std::mem::take(drawn).into_values().collect();
            of_scenario.sort_by_key(|(place, _)| *place);
            sampled.extend(of_scenario.into_iter().map(|(_, prompt)| prompt));
        };
        let (mut scenario, mut place) = (None, 0);
        for prompts in self.inputs() {
            for prompt in prompts?.into_iter().filter(|p| p.role() == Role::Task) {
                place += 1;
                let key = &prompt.key;
                if scenario.as_ref() != Some(&key.scenario) {
                    take(&mut drawn);
                    scenario = Some(Arc::clone(&key.scenario));
                }
                let name = (seed, &*key.scenario, &*key.input, &*key.task, key.wording);
                let draw = hex_sha256(format!("sample {name:?}").as_bytes());
                drawn.insert(draw, (place, prompt));
                if drawn.len() > n {
                    drawn.pop_last();
                }
            }
        }
        take(&mut drawn);
        Ok(sampled)
    }

    /// All prompts of each input.
    fn inputs(&self) -> impl Iterator<Item = Result<Vec<Prompt>, PlanError>> + Send {
        self.scenarios.iter().flat_map(move |scenario| {
            let mut inputs = (0..).zip(scenario.inputs.read()).peekable();
            let mut earlier = Earlier::default();
            std::iter::from_fn(move || {
                let (i, input) = inputs.next()?;
                if self.monitor.is_interrupted() {
                    return Some(Err(PlanError::Interrupted));
                }
                let prompts = input.map_err(PlanError::from).and_then(|input| {
                    let (j, next) = match inputs.peek() {
                        Some((j, Ok(next))) => (*j, next),
                        Some((_, Err(error))) => return Err(error.clone().into()),
                        None => (0, scenario.inputs.first()),
                    };
                    let cluster = scenario.survey.cluster(i);
                    let other = Some(next).filter(|_| scenario.survey.cluster(j) != cluster);
                    let other = other.or_else(|| earlier.other_than(cluster));
                    let other = other.or(scenario.first_other.as_ref()).unwrap_or(&input);
                    let prompts = scenario.prompts(i, &input, other);
                    earlier.push(cluster, input);
                    prompts
                });
                Some(prompts)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::pipeline::config;

    #[test]
    fn a_shard_is_bounded_by_its_bytes_as_well_as_by_its_prompts() {
        let mut pipeline = config::load(Path::new("tests/fixtures/tiny.yml"), &[]).unwrap();
        let tokenizer = pipeline.tokenizer().unwrap();
        let inputs: u64 = pipeline.scenarios.iter().map(|s| s.inputs.len()).sum();
        let shards = |pipeline: &Pipeline| {
            let plan = Plan::new(pipeline, &tokenizer).unwrap();
            let shards: Vec<_> = plan.shards().collect::<Result<_, _>>().unwrap();
            assert_eq!(shards.len(), plan.n_shards() as usize);
            let prompts: usize = shards.iter().map(|shard| shard.prompts.len()).sum();
            assert_eq!(prompts as u64, plan.n_prompts(), "every prompt is in one shard");
            shards.len() as u64
        };
        assert_eq!(shards(&pipeline), 1);
        // Scores of 16 MiB a prompt: four prompts of an input are a quarter of a shard.
        pipeline.card.vocab_size = 4 << 20;
        let by_itself = |most: u64| -> u64 {
            pipeline.scenarios.iter().map(|s| s.inputs.len().div_ceil(most)).sum()
        };
        assert_eq!(shards(&pipeline), by_itself(3));
        // An input larger than a shard has one for itself.
        pipeline.card.vocab_size = 4 << 26;
        assert_eq!(shards(&pipeline), inputs);
        pipeline.shard_inputs = std::num::NonZeroU32::new(5);
        assert_eq!(shards(&pipeline), inputs.div_ceil(5), "what the pipeline says holds");
    }
}

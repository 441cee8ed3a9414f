//! From a pipeline to prompts and shards.

use std::sync::Arc;

use super::Pipeline;
use super::template::Template;
use crate::prompt::{Prompt, PromptKey};

/// How many prompts a shard has, about, unless the pipeline says `shard_inputs`.
const SHARD_PROMPTS: usize = 256;

/// Everything that is to be run, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The shards, part 0 first.
    pub shards: Vec<ShardPlan>,
}

/// Prompts that are run, measured and recorded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPlan {
    /// Its number, from 0, in the names of its files.
    pub part: u32,
    /// Its prompts: all prompts of an input stand in one shard, one after the other.
    pub prompts: Vec<Prompt>,
}

impl Plan {
    /// Lays out scenario x input x task x wording, in the pipeline's order, and cuts it into shards
    /// of whole inputs.
    ///
    /// Shards hold `shard_inputs` inputs, or else as many as make about 256 prompts; one may hold
    /// the last inputs of a scenario and the first of the next. The same pipeline gives the same
    /// plan.
    pub fn new(pipeline: &Pipeline) -> Self {
        let template = Template::parse(&pipeline.prompt).expect("a pipeline's template is checked");
        let mut shards: Vec<ShardPlan> = Vec::new();
        let mut inputs_in_last = 0;
        for scenario in &pipeline.scenarios {
            let name: Arc<str> = scenario.name.as_str().into();
            let tasks: Vec<Arc<str>> =
                scenario.tasks.iter().map(|task| task.id.as_str().into()).collect();
            for input in &scenario.inputs {
                let id: Arc<str> = input.id.as_str().into();
                let mut prompts = Vec::new();
                for (task, task_id) in scenario.tasks.iter().zip(&tasks) {
                    for (wording, question) in (0..).zip(&task.wordings) {
                        let (text, input_span) = template.fill(question, &input.text);
                        let key = PromptKey {
                            scenario: Arc::clone(&name),
                            input: Arc::clone(&id),
                            task: Arc::clone(task_id),
                            wording,
                        };
                        prompts.push(Prompt { key, text, input_span });
                    }
                }
                let limit = pipeline.shard_inputs.map(|inputs| inputs.get() as usize);
                match shards.last_mut() {
                    Some(shard)
                        if match limit {
                            Some(limit) => inputs_in_last < limit,
                            None => shard.prompts.len() + prompts.len() <= SHARD_PROMPTS,
                        } =>
                    {
                        shard.prompts.append(&mut prompts);
                        inputs_in_last += 1;
                    }
                    _ => {
                        shards.push(ShardPlan { part: shards.len() as u32, prompts });
                        inputs_in_last = 1;
                    }
                }
            }
        }
        Self { shards }
    }
}

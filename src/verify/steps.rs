//! What there is to do by the recorded plan, in the order of a run.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::descent::Key;
use crate::ledger::fingerprint::{Fractions, fractions};
use crate::model::Specials;
use crate::pipeline::Pipeline;
use crate::pipeline::plan::{Plan, PlanError};
use crate::prompt::Prompt;
use crate::stage::{Scope, Stage};

/// Every stage of a plan on every shard.
pub(super) struct Steps<'a> {
    pub(super) pipeline: &'a Pipeline,
    plan: Plan<'a>,
    pub(super) specials: Specials,
    pub(super) fractions: Fractions,
    pub(super) keys: BTreeSet<Key>,
    /// The stages by kind.
    pub(super) stages: BTreeMap<&'static str, &'a dyn Stage>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(pipeline: &'a Pipeline) -> Result<Self, PlanError> {
        let tokenizer = pipeline.tokenizer()?;
        let plan = Plan::new(pipeline, &tokenizer)?;
        let parts = |stage: &dyn Stage| match stage.scope() {
            Scope::Shard => plan.n_shards(),
            Scope::Before | Scope::Run => 1,
        };
        let stages = || pipeline.stages.iter().map(AsRef::as_ref);
        let keys = stages().flat_map(|stage| (0..parts(stage)).map(|part| (stage.kind(), part)));
        Ok(Self {
            keys: keys.collect(),
            stages: stages().map(|stage| (stage.kind(), stage)).collect(),
            fractions: fractions(pipeline, &plan),
            specials: tokenizer.specials().clone(),
            pipeline,
            plan,
        })
    }

    /// Each step in the order of a run, with its prompts.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(&'a dyn Stage, u32, &[Prompt]),
    ) -> Result<(), PlanError> {
        let stages = |scope| self.pipeline.stages_of(scope).into_iter();
        for stage in stages(Scope::Before) {
            take(stage, 0, &self.plan.sample(stage.sample(), self.pipeline.seed)?);
        }
        for shard in self.plan.shards() {
            let shard = shard?;
            stages(Scope::Shard).for_each(|stage| take(stage, shard.part, &shard.prompts));
        }
        stages(Scope::Run).for_each(|stage| take(stage, 0, &[]));
        Ok(())
    }
}

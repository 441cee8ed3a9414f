//! The record of a run at its begin, and of one that was done before.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;

use super::RunSummary;
use super::work::Work;
use crate::monitor::{Event, Monitor};
use crate::pipeline::Pipeline;
use crate::pipeline::chosen::ShardList;
use crate::run_dir::judgements::Judgements;
use crate::run_dir::made_by::{MadeBy, THIS_VERSION, UNKNOWN};
use crate::run_dir::record::{Counts, Lineage, ModelShape, RunRecord, State};
use crate::store::hex_sha256;

/// What is said and given when every stage of the recorded run was done before.
pub(super) fn nothing_to_do(
    before: RunRecord,
    started: Instant,
    monitor: &dyn Monitor,
) -> RunSummary {
    let by = match &before.lineage.aqlens {
        version if version == THIS_VERSION => String::new(),
        version => format!(" (aqlens {version} made it)"),
    };
    monitor.event(&Event::Note(&format!("every stage was done before{by}: nothing to do")));
    RunSummary {
        counts: before.counts,
        model_calls: 0,
        head_calls: 0,
        parts_written: 0,
        seconds: started.elapsed().as_secs_f64(),
        was_finished: true,
        left: ShardList::default(),
    }
}

/// What `run.json` says while the run is under way.
pub(super) fn record(
    pipeline: &Pipeline,
    lineage: Lineage,
    unnamed_by: &str,
    library: (String, String),
    work: Work<'_>,
) -> RunRecord {
    let counts = Counts { shards: work.shards, prompts: work.prompts, ..Counts::default() };
    RunRecord {
        format: 1,
        state: State::Running,
        lineage,
        made_by: MadeBy::default(),
        judged_by: Some(THIS_VERSION.to_owned()),
        unnamed_by: (unnamed_by != UNKNOWN).then(|| unnamed_by.to_owned()),
        model_shape: Some(ModelShape::of(&pipeline.card)),
        retain: pipeline.retain.clone(),
        shares: None,
        marks: None,
        libraries: BTreeMap::from([library]),
        judgements: Judgements { rule: rule(pipeline), ..Judgements::default() },
        counts,
        self_proof: None,
    }
}

/// What the pipeline judges by: SHA-256 over the settings of its stages `summary` and `effect`.
fn rule(pipeline: &Pipeline) -> Option<String> {
    let settings = |kind: &str| {
        let stage = pipeline.stages.iter().find(|stage| stage.kind() == kind);
        stage.map(|stage| stage.settings())
    };
    let summary = settings("summary")?;
    Some(hex_sha256(
        json!({ "summary": summary, "effect": settings("effect") }).to_string().as_bytes(),
    ))
}

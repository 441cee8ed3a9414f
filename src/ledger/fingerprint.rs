//! Fingerprints: SHA-256 over everything that a stage's result on a shard depends on.
//!
//! A stage whose fingerprint is unchanged would write the same rows, so its receipt stands. The
//! content of what a stage reads enters by its SHA-256, not by its name or age.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::Specials;
use crate::pipeline::Pipeline;
use crate::pipeline::plan::Plan;
use crate::prompt::Prompt;
use crate::run_dir::receipt::PartStats;
use crate::run_dir::record::Lineage;
use crate::stage::{Description, Stage};
use crate::store::hex_sha256;

/// What every result of a run depends on: the model and what it runs on. Also what the run provides
/// to the stages that ask for it.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    value: Value,
    layers: Vec<i16>,
    seed: u64,
    /// SHA-256 of the model's head.
    head: Option<String>,
    /// What the report shows of the run's origin.
    lineage: Value,
    fractions: Fractions,
}

/// By stage, the fraction of each scenario's inputs, 0 to 1, that it uses; all of them where none is
/// given.
pub(crate) type Fractions = BTreeMap<&'static str, BTreeMap<String, f64>>;

/// The fractions of all stages of a pipeline.
pub(crate) fn fractions(pipeline: &Pipeline, plan: &Plan<'_>) -> Fractions {
    let stages = pipeline.stages.iter();
    stages.map(|stage| (stage.kind(), plan.fractions(stage.max_inputs()))).collect()
}

impl Ground {
    pub(crate) fn new(
        lineage: &Lineage,
        pipeline: &Pipeline,
        specials: &Specials,
        fractions: Fractions,
    ) -> Self {
        let card = &pipeline.card;
        // The thread count is left out: it is recorded in run.json, and asking for another one must
        // not redo a finished run.
        let mut value = json!({
            "model": lineage.model_sha256,
            "tokenizer": lineage.tokenizer_sha256,
            "onnxruntime": lineage.onnxruntime,
            "provider": lineage.provider,
            "tf32": lineage.tf32,
            // The rows would be the same, but not the files: no file of an older encoding stays.
            "table_encoding": lineage.table_encoding,
            "shape": [card.n_layer, card.n_head],
            "widths": [card.d_model, card.vocab_size, card.n_positions],
        });
        // Without any, results are what they were before there could be some.
        if !specials.is_empty() {
            value["special_tokens"] = json!(specials);
        }
        Self {
            value,
            layers: pipeline.layers.clone(),
            seed: pipeline.seed,
            head: card.head_sha256(),
            lineage: serde_json::to_value(lineage).expect("a lineage serialises"),
            fractions,
        }
    }
}

impl Ground {
    /// The fraction of each scenario's inputs that the stage uses.
    pub(crate) fn fractions_of(&self, stage: &dyn Stage) -> &BTreeMap<String, f64> {
        static ALL: BTreeMap<String, f64> = BTreeMap::new();
        self.fractions.get(stage.kind()).unwrap_or(&ALL)
    }
}

/// The fingerprint of `stage` on a shard with these prompts, reading these parts; `made_by` are the
/// versions of aqlens that a stage shows which shows the lineage, if any made something.
pub(crate) fn fingerprint(
    stage: &dyn Stage,
    ground: &Ground,
    made_by: &str,
    prompts: &[Prompt],
    reads: &[&PartStats],
) -> String {
    let tables = |list: &[&crate::table::Table]| -> Vec<Value> {
        list.iter().map(|t| json!([t.name, t.version])).collect()
    };
    let prompts: Vec<Value> = prompts
        .iter()
        .map(|p| {
            let key = &p.key;
            let mut row = json!([
                key.scenario.as_ref(),
                key.input.as_ref(),
                key.task.as_ref(),
                key.wording,
                p.text,
                p.input_span.start,
                p.input_span.end,
                p.source_input.as_ref(),
                p.task_spans.iter().map(|span| [span.start, span.end]).collect::<Vec<_>>()
            ]);
            // Said only where others have special tokens: it changes nothing else.
            if p.is_bare && ground.value.get("special_tokens").is_some() {
                row.as_array_mut().expect("written above").push("bare".into());
            }
            row
        })
        .collect();
    let reads: Vec<Value> =
        reads.iter().map(|part| json!([part.file.path, part.file.sha256])).collect();
    let Description { version, writes, depends_on, .. } = stage.description();
    let mut lineage = if depends_on.lineage { ground.lineage.clone() } else { Value::Null };
    if depends_on.lineage && !made_by.is_empty() {
        lineage["aqlens"] = made_by.into();
    }
    let layers = stage.uses_layers().then_some(&ground.layers);
    let seed = depends_on.seed.then_some(ground.seed);
    let head = depends_on.head.then_some(&ground.head);
    let all = json!({
        "stage": stage.kind(),
        "version": version,
        "settings": stage.settings(),
        "ground": ground.value,
        "layers": layers,
        "seed": seed,
        "head": head,
        "lineage": lineage,
        "writes": tables(writes),
        "prompts": prompts,
        "shares": ground.fractions_of(stage),
        "reads": reads,
    });
    hex_sha256(all.to_string().as_bytes())
}

//! The lineage of the run that a pipeline asks for.

use crate::model::EngineFacts;
use crate::pipeline::Pipeline;
use crate::run_dir::made_by::THIS_VERSION;
use crate::run_dir::record::Lineage;
use crate::store::hex_sha256;
use crate::table::writer::ENCODING;

/// What the numbers of a run depend on: of the pipeline `resolved`, over prompts of that hash, on
/// that runtime.
pub(crate) fn lineage_of(
    pipeline: &Pipeline,
    resolved: &str,
    prompts_sha256: String,
    facts: &EngineFacts,
) -> Lineage {
    let card = &pipeline.card;
    let uses_head = pipeline.stages.iter().any(|stage| stage.description().depends_on.head);
    Lineage {
        pipeline: pipeline.name.clone(),
        pipeline_sha256: hex_sha256(resolved.as_bytes()),
        model: card.source.name.clone(),
        model_revision: card.source.revision.clone(),
        model_sha256: card.graph_sha256(),
        head_sha256: uses_head.then(|| card.head_sha256()).flatten(),
        tokenizer_sha256: card.tokenizer_sha256(),
        prompts_sha256,
        aqlens: THIS_VERSION.to_owned(),
        onnxruntime: facts.runtime_version.clone(),
        provider: facts.provider,
        precision: card.dtype.name().to_owned(),
        tf32: facts.tf32,
        table_encoding: ENCODING,
    }
}

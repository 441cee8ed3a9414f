//! The model's head (its final layer norm and unembedding) on stored activations: whether there is
//! one, and its scores.

use std::sync::Arc;

use crate::model::Scores;
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::read::reread;
use crate::stage::{Context, Facts, StageError};
use crate::store::Store;
use crate::table::TableError;
use crate::table::reader::Part;
use crate::yaml::{Path, Problems};

/// Whether a stage of that kind, configured at `at`, has a head to use; else `None` and a problem.
pub(crate) fn check(kind: &str, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<()> {
    has(kind, "head.onnx", facts.has_head, at, problems)
}

/// Whether the model folder has what a stage of that kind needs, such as a file; else `None` and a problem.
pub(crate) fn has(
    kind: &str,
    what: &str,
    is_there: Option<bool>,
    at: &Path,
    problems: &mut Problems,
) -> Option<()> {
    if is_there != Some(false) {
        return Some(());
    }
    problems.push(
        &at.key("kind"),
        format!("`{kind}` needs {what}, and the model folder has none"),
        "it was made by an older exporter: export the model again with `aqlens-export \
         MODEL --out DIR`",
    );
    None
}

/// The shard's activations of one layer, checked to be those of its prompts.
pub(crate) fn activations(
    store: &Store,
    part: u32,
    layer: i16,
    prompts: &ShardPrompts,
) -> Result<Arc<Part>, TableError> {
    let table = reread::activations(store, part, layer)?;
    prompts.check_tokens(&table)?;
    Ok(table)
}

/// Scores of the next token, `[rows, vocab_size]`, from block outputs `hidden`, `[rows, d_model]`.
///
/// The head has its own threads and works on one call at a time. Stops when the run was asked to.
pub(crate) fn scores(context: &Context<'_>, hidden: &[f32]) -> Result<Scores, StageError> {
    context.go_on()?;
    Ok(context.engine.run_head(hidden)?)
}

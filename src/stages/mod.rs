//! The stages, one file or folder each, all of the same shape; and the one list of them, from which
//! the configuration of any stage, its reader and its schema come. No stage knows another one.

pub mod alignment;
pub mod attention;
pub mod contrast;
pub mod decoding;
pub mod divergence;
pub mod effect;
pub mod explain;
pub mod extract;
pub mod geometry;
pub mod knockout;
pub mod lens;
pub mod mediate;
pub mod outputs;
pub mod patch;
pub mod reference;
pub mod report;
pub mod segments;
pub mod similarity;
pub mod sinks;
pub mod summary;
pub mod surprisal;
pub mod tokens;
pub mod usage;
pub mod variance;
pub mod vectors;

use schemars::JsonSchema;
use serde::Serialize;

use crate::stage::{Description, Facts, Stage};
use crate::table::Table;
use crate::yaml::{Node, Path, Problems, read};

macro_rules! stages {
    ($($(#[$doc:meta])* $module:ident => $stage:ident,)+) => {
        /// The configuration of a stage, by its kind.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum StageConfig {
            $($(#[$doc])* $stage(self::$module::Config),)+
        }

        /// Every kind, in the order in which the stages are documented.
        pub const KINDS: &[&str] = &[$(self::$module::DESCRIPTION.kind),+];

        /// What each kind is, in the same order.
        pub const DESCRIPTIONS: &[&Description] = &[$(&self::$module::DESCRIPTION),+];

        impl StageConfig {
            /// Reads the keys of a stage of that kind (`node` without its `kind`, standing at
            /// `at`). `None` when a problem leaves nothing to continue with, or the kind is unknown.
            pub fn read(
                kind: &str,
                node: &Node,
                at: &Path,
                problems: &mut Problems,
            ) -> Option<Self> {
                match kind {
                    $(word if word == self::$module::DESCRIPTION.kind => {
                        read(node, at, problems).map(Self::$stage)
                    })+
                    _ => None,
                }
            }

            /// Its kind, as in the pipeline file.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$stage(_) => self::$module::DESCRIPTION.kind,)+
                }
            }

            /// The valid stage, or its problems.
            pub fn validate(
                &self,
                at: &Path,
                facts: &Facts,
                problems: &mut Problems,
            ) -> Option<Box<dyn Stage>> {
                match self {
                    $(Self::$stage(config) => {
                        let stage = config.clone().validate(at, facts, problems)?;
                        Some(Box::new(stage))
                    })+
                }
            }
        }
    };
}

stages! {
    /// Runs the prompts through the model.
    extract => Extract,
    /// Takes mean and spread of the activations of some prompts, to centre and standardise by.
    reference => Reference,
    /// Says where each input stands in its prompts and whether it can be compared there.
    alignment => Alignment,
    /// Compares the activations of every pair of tasks.
    similarity => Similarity,
    /// Reduces the similarities, layer by layer.
    divergence => Divergence,
    /// Shows what every token adds to the notebook's similarity.
    explain => Explain,
    /// Compares the difference between tasks with that between wordings and controls.
    contrast => Contrast,
    /// Keeps a vector or two of each prompt, for the measures over many inputs.
    vectors => Vectors,
    /// Finds where the last token looks, and how far tasks agree on it.
    attention => Attention,
    /// Measures how attention falls on task, template, input and first token.
    segments => Segments,
    /// Finds the positions that are sinks: long vectors, and attention whatever stands there.
    sinks => Sinks,
    /// Lists the most probable next tokens.
    tokens => Tokens,
    /// Compares what the model says next under every pair of tasks.
    outputs => Outputs,
    /// Measures how surprising the input's tokens are under each task.
    surprisal => Surprisal,
    /// Reads off every layer what the model would say if it ended there.
    lens => Lens,
    /// Puts the input, as it was read under one task, into the prompts of the others.
    mediate => Mediate,
    /// Cuts the input off from the task, and the rest of the prompt off from either.
    knockout => Knockout,
    /// Says of every task whether the model uses how the input was read under it.
    usage => Use,
    /// Patches the residual stream of one task's prompt into another's, by block and segment.
    patch => Patch,
    /// Partitions what the vectors vary by into input, task, wording and interaction.
    variance => Variance,
    /// Tells tasks apart by the vectors, on wordings and inputs that were not seen.
    decoding => Decoding,
    /// Compares the difference between tasks with baselines, over inputs.
    effect => Effect,
    /// Compares how tasks arrange the inputs.
    geometry => Geometry,
    /// States the verdict.
    summary => Summary,
    /// Draws the report.
    report => Report,
}

/// What a kind in [`KINDS`] is.
///
/// # Panics
/// When there is no such kind.
pub fn description_of(kind: &str) -> &'static Description {
    described(kind).expect("a kind of the list has a description")
}

/// What a kind of stage is; `None` for a word that is none, as a file of somebody else may hold.
pub(crate) fn described(kind: &str) -> Option<&'static Description> {
    DESCRIPTIONS.iter().copied().find(|description| description.kind == kind)
}

/// The kind of stage that writes a table.
pub(crate) fn writer_of(table: &Table) -> Option<&'static Description> {
    DESCRIPTIONS.iter().copied().find(|description| description.writes(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_the_same_everywhere() {
        let kinds: Vec<&str> = DESCRIPTIONS.iter().map(|description| description.kind).collect();
        assert_eq!(kinds, KINDS);
        let schema = serde_json::to_value(schemars::schema_for!(StageConfig)).unwrap();
        let written = schema["oneOf"].as_array().unwrap().iter();
        let written: Vec<_> = written.map(|s| s["properties"]["kind"]["const"].as_str()).collect();
        assert_eq!(written, KINDS.iter().map(|kind| Some(*kind)).collect::<Vec<_>>());
    }
}

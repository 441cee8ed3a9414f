//! The one list of stages: the configuration of any stage, its reader and its schema come from it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Facts, Stage};
use crate::spec::{Node, Path, Problems, read};

macro_rules! stages {
    ($($(#[$doc:meta])* $module:ident => $stage:ident,)+) => {
        /// The configuration of a stage, by its kind.
        #[derive(Debug, Clone, Serialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum StageConfig {
            $($(#[$doc])* $stage(super::$module::Config),)+
        }

        /// Every kind, in the order in which the stages are documented.
        pub const KINDS: &[&str] = &[$(stringify!($module)),+];

        impl StageConfig {
            /// Reads the keys of a stage of that kind (`node` without its `kind`, standing at
            /// `at`). `None` when a problem leaves nothing to go on with, or the kind is unknown.
            pub fn read(
                kind: &str,
                node: &Node,
                at: &Path,
                problems: &mut Problems,
            ) -> Option<Self> {
                match kind {
                    $(stringify!($module) => read(node, at, problems).map(Self::$stage),)+
                    _ => None,
                }
            }

            /// The stage of that kind with nothing set.
            pub fn default_of(kind: &str) -> Option<Self> {
                match kind {
                    $(stringify!($module) => Some(Self::$stage(Default::default())),)+
                    _ => None,
                }
            }

            /// Its kind, as in the pipeline file.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$stage(_) => stringify!($module),)+
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
    /// Holds the difference between tasks against that between wordings and controls.
    contrast => Contrast,
    /// Keeps a vector or two of each prompt, for the measures over many inputs.
    vectors => Vectors,
    /// Finds where the last token looks, and how far tasks agree on it.
    attention => Attention,
    /// Measures how attention falls on task, template, input and first token.
    segments => Segments,
    /// Lists the most probable next tokens.
    tokens => Tokens,
    /// Compares what the model says next under every pair of tasks.
    outputs => Outputs,
    /// Measures how surprising the input's tokens are under each task.
    surprisal => Surprisal,
    /// Reads off every layer what the model would say if it ended there.
    lens => Lens,
    /// Partitions what the vectors vary by into input, task, wording and interaction.
    variance => Variance,
    /// Holds the difference between tasks against baselines, over inputs.
    effect => Effect,
    /// Compares how tasks arrange the inputs.
    geometry => Geometry,
    /// States the verdict.
    summary => Summary,
    /// Draws the report.
    report => Report,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_and_named_the_same_everywhere() {
        let facts = Facts { n_layer: Some(1), ..Facts::default() };
        for kind in KINDS {
            let config = StageConfig::default_of(kind).unwrap();
            let mut problems = Problems::default();
            let stage = config.validate(&Path::default(), &facts, &mut problems).unwrap();
            let written = serde_json::to_value(&config).unwrap();
            assert_eq!([config.kind(), stage.kind()], [*kind, *kind]);
            assert_eq!(written["kind"], *kind);
        }
    }
}

//! Names in the `measure` columns, special values of the key columns, and the notebook's threshold.

/// The notebook's similarity: cosine of the flattened activations, cut to the shorter prompt.
pub const FLAT: &str = "flat";
/// The notebook's overlap of two focus sets: shared over all, on absolute positions.
pub const JACCARD: &str = "jaccard";
/// The same on positions that are named by what stands there.
pub const JACCARD_ALIGNED: &str = "jaccard_aligned";
/// The same again for the sets of the most attended positions but the first.
pub const JACCARD_NO_SINK: &str = "jaccard_no_sink";
/// How far two distributions lie apart: Jensen-Shannon divergence, 0 = equal.
pub const JSD_BITS: &str = "jsd_bits";

/// Difference of two prompts' attention, mean of the heads: [all of it, without the first position, on
/// the input's tokens].
pub const ATTENTION_JSDS: [&str; 3] =
    ["attention_jsd_full", "attention_jsd_no_sink", "attention_jsd_input"];
/// [`JSD_BITS`] of what the logit lens reads off a layer.
pub const LENS_JSD_BITS: &str = "lens_jsd_bits";
/// Mean absolute difference of the surprisals of an input's tokens.
pub const SURPRISAL_BITS: &str = "surprisal_bits";
/// How unlike two prompts' tasks and wordings arrange the inputs: 1 - debiased CKA of the mean vectors
/// of the input's tokens.
pub const GEOMETRY_DCKA_SPAN: &str = "geometry_dcka_span";
/// The same of the last tokens' vectors.
pub const GEOMETRY_DCKA_LAST: &str = "geometry_dcka_last";

/// In column `contrast`: prompts of different tasks.
pub const BETWEEN: &str = "between";
/// In column `contrast`: wordings of one task. The others are the names of the controls.
pub const PARAPHRASE: &str = "paraphrase";

/// In column `source` of table `mediation`: whose reading of the input is put in; [`PARAPHRASE`] is another one.
/// That of the task towards whose answer the change is measured.
pub const TASK: &str = "task";
/// Likewise: those of the receiver's neutral prefixes.
pub const NEUTRAL: &str = "neutral";
/// Likewise: those of tasks that are neither.
pub const THIRD: &str = "third";
/// Likewise: the receiver's own.
pub const SAME_RUN: &str = "same_run";

/// In column `layer` of table `effect`: what the model says in the end, after all layers.
pub const OUTPUT_LAYER: i16 = -1;

/// In column `head`: the mean over all heads, as the notebook.
pub const MEAN_HEAD: i16 = -1;
/// In column `wording`: the task's first wording, which the notebook's measures use.
pub const FIRST_WORDING: i16 = 0;

/// The notebook's threshold for the mean of [`FLAT`]: arbitrary, and kept because it is the notebook's.
pub const NOTEBOOK_THRESHOLD: f64 = 0.9;

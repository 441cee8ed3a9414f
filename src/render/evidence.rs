//! What a report says of the measures that have a baseline, an alignment or an interval.

use super::causes::Uses;
use super::told::Told;

/// A mean over those that could be computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mean {
    /// The mean; `None` when there was nothing to average.
    pub value: Option<f64>,
    /// The smallest that entered.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Its 95 % interval over inputs, those of one cluster taken together; `None` where that is not
    /// computed, or cannot be.
    pub interval: Option<(f64, f64)>,
    /// How many entered.
    pub n: u64,
    /// How many had no value, and why, in words; empty when all had one.
    pub missing: String,
}

/// A verdict that rests on evidence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// The measure, or `effect` where the run has nothing to judge by.
    pub measure: String,
    /// `supported`, `equivalent`, `undecided` or `not_testable`.
    pub verdict: String,
    /// The layer that the numbers are from; -1 = the model's output, or none.
    pub layer: i16,
    /// How much further apart prompts of different tasks are than wordings of one.
    pub delta: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// The reason in words.
    pub reason: String,
    /// Why the notebook's test says something else; `None` when it does not.
    pub disagreement: Option<String>,
    /// How many inputs entered.
    pub n_inputs: i64,
    /// How many wordings of each task entered.
    pub n_wordings: i64,
}

/// The sound measures of one scenario. A part is `None` when the run does not have its table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The difference between tasks against each baseline: tables `effect`.
    pub effects: Option<Vec<Effect>>,
    /// What moves the vectors: table `variance_partition`.
    pub partitions: Option<Vec<Partition>>,
    /// How often the task is told on unseen wordings: table `decoding`.
    pub decoding: Option<Vec<Told>>,
    /// Whether the model uses what differs: table `use_verdict` and those beside it.
    pub uses: Option<Uses>,
    /// Where the difference of the outputs appears: tables `logit_lens*`.
    pub lens: Option<Lens>,
    /// How far the outputs differ: table `output_divergence`.
    pub outputs: Option<Vec<OutputPair>>,
    /// How much less expected each task makes the input: table `input_surprisal`.
    pub surprisal: Option<Vec<SurprisalMean>>,
    /// Head by head: tables `attention_mass` and `attention_divergence`.
    pub heads: Vec<HeadMap>,
    /// What the notebook's number is made of: table `seed_explain`.
    pub explained: Option<Explained>,
}

/// A measure against one baseline, over the layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effect {
    /// The measure.
    pub measure: String,
    /// The baseline: `paraphrase`, `neutral`, `scrambled` or `other_input`.
    pub contrast: String,
    /// Whether the verdict rests on this measure.
    pub is_judged: bool,
    /// Layers ascending.
    pub points: Vec<EffectPoint>,
}

/// An effect on one layer, in units of dissimilarity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EffectPoint {
    /// The layer.
    pub layer: i16,
    /// Inputs that entered.
    pub n_inputs: i64,
    /// Mean difference between tasks.
    pub between: Option<f64>,
    /// Mean difference within the baseline.
    pub baseline: Option<f64>,
    /// The one less the other.
    pub delta: Option<f64>,
    /// Lower end of its 95 % interval: over inputs and wordings against paraphrases, over inputs alone
    /// against a control.
    pub ci_low: Option<f64>,
    /// Upper end.
    pub ci_high: Option<f64>,
    /// Clusters of the inputs; each counts once.
    pub n_clusters: i64,
    /// Delta from 0, as another wording does, to 1, as another input does; only against paraphrases.
    pub relative: Option<f64>,
    /// Share of inputs whose tasks are further apart than any two wordings of one task.
    pub prevalence: Option<f64>,
    /// The smallest difference that matters.
    pub smallest: Option<f64>,
    /// P value over inputs, corrected over all that the verdict rests on; over the layers for what it
    /// does not rest on.
    pub p: Option<f64>,
    /// Benjamini-Hochberg rate.
    pub q: Option<f64>,
    /// P value of the wording test, corrected likewise; only against paraphrases.
    pub p_wording: Option<f64>,
    /// The same with the wordings' differences in form taken out, not corrected.
    pub p_wording_form: Option<f64>,
    /// Why values are missing, in words; empty when none is.
    pub missing: String,
}

/// Variance of the vectors at one site in one space, over the layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Partition {
    /// `token`, `span` or `last`.
    pub site: String,
    /// `raw` or `standardised`.
    pub space: String,
    /// Layers ascending.
    pub rows: Vec<PartitionRow>,
}

/// Shares of the variance on one layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionRow {
    /// The layer.
    pub layer: i16,
    /// Inputs that entered.
    pub n_inputs: i64,
    /// Wordings of the task with the fewest.
    pub n_wordings: i64,
    /// Inputs, or their tokens, that the sums of squares are over.
    pub n_units: i64,
    /// Of the inputs.
    pub input: Option<f64>,
    /// Of the tasks.
    pub task: Option<f64>,
    /// Of the wordings within tasks; `None` with one wording.
    pub wording: Option<f64>,
    /// Of input by task.
    pub interaction: Option<f64>,
    /// What is left (input by wording); `None` with one wording.
    pub rest: Option<f64>,
    /// Task over task and interaction.
    pub partial_eta2: Option<f64>,
    /// F of the task against its wordings (against the interaction with one wording).
    pub f_task: Option<f64>,
    /// Its P value over ways to deal the wordings out, corrected over the layers.
    pub p_wording_max_t: Option<f64>,
    /// How many ways; 0 without the P value.
    pub n_reassignments: i64,
    /// Why values are missing, in words; empty when none is.
    pub missing: String,
}

/// The logit lens of a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lens {
    /// Layers ascending.
    pub layers: Vec<LensLayer>,
    /// Pairs of prompts that have an onset, or would have one after the last captured layer.
    pub n_pairs: u64,
    /// Of these, pairs whose difference appears after the last captured layer.
    pub n_after: u64,
    /// Pairs whose outputs do not differ.
    pub n_alike: u64,
    /// Pairs whose outputs differ no more than those of wordings of one of the tasks.
    pub n_within: u64,
    /// Pairs of which it is not known how far wordings differ.
    pub n_unknown: u64,
}

/// The logit lens on one layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LensLayer {
    /// The layer.
    pub layer: i16,
    /// Jensen-Shannon divergence between tasks' first wordings, in bits: each input's mean over its
    /// pairs, over the inputs.
    pub divergence: Mean,
    /// The same between tasks in all their wordings, of the inputs that have a baseline.
    pub between: Mean,
    /// Of these inputs, the largest divergence of two wordings of one of the two tasks.
    pub within: Mean,
    /// Pairs whose difference begins here and stays.
    pub onsets: u64,
    /// What is lost by reading the model off here, in nats: each input's mean over its prompts.
    pub kl_to_final: Mean,
}

/// How far the outputs of two tasks differ, over the inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputPair {
    /// Places of the two tasks.
    pub tasks: (usize, usize),
    /// One mean for each of [`OutputMeasure::ALL`].
    pub means: Vec<Mean>,
}

/// What the report averages of table `output_divergence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMeasure {
    /// Jensen-Shannon divergence, in bits.
    Jsd,
    /// Total variation, 0 to 1.
    TotalVariation,
    /// Kullback-Leibler divergence of the second task's output from the first's, in nats.
    KlForward,
    /// The other way round.
    KlBackward,
    /// Whether both have the same most probable token: 0 or 1.
    SameTop,
    /// Share of the 5 most probable tokens that both have.
    Overlap5,
    /// Share of the 10 most probable tokens that both have.
    Overlap10,
    /// Rank-biased overlap, 1 = equal.
    RankOverlap,
}

impl OutputMeasure {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 8] = [
        Self::Jsd,
        Self::TotalVariation,
        Self::KlForward,
        Self::KlBackward,
        Self::SameTop,
        Self::Overlap5,
        Self::Overlap10,
        Self::RankOverlap,
    ];

    /// The head of its column on the page.
    pub fn head(self) -> &'static str {
        match self {
            Self::Jsd => "JSD (bits)",
            Self::TotalVariation => "TV",
            Self::KlForward => "KL → (nats)",
            Self::KlBackward => "KL ← (nats)",
            Self::SameTop => "same top-1",
            Self::Overlap5 => "top-5",
            Self::Overlap10 => "top-10",
            Self::RankOverlap => "RBO",
        }
    }
}

/// A token that makes two tasks' outputs differ.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputToken {
    /// Places of the two tasks.
    pub tasks: (usize, usize),
    /// 1 = the largest contribution.
    pub rank: i16,
    /// Its text, not stripped.
    pub token: String,
    /// Its probability under each task.
    pub probabilities: (f64, f64),
    /// Its term of the divergence, in bits.
    pub bits: f64,
}

/// How much less expected a task makes the input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SurprisalMean {
    /// The task.
    pub task: String,
    /// Bits a token: each input's mean over its tokens, over the inputs.
    pub bits: Mean,
    /// The same less the surprisal under the task's neutral control.
    pub delta: Mean,
}

/// An input's tokens under one task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputSurprisal {
    /// The task.
    pub task: String,
    /// The tokens of the input, in order.
    pub tokens: Vec<TokenSurprisal>,
}

/// How surprising a token of the input is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenSurprisal {
    /// Its text, not stripped.
    pub text: String,
    /// In bits.
    pub bits: Option<f64>,
    /// Less that under the neutral control.
    pub delta: Option<f64>,
    /// Why a value is missing, in words; empty when none is.
    pub missing: String,
}

/// A number for every head of every layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeadMap {
    /// What it shows.
    pub what: HeadMeasure,
    /// Rows.
    pub layers: Vec<i16>,
    /// Columns.
    pub heads: Vec<i16>,
    /// Row after row.
    pub cells: Vec<Mean>,
}

/// What a map of heads shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeadMeasure {
    /// Share of the last token's attention that goes to position 0.
    #[default]
    Sink,
    /// Divergence of two tasks' attention over the input's tokens, in bits.
    InputDivergence,
}

/// What the notebook's number is made of, for one pair of tasks of one input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explained {
    /// The input.
    pub input: String,
    /// The two tasks.
    pub tasks: (String, String),
    /// Layers ascending.
    pub layers: Vec<ExplainedLayer>,
}

/// What the notebook's number is made of on one layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExplainedLayer {
    /// The layer.
    pub layer: i16,
    /// What each of [`PARTS`] adds.
    pub parts: [ExplainedPart; 5],
    /// Why there is no number, in words; empty when there is one.
    pub missing: String,
}

/// Tokens of one kind, taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ExplainedPart {
    /// How many tokens.
    pub tokens: u64,
    /// Their share of the norms' product.
    pub weight: f64,
    /// What they add to the cosine.
    pub contribution: f64,
}

/// The kinds of tokens that [`ExplainedLayer::parts`] distinguishes, in its order.
pub const PARTS: [&str; 5] =
    ["position 0", "shared prefix", "input", "other equal tokens", "different tokens"];

impl ExplainedLayer {
    /// The notebook's number: what all parts add up to.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.contribution).sum()
    }
}

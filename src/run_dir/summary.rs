//! `summary.json`: its fields, in the order of the file.

use serde::{Deserialize, Serialize};

/// The whole document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summaries {
    /// How often the run was judged, and by how many rules; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// One entry a scenario, in the pipeline's order.
    pub scenarios: Vec<ScenarioSummary>,
}

/// How often verdicts were made of the run's numbers; see [`judgements`](super::judgements).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// How many judgements there were, this one among them.
    pub times: u64,
    /// By how many rules.
    pub rules: u64,
    /// The rule of this one; empty where no record named it.
    pub rule: String,
}

impl Judged {
    /// In a sentence, when there was more than one.
    pub fn sentence(&self) -> Option<String> {
        let rules = if self.rules == 1 { "rule" } else { "rules" };
        (self.times > 1).then(|| {
            format!(
                "judged {} times under {} {rules}: `judgements` in run.json lists them",
                self.times, self.rules
            )
        })
    }
}

/// Whether tasks change what the model makes of an input, by the notebook's test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The value is below the threshold.
    Supported,
    /// The value is not below the threshold.
    NotSupported,
    /// There is no value.
    NotTestable,
}

/// One scenario's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioSummary {
    /// Its name.
    pub scenario: String,
    /// How its prompts were made: column `form` of table `prompts`.
    #[serde(default = "plain")]
    pub form: String,
    /// The answer.
    pub verdict: Verdict,
    /// The layer judged: the last captured one.
    pub layer: i16,
    /// Mean `flat` similarity at that layer over all inputs and pairs of tasks, not rounded; null
    /// without a pair.
    pub value: Option<f64>,
    /// The value with four decimals, as the notebook prints it.
    pub printed: Option<String>,
    /// What the unrounded value must be below.
    pub threshold: f64,
    /// Why the verdict is what it is, with its numbers.
    pub reason: String,
    /// What else was measured, a sentence each.
    pub findings: Vec<String>,
    /// How many tasks the scenario has.
    pub n_tasks: u64,
    /// How many inputs gave the value.
    pub n_inputs: u64,
    /// How many pairs gave the value, over all inputs.
    pub n_pairs: u64,
    /// How many prompts the scenario has, all wordings.
    pub n_prompts: u64,
    /// How many of them were skipped.
    pub n_skipped: u64,
    /// The same on every captured layer, ascending.
    pub layers: Vec<LayerSummary>,
    /// How far focus sets agree; null without stage `attention` or without a pair.
    pub attention: Option<AttentionSummary>,
    /// The sinks of every captured layer, ascending; empty without stage `sinks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkSummary>,
    /// How far outputs agree; null without stage `tokens` or without two tasks on an input.
    pub outputs: Option<OutputSummary>,
    /// The verdicts that rest on evidence, one for each measure that stage `summary` names.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Whether the model uses how the input was read, task by task; empty without stage `use`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<UseSummary>,
}

/// Whether the model uses how the input was read under a task, as in table `use_verdict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UseSummary {
    /// The task.
    pub task: String,
    /// `used`, `not_used`, `undecided` or `not_testable`.
    pub verdict: String,
    /// `yes`, `no`, `undecided` or `not_testable`.
    pub necessary: String,
    /// Likewise.
    pub sufficient: String,
    /// The share of its prediction that is lost without its reading.
    pub necessity: Option<f64>,
    /// Lower end of its 95 % interval.
    pub necessity_ci_low: Option<f64>,
    /// Upper end.
    pub necessity_ci_high: Option<f64>,
    /// The task under which its reading brings most of its prediction.
    pub best_receiver: Option<String>,
    /// That share.
    pub sufficiency: Option<f64>,
    /// Lower end of its 95 % interval.
    pub sufficiency_ci_low: Option<f64>,
    /// Upper end.
    pub sufficiency_ci_high: Option<f64>,
    /// What is less would not matter.
    pub margin: f64,
    /// Inputs that entered.
    pub n_inputs: i64,
    /// The verdict in a sentence.
    pub reason: String,
}

/// The form of every run before there were others.
fn plain() -> String {
    "plain".to_owned()
}

/// The rule of the verdict, a word and when it is given: the code follows it (`stages/summary`),
/// the report and docs/measures/effect.md quote it.
pub const RULE: [(&str, &str); 4] = [
    (
        "not_testable",
        "the design cannot decide, whatever was measured: fewer than 5 clusters of inputs, one task, one \
         distinct wording of a task, or so few ways to deal the wordings out to the tasks that no p can be \
         below 0.05; or there is no value",
    ),
    (
        "supported",
        "on some judged layer the 95 % interval of delta, over inputs and wordings, lies above 0, both \
         joint p (over inputs; over ways to deal the wordings out) are below 0.05, and delta is at least \
         the smallest difference that matters",
    ),
    (
        "equivalent",
        "on every judged layer the interval lies within plus and minus the smallest difference that \
         matters, and no larger share of the inputs than `exceptions` differs by more; by jsd_bits it would \
         also lie there if a share of all inputs that n independent ones cannot exclude, 3 / n, differed \
         by a whole bit",
    ),
    ("undecided", "otherwise"),
];

/// Whether tasks differ more than the wordings of one task do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceVerdict {
    /// They do, on at least one of the layers.
    Supported,
    /// On every layer any difference is smaller than what the pipeline calls one that matters.
    Equivalent,
    /// Neither can be said.
    Undecided,
    /// The design cannot show it; `reason` says what to add.
    NotTestable,
}

/// One measure's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The measure, as in table `effect`.
    pub measure: String,
    /// The answer.
    pub verdict: EvidenceVerdict,
    /// The layers that were to count, ascending; -1 = the model's output.
    pub layers: Vec<i16>,
    /// The layer that the numbers below are from: of those that show it, that with the largest
    /// difference.
    pub layer: i16,
    /// How much further apart prompts of different tasks are than wordings of one, as a dissimilarity.
    pub delta: Option<f64>,
    /// Lower end of the 95 % interval of `delta`.
    pub ci_low: Option<f64>,
    /// Upper end.
    pub ci_high: Option<f64>,
    /// `delta` on a scale from 0, as another wording does, to 1, as another input does.
    #[serde(default)]
    pub relative: Option<f64>,
    /// Lower end of the 95 % interval of `relative`.
    #[serde(default)]
    pub relative_low: Option<f64>,
    /// Upper end.
    #[serde(default)]
    pub relative_high: Option<f64>,
    /// Share of inputs, 0..1, whose tasks are further apart than any two wordings of one task.
    #[serde(default)]
    pub prevalence: Option<f64>,
    /// p over inputs, corrected over all measures and layers that are judged.
    pub p: Option<f64>,
    /// p over ways to deal the wordings out to tasks, corrected likewise.
    pub p_wording: Option<f64>,
    /// p over exchanges of wordings, their differences in form taken out; not corrected.
    #[serde(default)]
    pub p_wording_form: Option<f64>,
    /// The smallest difference that matters, in the unit of `delta`; null when nothing says it.
    #[serde(alias = "equivalence")]
    pub smallest: Option<f64>,
    /// The first inputs that differ by more than that on the layer with most of them.
    #[serde(default)]
    pub beyond: Vec<String>,
    /// How many inputs entered.
    pub n_inputs: u64,
    /// How many clusters they form: each counts once.
    #[serde(default)]
    pub n_clusters: u64,
    /// How many distinct wordings the task with the fewest has.
    pub n_wordings: u64,
    /// What to know of the form of the wordings before a difference is called one of tasks; mostly
    /// empty.
    #[serde(default)]
    pub warning: String,
    /// Why the verdict is what it is, with its numbers.
    pub reason: String,
    /// Why the notebook's test says something else; null when it does not.
    pub disagreement: Option<String>,
}

impl EvidenceVerdict {
    /// The word in `summary.json` and in table `verdict`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Equivalent => "equivalent",
            Self::Undecided => "undecided",
            Self::NotTestable => "not_testable",
        }
    }
}

/// Similarity on one layer, over all inputs and pairs of tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// The layer.
    pub layer: i16,
    /// Mean similarity; null without a pair.
    pub mean: Option<f64>,
    /// The mean with four decimals.
    pub printed: Option<String>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// How many pairs were compared, over all inputs.
    pub n_pairs: u64,
    /// How much of the squared norm of what is compared is position 0's, mean over the pairs, 0..1;
    /// null without a pair, and in files of earlier versions.
    #[serde(default)]
    pub position_0_share: Option<f64>,
}

/// Overlap of focus sets on the last layer looked at, heads averaged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionSummary {
    /// The layer.
    pub layer: i16,
    /// Mean Jaccard overlap, 0..1.
    pub mean_jaccard: f64,
    /// The mean with three decimals, as the notebook prints overlaps.
    pub printed: String,
    /// Share of pairs whose focus sets are identical, 0..1.
    pub identical: f64,
    /// How many pairs were compared, over all inputs.
    pub n_pairs: u64,
}

/// Sinks on one layer, over all prompts of a scenario that ran, wordings and controls among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkSummary {
    /// The layer.
    pub layer: i16,
    /// How many prompts there are.
    pub n_prompts: u64,
    /// In how many of them position 0 is a sink, by its norm, by attention or by both.
    pub n_at_position_0: u64,
    /// In how many of them another position is one.
    pub n_elsewhere: u64,
    /// The tokens at other positions, the most frequent first, five at most.
    pub tokens: Vec<SinkToken>,
    /// Mean over the prompts of position 0's share of the squared norm, 0..1; null where none has a length.
    pub position_0_share: Option<f64>,
}

/// A token that is a sink at another position than 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkToken {
    /// Its text, decoded alone.
    pub token: String,
    /// How often it is a sink there, over all prompts.
    pub n: u64,
}

/// Most probable next tokens across the tasks of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputSummary {
    /// Mean number of distinct most probable next tokens over the tasks of an input.
    pub distinct_top1: f64,
    /// Share of inputs whose tasks all lead to one and the same token, 0..1.
    pub unanimous: f64,
    /// How many inputs were counted: those with at least two tasks that ran.
    pub n_inputs: u64,
    /// The fewest tasks that ran on one of these inputs.
    pub fewest_tasks: u64,
    /// The most.
    pub most_tasks: u64,
}

impl Verdict {
    /// The word in `summary.json` and in table `verdict`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::NotSupported => "not_supported",
            Self::NotTestable => "not_testable",
        }
    }

    /// The notebook's test: strictly below, unrounded.
    pub(crate) fn of(value: Option<f64>, threshold: f64) -> Self {
        match value {
            Some(value) if value < threshold => Self::Supported,
            Some(_) => Self::NotSupported,
            None => Self::NotTestable,
        }
    }
}

impl Summaries {
    /// The file's text, always the same for the same numbers.
    pub(crate) fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and texts serialise");
        text.push('\n');
        text
    }
}

//! What a report says.

use serde::Serialize;

pub use crate::math::pairs;

use super::evidence::{Evidence, InputSurprisal, Judgement, OutputToken};

/// A whole report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The pipeline's name.
    pub name: String,
    /// One section each, in the pipeline's order.
    pub scenarios: Vec<Scenario>,
    /// The scenarios after those, which are rows of one table; of these only name, tasks, inputs and
    /// verdicts are known.
    pub others: Vec<Scenario>,
    /// The rule of the verdicts by evidence: each word and when it is given.
    pub rule: &'static [(&'static str, &'static str)],
    /// How often the run was judged, in words that begin a sentence; `None` when that was once.
    pub judged: Option<String>,
    /// What the run was made from: names and values, in order.
    pub lineage: Vec<(String, String)>,
    /// Tables of the run directory, for the hints on opening them.
    pub tables: Vec<String>,
}

/// A piece of a sentence, and the name of a column that stands beside it in small type; empty for
/// none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// What it says.
    pub text: String,
    /// The column's name.
    pub code: String,
}

/// One scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its tasks, in the pipeline's order: the rows and columns of every matrix.
    pub tasks: Vec<String>,
    /// How many inputs it has.
    pub n_inputs: u64,
    /// The notebook's test, when the pipeline makes it.
    pub verdict: Option<Verdict>,
    /// The verdicts that rest on evidence, one a measure.
    pub judgements: Vec<Judgement>,
    /// What was measured, a sentence each.
    pub findings: Vec<String>,
    /// Mean similarity over the inputs, one matrix a captured layer.
    pub matrices: Vec<Matrix>,
    /// The values at the judged layer by where the input stands; `None` when not known.
    pub alignment: Option<Alignment>,
    /// Similarity over the layers.
    pub curve: Vec<CurvePoint>,
    /// Mean overlap of focus sets over the inputs.
    pub overlap: Option<Overlap>,
    /// The measures that have a baseline, an alignment or an interval.
    pub evidence: Evidence,
    /// The first inputs, in detail.
    pub inputs: Vec<Input>,
}

/// The notebook's test on one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The measure it rests on.
    pub measure: String,
    /// The layer judged.
    pub layer: i16,
    /// Mean similarity there; `None` when there was nothing to compare.
    pub value: Option<f64>,
    /// Supported when the value is below it.
    pub threshold: f64,
    /// `supported`, `not_supported` or `not_testable`.
    pub verdict: String,
    /// The reason in words.
    pub reason: String,
    /// How many inputs entered.
    pub n_inputs: i64,
    /// How many wordings of each task entered.
    pub n_wordings: i64,
}

/// Values between every two tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    /// The layer.
    pub layer: i16,
    /// One per pair `a < b` of tasks: (0,1), (0,2), ..., (1,2), ...
    pub pairs: Vec<PairValue>,
}

/// A value between two tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairValue {
    /// Mean over the inputs that have one.
    pub value: Option<f64>,
    /// How many inputs have one.
    pub n: u64,
    /// Why inputs have none, in words; empty when all have.
    pub missing: String,
}

/// Similarities at one layer, over all inputs and pairs, in two groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alignment {
    /// The layer.
    pub layer: i16,
    /// Pairs in which the input starts at the same position of both prompts.
    pub aligned: PairValue,
    /// The others: there the cosine compares different words of the input.
    pub shifted: PairValue,
}

/// Similarity at one layer, over all inputs and pairs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CurvePoint {
    /// The layer.
    pub layer: i16,
    /// Mean.
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Inputs with a value.
    pub n_inputs: i64,
    /// Values, over inputs and pairs.
    pub n_pairs: i64,
    /// How much of the squared norm of what is compared is position 0's, 0..1.
    pub position_0_share: Option<f64>,
}

/// Jaccard overlap of the tasks' focus sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlap {
    /// Size of a focus set.
    pub k: i32,
    /// The values, with their layer.
    pub matrix: Matrix,
}

/// One input of a scenario, under each task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// Its id.
    pub id: String,
    /// Similarity at the last captured layer, for this input alone.
    pub similarity: Option<Matrix>,
    /// Overlap of focus sets, for this input alone.
    pub overlap: Option<Overlap>,
    /// Its prompts, one a task.
    pub prompts: Vec<Prompt>,
    /// How surprising its tokens are under each task; empty when not known.
    pub surprisal: Vec<InputSurprisal>,
    /// The tokens that make the tasks' outputs differ most; empty when not known.
    pub output_tokens: Vec<OutputToken>,
}

/// One prompt: an input under a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// The task.
    pub task: String,
    /// Why it was not run; `None` when it was.
    pub not_run: Option<String>,
    /// Layer of the attention shown.
    pub focus_layer: Option<i16>,
    /// Its tokens in order, or only the focus set when the rest is not known.
    pub tokens: Vec<Token>,
    /// Whether `tokens` is the whole prompt.
    pub whole: bool,
    /// The focus set, by rank.
    pub focus: Vec<Focus>,
    /// The most probable next tokens, by rank.
    pub next: Vec<NextToken>,
}

/// A token of a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Token {
    /// Its text, not stripped.
    pub text: String,
    /// Where it stands.
    pub position: i32,
    /// Attention of the last token to it, mean over the heads; `None` when not known.
    pub weight: Option<f64>,
    /// Its rank in the focus set.
    pub rank: Option<i16>,
}

/// A position of the focus set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Focus {
    /// 1 = the largest weight.
    pub rank: i16,
    /// Where it stands.
    pub position: i32,
    /// Its text, not stripped.
    pub token: String,
    /// Attention of the last token to it, mean over the heads.
    pub weight: f64,
    /// Weight of the last rank less that of the next; `None` when there is no next.
    pub gap: Option<f64>,
}

/// A probable next token.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NextToken {
    /// 1 = the most probable.
    pub rank: i16,
    /// Its text, not stripped.
    pub token: String,
    /// Its id.
    pub token_id: i32,
    /// Softmax over the whole vocabulary.
    pub probability: f64,
    /// Natural logarithm of the probability.
    pub logprob: f64,
}

impl Matrix {
    /// The value of a pair of tasks out of `n_tasks`, in either order; `None` on the diagonal.
    pub fn pair(&self, n_tasks: usize, a: usize, b: usize) -> Option<&PairValue> {
        let (a, b) = (a.min(b), a.max(b));
        if a == b { None } else { self.pairs.get(pair_index(n_tasks, a, b)) }
    }
}

/// Place of pair `a < b` among all pairs of `n` tasks: (0,1), (0,2), ..., (1,2), ...
pub fn pair_index(n: usize, a: usize, b: usize) -> usize {
    debug_assert!(a < b && b < n);
    a * n - a * (a + 1) / 2 + b - a - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_numbered_in_their_order() {
        for n in 0..7 {
            let places: Vec<usize> = pairs(n).map(|(a, b)| pair_index(n, a, b)).collect();
            assert_eq!(places, (0..n * n.saturating_sub(1) / 2).collect::<Vec<_>>());
        }
    }
}

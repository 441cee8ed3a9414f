//! What a report says of interventions: tables `use_verdict`, `use_effect`, `patch`, `patch_tokens`, `knockout`.

/// Whether the model uses what differs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Uses {
    /// In the pipeline's order.
    pub tasks: Vec<TaskUse>,
    /// What is less would not matter, as a share.
    pub margin: f64,
    /// Donors and receivers, all blocks exchanged.
    pub pairs: Vec<PairUse>,
    /// The best receiver of each donor, by the first block that is exchanged; empty without the curve.
    pub curves: Vec<UseCurve>,
    /// Where the reading is, by layer; empty without stage `patch`.
    pub relays: Vec<Relay>,
    /// Where it is among the input's tokens, of the first few inputs that have it.
    pub maps: Vec<TokenMap>,
    /// What is left when tokens cannot see others; empty without stage `knockout`.
    pub cuts: Vec<CutMean>,
}

/// The verdict of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskUse {
    /// The task.
    pub task: String,
    /// `used`, `not_used`, `undecided` or `not_testable`.
    pub verdict: String,
    /// Why, in a sentence.
    pub reason: String,
    /// What is lost without its reading, with its interval, as a share.
    pub necessity: Option<Share>,
    /// What its reading brings, with its interval, and under which other task.
    pub sufficiency: Option<(Share, String)>,
    /// `yes`, `no`, `undecided`, `not_testable`.
    pub necessary: String,
    /// Likewise.
    pub sufficient: String,
    /// Inputs that entered.
    pub n_inputs: i64,
    /// Its distinct wordings.
    pub n_wordings: i64,
}

/// A share with the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    /// The share.
    pub value: f64,
    /// Its ends, where there are some.
    pub ends: Option<(f64, f64)>,
}

/// One donor in one receiver's prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairUse {
    /// Place of the donor among the tasks.
    pub donor: usize,
    /// Place of the receiver.
    pub receiver: usize,
    /// What the donor's reading brings beyond the controls.
    pub value: Option<Share>,
    /// Share of inputs and wordings that then get the donor's answer.
    pub donor_share: Option<f64>,
    /// What neutral prefixes, and other wordings of the receiver, bring.
    pub controls: [Option<f64>; 2],
    /// Why there is no value, in words; empty when there is one.
    pub missing: String,
}

/// One donor and receiver, by the first block that reads the donor's keys and values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UseCurve {
    /// The donor.
    pub donor: String,
    /// The receiver.
    pub receiver: String,
    /// By block: the value, and what neutral prefixes bring.
    pub points: Vec<(i16, Option<Share>, Option<f64>)>,
    /// Inputs that entered.
    pub n_inputs: i64,
}

/// One donor and receiver: whose segments carry the answer, by layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Relay {
    /// The donor.
    pub donor: String,
    /// The receiver.
    pub receiver: String,
    /// By layer: mean Shapley shares of prefix, input and rest.
    pub layers: Vec<(i16, [f64; 3])>,
    /// Inputs that entered.
    pub n_inputs: u64,
}

/// One input, donor and receiver: the gain of each token alone, as a share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenMap {
    /// The input.
    pub input: String,
    /// The donor.
    pub donor: String,
    /// The receiver.
    pub receiver: String,
    /// Layers, ascending.
    pub layers: Vec<i16>,
    /// The whole prefix, the input's tokens, the whole rest.
    pub columns: Vec<String>,
    /// Row after row; `None` where there is no value.
    pub values: Vec<Option<f64>>,
}

/// What a cut leaves of a task's answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CutMean {
    /// The task.
    pub task: String,
    /// Who cannot see what, as in table `knockout`.
    pub cut: String,
    /// Whether the first token stays visible.
    pub keeps_first: bool,
    /// Share of prompts whose top token stays.
    pub same_top: f64,
    /// Mean loss, in nats.
    pub loss: f64,
    /// Prompts that entered.
    pub n: u64,
}

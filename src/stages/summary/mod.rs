//! The answer, in words made of the numbers it rests on.
//!
//! For every scenario: the mean `flat` similarity over all inputs and pairs of tasks at the last
//! captured layer, unrounded, is compared with the threshold of stage `divergence`:
//!
//! ```text
//! supported      value < threshold
//! not_supported  otherwise
//! not_testable   no pair of prompts could be compared; the value is null
//! ```
//!
//! This is the notebook's test (its sections 5 and 9), which has no baseline: it says how alike the
//! prompts' vectors are and nothing about why. For each measure that the pipeline names there is a
//! second verdict, which rests on table `effect`: how much further apart prompts of different tasks
//! are than wordings of one task, over inputs and wordings.
//! [`RULE`](crate::run_dir::summary::RULE) says when it is which.
//!
//! `summary.json` says how often the run was judged and by how many rules (`run_dir::judgements`).
//! None of them says why tasks differ, nor whether the model makes use of it. Where the notebook
//! prints fixed sentences ("early layers: high similarity"), the findings here say what was measured.
//! Where one position has most of what the cosine is made of, the verdict says so. Reads `divergence`,
//! `effect`, and `prompts`, `attention_overlap`, `sinks` and `next_tokens` part after part (flat memory); writes `verdict` and `summary.json`.

mod judge;
mod rule;
mod sinks;
mod smallest;
mod tally;
mod uses;
mod words;

pub use smallest::SmallestConfig;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::tally::Tallies;
use crate::run_dir::layout;
use crate::run_dir::receipt::PartStats;
use crate::run_dir::record::RunRecord;
use crate::run_dir::summary::{Evidence, ScenarioSummary};
use crate::stage::judged::{Judged, Smallest};
use crate::stage::names::{FLAT, NOTEBOOK_THRESHOLD};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ATTENTION_OVERLAP, DIVERGENCE, EFFECT, NEXT_TOKENS, PROMPTS, SINKS, USE_VERDICT, VERDICT,
    VerdictRow,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "summary",
    version: 6,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&DIVERGENCE],
    reads_if_there: &[&PROMPTS, &ATTENTION_OVERLAP, &SINKS, &NEXT_TOKENS, &EFFECT, &USE_VERDICT],
    writes: &[&VERDICT],
    file: Some(layout::SUMMARY),
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// States the verdict of every scenario and what was measured.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Measures of table `effect` that the verdict rests on, one verdict for each: name them before
    /// you look.
    pub measures: Vec<String>,
    /// Layers that count for it; all captured ones when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<i64>>,
    /// The smallest difference that matters: a number on the scale from 0, as another wording does, to 1,
    /// as another input does (0.1 when left out; it takes the control `other_input`), or a number in the
    /// measure's own unit for each measure by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest: Option<SmallestConfig>,
    /// The share of inputs, 0 to 1, that may differ by more than that where tasks are called `equivalent`;
    /// 0 when left out.
    pub exceptions: f64,
    /// The smallest difference that matters in the own unit of every measure, as pipelines named it before
    /// `smallest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalence: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        let Judged { measures, exceptions, .. } = Judged::default();
        Self { measures, layers: None, smallest: None, exceptions, equivalence: None }
    }
}

impl Config {
    /// Valid when no measure is named twice, the layers are the model's and `equivalence` is a
    /// difference. The notebook's threshold is that of stage `divergence`.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Summary> {
        let mut is_good = true;
        let mut wrong = |at: &Path, message: String, help: &str| {
            problems.push(at, message, help);
            is_good = false;
        };
        for (i, measure) in self.measures.iter().enumerate() {
            if self.measures[..i].contains(measure) {
                let at = at.key("measures").index(i);
                wrong(&at, format!("measure '{measure}' is named twice"), "name each once");
            }
        }
        let n_layer = facts.n_layer.unwrap_or(i16::MAX);
        for (i, &layer) in self.layers.iter().flatten().enumerate() {
            if !(0..i64::from(n_layer)).contains(&layer) {
                let at = at.key("layers").index(i);
                let message = format!("layer {layer} is not from 0 to {}", n_layer - 1);
                wrong(&at, message, "name captured layers of the model, or leave `layers` out");
            }
        }
        is_good &= self.check_sizes(at, problems);
        let threshold = facts.threshold.unwrap_or(NOTEBOOK_THRESHOLD);
        is_good.then(|| Summary { threshold, judged: self.judged() })
    }

    /// Whether every size is one; what is wrong goes to `problems`.
    fn check_sizes(&self, at: &Path, problems: &mut Problems) -> bool {
        let before = problems.len();
        let smallest = at.key("smallest");
        let sizes: Vec<(Path, f64)> = match &self.smallest {
            None => Vec::new(),
            Some(SmallestConfig::Relative(size)) => vec![(smallest, *size)],
            Some(SmallestConfig::Own(own)) => {
                own.iter().map(|(measure, size)| (smallest.key(measure), *size)).collect()
            }
        };
        let equivalence = self.equivalence.map(|size| (at.key("equivalence"), size));
        for (at, size) in sizes.iter().cloned().chain(equivalence) {
            if !(size > 0.0 && size.is_finite()) {
                let message = format!("{size} is no size of a difference: it is not above 0");
                problems.push(&at, message, "write the smallest difference that matters, as 0.1");
            }
        }
        if self.equivalence.is_some() && self.smallest.is_some() {
            let message = "`equivalence` and `smallest` both say which difference matters";
            problems.push(&at.key("equivalence"), message, "remove `equivalence`");
        }
        if !(0.0..1.0).contains(&self.exceptions) {
            let message =
                format!("exceptions {} is not a share from 0 to below 1", self.exceptions);
            let help = "it is the share of inputs that may differ by more, as 0.01";
            problems.push(&at.key("exceptions"), message, help);
        }
        problems.len() == before
    }

    /// What the verdict rests on. Values that [`Config::validate`] refuses are left as they are.
    pub fn judged(&self) -> Judged {
        let mut smallest = Smallest { any: self.equivalence, ..Smallest::default() };
        match &self.smallest {
            None => {}
            Some(SmallestConfig::Relative(size)) => smallest.relative = Some(*size),
            Some(SmallestConfig::Own(own)) => smallest.own.clone_from(own),
        }
        let layers = self.layers.as_ref();
        Judged {
            measures: self.measures.clone(),
            layers: layers.map(|layers| layers.iter().map(|layer| *layer as i16).collect()),
            smallest,
            exceptions: self.exceptions,
        }
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Summary {
    threshold: f64,
    judged: Judged,
}

impl Stage for Summary {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "threshold": self.threshold,
            "judged": self.judged,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        context.start(&DESCRIPTION, units);
        let mut tallies = Tallies::default();
        tallies.add_divergence(context.store)?;
        for part in 0..context.shards {
            context.go_on()?;
            tallies.add_part(context.store, part)?;
            context.advance(&DESCRIPTION, 1);
        }
        let judged = context.layers.last().copied().unwrap_or(context.card.n_layer - 1);
        let mut summaries = tallies.summaries(judged, self.threshold);
        judge::judge(context, &self.judged, &mut summaries.scenarios)?;
        uses::add(context.store, &mut summaries.scenarios)?;
        // The record says by which rule this is judged, and what was judged before.
        let judgements = RunRecord::read(context.store).map(|record| record.judgements);
        summaries.judged = Some(judgements.unwrap_or_default().judged(&summaries.scenarios));
        let rows: Vec<VerdictRow<'_>> = summaries.scenarios.iter().flat_map(rows).collect();
        let part = VerdictRow::write(context.store, 0, &rows)?;
        let file = context.store.write(layout::SUMMARY, summaries.to_json().as_bytes())?;
        Ok(Outcome { parts: vec![part, PartStats { file, rows: 0 }], units, ..Outcome::default() })
    }
}

/// The rows of a scenario: the notebook's verdict, then those that rest on evidence.
fn rows(scenario: &ScenarioSummary) -> impl Iterator<Item = VerdictRow<'_>> {
    let on_evidence = scenario.evidence.iter().map(|evidence| evidence_row(scenario, evidence));
    std::iter::once(notebook_row(scenario)).chain(on_evidence)
}

fn notebook_row(scenario: &ScenarioSummary) -> VerdictRow<'_> {
    VerdictRow {
        scenario: &scenario.scenario,
        measure: FLAT,
        layer: scenario.layer,
        value: scenario.value,
        threshold: Some(scenario.threshold),
        verdict: scenario.verdict.word(),
        reason: &scenario.reason,
        ci_low: None,
        ci_high: None,
        relative: None,
        relative_low: None,
        relative_high: None,
        prevalence: None,
        p: None,
        p_wording: None,
        p_wording_form: None,
        n_inputs: scenario.n_inputs as i64,
        n_clusters: 0,
        n_wordings: 1,
        warning: "",
    }
}

fn evidence_row<'s>(scenario: &'s ScenarioSummary, evidence: &'s Evidence) -> VerdictRow<'s> {
    VerdictRow {
        scenario: &scenario.scenario,
        measure: &evidence.measure,
        layer: evidence.layer,
        value: evidence.delta,
        threshold: evidence.smallest,
        verdict: evidence.verdict.word(),
        reason: &evidence.reason,
        ci_low: evidence.ci_low,
        ci_high: evidence.ci_high,
        relative: evidence.relative,
        relative_low: evidence.relative_low,
        relative_high: evidence.relative_high,
        prevalence: evidence.prevalence,
        p: evidence.p,
        p_wording: evidence.p_wording,
        p_wording_form: evidence.p_wording_form,
        n_inputs: evidence.n_inputs as i64,
        n_clusters: evidence.n_clusters as i64,
        n_wordings: evidence.n_wordings as i64,
        warning: &evidence.warning,
    }
}

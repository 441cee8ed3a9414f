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
//! are than wordings of one task, over inputs:
//!
//! ```text
//! supported     on some layer the 95 % interval is above 0, and p < 0.05 both over inputs and over
//!               ways to deal the wordings out to tasks, each corrected over the layers
//! equivalent    on every layer the interval lies within plus and minus `equivalence`
//! not_testable  one wording, too few inputs, too few ways to deal wordings out, no value: what to add
//! undecided     otherwise
//! ```
//!
//! `summary.json` says how often the run was judged and by how many rules (`run_dir::judgements`).
//! None of them says why tasks differ, nor whether the model makes use of it. Where the notebook
//! prints fixed sentences ("early layers: high similarity"), the findings here say what was measured.
//! Reads `divergence`, `effect`, and `prompts`, `attention_overlap` and `next_tokens` part after part
//! (flat memory); writes `verdict` and `summary.json`.

mod judge;
mod rule;
mod tally;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::rule::Rule;
use self::tally::Tallies;
use crate::run_dir::layout;
use crate::run_dir::receipt::PartStats;
use crate::run_dir::record::RunRecord;
use crate::run_dir::summary::{Evidence, ScenarioSummary};
use crate::stage::names::{FLAT, JSD_BITS, NOTEBOOK_THRESHOLD};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ATTENTION_OVERLAP, DIVERGENCE, EFFECT, NEXT_TOKENS, PROMPTS, VERDICT, VerdictRow,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "summary",
    version: 3,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&DIVERGENCE],
    reads_if_there: &[&PROMPTS, &ATTENTION_OVERLAP, &NEXT_TOKENS, &EFFECT],
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
    /// The verdict is `equivalent` when the interval of the difference between tasks beyond wordings
    /// lies within plus and minus this on all layers. In units of the measure's dissimilarity: what
    /// would be too small to matter? Without it no verdict is `equivalent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalence: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        let measures = ["span_standardised", "last_standardised", JSD_BITS];
        Self { measures: measures.map(str::to_owned).to_vec(), layers: None, equivalence: None }
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
        if let Some(bound) = self.equivalence.filter(|bound| !(*bound > 0.0 && bound.is_finite())) {
            let message = format!("equivalence {bound} is not above 0");
            let help = "it is the largest difference that would not matter, such as 0.02";
            wrong(&at.key("equivalence"), message, help);
        }
        let layers = self.layers.as_ref();
        let rule = Rule {
            measures: self.measures.clone(),
            layers: layers.map(|layers| layers.iter().map(|layer| *layer as i16).collect()),
            equivalence: self.equivalence,
        };
        let threshold = facts.threshold.unwrap_or(NOTEBOOK_THRESHOLD);
        is_good.then_some(Summary { threshold, rule })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Summary {
    threshold: f64,
    rule: Rule,
}

impl Stage for Summary {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "threshold": self.threshold,
            "measures": self.rule.measures,
            "layers": self.rule.layers,
            "equivalence": self.rule.equivalence,
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
        judge::judge(context.store, &self.rule, &mut summaries.scenarios)?;
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
        p: None,
        p_wording: None,
        n_inputs: scenario.n_inputs as i64,
        n_wordings: 1,
    }
}

fn evidence_row<'s>(scenario: &'s ScenarioSummary, evidence: &'s Evidence) -> VerdictRow<'s> {
    VerdictRow {
        scenario: &scenario.scenario,
        measure: &evidence.measure,
        layer: evidence.layer,
        value: evidence.delta,
        threshold: evidence.equivalence,
        verdict: evidence.verdict.word(),
        reason: &evidence.reason,
        ci_low: evidence.ci_low,
        ci_high: evidence.ci_high,
        p: evidence.p,
        p_wording: evidence.p_wording,
        n_inputs: evidence.n_inputs as i64,
        n_wordings: evidence.n_wordings as i64,
    }
}

//! The answer, in words made of the numbers it rests on.
//!
//! For every scenario: the mean `flat` similarity over all inputs and pairs of tasks at the last
//! captured layer, unrounded, is held against the threshold of stage `divergence`:
//!
//! ```text
//! supported      value < threshold
//! not_supported  otherwise
//! not_testable   no pair of prompts could be compared; the value is null
//! ```
//!
//! This is the notebook's test (its sections 5 and 9), which has no baseline: it says how alike the
//! prompts' vectors are and nothing about why. Where the notebook prints fixed sentences ("early
//! layers: high similarity"), the findings here say what was measured. Reads `divergence`, and
//! `prompts`, `attention_overlap` and `next_tokens` part after part (flat memory); writes `verdict`
//! and `summary.json`.

mod document;
mod tally;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::document::{
    AttentionSummary, LayerSummary, OutputSummary, ScenarioSummary, Summaries, Verdict,
};
use self::tally::Tallies;
use super::columns::Columns;
use super::measure::{FLAT, NOTEBOOK_THRESHOLD};
use super::{Context, Facts, Outcome, Scope, Stage, StageError};
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::table::receipt::PartStats;
use crate::table::schema::{ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, PROMPTS, Table, VERDICT};
use crate::table::writer::{PartAddress, write_part};

/// Name of the file with the verdicts and headline numbers, in the run directory.
pub const SUMMARY_FILE: &str = "summary.json";

/// States the verdict of every scenario and what was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// Every configuration is valid; the threshold is that of stage `divergence`.
    pub fn validate(&self, _at: &Path, facts: &Facts, _problems: &mut Problems) -> Option<Summary> {
        Some(Summary { threshold: facts.threshold.unwrap_or(NOTEBOOK_THRESHOLD) })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Summary {
    threshold: f64,
}

impl Stage for Summary {
    fn kind(&self) -> &'static str {
        "summary"
    }

    fn version(&self) -> u32 {
        1
    }

    fn scope(&self) -> Scope {
        Scope::Run
    }

    fn unit(&self) -> &'static str {
        "shards"
    }

    fn reads(&self) -> &'static [&'static Table] {
        &[&DIVERGENCE]
    }

    fn reads_if_there(&self) -> &'static [&'static Table] {
        &[&PROMPTS, &ATTENTION_OVERLAP, &NEXT_TOKENS]
    }

    fn writes(&self) -> &'static [&'static Table] {
        &[&VERDICT]
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "threshold": self.threshold })
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        let (stage, unit) = (self.kind(), self.unit());
        context.monitor.event(&Event::StageStarted { stage, shard: None, total: units, unit });
        let mut tallies = Tallies::default();
        tallies.add_divergence(context.store)?;
        for part in 0..context.shards {
            context.go_on()?;
            tallies.add_part(context.store, part)?;
            context.monitor.event(&Event::Advanced { stage, amount: 1 });
        }
        let judged = context.layers.last().copied().unwrap_or(context.card.n_layer - 1);
        let summaries = tallies.summaries(judged, self.threshold);
        let columns = Columns::of(&summaries.scenarios)
            .texts(|row| &row.scenario)
            .texts(|_| FLAT)
            .int16s(|row| row.layer)
            .float64s(|row| row.value)
            .float64s(|row| Some(row.threshold))
            .texts(|row| row.verdict.word())
            .texts(|row| &row.reason);
        let address = PartAddress::new(&VERDICT, 0);
        let part = write_part(context.store, address, context.dims(), columns.finish())?;
        let file = context.store.write(SUMMARY_FILE, summaries.to_json().as_bytes())?;
        Ok(Outcome { parts: vec![part, PartStats { file, rows: 0 }], units, ..Outcome::default() })
    }
}

//! `report.html`: the run as one page that opens offline.
//!
//! Reads `divergence` and `similarity`, and what else the run has: `prompts`, `attention_focus`,
//! `attention`, `attention_overlap`, `next_tokens`, `verdict`, `summary.json` for its findings and
//! `run.json` for the lineage. Every number on the page is a row of a table or a mean of rows: the
//! mean over inputs of a pair's similarity (the notebook's heat maps, its section 4), the
//! divergence curve (section 5), focus sets over the prompt's tokens (section 6), next tokens
//! (section 7). Beside the notebook's measures stand the sound ones, each when its table is there:
//! effects against baselines, shares of variance, the logit lens, outputs, surprisal of the input,
//! heads, and what the notebook's own number is made of. The page begins with one sentence a
//! scenario that says the answer.
//!
//! Tables are read part after part and reduced at once. What grows with the run (inputs) is counted
//! and averaged; the first few inputs of a scenario are shown in full. Memory is that of the
//! largest part, and of one matrix of tasks for each shown scenario and layer. Of scenarios the first
//! few, in the pipeline's order, have a section each; the others are rows of one table. Equal tables give equal
//! bytes: sums go in the order of the plan and the page holds no time.

mod causes;
mod decoding;
mod details;
mod explain;
mod gather;
mod groups;
mod heads;
mod lens;
mod lineage;
mod outputs;
mod pairs;
mod reduced;
mod roster;
mod sources;
mod starts;
mod surprisal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::details::Details;
use self::heads::HeadMeans;
use self::lens::LensMeans;
use self::outputs::OutputMeans;
use self::roster::{Most, Roster};
use self::sources::Sources;
use self::surprisal::Surprisals;
use crate::monitor::{Event, Monitor};
use crate::render;
use crate::render::evidence::Evidence;
use crate::render::page;
use crate::run_dir::receipt::PartStats;
use crate::run_dir::summary::RULE;
use crate::run_dir::{RunDir, layout};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::store::Store;
use crate::table::schema::{
    ATTENTION, ATTENTION_DIVERGENCE, ATTENTION_FOCUS, ATTENTION_MASS, ATTENTION_OVERLAP, DECODING,
    DIVERGENCE, EFFECT, INPUT_SURPRISAL, KNOCKOUT, LOGIT_LENS, LOGIT_LENS_DIVERGENCE, NEXT_TOKENS,
    OUTPUT_DIVERGENCE, OUTPUT_DIVERGENCE_TOKEN, PATCH, PATCH_TOKENS, PROMPTS, SEED_EXPLAIN,
    SIMILARITY, USE_EFFECT, USE_VERDICT, VARIANCE_PARTITION, VERDICT,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "report",
    version: 7,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&DIVERGENCE, &SIMILARITY],
    reads_if_there: &[
        &PROMPTS,
        &ATTENTION_FOCUS,
        &ATTENTION,
        &ATTENTION_OVERLAP,
        &NEXT_TOKENS,
        &SEED_EXPLAIN,
        &EFFECT,
        &VARIANCE_PARTITION,
        &DECODING,
        &OUTPUT_DIVERGENCE,
        &OUTPUT_DIVERGENCE_TOKEN,
        &INPUT_SURPRISAL,
        &ATTENTION_MASS,
        &ATTENTION_DIVERGENCE,
        &LOGIT_LENS,
        &LOGIT_LENS_DIVERGENCE,
        &VERDICT,
        &USE_VERDICT,
        &USE_EFFECT,
        &PATCH,
        &PATCH_TOKENS,
        &KNOCKOUT,
    ],
    writes: &[],
    file: Some(layout::REPORT),
    depends_on: DependsOn { layers: false, seed: false, head: false, lineage: true },
};

/// Most scenarios, and most inputs of each, that the page shows in full.
const MOST: usize = 100;

/// Draws the run's tables on one page, `report.html`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many scenarios, the first of the pipeline, get a section; the others are rows of one table.
    pub scenarios: usize,
    /// How many inputs of each such scenario get a section of their own; all inputs are in the means.
    pub inputs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { scenarios: 20, inputs: 3 }
    }
}

impl Config {
    /// Valid when the page stays small enough for a browser to open at once.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Report> {
        let Self { scenarios, inputs } = *self;
        if scenarios > MOST {
            problems.push(
                &at.key("scenarios"),
                format!("scenarios {scenarios} is not between 0 and {MOST}"),
                "it is how many scenarios have a section on the page; the others are in one table of \
                 it, and all are in the run's tables",
            );
        }
        if inputs > MOST {
            problems.push(
                &at.key("inputs"),
                format!("inputs {inputs} is not between 0 and {MOST}"),
                "it is how many inputs of each scenario the page shows one by one; all inputs are in \
                 its means and in the tables",
            );
        }
        (scenarios.max(inputs) <= MOST).then_some(Report { scenarios, inputs })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Report {
    scenarios: usize,
    inputs: usize,
}

impl Stage for Report {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "scenarios": self.scenarios, "inputs": self.inputs })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        context.start(&DESCRIPTION, units);
        let decode = |id| context.tokenizer.decode_token(id);
        let mut page = self.page(context.store, context.shards, &decode, context.monitor)?;
        lineage::name_makers(&mut page.lineage, context.made_by);
        context.go_on()?;
        let file = context.store.write(layout::REPORT, render::report(&page).as_bytes())?;
        Ok(Outcome { parts: vec![PartStats { file, rows: 0 }], units, ..Outcome::default() })
    }
}

impl Report {
    /// What the report says, from the tables of a run of that many shards; `decode` is the
    /// tokenizer's text of one token; `monitor` is notified of every shard.
    ///
    /// # Errors
    /// When a table cannot be read or is not what this version writes.
    pub fn page(
        &self,
        store: &Store,
        shards: u32,
        decode: &dyn Fn(i32) -> String,
        monitor: &dyn Monitor,
    ) -> Result<page::Page, StageError> {
        let sources = Sources { store, shards, decode, monitor };
        let most = Most { scenarios: self.scenarios, inputs: self.inputs };
        let roster = Roster::read(&sources, most)?;
        let similarity = pairs::similarity(&sources, &roster)?;
        let overlap = pairs::overlap(&sources, &roster)?;
        let lens = LensMeans::read(&sources, &roster)?;
        let heads = HeadMeans::read(&sources, &roster)?;
        let mut outputs = OutputMeans::read(&sources, &roster)?;
        let mut surprisals = Surprisals::read(&sources, &roster)?;
        let mut details = Details::new(&roster);
        for part in 0..shards {
            details.add_part(&sources, &roster, part)?;
            monitor.event(&Event::Advanced { stage: DESCRIPTION.kind, amount: 1 });
        }
        let mut scenarios = Vec::new();
        for (index, (name, entry)) in roster.scenarios.iter().enumerate() {
            let mut inputs = details.take(index);
            for (place, input) in inputs.iter_mut().enumerate() {
                input.similarity = similarity.of_input(index, place);
                input.overlap = overlap.overlap_of_input(index, place);
                input.surprisal = surprisals.take_input(&roster, index, place);
                input.output_tokens = outputs.take_tokens(index, place);
            }
            let evidence = Evidence {
                lens: lens.of_scenario(index),
                outputs: outputs.of_scenario(index),
                surprisal: surprisals.of_scenario(index, &roster),
                heads: heads.of_scenario(index),
                explained: explain::read(&sources, &roster, index)?,
                ..Evidence::default()
            };
            scenarios.push(page::Scenario {
                name: name.clone(),
                tasks: entry.tasks.iter().cloned().collect(),
                n_inputs: entry.n_inputs,
                matrices: similarity.of_scenario(index),
                alignment: similarity.alignment(index),
                overlap: overlap.overlap_of_scenario(index),
                evidence,
                inputs,
                ..page::Scenario::default()
            });
        }
        let other = |(name, entry): (&String, &roster::Entry)| page::Scenario {
            name: name.clone(),
            tasks: entry.tasks.iter().cloned().collect(),
            n_inputs: entry.n_inputs,
            ..page::Scenario::default()
        };
        let mut others: Vec<page::Scenario> = roster.others.iter().map(other).collect();
        sources::add_verdicts(&sources, &mut others)?;
        add_reduced(&sources, &mut scenarios)?;
        let run = RunDir::of(store);
        lineage::add_findings(&run, &mut scenarios)?;
        let (name, lineage) = lineage::read(&run);
        let tables = sources.tables()?;
        let judged = lineage::judged(&run);
        Ok(page::Page { name, scenarios, others, rule: &RULE, judged, lineage, tables })
    }
}

/// Fills in what stages over the whole run found.
fn add_reduced(sources: &Sources<'_>, scenarios: &mut [page::Scenario]) -> Result<(), StageError> {
    sources::add_curves(sources, scenarios)?;
    sources::add_verdicts(sources, scenarios)?;
    reduced::add_effects(sources, scenarios)?;
    reduced::add_partitions(sources, scenarios)?;
    decoding::add(sources, scenarios)?;
    causes::add(sources, scenarios)
}

//! The numbers of every scenario, gathered part after part.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::words;
use crate::math::Statistics;
use crate::run_dir::summary::{
    AttentionSummary, LayerSummary, OutputSummary, ScenarioSummary, Summaries, Verdict,
};
use crate::stage::names::{FIRST_WORDING, FLAT, JACCARD, MEAN_HEAD};
use crate::stage::read::frame::Frame;
use crate::store::Store;
use crate::table::schema::{ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, PROMPTS};
use crate::table::{TableError, status};

/// What is known so far of every scenario, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    scenarios: IndexMap<String, Tally>,
}

/// What is known so far of one scenario.
#[derive(Debug, Default)]
struct Tally {
    tasks: IndexSet<String>,
    prompts: u64,
    skipped: u64,
    /// Inputs with a value, and the similarity, by layer.
    layers: BTreeMap<i16, (u64, LayerSummary)>,
    /// Overlaps, and how many of them are identical sets, by layer.
    overlaps: BTreeMap<i16, (Statistics, u64)>,
    outputs: Outputs,
}

/// Counts of distinct most probable next tokens, input by input.
#[derive(Debug, Default)]
struct Outputs {
    distinct: Statistics,
    unanimous: u64,
    /// Tasks that ran on an input that was counted: the fewest and the most.
    tasks: Option<(u64, u64)>,
    /// The input whose rows are coming in: its tokens and how many tasks gave them.
    open: Option<(String, BTreeSet<i32>, u64)>,
}

impl Tallies {
    /// Takes in table `divergence`, which has every scenario.
    pub(super) fn add_divergence(&mut self, store: &Store) -> Result<(), TableError> {
        let columns = ["scenario", "layer", "measure", "n_inputs", "n_pairs", "mean", "min", "max"];
        let frame = Frame::read(store, &DIVERGENCE, 0, &columns)?;
        let (scenarios, measures) = (frame.texts("scenario")?, frame.texts("measure")?);
        let (layers, means) = (frame.int16s("layer")?, frame.measures("mean")?);
        let (inputs, pairs) = (frame.int64s("n_inputs")?, frame.int64s("n_pairs")?);
        let (min, max) = (frame.measures("min")?, frame.measures("max")?);
        for row in (0..layers.len()).filter(|&row| measures[row] == FLAT) {
            let layer = LayerSummary {
                layer: layers[row],
                mean: means[row],
                printed: means[row].map(|mean| format!("{mean:.4}")),
                min: min[row],
                max: max[row],
                n_pairs: pairs[row].unsigned_abs(),
            };
            let inputs = inputs[row].unsigned_abs();
            self.of(scenarios[row]).layers.insert(layers[row], (inputs, layer));
        }
        Ok(())
    }

    /// Takes in one shard.
    pub(super) fn add_part(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        self.add_prompts(store, part)?;
        self.add_overlaps(store, part)?;
        self.add_outputs(store, part)
    }

    fn of(&mut self, scenario: &str) -> &mut Tally {
        if !self.scenarios.contains_key(scenario) {
            self.scenarios.insert(scenario.to_owned(), Tally::default());
        }
        &mut self.scenarios[scenario]
    }

    fn add_prompts(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let columns = ["scenario", "task", "status"];
        let Some(frame) = Frame::read_if_there(store, &PROMPTS, part, &columns)? else {
            return Ok(());
        };
        let (tasks, status) = (frame.texts("task")?, frame.texts("status")?);
        for (row, scenario) in frame.texts("scenario")?.into_iter().enumerate() {
            let tally = self.of(scenario);
            tally.prompts += 1;
            tally.skipped += u64::from(status[row] != status::OK);
            if !tally.tasks.contains(tasks[row]) {
                tally.tasks.insert(tasks[row].to_owned());
            }
        }
        Ok(())
    }

    fn add_overlaps(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let columns = ["scenario", "layer", "head", "measure", "value"];
        let frame = Frame::read_if_there(store, &ATTENTION_OVERLAP, part, &columns)?;
        let Some(frame) = frame else { return Ok(()) };
        let (scenarios, layers) = (frame.texts("scenario")?, frame.int16s("layer")?);
        let (heads, measures) = (frame.int16s("head")?, frame.texts("measure")?);
        for (row, value) in frame.measures("value")?.into_iter().enumerate() {
            let Some(value) = value.filter(|_| heads[row] == MEAN_HEAD && measures[row] == JACCARD)
            else {
                continue;
            };
            let overlaps = &mut self.of(scenarios[row]).overlaps;
            let (values, identical) = overlaps.entry(layers[row]).or_default();
            values.push(value);
            *identical += u64::from(value >= 1.0);
        }
        Ok(())
    }

    fn add_outputs(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let columns = ["scenario", "input", "wording", "rank", "token_id"];
        let frame = Frame::read_if_there(store, &NEXT_TOKENS, part, &columns)?;
        let Some(frame) = frame else { return Ok(()) };
        let (scenarios, inputs) = (frame.texts("scenario")?, frame.texts("input")?);
        let (wordings, ranks) = (frame.int16s("wording")?, frame.int16s("rank")?);
        for (row, token_id) in frame.int32s("token_id")?.into_iter().enumerate() {
            if wordings[row] == FIRST_WORDING && ranks[row] == 1 {
                self.of(scenarios[row]).outputs.push(inputs[row], token_id);
            }
        }
        Ok(())
    }

    /// The document, when all parts are in.
    pub(super) fn summaries(self, judged: i16, threshold: f64) -> Summaries {
        let scenarios = self.scenarios.into_iter();
        let summary = |(name, tally): (String, Tally)| tally.summary(name, judged, threshold);
        Summaries { scenarios: scenarios.map(summary).collect() }
    }
}

impl Tally {
    fn summary(self, scenario: String, layer: i16, threshold: f64) -> ScenarioSummary {
        let (n_inputs, judged) = self.layers.get(&layer).cloned().unzip();
        let value = judged.as_ref().and_then(|layer| layer.mean);
        let mut summary = ScenarioSummary {
            scenario,
            verdict: Verdict::of(value, threshold),
            layer,
            value,
            printed: value.map(|value| format!("{value:.4}")),
            threshold,
            reason: String::new(),
            findings: Vec::new(),
            n_tasks: self.tasks.len() as u64,
            n_inputs: n_inputs.unwrap_or(0),
            n_pairs: judged.map_or(0, |layer| layer.n_pairs),
            n_prompts: self.prompts,
            n_skipped: self.skipped,
            attention: attention(&self.overlaps),
            layers: self.layers.into_values().map(|(_, layer)| layer).collect(),
            outputs: self.outputs.finish(),
            evidence: Vec::new(),
        };
        summary.reason = words::reason(&summary);
        summary.findings = words::findings(&summary);
        summary
    }
}

/// The last layer that was looked at.
fn attention(overlaps: &BTreeMap<i16, (Statistics, u64)>) -> Option<AttentionSummary> {
    let (&layer, (values, identical)) = overlaps.last_key_value()?;
    let mean = values.mean()?;
    Some(AttentionSummary {
        layer,
        mean_jaccard: mean,
        printed: format!("{mean:.3}"),
        identical: *identical as f64 / values.n() as f64,
        n_pairs: values.n(),
    })
}

impl Outputs {
    /// Takes in the most probable token of one task; an input's rows stand together.
    fn push(&mut self, input: &str, token_id: i32) {
        if self.open.as_ref().is_some_and(|(open, ..)| open != input) {
            self.close();
        }
        let (_, tokens, tasks) =
            self.open.get_or_insert_with(|| (input.to_owned(), BTreeSet::new(), 0));
        tokens.insert(token_id);
        *tasks += 1;
    }

    fn close(&mut self) {
        if let Some((_, tokens, tasks)) = self.open.take()
            && tasks > 1
        {
            self.distinct.push(tokens.len() as f64);
            self.unanimous += u64::from(tokens.len() == 1);
            let (fewest, most) = self.tasks.unwrap_or((tasks, tasks));
            self.tasks = Some((fewest.min(tasks), most.max(tasks)));
        }
    }

    fn finish(mut self) -> Option<OutputSummary> {
        self.close();
        let n_inputs = self.distinct.n();
        let (fewest_tasks, most_tasks) = self.tasks?;
        Some(OutputSummary {
            distinct_top1: self.distinct.mean()?,
            unanimous: self.unanimous as f64 / n_inputs as f64,
            n_inputs,
            fewest_tasks,
            most_tasks,
        })
    }
}

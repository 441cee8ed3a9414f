//! The numbers of every scenario, gathered part after part.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::sinks::{Sink, SinkTally};
use super::words;
use crate::math::Statistics;
use crate::run_dir::summary::{
    AttentionSummary, LayerSummary, OutputSummary, ScenarioSummary, Summaries, Verdict,
};
use crate::stage::names::{FIRST_WORDING, FLAT, JACCARD, MEAN_HEAD};
use crate::store::Store;
use crate::table::schema::{ATTENTION_OVERLAP, DIVERGENCE, NEXT_TOKENS, PROMPTS, SINKS};
use crate::table::{ReadRow as _, TableError, status, view};

view! {
    /// A row of the notebook's curve.
    struct Reduced<'a> of [DIVERGENCE] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        n_inputs: i64,
        n_pairs: i64,
        mean: Option<f64>,
        min: Option<f64>,
        max: Option<f64>,
        position_0_share: Option<f64>,
    }
}

view! {
    /// A prompt of the plan.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        task: &'a str,
        form: &'a str,
        status: &'a str,
    }
}

view! {
    /// How far two tasks' focus agrees.
    struct Overlap<'a> of [ATTENTION_OVERLAP] {
        scenario: &'a str,
        layer: i16,
        head: i16,
        measure: &'a str,
        value: Option<f64>,
    }
}

view! {
    /// What the model says next.
    struct NextToken<'a> of [NEXT_TOKENS] {
        scenario: &'a str,
        input: &'a str,
        wording: i16,
        rank: i16,
        token_id: i32,
    }
}

/// What is known so far of every scenario, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    scenarios: IndexMap<String, Tally>,
}

/// What is known so far of one scenario.
#[derive(Debug, Default)]
struct Tally {
    tasks: IndexSet<String>,
    form: String,
    prompts: u64,
    skipped: u64,
    /// Inputs with a value, and the similarity, by layer.
    layers: BTreeMap<i16, (u64, LayerSummary)>,
    /// Overlaps, and how many of them are identical sets, by layer.
    overlaps: BTreeMap<i16, (Statistics, u64)>,
    outputs: Outputs,
    sinks: SinkTally,
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
        for row in Reduced::rows(&Reduced::frame(store, &DIVERGENCE, 0)?)? {
            if row.measure != FLAT {
                continue;
            }
            let layer = LayerSummary {
                layer: row.layer,
                mean: row.mean,
                printed: row.mean.map(|mean| format!("{mean:.4}")),
                min: row.min,
                max: row.max,
                n_pairs: row.n_pairs.unsigned_abs(),
                position_0_share: row.position_0_share,
            };
            let inputs = row.n_inputs.unsigned_abs();
            self.of(row.scenario).layers.insert(row.layer, (inputs, layer));
        }
        Ok(())
    }

    /// Takes in one shard.
    pub(super) fn add_part(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        self.add_prompts(store, part)?;
        self.add_overlaps(store, part)?;
        self.add_outputs(store, part)?;
        self.add_sinks(store, part)
    }

    fn of(&mut self, scenario: &str) -> &mut Tally {
        if !self.scenarios.contains_key(scenario) {
            self.scenarios.insert(scenario.to_owned(), Tally::default());
        }
        &mut self.scenarios[scenario]
    }

    fn add_prompts(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(frame) = Planned::frame_if_there(store, &PROMPTS, part)? else {
            return Ok(());
        };
        for row in Planned::rows(&frame)? {
            let tally = self.of(row.scenario);
            if tally.prompts == 0 {
                row.form.clone_into(&mut tally.form);
            }
            tally.prompts += 1;
            tally.skipped += u64::from(row.status != status::OK);
            if !tally.tasks.contains(row.task) {
                tally.tasks.insert(row.task.to_owned());
            }
        }
        Ok(())
    }

    fn add_overlaps(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(frame) = Overlap::frame_if_there(store, &ATTENTION_OVERLAP, part)? else {
            return Ok(());
        };
        let rows = Overlap::rows(&frame)?.into_iter();
        for row in rows.filter(|row| row.head == MEAN_HEAD && row.measure == JACCARD) {
            let Some(value) = row.value else { continue };
            let overlaps = &mut self.of(row.scenario).overlaps;
            let (values, identical) = overlaps.entry(row.layer).or_default();
            values.push(value);
            *identical += u64::from(value >= 1.0);
        }
        Ok(())
    }

    fn add_outputs(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(frame) = NextToken::frame_if_there(store, &NEXT_TOKENS, part)? else {
            return Ok(());
        };
        for row in NextToken::rows(&frame)? {
            if row.wording == FIRST_WORDING && row.rank == 1 {
                self.of(row.scenario).outputs.push(row.input, row.token_id);
            }
        }
        Ok(())
    }

    fn add_sinks(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let Some(frame) = Sink::frame_if_there(store, &SINKS, part)? else {
            return Ok(());
        };
        for row in Sink::rows(&frame)? {
            self.of(row.scenario).sinks.push(&row);
        }
        Ok(())
    }

    /// The document, when all parts are in.
    pub(super) fn summaries(self, judged: i16, threshold: f64) -> Summaries {
        let scenarios = self.scenarios.into_iter();
        let summary = |(name, tally): (String, Tally)| tally.summary(name, judged, threshold);
        Summaries { judged: None, scenarios: scenarios.map(summary).collect() }
    }
}

impl Tally {
    fn summary(self, scenario: String, layer: i16, threshold: f64) -> ScenarioSummary {
        let (n_inputs, judged) = self.layers.get(&layer).cloned().unzip();
        let value = judged.as_ref().and_then(|layer| layer.mean);
        let mut summary = ScenarioSummary {
            scenario,
            form: self.form,
            verdict: Verdict::of(value, threshold),
            layer,
            value,
            printed: value.map(|value| format!("{value:.4}")),
            threshold,
            reason: String::new(),
            findings: Vec::new(),
            uses: Vec::new(),
            n_tasks: self.tasks.len() as u64,
            n_inputs: n_inputs.unwrap_or(0),
            n_pairs: judged.map_or(0, |layer| layer.n_pairs),
            n_prompts: self.prompts,
            n_skipped: self.skipped,
            attention: attention(&self.overlaps),
            layers: self.layers.into_values().map(|(_, layer)| layer).collect(),
            sinks: self.sinks.finish(),
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

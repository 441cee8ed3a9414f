//! How similarity falls from layer to layer: table `similarity` reduced over inputs and pairs.
//!
//! For every scenario, captured layer and measure: mean, sample standard deviation and range of the
//! values that could be computed, each input and pair counting once. With one input and five tasks
//! the mean is the notebook's `mean_sim` over `np.triu_indices(5, k=1)` (its section 5). Reads
//! `prompts` and `similarity` part after part, so memory stays flat however many shards there are,
//! and value after value in the order of the plan, so the result does not depend on how the inputs
//! were cut into shards. Writes `divergence`.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::frame::Frame;
use super::measure::{FLAT, NOTEBOOK_THRESHOLD};
use super::{Context, Facts, Outcome, Scope, Stage, StageError};
use crate::math::Statistics;
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::store::Store;
use crate::table::TableError;
use crate::table::schema::{DIVERGENCE, PROMPTS, SIMILARITY, Table};
use crate::table::writer::{PartAddress, write_part};

/// Reduces the similarities of all inputs and pairs, layer by layer.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The verdict is `supported` when the mean similarity of the last captured layer is below this.
    pub threshold: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { threshold: NOTEBOOK_THRESHOLD }
    }
}

impl Config {
    /// Valid when the threshold is a cosine that some similarity can be below.
    pub fn validate(
        &self,
        at: &Path,
        _facts: &Facts,
        problems: &mut Problems,
    ) -> Option<Divergence> {
        let threshold = self.threshold;
        if threshold > -1.0 && threshold <= 1.0 {
            return Some(Divergence { threshold });
        }
        problems.push(
            &at.key("threshold"),
            format!("threshold {threshold} is not above -1 and at most 1"),
            "a mean cosine is held against it; the notebook's is 0.9",
        );
        None
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Divergence {
    threshold: f64,
}

impl Divergence {
    /// What the verdict's mean similarity must be below, for stage `summary`.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }
}

impl Stage for Divergence {
    fn kind(&self) -> &'static str {
        "divergence"
    }

    fn version(&self) -> u32 {
        2
    }

    fn scope(&self) -> Scope {
        Scope::Run
    }

    fn unit(&self) -> &'static str {
        "shards"
    }

    fn reads(&self) -> &'static [&'static Table] {
        &[&PROMPTS, &SIMILARITY]
    }

    fn writes(&self) -> &'static [&'static Table] {
        &[&DIVERGENCE]
    }

    /// Empty: the threshold changes the verdict (stage `summary`), not this stage's table.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        let (stage, unit) = (self.kind(), self.unit());
        context.monitor.event(&Event::StageStarted { stage, shard: None, total: units, unit });
        // The notebook's stands first, and also where no pair of tasks gives it a value.
        let measures = IndexSet::from([FLAT.to_owned()]);
        let layers = context.layers.to_vec();
        let mut reduction = Reduction { layers, measures, ..Reduction::default() };
        for part in 0..context.shards {
            context.go_on()?;
            reduction.add_part(context.store, part)?;
            context.monitor.event(&Event::Advanced { stage, amount: 1 });
        }
        reduction.fill();
        let rows = reduction.rows();
        let columns = Columns::of(&rows)
            .texts(|row| row.scenario)
            .int16s(|row| row.layer)
            .texts(|row| row.measure)
            .int64s(|row| row.group.inputs as i64)
            .int64s(|row| row.group.values.n() as i64)
            .float64s(|row| row.group.values.mean())
            .float64s(|row| row.group.values.sd())
            .float64s(|row| row.group.values.min())
            .float64s(|row| row.group.values.max());
        let address = PartAddress::new(&DIVERGENCE, 0);
        let part = write_part(context.store, address, context.dims(), columns.finish())?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// What is known so far of every (scenario, layer, measure).
#[derive(Debug, Default)]
struct Reduction {
    /// The captured layers.
    layers: Vec<i16>,
    /// In the order in which the plan has them.
    scenarios: IndexSet<String>,
    measures: IndexSet<String>,
    /// By places in the two sets above, and layer.
    groups: BTreeMap<(usize, i16, usize), Group>,
}

/// The values of one (scenario, layer, measure).
#[derive(Debug, Default)]
struct Group {
    values: Statistics,
    /// How many inputs gave at least one value.
    inputs: u64,
    /// The last of them; an input's rows stand together, so one name is enough to count by.
    last_input: Option<String>,
}

/// One row of table `divergence`.
#[derive(Debug)]
struct Row<'a> {
    scenario: &'a str,
    layer: i16,
    measure: &'a str,
    group: &'a Group,
}

impl Reduction {
    /// Takes in one shard.
    fn add_part(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        let prompts = Frame::read(store, &PROMPTS, part, &["scenario"])?;
        for scenario in prompts.texts("scenario")? {
            place(&mut self.scenarios, scenario);
        }
        let columns = ["scenario", "input", "layer", "measure", "value"];
        let frame = Frame::read(store, &SIMILARITY, part, &columns)?;
        let (scenarios, inputs) = (frame.texts("scenario")?, frame.texts("input")?);
        let (layers, measures) = (frame.int16s("layer")?, frame.texts("measure")?);
        for (row, value) in frame.measures("value")?.into_iter().enumerate() {
            let group = self.group(scenarios[row], layers[row], measures[row]);
            if let Some(value) = value {
                group.push(inputs[row], value);
            }
        }
        Ok(())
    }

    fn group(&mut self, scenario: &str, layer: i16, measure: &str) -> &mut Group {
        let key = (place(&mut self.scenarios, scenario), layer, place(&mut self.measures, measure));
        self.groups.entry(key).or_default()
    }

    /// Gives every scenario a row, if without values, for every layer and measure: also one whose
    /// prompts make no pair.
    fn fill(&mut self) {
        for scenario in 0..self.scenarios.len() {
            for measure in 0..self.measures.len() {
                for &layer in &self.layers {
                    self.groups.entry((scenario, layer, measure)).or_default();
                }
            }
        }
    }

    /// Scenarios in the order of the plan, layers ascending.
    fn rows(&self) -> Vec<Row<'_>> {
        let row = |(&(scenario, layer, measure), group): (&(usize, i16, usize), _)| Row {
            scenario: self.scenarios[scenario].as_str(),
            layer,
            measure: self.measures[measure].as_str(),
            group,
        };
        self.groups.iter().map(row).collect()
    }
}

impl Group {
    fn push(&mut self, input: &str, value: f64) {
        self.values.push(value);
        if self.last_input.as_deref() != Some(input) {
            self.last_input = Some(input.to_owned());
            self.inputs += 1;
        }
    }
}

/// Place of a name in a set, put at its end when it is new.
fn place(names: &mut IndexSet<String>, name: &str) -> usize {
    names.get_index_of(name).unwrap_or_else(|| names.insert_full(name.to_owned()).0)
}

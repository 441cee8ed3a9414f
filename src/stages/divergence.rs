//! How similarity falls from layer to layer: table `similarity` reduced over inputs and pairs.
//!
//! For every scenario, captured layer and measure: mean, sample standard deviation and range of the
//! values that could be computed, each input and pair counting once. With one input and five tasks
//! the mean is the notebook's `mean_sim` over `np.triu_indices(5, k=1)` (its section 5). Reads
//! `prompts` and `similarity` one part at a time, so the memory that it needs does not grow with the
//! number of shards, and takes the values in the order of the plan, so the result does not depend on
//! how the inputs were cut into shards. Writes `divergence`, with the mean of position 0's share beside the
//! notebook's measure.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::Statistics;
use crate::stage::names::{FLAT, NOTEBOOK_THRESHOLD};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::store::Store;
use crate::table::schema::{DIVERGENCE, DivergenceRow, PROMPTS, SIMILARITY};
use crate::table::{ReadRow as _, TableError, WriteRow as _, view};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "divergence",
    version: 3,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&PROMPTS, &SIMILARITY],
    reads_if_there: &[],
    writes: &[&DIVERGENCE],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

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
            "the mean cosine is compared with it; the notebook's is 0.9",
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
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    /// Empty: the threshold changes the verdict (stage `summary`), not this stage's table.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        context.start(&DESCRIPTION, units);
        // The notebook's measure comes first, even when no pair of tasks gives it a value.
        let measures = IndexSet::from([FLAT.to_owned()]);
        let layers = context.layers.to_vec();
        let mut reduction = Reduction { layers, measures, ..Reduction::default() };
        for part in 0..context.shards {
            context.go_on()?;
            reduction.add_part(context.store, part)?;
            context.advance(&DESCRIPTION, 1);
        }
        reduction.fill();
        let rows = reduction.rows();
        let part = DivergenceRow::write(context.store, 0, &rows)?;
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
    /// Position 0's share of what is compared, for the notebook's measure.
    shares: Statistics,
    /// How many inputs gave at least one value.
    inputs: u64,
    /// The last of them: an input's rows stand together, so one name is enough to count by.
    last_input: Option<String>,
}

view! {
    /// The scenario of a prompt: a scenario whose prompts make no pair has rows too.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
    }
}

view! {
    /// What is reduced.
    struct Compared<'a> of [SIMILARITY] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        measure: &'a str,
        value: Option<f64>,
        position_0_share: Option<f64>,
    }
}

impl Reduction {
    /// Takes in one shard.
    fn add_part(&mut self, store: &Store, part: u32) -> Result<(), TableError> {
        for Planned { scenario } in Planned::rows(&Planned::frame(store, &PROMPTS, part)?)? {
            place(&mut self.scenarios, scenario);
        }
        for row in Compared::rows(&Compared::frame(store, &SIMILARITY, part)?)? {
            let group = self.group(row.scenario, row.layer, row.measure);
            if let Some(value) = row.value {
                group.push(row.input, value);
            }
            if let Some(share) = row.position_0_share {
                group.shares.push(share);
            }
        }
        Ok(())
    }

    fn group(&mut self, scenario: &str, layer: i16, measure: &str) -> &mut Group {
        let key = (place(&mut self.scenarios, scenario), layer, place(&mut self.measures, measure));
        self.groups.entry(key).or_default()
    }

    /// Gives every scenario a row for every layer and measure, without values if need be: also a
    /// scenario whose prompts make no pair.
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
    fn rows(&self) -> Vec<DivergenceRow<'_>> {
        let row = |(&(scenario, layer, measure), group): (&(usize, i16, usize), &Group)| {
            let Group { values, shares, inputs, .. } = group;
            DivergenceRow {
                scenario: self.scenarios[scenario].as_str(),
                layer,
                measure: self.measures[measure].as_str(),
                n_inputs: *inputs as i64,
                n_pairs: values.n() as i64,
                mean: values.mean(),
                sd: values.sd(),
                min: values.min(),
                max: values.max(),
                position_0_share: shares.mean(),
            }
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

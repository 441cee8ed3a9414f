//! What moves the model's vectors: the input, the task, the task's wording, or input and task
//! together. The notebook's question, layer by layer.
//!
//! For every scenario, captured layer and site (`span`: mean over the input's tokens; `last`: last
//! token), over the inputs that have all their vectors, in the raw space and standardised by the
//! reference set:
//!
//! ```text
//! SS_total = SS_input + SS_task + SS_interaction (+ SS_wording + SS_rest with two wordings or more)
//! R²       = SS / SS_total            partial η² = SS_task / (SS_task + SS_interaction)
//! f_task   = mean square of the task over that of the wordings (of the interaction with one wording)
//! p        = task labels exchanged within each input; its statistic is partial η²
//! p_max_t  = the same, corrected over the captured layers
//! ```
//!
//! What p says: these prompts move the vectors the same way on all inputs, more than chance would.
//! Any two different texts do that, so p is no evidence for the *task*: that is what `f_task` and
//! table `effect` hold against wordings. The formulas, and what is exchangeable, stand in
//! [`crate::math::CentredCells`]. MANOVA on distances (Anderson 2001).
//!
//! Reads `vectors` and, when it is there, `reference`; writes `variance_partition`. One layer's
//! vectors are in memory at a time, of at most about `max_inputs` inputs a scenario.

mod families;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::families::Families;
use super::columns::Columns;
use super::designs::{SiteVectors, read_designs};
use super::frame::Frame;
use super::{Context, Facts, Outcome, Scope, Stage, StageError, draws};
use crate::math::{CentredCells, PERMUTATION_DRAWS, Partition, Relabellings, Undefined};
use crate::monitor::Event;
use crate::spec::{Path, Problems};
use crate::store::Store;
use crate::table::schema::{REFERENCE, Table, VARIANCE_PARTITION, VECTORS};
use crate::table::writer::{PartAddress, write_part};
use crate::table::{TableError, status};

/// Measures what moves the vectors: input, task, wording, or input and task together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many exchanges of task labels are drawn where there are too many to count them all.
    pub permutations: usize,
    /// About how many inputs of a scenario are taken in at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { permutations: PERMUTATION_DRAWS, max_inputs: 1000 }
    }
}

impl Config {
    /// Valid with enough draws for a p below 0.05 and inputs to exchange labels in.
    pub fn validate(&self, at: &Path, _: &Facts, problems: &mut Problems) -> Option<Variance> {
        let permutations = draws::check_permutations(self.permutations, at, problems);
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems);
        Some(Variance { permutations: permutations?, max_inputs: max_inputs? })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Variance {
    permutations: usize,
    max_inputs: u64,
}

impl Stage for Variance {
    fn kind(&self) -> &'static str {
        "variance"
    }

    fn version(&self) -> u32 {
        1
    }

    fn scope(&self) -> Scope {
        Scope::Run
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn unit(&self) -> &'static str {
        "layers"
    }

    fn reads(&self) -> &'static [&'static Table] {
        &[&VECTORS]
    }

    fn reads_if_there(&self) -> &'static [&'static Table] {
        &[&REFERENCE]
    }

    fn writes(&self) -> &'static [&'static Table] {
        &[&VARIANCE_PARTITION]
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "permutations": self.permutations, "max_inputs": self.max_inputs })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        let (stage, unit) = (self.kind(), self.unit());
        context.monitor.event(&Event::StageStarted { stage, shard: None, total: units, unit });
        let mut families = Families::default();
        let mut rows = Vec::new();
        for &layer in context.layers {
            let scale = scale(context.store, layer)?;
            for ((scenario, site), vectors) in &read_designs(context, layer)? {
                for space in [Space::Raw, Space::Standardised] {
                    context.go_on()?;
                    let place = Place { scenario: scenario.clone(), site: site.clone(), space };
                    let row = self.row(context.seed, (layer, place), vectors, scale.as_deref());
                    rows.push(families.add(row));
                }
            }
            context.monitor.event(&Event::Advanced { stage, amount: 1 });
        }
        families.correct(&mut rows);
        let rows = by_scenario(rows);
        let part = write(context, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// What the vectors are divided by before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    /// Nothing.
    Raw,
    /// The reference set's standard deviation of each dimension.
    Standardised,
}

impl Space {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Standardised => "standardised",
        }
    }
}

/// The rows that are corrected together: the layers of one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    scenario: String,
    site: String,
    space: Space,
}

/// One row of table `variance_partition`.
#[derive(Debug)]
struct Row {
    place: Place,
    layer: i16,
    n_inputs: usize,
    n_tasks: usize,
    n_wordings: usize,
    partition: Option<Partition>,
    p: Option<f64>,
    p_max_t: Option<f64>,
    n_permutations: usize,
    status: String,
}

/// A row with the test that its p comes from, before the correction.
#[derive(Debug)]
struct Tested {
    row: Row,
    test: Option<crate::math::PermutationTest>,
}

impl Variance {
    fn row(
        &self,
        seed: u64,
        (layer, place): (i16, Place),
        vectors: &SiteVectors,
        scale: Option<&[f64]>,
    ) -> Tested {
        let (n, k) = (vectors.inputs, vectors.tasks.len());
        let mut row = Row {
            layer,
            n_inputs: n,
            n_tasks: k,
            n_wordings: vectors.wordings,
            partition: None,
            p: None,
            p_max_t: None,
            n_permutations: 0,
            status: status::OK.to_owned(),
            place,
        };
        if let Some(reason) = vectors.refusal() {
            reason.clone_into(&mut row.status);
            return Tested { row, test: None };
        }
        if row.place.space == Space::Standardised && scale.is_none() {
            status::NO_REFERENCE.clone_into(&mut row.status);
            return Tested { row, test: None };
        }
        let scale = scale.filter(|_| row.place.space == Space::Standardised);
        let mut cells = CentredCells::new(k, vectors.wordings, vectors.width(), scale);
        for input in 0..n {
            cells.push_input(&vectors.input(input));
        }
        row.partition = cells.partition().ok();
        let purpose = format!("task labels of {}", row.place.scenario);
        let relabellings = Relabellings::new(n, k, self.permutations, seed, &purpose);
        let test: Result<_, Undefined> = cells.task_test(&relabellings);
        match &test {
            Ok(test) => (row.p, row.n_permutations) = (Some(test.p()), test.count()),
            Err(reason) => status::of(*reason).clone_into(&mut row.status),
        }
        Tested { row, test: test.ok() }
    }
}

/// 1/sd of each dimension in the reference set, 0 for one that does not vary there; `None` where
/// the run has no reference set for the layer.
fn scale(store: &Store, layer: i16) -> Result<Option<Vec<f64>>, TableError> {
    let Some(frame) = Frame::read_if_there(store, &REFERENCE, 0, &["layer", "sd"])? else {
        return Ok(None);
    };
    let (layers, sd) = (frame.int16s("layer")?, frame.measures("sd")?);
    let own = layers.into_iter().zip(sd).filter(|(own, _)| *own == layer);
    let scale: Option<Vec<f64>> =
        own.map(|(_, sd)| sd.map(|sd| if sd > 0.0 { 1.0 / sd } else { 0.0 })).collect();
    Ok(scale.filter(|scale| !scale.is_empty()))
}

/// Scenarios in the order of the plan, in each the layers ascending.
fn by_scenario(rows: Vec<Row>) -> Vec<Row> {
    let mut scenarios: IndexMap<String, Vec<Row>> = IndexMap::new();
    for row in rows {
        scenarios.entry(row.place.scenario.clone()).or_default().push(row);
    }
    scenarios.into_values().flatten().collect()
}

fn write(
    context: &Context<'_>,
    rows: &[Row],
) -> Result<crate::table::receipt::PartStats, TableError> {
    let of = |part: fn(&Partition) -> Option<f64>| {
        move |row: &Row| row.partition.as_ref().and_then(part)
    };
    let columns = Columns::of(rows)
        .texts(|row| &row.place.scenario)
        .int16s(|row| row.layer)
        .texts(|row| &row.place.site)
        .texts(|row| row.place.space.name())
        .int64s(|row| row.n_inputs as i64)
        .int64s(|row| row.n_tasks as i64)
        .int64s(|row| row.n_wordings as i64)
        .float64s(of(|p| Some(p.total())))
        .float64s(of(|p| Some(p.input)))
        .float64s(of(|p| Some(p.task)))
        .float64s(of(|p| p.wording))
        .float64s(of(|p| Some(p.interaction)))
        .float64s(of(|p| p.rest))
        .float64s(of(|p| p.share(p.input)))
        .float64s(of(|p| p.share(p.task)))
        .float64s(of(|p| p.share(p.wording?)))
        .float64s(of(|p| p.share(p.interaction)))
        .float64s(of(Partition::partial_eta2))
        .float64s(of(Partition::f_task))
        .float64s(of(Partition::f_interaction))
        .float64s(|row| row.p)
        .float64s(|row| row.p_max_t)
        .int64s(|row| row.n_permutations as i64)
        .texts(|row| &row.status);
    let address = PartAddress::new(&VARIANCE_PARTITION, 0);
    write_part(context.store, address, context.dims(), columns.finish())
}

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
//! Any two different texts do that, so p is no evidence for the *task*: for that, `f_task` and table
//! `effect` compare tasks with wordings. [`crate::math::CentredCells`] has the formulas and says what
//! is exchangeable. MANOVA on distances (Anderson 2001).
//!
//! Reads `vectors` and, when it is there, `reference`; writes `variance_partition`. One layer's
//! vectors are in memory at a time, of at most about `max_inputs` inputs a scenario.

mod families;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::families::Families;
use crate::math::{CentredCells, PERMUTATION_DRAWS, Partition, PermutationTest, Relabellings};
use crate::stage::read::designs::{SiteVectors, read_designs};
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::store::Store;
use crate::table::schema::{REFERENCE, VARIANCE_PARTITION, VECTORS, VariancePartitionRow};
use crate::table::{ReadRow as _, TableError, WriteRow as _, status, view};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "variance",
    version: 2,
    scope: Scope::Run,
    unit: "layers",
    reads: &[&VECTORS],
    reads_if_there: &[&REFERENCE],
    writes: &[&VARIANCE_PARTITION],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

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
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "permutations": self.permutations, "max_inputs": self.max_inputs })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let mut families = Families::default();
        let mut rows = Vec::new();
        let mut drawn = Drawn::default();
        for &layer in context.layers {
            let scale = scale(context.store, layer)?;
            let designs = read_designs(context, layer)?;
            for ((scenario, _), vectors) in &designs {
                self.draw(context.seed, scenario, vectors, &mut drawn);
            }
            let tested = |((scenario, site), vectors): &(&(String, String), &SiteVectors)| {
                context.go_on()?;
                let relabellings = &drawn[&key(scenario, vectors)];
                Ok(tested((layer, scenario, site), vectors, relabellings, scale.as_deref()))
            };
            let designs: Vec<_> = designs.iter().collect();
            let tested = designs.par_iter().map(tested).collect::<Vec<_>>();
            for tested in tested.into_iter().collect::<Result<Vec<_>, StageError>>()? {
                rows.extend(tested.into_iter().map(|tested| families.add(tested)));
            }
            context.advance(&DESCRIPTION, 1);
        }
        families.correct(&mut rows);
        let rows = by_scenario(rows);
        let rows: Vec<VariancePartitionRow<'_>> = rows.iter().map(Row::row).collect();
        let part = VariancePartitionRow::write(context.store, 0, &rows)?;
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

/// A row of table `variance_partition`, filled in step by step.
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

impl Row {
    /// As the table has it.
    fn row(&self) -> VariancePartitionRow<'_> {
        let of = |number: fn(&Partition) -> Option<f64>| self.partition.as_ref().and_then(number);
        VariancePartitionRow {
            scenario: &self.place.scenario,
            layer: self.layer,
            site: &self.place.site,
            space: self.place.space.name(),
            n_inputs: self.n_inputs as i64,
            n_tasks: self.n_tasks as i64,
            n_wordings: self.n_wordings as i64,
            ss_total: of(|p| Some(p.total())),
            ss_input: of(|p| Some(p.input)),
            ss_task: of(|p| Some(p.task)),
            ss_wording: of(|p| p.wording),
            ss_interaction: of(|p| Some(p.interaction)),
            ss_rest: of(|p| p.rest),
            r2_input: of(|p| p.share(p.input)),
            r2_task: of(|p| p.share(p.task)),
            r2_wording: of(|p| p.share(p.wording?)),
            r2_interaction: of(|p| p.share(p.interaction)),
            partial_eta2: of(Partition::partial_eta2),
            f_task: of(Partition::f_task),
            f_interaction: of(Partition::f_interaction),
            p: self.p,
            p_max_t: self.p_max_t,
            n_permutations: self.n_permutations as i64,
            status: &self.status,
        }
    }
}

/// A row with the test that its p comes from, before the correction.
#[derive(Debug)]
struct Tested {
    row: Row,
    test: Option<PermutationTest>,
}

/// The exchanges of a scenario, by the number of inputs and tasks: the same on all its layers and
/// sites.
type Drawn = BTreeMap<(String, usize, usize), Relabellings>;

fn key(scenario: &str, vectors: &SiteVectors) -> (String, usize, usize) {
    (scenario.to_owned(), vectors.inputs.len(), vectors.tasks.len())
}

/// As many wordings as the task with the fewest has.
fn fewest(vectors: &SiteVectors) -> usize {
    vectors.wordings.iter().copied().min().unwrap_or(0)
}

impl Variance {
    fn draw(&self, seed: u64, scenario: &str, vectors: &SiteVectors, drawn: &mut Drawn) {
        drawn.entry(key(scenario, vectors)).or_insert_with(|| {
            let purpose = format!("task labels of {scenario}");
            let (n, k) = (vectors.inputs.len(), vectors.tasks.len());
            Relabellings::new(n, k, self.permutations, seed, &purpose)
        });
    }
}

/// The rows of a design, one for each space.
fn tested(
    (layer, scenario, site): (i16, &str, &str),
    vectors: &SiteVectors,
    relabellings: &Relabellings,
    scale: Option<&[f64]>,
) -> Vec<Tested> {
    let row = |space: Space| Row {
        place: Place { scenario: scenario.to_owned(), site: site.to_owned(), space },
        layer,
        n_inputs: vectors.inputs.len(),
        n_tasks: vectors.tasks.len(),
        n_wordings: fewest(vectors),
        partition: None,
        p: None,
        p_max_t: None,
        n_permutations: 0,
        status: status::OK.to_owned(),
    };
    let refused = |space: Space, reason: &str| Tested {
        row: Row { status: reason.to_owned(), ..row(space) },
        test: None,
    };
    if let Some(reason) = vectors.refusal() {
        return [Space::Raw, Space::Standardised].map(|space| refused(space, reason)).into();
    }
    let mut cells = CentredCells::new(vectors.tasks.len(), fewest(vectors), vectors.width());
    let counted: Vec<bool> = vectors
        .wordings
        .iter()
        .flat_map(|&wordings| (0..wordings).map(|wording| wording < fewest(vectors)))
        .collect();
    for input in 0..vectors.inputs.len() {
        let all = vectors.input(input).into_iter().zip(&counted);
        let counted: Vec<&[f32]> = all.filter(|(_, counted)| **counted).map(|(v, _)| v).collect();
        cells.push_input(&counted);
    }
    let spread = cells.spread();
    drop(cells);
    let mut spaces = vec![(Space::Raw, None)];
    spaces.extend(scale.map(|scale| (Space::Standardised, Some(scale))));
    let scales: Vec<Option<&[f64]>> = spaces.iter().map(|(_, scale)| *scale).collect();
    let tests = spread.task_tests(relabellings, &scales);
    let mut rows = Vec::new();
    for ((space, scale), test) in spaces.into_iter().zip(tests) {
        let mut row = Row { partition: spread.partition(scale).ok(), ..row(space) };
        match &test {
            Ok(test) => (row.p, row.n_permutations) = (Some(test.p()), test.count()),
            Err(reason) => status::of(*reason).clone_into(&mut row.status),
        }
        rows.push(Tested { row, test: test.ok() });
    }
    if scale.is_none() {
        rows.push(refused(Space::Standardised, status::NO_REFERENCE));
    }
    rows
}

view! {
    /// How far one dimension of a layer varies in the reference set.
    struct Spread<'a> of [REFERENCE] {
        layer: i16,
        sd: Option<f64>,
        status: &'a str,
    }
}

/// 1/sd of each dimension in the reference set, 0 for one that does not vary there; `None` where
/// the run has no reference set for the layer.
fn scale(store: &Store, layer: i16) -> Result<Option<Vec<f64>>, TableError> {
    let Some(frame) = Spread::frame_if_there(store, &REFERENCE, 0)? else {
        return Ok(None);
    };
    let rows = Spread::rows(&frame)?;
    let own = rows.iter().filter(|row| row.layer == layer && row.status == status::OK);
    let scale: Option<Vec<f64>> =
        own.map(|row| row.sd.map(|sd| if sd > 0.0 { 1.0 / sd } else { 0.0 })).collect();
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

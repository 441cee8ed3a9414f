//! Do two tasks arrange the inputs alike? Measures over inputs, with one vector for each input.
//!
//! For every scenario, captured layer, site and pair of tasks (first wordings), over the inputs that
//! have all their vectors:
//!
//! ```text
//! dcka          debiased linear CKA, -1..1             chance 0
//! cka_biased    linear CKA, 0..1                       chance: its mean over exchanged inputs
//! rsa_spearman  Spearman of the two tables 1 - Pearson chance 0
//! mutual_knn    share of common nearest neighbours     chance k/(n-1)
//! ```
//!
//! All compare distances between inputs, so a shift that is the same for every input does not show:
//! `dcka` near 1 never means that the task has no effect, only that it does not rearrange the inputs.
//! With fewer inputs than dimensions `cka_biased` is near 1 for noise too, as its chance level shows.
//! Below 20 inputs all of them vary widely from sample to sample. p is the share of 1 +
//! `permutations` arrangements (one task's vectors given to other inputs) that do at least as well;
//! `se` leaves out one cluster of inputs after the other. The formulas are in [`crate::math`].
//!
//! Two wordings of one task arrange the inputs differently too: table `geometry_wording_pairs` has
//! 1 - `dcka` of all pairs of (task, wording), as the pseudo-value of every input, so that table
//! `effect` can say whether tasks do so more than wordings.
//!
//! Reads `vectors`, writes `geometry` and `geometry_wording_pairs`. One layer's vectors and n x n tables are in memory at a time,
//! of at most about `max_inputs` inputs a scenario. Kornblith et al. 2019, Song et al. 2012, Murphy
//! et al. 2024 (CKA); Kriegeskorte et al. 2008 (RSA); Huh et al. 2024 (mutual neighbours).

mod wordings;

use std::collections::BTreeMap;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::wordings::Cells;
use crate::math;
use crate::math::{Gram, Neighbours, PermutationTest, Rdm, RowClusters, Side, Undefined};
use crate::stage::read::clusters::Clusters;
use crate::stage::read::designs::{SiteVectors, read_designs};
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::schema::{
    GEOMETRY, GEOMETRY_WORDING_PAIRS, GeometryRow, GeometryWordingPairsRow, PROMPTS, VECTORS,
};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "geometry",
    version: 3,
    scope: Scope::Run,
    unit: "layers",
    reads: &[&PROMPTS, &VECTORS],
    reads_if_there: &[],
    writes: &[&GEOMETRY, &GEOMETRY_WORDING_PAIRS],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

/// Compares how two tasks arrange the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many nearest neighbours of an input count for `mutual_knn`; needs three times as many
    /// inputs.
    pub neighbours: usize,
    /// How many exchanges of inputs are drawn for p.
    pub permutations: usize,
    /// About how many inputs of a scenario are taken in at most, drawn by the pipeline's seed. Time
    /// goes with its square.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { neighbours: 10, permutations: 999, max_inputs: 200 }
    }
}

impl Config {
    /// Valid with at least one neighbour, enough draws for a p below 0.05, and enough inputs.
    pub fn validate(&self, at: &Path, _: &Facts, problems: &mut Problems) -> Option<Geometry> {
        let permutations = draws::check_permutations(self.permutations, at, problems);
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems);
        if self.neighbours == 0 {
            problems.push(
                &at.key("neighbours"),
                "neighbours 0 leaves no neighbour to share",
                "10 is a good number where there are 30 inputs or more",
            );
            return None;
        }
        let (permutations, max_inputs) = (permutations?, max_inputs?);
        Some(Geometry { neighbours: self.neighbours, permutations, max_inputs })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Geometry {
    neighbours: usize,
    permutations: usize,
    max_inputs: u64,
}

impl Stage for Geometry {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "neighbours": self.neighbours,
            "permutations": self.permutations,
            "max_inputs": self.max_inputs,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let clusters = Clusters::read(context)?;
        let (mut rows, mut wordings) = (Vec::new(), Vec::new());
        for &layer in context.layers {
            for ((scenario, site), vectors) in &read_designs(context, layer)? {
                context.go_on()?;
                let at = (scenario.as_str(), layer, site.as_str());
                let of = |input: &String| clusters.of(scenario, input);
                let clusters = RowClusters::of(&vectors.inputs.iter().map(of).collect::<Vec<_>>());
                let cells = Cells::of(vectors, &clusters);
                rows.extend(self.rows(context, at, vectors, &clusters, &cells)?);
                wordings.extend(wordings::rows(&cells, at, vectors, &clusters));
            }
            context.advance(&DESCRIPTION, 1);
        }
        // Stable: scenarios as the plan has them, in each the layers ascending.
        let order: indexmap::IndexSet<String> = rows.iter().map(|r| r.scenario.clone()).collect();
        rows.sort_by_key(|row| order.get_index_of(&row.scenario));
        wordings.sort_by_key(|row| order.get_index_of(&*row.scenario));
        let rows: Vec<GeometryRow<'_>> = rows.iter().map(Row::row).collect();
        let wordings: Vec<_> = wordings.iter().map(GeometryWordingPairsRow::from).collect();
        let parts = vec![
            GeometryRow::write(context.store, 0, &rows)?,
            GeometryWordingPairsRow::write(context.store, 0, &wordings)?,
        ];
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

/// A row of table `geometry`. It owns its names, since a layer's vectors are dropped before it is
/// written.
#[derive(Debug)]
struct Row {
    scenario: String,
    layer: i16,
    site: String,
    tasks: [String; 2],
    measure: &'static str,
    value: Option<Found>,
    n_inputs: usize,
    n_clusters: usize,
    status: String,
}

/// A measure of one pair of tasks.
#[derive(Debug, Clone, Copy)]
struct Found {
    value: f64,
    chance: f64,
    error: Option<f64>,
    p: Option<f64>,
    n_permutations: usize,
}

impl Found {
    /// A measure that is 0 by chance.
    fn tested(value: f64, test: Option<PermutationTest>) -> Self {
        let n_permutations = test.as_ref().map_or(0, PermutationTest::count);
        Self { value, chance: 0.0, error: None, p: test.map(|test| test.p()), n_permutations }
    }

    fn without_test(value: f64, chance: f64) -> Self {
        Self { value, chance, error: None, p: None, n_permutations: 0 }
    }
}

impl Row {
    /// As the table has it.
    fn row(&self) -> GeometryRow<'_> {
        let [task_a, task_b] = &self.tasks;
        GeometryRow {
            scenario: &self.scenario,
            layer: self.layer,
            site: &self.site,
            task_a,
            task_b,
            measure: self.measure,
            value: self.value.map(|found| found.value),
            chance: self.value.map(|found| found.chance),
            se: self.value.and_then(|found| found.error),
            p: self.value.and_then(|found| found.p),
            n_inputs: self.n_inputs as i64,
            n_clusters: self.n_clusters as i64,
            n_permutations: self.value.map_or(0, |found| found.n_permutations as i64),
            status: &self.status,
        }
    }
}

/// How one task arranges the inputs, in its first wording.
struct Arrangement {
    /// Its place among the [`Cells`].
    cell: usize,
    gram: Gram,
    distances: Result<Rdm, Undefined>,
    neighbours: Result<Neighbours, Undefined>,
}

impl Arrangement {
    fn of(vectors: &SiteVectors, cell: usize, k: usize) -> Self {
        let rows = vectors.cell(cell);
        Self {
            cell,
            gram: Gram::of_rows(&rows),
            distances: Rdm::pearson(&rows),
            neighbours: Neighbours::of_rows(&rows, k),
        }
    }

    fn side(&self, cells: &Cells) -> Side {
        Side::new(self.gram.n(), cells.centred(self.cell).ok(), self.distances.as_ref().ok())
    }
}

impl Geometry {
    /// Every pair of tasks at one site.
    fn rows(
        &self,
        context: &Context<'_>,
        (scenario, layer, site): (&str, i16, &str),
        vectors: &SiteVectors,
        clusters: &RowClusters,
        cells: &Cells,
    ) -> Result<Vec<Row>, StageError> {
        let purpose = format!("inputs of {scenario}");
        let arranged = |task: usize| {
            let cell = vectors.first_cell(task);
            let arrangement = Arrangement::of(vectors, cell, self.neighbours);
            let side = arrangement.side(cells);
            (arrangement, side)
        };
        let (arrangements, sides): (Vec<Arrangement>, Vec<Side>) =
            (0..vectors.tasks.len()).into_par_iter().map(arranged).unzip();
        let row = |(a, b): (usize, usize), measure, value: Result<Found, Undefined>| {
            let status = match (value, vectors.refusal()) {
                (Ok(_), _) => status::OK,
                (Err(_), Some(reason)) => reason,
                (Err(reason), None) => status::of(reason),
            };
            Row {
                scenario: scenario.to_owned(),
                layer,
                site: site.to_owned(),
                tasks: [vectors.tasks[a].clone(), vectors.tasks[b].clone()],
                measure,
                value: value.ok(),
                n_inputs: vectors.inputs.len(),
                n_clusters: clusters.count(),
                status: status.to_owned(),
            }
        };
        let mut by_pair: BTreeMap<(usize, usize), [Row; 4]> = BTreeMap::new();
        for (b, y) in arrangements.iter().enumerate() {
            context.go_on()?;
            let tests = math::exchange_tests(
                &sides[..b],
                &sides[b],
                clusters,
                self.permutations,
                (context.seed, &purpose),
            );
            for ((a, x), tests) in arrangements[..b].iter().enumerate().zip(tests) {
                let values = [
                    ("dcka", debiased_cka((x, y), cells, clusters, tests.cka)),
                    ("cka_biased", biased_cka(x, y, cells)),
                    ("rsa_spearman", rsa(x, y, tests.rsa)),
                    ("mutual_knn", neighbours(x, y)),
                ];
                let rows = values.map(|(measure, value)| row((a, b), measure, value));
                by_pair.insert((a, b), rows);
            }
        }
        Ok(by_pair.into_values().flatten().collect())
    }
}

fn debiased_cka(
    (x, y): (&Arrangement, &Arrangement),
    cells: &Cells,
    clusters: &RowClusters,
    test: Option<PermutationTest>,
) -> Result<Found, Undefined> {
    let value = math::debiased_cka(cells.centred(x.cell)?, cells.centred(y.cell)?);
    let jackknife = cells.jackknife((x.cell, y.cell), clusters);
    let error = jackknife.ok().map(|jackknife| jackknife.error());
    Ok(Found { error, ..Found::tested(value, test) })
}

fn rsa(
    x: &Arrangement,
    y: &Arrangement,
    test: Option<PermutationTest>,
) -> Result<Found, Undefined> {
    let (x, y) = (x.distances.as_ref(), y.distances.as_ref());
    let (x, y) = (x.map_err(|reason| *reason)?, y.map_err(|reason| *reason)?);
    Ok(Found::tested(math::rsa(x, y), test))
}

fn biased_cka(x: &Arrangement, y: &Arrangement, cells: &Cells) -> Result<Found, Undefined> {
    // Defined where the debiased one is, so that the two stand beside each other.
    cells.centred(x.cell).and(cells.centred(y.cell))?;
    let chance = math::biased_cka_by_chance(&x.gram, &y.gram)?;
    Ok(Found::without_test(math::biased_cka(&x.gram, &y.gram)?, chance))
}

fn neighbours(x: &Arrangement, y: &Arrangement) -> Result<Found, Undefined> {
    let (x, y) = (x.neighbours.as_ref(), y.neighbours.as_ref());
    let (x, y) = (x.map_err(|reason| *reason)?, y.map_err(|reason| *reason)?);
    let mutual = math::mutual_neighbours(x, y);
    Ok(Found::without_test(mutual.share, mutual.chance))
}

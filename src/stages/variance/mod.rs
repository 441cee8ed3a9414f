//! What moves the model's vectors: the input, the task, the task's wording, or input and task
//! together. The notebook's question, layer by layer.
//!
//! For every scenario, captured layer and site, over the inputs that have all their vectors, in the raw
//! space and standardised by the scenario's reference set:
//!
//! ```text
//! SS_total  = SS_input + SS_task + SS_interaction (+ SS_wording + SS_rest with two wordings or more)
//! R²        = SS / SS_total            partial η² = SS_task / (SS_task + SS_interaction)
//! f_task    = mean square of the task over that of the wordings (of the interaction with one wording)
//! p         = task labels exchanged within each input; its statistic is partial η²
//! p_wording = wordings dealt out to tasks again, the same way for all inputs; its statistic is f_task
//! *_max_t   = the same, corrected over the captured layers
//! ```
//!
//! | site | what is partitioned |
//! |---|---|
//! | `span` | mean over the input's tokens |
//! | `last` | last token of the prompt |
//! | `token` | the input's tokens one by one: (input, token) takes the place of the input |
//!
//! A mean over tokens hides what a task does to each token in another way, so `span` says little about
//! interaction; `token` has it. The unit of inference stays the input at every site, or the cluster of
//! inputs: labels are exchanged for all tokens of a cluster together, wordings for all inputs. Site `token` needs no token
//! here: table `token_spread` has what stage `vectors` summed up of them, input by input.
//!
//! What p says: these prompts move the vectors the same way on all inputs, more than chance would.
//! Any two different texts do that, so p is no evidence for the *task*: for that, `f_task` with
//! `p_wording` and table `effect` compare tasks with wordings. [`crate::math::CentredCells`] has the
//! formulas, for tasks of as many wordings or not, and says what is exchangeable. MANOVA on distances
//! (Anderson 2001).
//!
//! Reads `prompts`, `vectors`, `token_spread` and, when it is there, `reference`; writes `variance_partition`. One
//! layer's vectors are in memory at a time, of at most about `max_inputs` inputs a scenario.

mod families;
mod row;
mod tokens;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::families::Families;
use self::row::{Place, Row, Space};
use self::tokens::Tokens;
use crate::math::{
    CentredCells, PERMUTATION_DRAWS, PermutationTest, Reassignments, Relabellings, Spread, Units,
};
use crate::stage::read::clusters::Clusters;
use crate::stage::read::designs::{SiteVectors, read_designs};
use crate::stage::read::spaces::scales;
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::schema::{
    PROMPTS, REFERENCE, TOKEN_SPREAD, VARIANCE_PARTITION, VECTORS, VariancePartitionRow,
};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "variance",
    version: 3,
    scope: Scope::Run,
    unit: "layers",
    reads: &[&PROMPTS, &VECTORS, &TOKEN_SPREAD],
    reads_if_there: &[&REFERENCE],
    writes: &[&VARIANCE_PARTITION],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

/// Measures what moves the vectors: input, task, wording, or input and task together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many exchanges of task labels, and how many ways to deal wordings out, are drawn where there
    /// are too many to count them all.
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
        let mut families = [Families::default(), Families::default()];
        let mut rows = Vec::new();
        let mut exchanges = Exchanges::default();
        let clusters = Clusters::read(context)?;
        for &layer in context.layers {
            let scales = scales(context.store, layer)?;
            let designs = read_designs(context, layer)?;
            let tokens = Tokens::read(context, layer)?;
            let mut sites: Vec<Site<'_>> = Vec::new();
            for ((scenario, site), vectors) in &designs {
                sites.push(Site::new(scenario, site, vectors, None, &clusters));
            }
            let spans = designs.iter().filter(|((_, site), _)| site == SPAN);
            sites.extend(spans.map(|((of, _), span)| tokens.site(of, span, &clusters)));
            for site in &sites {
                exchanges.draw(self.permutations, context.seed, site);
            }
            let tested = |site: &Site<'_>| {
                context.go_on()?;
                let scale = scales.get(site.scenario).map(Vec::as_slice);
                Ok(exchanges.test(layer, site, scale))
            };
            let tested = sites.par_iter().map(tested).collect::<Vec<_>>();
            for tested in tested.into_iter().collect::<Result<Vec<_>, StageError>>()? {
                for Tested { row, labels, wordings } in tested {
                    families[0].add(&row, row.n_clusters, labels.as_ref());
                    // The ways to deal wordings out do not depend on the inputs.
                    families[1].add(&row, 0, wordings.as_ref());
                    rows.push(row);
                }
            }
            context.advance(&DESCRIPTION, 1);
        }
        for row in &mut rows {
            row.p_max_t = families[0].p(row, row.n_clusters);
            row.p_wording_max_t = families[1].p(row, 0);
        }
        let rows = by_scenario(rows);
        let rows: Vec<VariancePartitionRow<'_>> = rows.iter().map(Row::row).collect();
        let part = VariancePartitionRow::write(context.store, 0, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// In column `site` of tables `vectors` and `variance_partition`.
const SPAN: &str = "span";
const TOKEN: &str = "token";

/// The vectors of one scenario at one site.
struct Site<'a> {
    scenario: &'a str,
    name: &'a str,
    vectors: &'a SiteVectors,
    /// Of which inputs, by their place among the vectors, and what their tokens vary by; `None` where
    /// every input is one unit.
    tokens: Option<Vec<(usize, Units<'a>)>>,
    /// The cluster of each input, numbered without a gap.
    clusters: Vec<usize>,
    /// Why there is no input at all.
    refusal: Option<&'a str>,
}

impl<'a> Site<'a> {
    fn new(
        scenario: &'a str,
        name: &'a str,
        vectors: &'a SiteVectors,
        tokens: Option<Vec<(usize, Units<'a>)>>,
        clusters: &Clusters,
    ) -> Self {
        let inputs: Vec<usize> = match &tokens {
            Some(tokens) => tokens.iter().map(|(input, _)| *input).collect(),
            None => (0..vectors.inputs.len()).collect(),
        };
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        let clusters = inputs.into_iter().map(|input| {
            let (cluster, next) = (clusters.of(scenario, &vectors.inputs[input]), numbers.len());
            *numbers.entry(cluster).or_insert(next)
        });
        let clusters = clusters.collect();
        Self { scenario, name, vectors, tokens, clusters, refusal: vectors.refusal() }
    }

    fn n_clusters(&self) -> usize {
        self.clusters.iter().max().map_or(0, |last| last + 1)
    }

    fn n_inputs(&self) -> usize {
        self.clusters.len()
    }

    fn spread(&self) -> Spread {
        let mut cells = CentredCells::new(&self.vectors.wordings, self.vectors.width());
        match &self.tokens {
            Some(tokens) => {
                for (input, units) in tokens {
                    cells.push_units(&self.vectors.input(*input), *units);
                }
            }
            None => {
                for input in 0..self.vectors.inputs.len() {
                    cells.push_input(&self.vectors.input(input));
                }
            }
        }
        cells.spread().clustered(&self.clusters)
    }
}

/// A row with the tests that its p come from, before the correction.
struct Tested {
    row: Row,
    labels: Option<PermutationTest>,
    wordings: Option<PermutationTest>,
}

/// The exchanges of the scenarios, the same on all layers and sites.
#[derive(Debug, Default)]
struct Exchanges {
    /// By the number of clusters and tasks.
    labels: BTreeMap<(String, usize, usize), Relabellings>,
    /// By the wordings of each task; none where a task has one.
    wordings: BTreeMap<(String, Vec<usize>), Option<Reassignments>>,
}

impl Exchanges {
    fn key(site: &Site<'_>) -> (String, usize, usize) {
        (site.scenario.to_owned(), site.n_clusters(), site.vectors.tasks.len())
    }

    fn draw(&mut self, draws: usize, seed: u64, site: &Site<'_>) {
        let scenario = site.scenario;
        self.labels.entry(Self::key(site)).or_insert_with(|| {
            let purpose = format!("task labels of {scenario}");
            let (n, k) = (site.n_clusters(), site.vectors.tasks.len());
            Relabellings::new(n, k, draws, seed, &purpose)
        });
        let sizes = &site.vectors.wordings;
        self.wordings.entry((scenario.to_owned(), sizes.clone())).or_insert_with(|| {
            let purpose = format!("wordings of {scenario}");
            Reassignments::new(sizes, draws, seed, &purpose).ok()
        });
    }

    /// The rows of a site, one for each space.
    fn test(&self, layer: i16, site: &Site<'_>, scale: Option<&[f64]>) -> Vec<Tested> {
        let row = |space: Space| {
            let (scenario, name) = (site.scenario.to_owned(), site.name.to_owned());
            let sizes = &site.vectors.wordings;
            let counts = [site.n_inputs(), site.n_clusters()];
            Row::new(Place { scenario, site: name, space }, layer, counts, sizes)
        };
        let refused = |space: Space, reason: &str| Tested {
            row: Row { status: reason.to_owned(), ..row(space) },
            labels: None,
            wordings: None,
        };
        if let Some(reason) = site.refusal {
            return [Space::Raw, Space::Standardised].map(|space| refused(space, reason)).into();
        }
        let spread = site.spread();
        let mut spaces = vec![(Space::Raw, None)];
        spaces.extend(scale.map(|scale| (Space::Standardised, Some(scale))));
        let scales: Vec<Option<&[f64]>> = spaces.iter().map(|(_, scale)| *scale).collect();
        let labels = spread.task_tests(&self.labels[&Self::key(site)], &scales);
        let sizes = site.vectors.wordings.clone();
        let ways = self.wordings[&(site.scenario.to_owned(), sizes)].as_ref();
        let mut wordings = ways.map_or_else(Vec::new, |ways| spread.wording_tests(ways, &scales));
        wordings.reverse();
        let mut rows = Vec::new();
        for ((space, scale), labels) in spaces.into_iter().zip(labels) {
            let wordings = wordings.pop().and_then(Result::ok);
            let mut row = Row { partition: spread.partition(scale).ok(), ..row(space) };
            match &labels {
                Ok(test) => (row.p, row.n_permutations) = (Some(test.p()), test.count()),
                Err(reason) => status::of(*reason).clone_into(&mut row.status),
            }
            row.p_wording = wordings.as_ref().map(PermutationTest::p);
            row.n_reassignments = wordings.as_ref().map_or(0, PermutationTest::count);
            rows.push(Tested { row, labels: labels.ok(), wordings });
        }
        if scale.is_none() {
            rows.push(refused(Space::Standardised, status::NO_REFERENCE));
        }
        rows
    }
}

/// Scenarios in the order of the plan, in each the layers ascending.
fn by_scenario(rows: Vec<Row>) -> Vec<Row> {
    let mut scenarios: IndexMap<String, Vec<Row>> = IndexMap::new();
    for row in rows {
        scenarios.entry(row.place.scenario.clone()).or_default().push(row);
    }
    scenarios.into_values().flatten().collect()
}

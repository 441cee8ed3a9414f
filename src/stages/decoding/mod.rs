//! The natural test of "the task, not its text": can the task be told from a vector by a classifier
//! that saw neither the wording nor the input?
//!
//! For every scenario, captured layer and site (`span`: mean over the input's tokens; `last`: last
//! token), over the inputs that have all their vectors:
//!
//! ```text
//! accuracy       of linear discriminant analysis trained on other wordings and other inputs
//! accuracy_seen  the same with the tested wordings in training, on other inputs
//! gap            accuracy_seen - accuracy: what the text gives away
//! p              wordings dealt out to the tasks again; its statistic is the accuracy
//! p_max_t        the same, corrected over the captured layers and the sites
//! ```
//!
//! [`Decoding`] has the formulas. One layer's vectors are in memory at a time, of at most about
//! `max_inputs` inputs a scenario.
//!
//! Reads `vectors` and `prompts`; writes `decoding`.

mod folds;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::{Decoding as Decoder, Family, PermutationTest, Reassignments, Undefined};
use crate::stage::read::clusters::Clusters;
use crate::stage::read::designs::{Designs, SiteVectors, read_designs};
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::schema::{DECODING, DecodingRow, PROMPTS, VECTORS};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "decoding",
    version: 1,
    scope: Scope::Run,
    unit: "layers",
    reads: &[&VECTORS, &PROMPTS],
    reads_if_there: &[],
    writes: &[&DECODING],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

const LEVEL: f64 = 0.95;
const FOLDS: std::ops::RangeInclusive<usize> = 2..=100;
/// Less leaves a covariance that cannot be inverted where a layer is wider than inputs are many.
const LEAST_SHRINKAGE: f64 = 1e-4;

/// Tells tasks apart by the vectors, on wordings and inputs that the classifier did not see.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many dealings of wordings to tasks are drawn where there are too many to count them all.
    pub permutations: usize,
    /// About how many inputs of a scenario are taken in at most, drawn by the pipeline's seed.
    pub max_inputs: u64,
    /// Into how many parts the inputs are cut: each is told by what was trained on the others.
    pub folds: usize,
    /// How far correlations between dimensions are drawn towards none, from 0.0001 to 1; without it the
    /// vectors decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrinkage: Option<f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { permutations: 999, max_inputs: 200, folds: 5, shrinkage: None }
    }
}

impl Config {
    /// Valid with enough draws for a p below 0.05, and inputs to train on and to test.
    pub fn validate(&self, at: &Path, _: &Facts, problems: &mut Problems) -> Option<Decoding> {
        let permutations = draws::check_permutations(self.permutations, at, problems);
        let max_inputs = draws::check_max_inputs(self.max_inputs, at, problems);
        let folds = self.folds;
        if !FOLDS.contains(&folds) {
            problems.push(
                &at.key("folds"),
                format!("folds {folds} is not from {} to {}", FOLDS.start(), FOLDS.end()),
                "it is how many parts the inputs are cut into; 5 trains on four fifths of them",
            );
        }
        let is_valid = |s: f64| (LEAST_SHRINKAGE..=1.0).contains(&s);
        if let Some(wrong) = self.shrinkage.filter(|s| !is_valid(*s)) {
            problems.push(
                &at.key("shrinkage"),
                format!("shrinkage {wrong} is not from {LEAST_SHRINKAGE} to 1"),
                "1 takes dimensions as if they were unrelated; leave it out to have it estimated",
            );
        }
        let shrinkage = self.shrinkage;
        let is_valid = FOLDS.contains(&folds) && shrinkage.is_none_or(is_valid);
        let (permutations, max_inputs) = permutations.zip(max_inputs)?;
        is_valid.then_some(Decoding { permutations, max_inputs, folds, shrinkage })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Decoding {
    permutations: usize,
    max_inputs: u64,
    folds: usize,
    shrinkage: Option<f64>,
}

impl Stage for Decoding {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "permutations": self.permutations,
            "max_inputs": self.max_inputs,
            "folds": self.folds,
            "shrinkage": self.shrinkage,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = context.layers.len() as u64;
        context.start(&DESCRIPTION, units);
        let clusters = Clusters::read(context)?;
        let mut dealings = Dealings::new();
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut rows: IndexMap<String, Vec<(Row, Option<f64>)>> = IndexMap::new();
        for &layer in context.layers {
            let designs = read_designs(context, layer)?;
            self.deal(context.seed, &designs, &mut dealings);
            let decoded = |((scenario, site), vectors): &(&(String, String), &SiteVectors)| {
                context.go_on()?;
                let dealings = dealings[scenario].as_ref().ok();
                let of = |input: &String| clusters.of(scenario, input);
                let clusters: Vec<usize> = vectors.inputs.iter().map(of).collect();
                let decoded = self.decode((context.seed, scenario), vectors, &clusters, dealings);
                let row = Row::of(scenario, layer, site, vectors);
                Ok(match decoded {
                    Ok(decoded) => row.filled(decoded),
                    Err(status) => (row.refused(status), None),
                })
            };
            let all: Vec<_> = designs.iter().collect();
            let decoded = all.par_iter().map(decoded).collect::<Vec<Result<_, StageError>>>();
            for decoded in decoded {
                let (row, test) = decoded?;
                if let Some(test) = &test {
                    families.entry(row.scenario.clone()).or_default().add(test);
                }
                let observed = test.map(|test| test.observed());
                rows.entry(row.scenario.clone()).or_default().push((row, observed));
            }
            context.advance(&DESCRIPTION, 1);
        }
        for (scenario, rows) in &mut rows {
            let Some(family) = families.get(scenario) else { continue };
            for (row, observed) in rows {
                row.p_max_t = observed.map(|observed| family.p(observed));
            }
        }
        let rows: Vec<DecodingRow<'_>> =
            rows.values().flatten().map(|(row, _)| row.row()).collect();
        let part = DecodingRow::write(context.store, 0, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// The ways to deal out a scenario's wordings: the same on all its layers and sites.
type Dealings = BTreeMap<String, Result<Reassignments, Undefined>>;

impl Decoding {
    fn deal(&self, seed: u64, designs: &Designs, dealings: &mut Dealings) {
        for ((scenario, _), vectors) in designs {
            dealings.entry(scenario.clone()).or_insert_with(|| {
                let purpose = format!("wordings of {scenario}");
                Reassignments::new(&vectors.wordings, self.permutations, seed, &purpose)
            });
        }
    }

    /// What a design gives, or the status that says why it gives nothing.
    fn decode(
        &self,
        (seed, scenario): (u64, &str),
        vectors: &SiteVectors,
        clusters: &[usize],
        dealings: Option<&Reassignments>,
    ) -> Result<Decoded, String> {
        if let Some(reason) = vectors.refusal() {
            return Err(reason.to_owned());
        }
        let n_clusters = clusters.iter().collect::<BTreeSet<_>>().len();
        let folds = self.folds.min(n_clusters).max(1);
        let fold_of = folds::deal(seed, scenario, &vectors.inputs, clusters, folds);
        let inputs: Vec<Vec<&[f32]>> =
            (0..vectors.inputs.len()).map(|input| vectors.input(input)).collect();
        let sizes = &vectors.wordings;
        let decoder = Decoder::new(&inputs, sizes, &fold_of, clusters, self.shrinkage)
            .map_err(|reason| status::of(reason).to_owned())?;
        let accuracies = decoder.accuracies();
        let accuracy = accuracies.as_ref().map(|all| mean(all));
        let interval = accuracies.as_ref().and_then(|all| decoder.interval(all, LEVEL).ok());
        let test = accuracy.zip(dealings).map(|(observed, all)| decoder.test(all, observed));
        Ok(Decoded { n_clusters, accuracy, interval, seen: mean(&decoder.seen()), test })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How well the tasks of a design can be told.
#[derive(Debug)]
struct Decoded {
    n_clusters: usize,
    accuracy: Option<f64>,
    interval: Option<(f64, f64)>,
    seen: f64,
    test: Option<PermutationTest>,
}

/// A row of table `decoding`, filled in step by step.
#[derive(Debug)]
struct Row {
    scenario: String,
    layer: i16,
    site: String,
    n_inputs: usize,
    n_clusters: usize,
    wordings: Vec<usize>,
    accuracy: Option<f64>,
    interval: Option<(f64, f64)>,
    seen: Option<f64>,
    p: Option<f64>,
    p_max_t: Option<f64>,
    n_reassignments: usize,
    status: String,
}

impl Row {
    fn of(scenario: &str, layer: i16, site: &str, vectors: &SiteVectors) -> Self {
        Self {
            scenario: scenario.to_owned(),
            layer,
            site: site.to_owned(),
            n_inputs: vectors.inputs.len(),
            n_clusters: 0,
            wordings: vectors.wordings.clone(),
            accuracy: None,
            interval: None,
            seen: None,
            p: None,
            p_max_t: None,
            n_reassignments: 0,
            status: status::OK.to_owned(),
        }
    }

    fn refused(self, status: String) -> Self {
        Self { status, ..self }
    }

    fn filled(self, decoded: Decoded) -> (Self, Option<PermutationTest>) {
        let status = if decoded.accuracy.is_some() { status::OK } else { status::NO_PAIRS };
        let row = Self {
            n_clusters: decoded.n_clusters,
            accuracy: decoded.accuracy,
            interval: decoded.interval,
            seen: Some(decoded.seen),
            p: decoded.test.as_ref().map(PermutationTest::p),
            n_reassignments: decoded.test.as_ref().map_or(0, PermutationTest::count),
            status: status.to_owned(),
            ..self
        };
        (row, decoded.test)
    }

    /// As the table has it.
    fn row(&self) -> DecodingRow<'_> {
        let n_tasks = self.wordings.len();
        let splits = self.wordings.iter().map(|wordings| *wordings as i64);
        let n_splits = splits.fold(1, i64::saturating_mul);
        DecodingRow {
            scenario: &self.scenario,
            layer: self.layer,
            site: &self.site,
            n_inputs: self.n_inputs as i64,
            n_clusters: self.n_clusters as i64,
            n_tasks: n_tasks as i64,
            n_wordings: self.wordings.iter().min().copied().unwrap_or(0) as i64,
            accuracy: self.accuracy,
            ci_low: self.interval.map(|(low, _)| low),
            ci_high: self.interval.map(|(_, high)| high),
            accuracy_seen: self.seen,
            gap: self.seen.zip(self.accuracy).map(|(seen, accuracy)| seen - accuracy),
            chance: (n_tasks > 0).then(|| 1.0 / n_tasks as f64),
            p: self.p,
            p_max_t: self.p_max_t,
            n_splits: if self.accuracy.is_some() { n_splits } else { 0 },
            n_reassignments: self.n_reassignments as i64,
            status: &self.status,
        }
    }
}

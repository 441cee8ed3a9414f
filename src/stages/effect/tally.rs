//! The numbers of every input, gathered part after part.

use std::collections::BTreeMap;
use std::ops::Range;

use indexmap::{IndexMap, IndexSet};
use rayon::prelude::*;

use super::pairs::{OfInput, OtherSums, PairSums};
use super::read::{LayerContrast, LayerPairs, Parts, Rows, Unlike};
use crate::prompt::Role;
use crate::stage::read::clusters::Clusters;
use crate::stage::read::wordings::{Wordings, read_wordings};
use crate::stage::{Context, StageError};
use crate::table::reader::Part;
use crate::table::{TableError, status};

/// The scenarios, in the order of the plan.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) scenarios: IndexMap<String, Scenario>,
    wordings: IndexMap<String, Wordings>,
    clusters: Clusters,
}

/// One scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) wordings: Wordings,
    /// The inputs that are taken in; values stand in their order.
    inputs: IndexSet<String>,
    /// The cluster of each.
    clusters: Vec<usize>,
    /// By measure and layer.
    pub(super) measures: IndexMap<String, BTreeMap<i16, Measured>>,
}

/// One measure on one layer.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// By contrast: the dissimilarity of each input.
    pub(super) contrasts: IndexMap<String, Series>,
    /// What all pairs of an input's prompts say of it.
    pub(super) of_pairs: Vec<Option<OfInput>>,
    /// Dissimilarities of all pairs of prompts.
    pub(super) pairs: PairSums,
    /// Dissimilarities to another input, by the wording that both are put in.
    pub(super) others: OtherSums,
}

/// A number for each input.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// Shorter than the list of inputs where the last ones have none.
    values: Vec<Option<f64>>,
    /// Status of the first input without a value.
    pub(super) refused: Option<String>,
}

/// What a row is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    scenario: &'a str,
    input: &'a str,
    layer: i16,
    measure: &'a str,
}

/// Where the input of a row stands.
struct Place<'t> {
    input: usize,
    /// What it counts in a mean over clusters: one over the inputs of its own.
    weight: f64,
    wordings: &'t Wordings,
}

/// The place of an input that is taken in, and what it counts in a mean over clusters.
type Taken = Option<(usize, f64)>;

impl<'a> LayerContrast<'a> {
    fn subject(&self) -> Subject<'a> {
        let Self { scenario, input, layer, measure, .. } = *self;
        Subject { scenario, input, layer, measure }
    }
}

impl<'a> LayerPairs<'a> {
    fn subject(&self) -> Subject<'a> {
        let Self { scenario, input, layer, measure, .. } = *self;
        Subject { scenario, input, layer, measure }
    }
}

impl Tally {
    /// Knows the wordings and clusters, and no number yet.
    pub(super) fn new(context: &Context<'_>) -> Result<Self, StageError> {
        let wordings = read_wordings(context)?;
        Ok(Self { scenarios: IndexMap::new(), wordings, clusters: Clusters::read(context)? })
    }

    /// Takes in some shards: they are read side by side, and taken in in their order.
    pub(super) fn add_parts(
        &mut self,
        context: &Context<'_>,
        parts: Range<u32>,
    ) -> Result<(), StageError> {
        let parts: Vec<Result<Parts, TableError>> =
            parts.into_par_iter().map(|part| Parts::read(context.store, part)).collect();
        let parts: Vec<Parts> = parts.into_iter().collect::<Result<_, _>>()?;
        self.take_in(context, &parts)
    }

    /// Takes in what stages over the whole run wrote: after all shards, so that measures stand in one
    /// order whichever shard a scenario begins in.
    pub(super) fn add_run(&mut self, context: &Context<'_>) -> Result<(), StageError> {
        self.take_in(context, &[Parts::of_run(context.store)?])
    }

    fn take_in(&mut self, context: &Context<'_>, parts: &[Parts]) -> Result<(), StageError> {
        let rows: Vec<Result<Rows<'_>, TableError>> = parts.par_iter().map(Parts::rows).collect();
        for rows in rows {
            let Rows { contrasts, pairs } = rows?;
            for (rows, unlike) in contrasts {
                self.add_contrasts(context, &rows, unlike)?;
            }
            for (part, rows, unlike) in pairs {
                self.add_pairs(context, part, &rows, unlike)?;
            }
        }
        Ok(())
    }

    fn add_contrasts(
        &mut self,
        context: &Context<'_>,
        rows: &[LayerContrast<'_>],
        unlike: Unlike,
    ) -> Result<(), StageError> {
        self.visit(context, rows, LayerContrast::subject, |row, place, measured| {
            if !measured.contrasts.contains_key(row.contrast) {
                measured.contrasts.insert(row.contrast.to_owned(), Series::default());
            }
            if row.contrast == Role::OtherInput.name()
                && let Some(values) = row.values
            {
                let unlike = values.iter().map(|value| unlike(*value));
                measured.others.add(row.places.iter().copied().zip(unlike), place.weight);
            }
            let series = &mut measured.contrasts[row.contrast];
            match row.value {
                Some(value) => set(&mut series.values, place.input, unlike(value)),
                None => {
                    series.refused.get_or_insert_with(|| row.status.to_owned());
                }
            }
            Ok(())
        })
    }

    fn add_pairs(
        &mut self,
        context: &Context<'_>,
        part: &Part,
        rows: &[LayerPairs<'_>],
        unlike: Unlike,
    ) -> Result<(), StageError> {
        self.visit(context, rows, LayerPairs::subject, |row, place, measured| {
            let Place { input, weight, wordings } = place;
            let Some(values) = row.values else {
                measured.pairs.refused.get_or_insert_with(|| row.status.to_owned());
                return Ok(());
            };
            if wordings.tasks() != row.tasks || values.len() != wordings.pairs() {
                return Err(part.problem("does not have the prompts of table prompts").into());
            }
            let values: Vec<f64> = values.iter().map(|value| unlike(*value)).collect();
            set(&mut measured.of_pairs, input, OfInput::of(wordings, &values));
            measured.pairs.add(&values, weight);
            Ok(())
        })
    }

    /// Calls `take` for every row of an input that is taken in.
    fn visit<'r, R>(
        &mut self,
        context: &Context<'_>,
        rows: &[R],
        subject: impl Fn(&R) -> Subject<'r>,
        mut take: impl FnMut(&R, Place<'_>, &mut Measured) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        // An input's rows stand together: one look at whether it is taken in is enough.
        let mut last: Option<(&str, &str, Taken)> = None;
        for row in rows {
            let Subject { scenario: name, input, layer, measure } = subject(row);
            let known = last.filter(|(scenario, last, _)| (*scenario, *last) == (name, input));
            let place = match known {
                Some((.., place)) => place,
                None if context.takes(name, input) => Some(self.place(name, input)),
                None => None,
            };
            last = Some((name, input, place));
            let Some((input, weight)) = place else { continue };
            let Scenario { measures, wordings, .. } = &mut self.scenarios[name];
            if !measures.contains_key(measure) {
                measures.insert(measure.to_owned(), BTreeMap::new());
            }
            let measured = measures[measure].entry(layer).or_default();
            take(row, Place { input, weight, wordings }, measured)?;
        }
        Ok(())
    }

    /// The input's place in its scenario, and what it counts there.
    fn place(&mut self, name: &str, input: &str) -> (usize, f64) {
        let Self { scenarios, wordings, clusters } = self;
        let cluster = clusters.of(name, input);
        if !scenarios.contains_key(name) {
            let scenario = Scenario {
                // A scenario that table prompts lacks has no cells, and its pairs are refused.
                wordings: wordings.get(name).cloned().unwrap_or_default(),
                inputs: IndexSet::new(),
                clusters: Vec::new(),
                measures: IndexMap::new(),
            };
            scenarios.insert(name.to_owned(), scenario);
        }
        let scenario = &mut scenarios[name];
        let place = scenario.inputs.get_index_of(input).unwrap_or_else(|| {
            scenario.clusters.push(cluster);
            scenario.inputs.insert_full(input.to_owned()).0
        });
        (place, 1.0 / clusters.size(name, cluster) as f64)
    }
}

impl Measured {
    /// The dissimilarity of an input in a contrast: from all pairs of its prompts, copies of wordings
    /// left out, where it has them all.
    pub(super) fn value(&self, contrast: &str, input: usize) -> Option<f64> {
        let own = self.of_pairs.get(input).copied().flatten();
        own.and_then(|own| own.value(contrast)).or_else(|| self.contrasts.get(contrast)?.get(input))
    }
}

impl Series {
    /// The value of an input.
    pub(super) fn get(&self, input: usize) -> Option<f64> {
        self.values.get(input).copied().flatten()
    }
}

impl Scenario {
    /// How many inputs are taken in.
    pub(super) fn n_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The id of an input.
    pub(super) fn input(&self, place: usize) -> &str {
        &self.inputs[place]
    }

    /// The cluster of an input.
    pub(super) fn cluster(&self, place: usize) -> usize {
        self.clusters[place]
    }

    /// The word for a row without values: why the first input has none.
    pub(super) fn refusal(measured: &Measured, contrasts: [&str; 2]) -> String {
        let series = |contrast: &&str| measured.contrasts.get(*contrast)?.refused.clone();
        let refused = contrasts.iter().find_map(series).or_else(|| measured.pairs.refused.clone());
        refused.unwrap_or_else(|| status::N_TOO_SMALL.to_owned())
    }
}

fn set<T: Clone>(values: &mut Vec<Option<T>>, at: usize, value: T) {
    if values.len() <= at {
        values.resize(at + 1, None);
    }
    values[at] = Some(value);
}

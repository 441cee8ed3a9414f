//! The numbers of every input, by pair of tasks, wording and source.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use crate::stage::read::clusters::Clusters;
use crate::stage::{Context, Description, StageError};
use crate::table::schema::MEDIATION;
use crate::table::{ReadRow as _, status, view};

view! {
    /// What is read of table `mediation`.
    pub(super) struct Mediated<'a> of [MEDIATION] {
        scenario: &'a str,
        input: &'a str,
        task_donor: &'a str,
        task_receiver: &'a str,
        wording: i16,
        source: &'a str,
        layer: i16,
        gain_nats: Option<f64>,
        gain_total_nats: Option<f64>,
        loss_nats: Option<f64>,
        loss_total_nats: Option<f64>,
        donor_share: Option<f64>,
        receiver_share: Option<f64>,
        other_share: Option<f64>,
        status: &'a str,
    }
}

/// The scenarios, in the order of the plan.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) scenarios: IndexMap<String, Scenario>,
}

/// One scenario.
#[derive(Debug, Default)]
pub(super) struct Scenario {
    /// In the order of the plan.
    pub(super) tasks: IndexSet<String>,
    inputs: IndexSet<String>,
    /// The cluster of each input.
    pub(super) clusters: Vec<usize>,
    /// By places of donor and receiver, and the first block.
    pub(super) pairs: BTreeMap<(usize, usize, i16), Pair>,
}

/// One donor and receiver.
#[derive(Debug, Default)]
pub(super) struct Pair {
    /// By source, wording and input, of all that were run; nothing where that gave no numbers.
    values: BTreeMap<String, BTreeMap<i16, BTreeMap<usize, Option<Numbers>>>>,
    /// Word of the first row without numbers, of each source.
    refused: BTreeMap<String, String>,
}

/// What an exchange brought and cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Numbers {
    pub(super) gain: f64,
    pub(super) gain_total: f64,
    pub(super) loss: f64,
    pub(super) loss_total: f64,
    /// The top token is the donor's, the receiver's, neither's.
    pub(super) answers: [f64; 3],
}

impl Mediated<'_> {
    fn numbers(&self) -> Option<Numbers> {
        Some(Numbers {
            gain: self.gain_nats?,
            gain_total: self.gain_total_nats?,
            loss: self.loss_nats?,
            loss_total: self.loss_total_nats?,
            answers: [self.donor_share?, self.receiver_share?, self.other_share?],
        })
    }
}

impl Gathered {
    /// Reads table `mediation`, shard after shard.
    pub(super) fn read(
        context: &Context<'_>,
        description: &Description,
    ) -> Result<Self, StageError> {
        let clusters = Clusters::read(context)?;
        let mut gathered = Self::default();
        for part in 0..context.shards {
            context.go_on()?;
            let part = Mediated::part(context.store, &MEDIATION, part)?;
            for row in Mediated::rows(&part)? {
                gathered.add(&row, &clusters);
            }
            context.advance(description, 1);
        }
        Ok(gathered)
    }

    fn add(&mut self, row: &Mediated<'_>, clusters: &Clusters) {
        let scenario = self.scenarios.entry(row.scenario.to_owned()).or_default();
        let mut place = |task: &str| scenario.tasks.insert_full(task.to_owned()).0;
        let (donor, receiver) = (place(row.task_donor), place(row.task_receiver));
        let (input, is_new) = scenario.inputs.insert_full(row.input.to_owned());
        if is_new {
            scenario.clusters.push(clusters.of(row.scenario, row.input));
        }
        let pair = scenario.pairs.entry((donor, receiver, row.layer)).or_default();
        let numbers = row.numbers().filter(|_| row.status == status::OK);
        let by_wording = pair.values.entry(row.source.to_owned()).or_default();
        by_wording.entry(row.wording).or_default().insert(input, numbers);
        if numbers.is_none() {
            let word = || row.status.to_owned();
            pair.refused.entry(row.source.to_owned()).or_insert_with(word);
        }
    }
}

impl Scenario {
    /// How many wordings a task has, as a receiver.
    pub(super) fn wordings(&self, task: usize) -> usize {
        let of = |((_, receiver, layer), pair): (&(usize, usize, i16), &Pair)| {
            let all = pair.values.keys().flat_map(|source| pair.wordings(source));
            let wordings: BTreeSet<i16> = all.collect();
            (*receiver == task && *layer == 0).then_some(wordings.len())
        };
        self.pairs.iter().filter_map(of).max().unwrap_or(0)
    }
}

impl Pair {
    /// The wordings of which the source has numbers.
    pub(super) fn wordings(&self, source: &str) -> Vec<i16> {
        let Some(own) = self.values.get(source) else { return Vec::new() };
        let has = |of: &BTreeMap<usize, Option<Numbers>>| of.values().any(Option::is_some);
        own.iter().filter(|(_, of)| has(of)).map(|(wording, _)| *wording).collect()
    }

    /// Inputs with numbers of the source in all of these wordings that were run with it, one at least; ascending.
    pub(super) fn inputs(&self, source: &str, wordings: &[i16]) -> Vec<usize> {
        let Some(own) = self.values.get(source) else { return Vec::new() };
        let mut complete: BTreeMap<usize, bool> = BTreeMap::new();
        for (input, numbers) in wordings.iter().filter_map(|w| own.get(w)).flatten() {
            *complete.entry(*input).or_insert(true) &= numbers.is_some();
        }
        complete.into_iter().filter(|(_, is)| *is).map(|(input, _)| input).collect()
    }

    pub(super) fn get(&self, source: &str, wording: i16, input: usize) -> Option<Numbers> {
        *self.values.get(source)?.get(&wording)?.get(&input)?
    }

    /// Why the source has no numbers of some row.
    pub(super) fn refusal(&self, source: &str) -> Option<&str> {
        self.refused.get(source).map(String::as_str)
    }
}

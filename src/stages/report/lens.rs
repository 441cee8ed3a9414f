//! The logit lens over all inputs: means by layer, and in which layer differences begin.

use std::collections::BTreeMap;

use super::gather::Gathered;
use super::groups::Groups;
use super::roster::Roster;
use super::sources::Sources;
use crate::render::evidence::{Lens, LensLayer};
use crate::stage::StageError;
use crate::table::schema::{LOGIT_LENS, LOGIT_LENS_DIVERGENCE};
use crate::table::{ReadRow as _, status, view};

view! {
    /// How far two tasks' readings differ on a layer.
    struct PairReading<'a> of [LOGIT_LENS_DIVERGENCE] {
        scenario: &'a str,
        input: &'a str,
        layer: i16,
        jsd_bits: Option<f64>,
        between_bits: Option<f64>,
        within_bits: Option<f64>,
        onset: Option<i16>,
        status: &'a str,
    }
}

view! {
    /// What a prompt's reading loses on a layer.
    struct Reading<'a> of [LOGIT_LENS] {
        scenario: &'a str,
        input: &'a str,
        wording: i16,
        layer: i16,
        kl_to_final: Option<f64>,
        status: &'a str,
    }
}

/// One layer of one scenario: each input counts once, with the mean of its pairs or prompts.
#[derive(Debug, Default)]
struct Layer {
    divergence: Gathered,
    between: Gathered,
    within: Gathered,
    kl_to_final: Gathered,
    onsets: u64,
    /// Pairs that have an onset, or would have one after the last captured layer.
    pairs: u64,
    /// Of the other pairs, those whose outputs do not differ, those whose outputs differ no more than
    /// wordings make them, and those of which that is not known.
    alike: u64,
    within_wordings: u64,
    unknown: u64,
}

/// An input's rows on one layer, on their way to their means.
#[derive(Debug, Default)]
struct OfInput {
    values: [Gathered; 3],
    why: String,
}

impl OfInput {
    fn add(&mut self, values: [Option<f64>; 3], status: &str) {
        for (gathered, value) in self.values.iter_mut().zip(values) {
            gathered.add(value, status);
        }
        status.clone_into(&mut self.why);
    }
}

/// All scenarios, by place and layer.
#[derive(Debug, Default)]
pub(super) struct LensMeans {
    layers: BTreeMap<(usize, i16), Layer>,
    is_there: bool,
}

impl LensMeans {
    /// Reduces both tables, part after part, rows in order.
    pub(super) fn read(sources: &Sources<'_>, roster: &Roster) -> Result<Self, StageError> {
        let mut means = Self::default();
        for part in 0..sources.shards {
            means.add_pairs(sources, roster, part)?;
            means.add_prompts(sources, roster, part)?;
        }
        Ok(means)
    }

    fn add_pairs(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        number: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<PairReading<'_>>(&LOGIT_LENS_DIVERGENCE, number)?;
        let Some(part) = table else { return Ok(()) };
        self.is_there = true;
        let groups = Groups::read(sources, number)?;
        let rows = PairReading::rows(&part)?;
        // An input's rows on a layer stand together.
        for own in
            rows.chunk_by(|a, b| (a.scenario, a.input, a.layer) == (b.scenario, b.input, b.layer))
        {
            let PairReading { scenario, input, layer, .. } = own[0];
            let Some(place) = roster.scenarios.get_index_of(scenario) else { continue };
            let layer = self.layers.entry((place, layer)).or_default();
            let mut of_input = OfInput::default();
            for row in own {
                of_input.add([row.jsd_bits, row.between_bits, row.within_bits], row.status);
                layer.count(row);
            }
            let group = groups.of(scenario, input);
            let to = [&mut layer.divergence, &mut layer.between, &mut layer.within];
            for (sum, value) in to.into_iter().zip(&of_input.values) {
                sum.add_of(group, value.mean().value, &of_input.why);
            }
        }
        Ok(())
    }

    fn add_prompts(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        number: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<Reading<'_>>(&LOGIT_LENS, number)?;
        let Some(part) = table else { return Ok(()) };
        self.is_there = true;
        let groups = Groups::read(sources, number)?;
        let rows = Reading::rows(&part)?;
        for own in rows.chunk_by(|a, b| (a.scenario, a.input) == (b.scenario, b.input)) {
            let Reading { scenario, input, .. } = own[0];
            let Some(place) = roster.scenarios.get_index_of(scenario) else { continue };
            let mut by_layer: BTreeMap<i16, OfInput> = BTreeMap::new();
            // Below 0 stand the controls, which no pair of tasks is made of.
            for row in own.iter().filter(|row| row.wording >= 0) {
                let values = [row.kl_to_final, None, None];
                by_layer.entry(row.layer).or_default().add(values, row.status);
            }
            let group = groups.of(scenario, input);
            for (layer, of_input) in by_layer {
                let sums = &mut self.layers.entry((place, layer)).or_default().kl_to_final;
                sums.add_of(group, of_input.values[0].mean().value, &of_input.why);
            }
        }
        Ok(())
    }

    /// A scenario's lens, layers ascending; `None` without the tables.
    pub(super) fn of_scenario(&self, scenario: usize) -> Option<Lens> {
        let layers = self.layers.range((scenario, i16::MIN)..=(scenario, i16::MAX));
        let mut lens = Lens::default();
        for ((_, layer), sums) in layers {
            lens.layers.push(LensLayer {
                layer: *layer,
                divergence: sums.divergence.mean(),
                between: sums.between.mean(),
                within: sums.within.mean(),
                onsets: sums.onsets,
                kl_to_final: sums.kl_to_final.mean(),
            });
            // Every layer has a row for every pair, so any of them counts the pairs.
            lens.n_pairs = lens.n_pairs.max(sums.pairs);
            lens.n_alike = lens.n_alike.max(sums.alike);
            lens.n_within = lens.n_within.max(sums.within_wordings);
            lens.n_unknown = lens.n_unknown.max(sums.unknown);
        }
        let onsets: u64 = lens.layers.iter().map(|layer| layer.onsets).sum();
        lens.n_after = lens.n_pairs.saturating_sub(onsets);
        self.is_there.then_some(lens)
    }
}

impl Layer {
    /// Counts a pair by what its onset is.
    fn count(&mut self, row: &PairReading<'_>) {
        match (row.onset, row.status) {
            (Some(onset), _) => {
                self.pairs += 1;
                self.onsets += u64::from(onset == 1);
            }
            (None, status::NO_DIVERGENCE) => self.alike += 1,
            (None, status::WITHIN_WORDINGS) => self.within_wordings += 1,
            (None, _) if row.jsd_bits.is_some() => self.unknown += 1,
            (None, _) => {}
        }
    }
}

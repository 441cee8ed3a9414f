//! The logit lens over all inputs: means by layer, and in which layer differences begin.

use std::collections::BTreeMap;

use super::gather::Gathered;
use super::roster::Roster;
use super::sources::Sources;
use crate::render::evidence::{Lens, LensLayer};
use crate::stage::StageError;
use crate::table::schema::{LOGIT_LENS, LOGIT_LENS_DIVERGENCE};
use crate::table::{ReadRow as _, view};

view! {
    /// How far two tasks' readings differ on a layer.
    struct PairReading<'a> of [LOGIT_LENS_DIVERGENCE] {
        scenario: &'a str,
        layer: i16,
        jsd_bits: Option<f64>,
        onset: Option<i16>,
        status: &'a str,
    }
}

view! {
    /// What a prompt's reading loses on a layer.
    struct Reading<'a> of [LOGIT_LENS] {
        scenario: &'a str,
        wording: i16,
        layer: i16,
        kl_to_final: Option<f64>,
        status: &'a str,
    }
}

/// One layer of one scenario.
#[derive(Debug, Default)]
struct Layer {
    divergence: Gathered,
    kl_to_final: Gathered,
    onsets: u64,
    /// Pairs for which an onset was looked for, and those whose outputs do not differ.
    pairs: u64,
    alike: u64,
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
        part: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<PairReading<'_>>(&LOGIT_LENS_DIVERGENCE, part)?;
        let Some(part) = table else { return Ok(()) };
        self.is_there = true;
        for row in PairReading::rows(&part)? {
            let Some(place) = roster.scenarios.get_index_of(row.scenario) else { continue };
            let layer = self.layers.entry((place, row.layer)).or_default();
            layer.divergence.add(row.jsd_bits, row.status);
            if let Some(onset) = row.onset {
                layer.pairs += 1;
                layer.onsets += u64::from(onset == 1);
            } else if row.jsd_bits.is_some() {
                layer.alike += 1;
            }
        }
        Ok(())
    }

    fn add_prompts(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<Reading<'_>>(&LOGIT_LENS, part)?;
        let Some(part) = table else { return Ok(()) };
        self.is_there = true;
        // Below 0 stand the controls, which no pair of tasks is made of.
        for row in Reading::rows(&part)?.iter().filter(|row| row.wording >= 0) {
            let Some(place) = roster.scenarios.get_index_of(row.scenario) else { continue };
            let layer = self.layers.entry((place, row.layer)).or_default();
            layer.kl_to_final.add(row.kl_to_final, row.status);
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
                onsets: sums.onsets,
                kl_to_final: sums.kl_to_final.mean(),
            });
            // Every layer has a row for every pair, so any of them counts the pairs.
            lens.n_pairs = lens.n_pairs.max(sums.pairs);
            lens.n_alike = lens.n_alike.max(sums.alike);
        }
        let onsets: u64 = lens.layers.iter().map(|layer| layer.onsets).sum();
        lens.n_after = lens.n_pairs.saturating_sub(onsets);
        self.is_there.then_some(lens)
    }
}

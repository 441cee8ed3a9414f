//! The logit lens over all inputs: means by layer, and where differences come to stay.

use std::collections::BTreeMap;

use arrow::array::Array as _;

use super::gather::Gathered;
use super::roster::Roster;
use super::sources::{Sources, measure};
use crate::render::evidence::{Lens, LensLayer};
use crate::stage::StageError;
use crate::table::schema::{LOGIT_LENS, LOGIT_LENS_DIVERGENCE};

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
        let columns = ["scenario", "layer", "jsd_bits", "onset", "status"];
        let Some(part) = sources.optional(&LOGIT_LENS_DIVERGENCE, part, &columns)? else {
            return Ok(());
        };
        self.is_there = true;
        let (scenario, layer) = (part.texts("scenario")?, part.int16s("layer")?);
        let (value, onset) = (part.float64s("jsd_bits")?, part.int16s("onset")?);
        let status = part.texts("status")?;
        for row in 0..part.rows() {
            let Some(place) = roster.scenarios.get_index_of(scenario.value(row)) else { continue };
            let layer = self.layers.entry((place, layer.value(row))).or_default();
            let value = measure(value, row);
            layer.divergence.add(value, status.value(row));
            if onset.is_valid(row) {
                layer.pairs += 1;
                layer.onsets += u64::from(onset.value(row) == 1);
            } else if value.is_some() {
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
        let columns = ["scenario", "wording", "layer", "kl_to_final", "status"];
        let Some(part) = sources.optional(&LOGIT_LENS, part, &columns)? else { return Ok(()) };
        self.is_there = true;
        let (scenario, layer) = (part.texts("scenario")?, part.int16s("layer")?);
        let (value, status) = (part.float64s("kl_to_final")?, part.texts("status")?);
        let wording = part.int16s("wording")?;
        // Below 0 stand the controls, which no pair of tasks is made of.
        for row in (0..part.rows()).filter(|row| wording.value(*row) >= 0) {
            let Some(place) = roster.scenarios.get_index_of(scenario.value(row)) else { continue };
            let layer = self.layers.entry((place, layer.value(row))).or_default();
            layer.kl_to_final.add(measure(value, row), status.value(row));
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

//! Maps of heads: attention to position 0, and how far tasks differ over the input, means over all
//! prompts, pairs and inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Gathered;
use super::roster::Roster;
use super::sources::{Sources, measure};
use crate::render::evidence::{HeadMap, HeadMeasure, Mean};
use crate::stage::StageError;
use crate::stage::names::MEAN_HEAD;
use crate::table::schema::{ATTENTION_DIVERGENCE, ATTENTION_MASS};

/// In column `measure` of table `attention_divergence`: over the input's tokens only.
const JSD_INPUT: &str = "jsd_input";

/// Sums by scenario, layer and head.
type Cells = BTreeMap<(usize, i16, i16), Gathered>;

/// Both maps of all scenarios.
#[derive(Debug, Default)]
pub(super) struct HeadMeans {
    sink: Cells,
    divergence: Cells,
}

impl HeadMeans {
    /// Reduces both tables, part after part, rows in order.
    pub(super) fn read(sources: &Sources<'_>, roster: &Roster) -> Result<Self, StageError> {
        let mut means = Self::default();
        for part in 0..sources.shards {
            means.add_masses(sources, roster, part)?;
            means.add_divergences(sources, roster, part)?;
        }
        Ok(means)
    }

    fn add_masses(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = ["scenario", "wording", "layer", "head", "sink_mass", "status"];
        let Some(part) = sources.optional(&ATTENTION_MASS, part, &columns)? else { return Ok(()) };
        let (scenario, wording) = (part.texts("scenario")?, part.int16s("wording")?);
        let (layer, head) = (part.int16s("layer")?, part.int16s("head")?);
        let (value, status) = (part.float64s("sink_mass")?, part.texts("status")?);
        for row in 0..part.rows() {
            // Below 0 stand the controls.
            if head.value(row) == MEAN_HEAD || wording.value(row) < 0 {
                continue;
            }
            let Some(place) = roster.scenarios.get_index_of(scenario.value(row)) else { continue };
            let cell = self.sink.entry((place, layer.value(row), head.value(row))).or_default();
            cell.add(measure(value, row), status.value(row));
        }
        Ok(())
    }

    fn add_divergences(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let columns = ["scenario", "layer", "head", "measure", "value", "status"];
        let Some(part) = sources.optional(&ATTENTION_DIVERGENCE, part, &columns)? else {
            return Ok(());
        };
        let (scenario, name) = (part.texts("scenario")?, part.texts("measure")?);
        let (layer, head) = (part.int16s("layer")?, part.int16s("head")?);
        let (value, status) = (part.float64s("value")?, part.texts("status")?);
        for row in 0..part.rows() {
            if head.value(row) == MEAN_HEAD || name.value(row) != JSD_INPUT {
                continue;
            }
            let Some(place) = roster.scenarios.get_index_of(scenario.value(row)) else { continue };
            let key = (place, layer.value(row), head.value(row));
            self.divergence.entry(key).or_default().add(measure(value, row), status.value(row));
        }
        Ok(())
    }

    /// A scenario's maps; none without the tables, or where heads were not kept apart.
    pub(super) fn of_scenario(&self, scenario: usize) -> Vec<HeadMap> {
        let maps =
            [(HeadMeasure::Sink, &self.sink), (HeadMeasure::InputDivergence, &self.divergence)];
        maps.into_iter().filter_map(|(what, cells)| map(what, cells, scenario)).collect()
    }
}

fn map(what: HeadMeasure, cells: &Cells, scenario: usize) -> Option<HeadMap> {
    let own = || cells.keys().filter(|(place, _, _)| *place == scenario);
    let layers: BTreeSet<i16> = own().map(|(_, layer, _)| *layer).collect();
    let heads: BTreeSet<i16> = own().map(|(_, _, head)| *head).collect();
    if layers.is_empty() {
        return None;
    }
    let mean = |layer: i16, head: i16| cells.get(&(scenario, layer, head)).map(Gathered::mean);
    let row =
        |layer: &i16| heads.iter().map(|head| mean(*layer, *head).unwrap_or_default()).collect();
    let cells: Vec<Vec<Mean>> = layers.iter().map(row).collect();
    Some(HeadMap {
        what,
        cells: cells.concat(),
        layers: layers.into_iter().collect(),
        heads: heads.into_iter().collect(),
    })
}

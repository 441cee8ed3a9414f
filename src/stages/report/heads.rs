//! Maps of heads: attention to position 0, and how far tasks differ over the input, means over all
//! prompts, pairs and inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Gathered;
use super::roster::Roster;
use super::sources::Sources;
use crate::render::evidence::{HeadMap, HeadMeasure, Mean};
use crate::stage::StageError;
use crate::stage::names::MEAN_HEAD;
use crate::table::schema::{ATTENTION_DIVERGENCE, ATTENTION_MASS};
use crate::table::{ReadRow as _, view};

view! {
    /// How a head shares out its attention.
    struct HeadMass<'a> of [ATTENTION_MASS] {
        scenario: &'a str,
        wording: i16,
        layer: i16,
        head: i16,
        sink_mass: Option<f64>,
        status: &'a str,
    }
}

view! {
    /// How far two tasks differ in a head.
    struct Divergence<'a> of [ATTENTION_DIVERGENCE] {
        scenario: &'a str,
        layer: i16,
        head: i16,
        measure: &'a str,
        value: Option<f64>,
        status: &'a str,
    }
}

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
        let table = sources.optional::<HeadMass<'_>>(&ATTENTION_MASS, part)?;
        let Some(part) = table else { return Ok(()) };
        // Below 0 stand the controls.
        let counts = |row: &&HeadMass<'_>| row.head != MEAN_HEAD && row.wording >= 0;
        for row in HeadMass::rows(&part)?.iter().filter(counts) {
            let Some(place) = roster.scenarios.get_index_of(row.scenario) else { continue };
            let cell = self.sink.entry((place, row.layer, row.head)).or_default();
            cell.add(row.sink_mass, row.status);
        }
        Ok(())
    }

    fn add_divergences(
        &mut self,
        sources: &Sources<'_>,
        roster: &Roster,
        part: u32,
    ) -> Result<(), StageError> {
        let table = sources.optional::<Divergence<'_>>(&ATTENTION_DIVERGENCE, part)?;
        let Some(part) = table else { return Ok(()) };
        let counts = |row: &&Divergence<'_>| row.head != MEAN_HEAD && row.measure == JSD_INPUT;
        for row in Divergence::rows(&part)?.iter().filter(counts) {
            let Some(place) = roster.scenarios.get_index_of(row.scenario) else { continue };
            let cell = self.divergence.entry((place, row.layer, row.head)).or_default();
            cell.add(row.value, row.status);
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

//! The run directory as the report reads it, and the small reduced tables.

use std::collections::BTreeMap;

use crate::monitor::Monitor;
use crate::render::evidence::Judgement;
use crate::render::page::{CurvePoint, Scenario, Verdict};
use crate::stage::StageError;
use crate::stage::names::FLAT;
use crate::store::Store;
use crate::table::reader::{Part, read_part};
use crate::table::schema::{ALL, DIVERGENCE, VERDICT};
use crate::table::writer::PartAddress;
use crate::table::{ReadRow, Table, view};

/// What the report is made from.
pub(super) struct Sources<'a> {
    pub(super) store: &'a Store,
    pub(super) shards: u32,
    pub(super) decode: &'a dyn Fn(i32) -> String,
    pub(super) monitor: &'a dyn Monitor,
}

impl Sources<'_> {
    /// The columns of a row `R` from a part that the run cannot be without.
    ///
    /// # Errors
    /// [`StageError::Interrupted`] when somebody asked to stop: every reader of parts comes by
    /// here. Else when the part is missing or is not what this version writes.
    pub(super) fn needed<R: ReadRow>(
        &self,
        table: &'static Table,
        part: u32,
    ) -> Result<Part, StageError> {
        self.go_on()?;
        Ok(R::part(self.store, table, part)?)
    }

    /// The same, or `None` when the run does not have the part.
    ///
    /// # Errors
    /// As [`Sources::needed`].
    pub(super) fn optional<R: ReadRow>(
        &self,
        table: &'static Table,
        part: u32,
    ) -> Result<Option<Part>, StageError> {
        self.go_on()?;
        Ok(R::part_if_there(self.store, table, part)?)
    }

    /// The named columns of a part of a raw table, whose numbers are read without making rows of
    /// them; `None` when the run does not have the part.
    ///
    /// # Errors
    /// As [`Sources::needed`].
    pub(super) fn raw(
        &self,
        table: &'static Table,
        part: u32,
        columns: &[&str],
    ) -> Result<Option<Part>, StageError> {
        self.go_on()?;
        let address = PartAddress::new(table, part);
        let part = address.is_there(self.store).then(|| read_part(self.store, address, columns));
        Ok(part.transpose()?)
    }

    fn go_on(&self) -> Result<(), StageError> {
        if self.monitor.is_interrupted() { Err(StageError::Interrupted) } else { Ok(()) }
    }

    /// Names of the tables that the run keeps: a folder whose files were released is none.
    pub(super) fn tables(&self) -> Result<Vec<String>, StageError> {
        let mut names = Vec::new();
        for table in ALL {
            if !self.store.walk(&table.folder())?.is_empty() {
                names.push(table.name.to_owned());
            }
        }
        Ok(names)
    }
}

/// The highest of some layers: of the model, in tables that always hold its last.
pub(super) fn last(layers: impl Iterator<Item = i16>) -> Option<i16> {
    layers.max()
}

view! {
    /// A row of the notebook's curve, among those of other measures.
    struct Reduced<'a> of [DIVERGENCE] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        n_inputs: i64,
        n_pairs: i64,
        mean: Option<f64>,
        sd: Option<f64>,
        min: Option<f64>,
        max: Option<f64>,
        position_0_share: Option<f64>,
    }
}

view! {
    /// A verdict.
    struct Judged<'a> of [VERDICT] {
        scenario: &'a str,
        measure: &'a str,
        layer: i16,
        value: Option<f64>,
        threshold: Option<f64>,
        verdict: &'a str,
        reason: &'a str,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        n_inputs: i64,
        n_wordings: i64,
    }
}

/// Fills each scenario's divergence curve, layers ascending.
pub(super) fn add_curves(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let part = sources.needed::<Reduced<'_>>(&DIVERGENCE, 0)?;
    for row in Reduced::rows(&part)?.into_iter().filter(|row| row.measure == FLAT) {
        let Some(of) = scenarios.iter_mut().find(|s| s.name == row.scenario) else { continue };
        of.curve.push(CurvePoint {
            layer: row.layer,
            mean: row.mean,
            sd: row.sd,
            min: row.min,
            max: row.max,
            n_inputs: row.n_inputs,
            n_pairs: row.n_pairs,
            position_0_share: row.position_0_share,
        });
    }
    for scenario in scenarios {
        scenario.curve.sort_by_key(|point| point.layer);
    }
    Ok(())
}

/// Fills each scenario's verdicts, when stage `summary` gave some: the notebook's, and those that rest
/// on evidence.
pub(super) fn add_verdicts(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let Some(part) = sources.optional::<Judged<'_>>(&VERDICT, 0)? else { return Ok(()) };
    let places = scenarios.iter().enumerate().map(|(place, of)| (of.name.clone(), place));
    let places: BTreeMap<String, usize> = places.collect();
    for row in Judged::rows(&part)? {
        let Some(of) = places.get(row.scenario).map(|place| &mut scenarios[*place]) else {
            continue;
        };
        if row.measure == FLAT {
            of.verdict = Some(Verdict {
                measure: row.measure.to_owned(),
                layer: row.layer,
                value: row.value,
                threshold: row.threshold.unwrap_or_default(),
                verdict: row.verdict.to_owned(),
                reason: row.reason.to_owned(),
                n_inputs: row.n_inputs,
                n_wordings: row.n_wordings,
            });
        } else {
            of.judgements.push(Judgement {
                measure: row.measure.to_owned(),
                verdict: row.verdict.to_owned(),
                layer: row.layer,
                delta: row.value,
                interval: row.ci_low.zip(row.ci_high),
                reason: row.reason.to_owned(),
                disagreement: None,
                n_inputs: row.n_inputs,
                n_wordings: row.n_wordings,
            });
        }
    }
    Ok(())
}

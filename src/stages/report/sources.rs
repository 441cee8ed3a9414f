//! The run directory as the report reads it, and the small reduced tables.

use arrow::array::{Array as _, Float64Array, Int64Array};

use crate::monitor::Monitor;
use crate::render::evidence::Judgement;
use crate::render::page::{CurvePoint, Scenario, Verdict};
use crate::stage::StageError;
use crate::stage::names::FLAT;
use crate::store::Store;
use crate::table::Table;
use crate::table::reader::{Part, read_part};
use crate::table::schema::{ALL, DIVERGENCE, VERDICT};
use crate::table::status;
use crate::table::writer::PartAddress;

/// What the report is made from.
pub(super) struct Sources<'a> {
    pub(super) store: &'a Store,
    pub(super) shards: u32,
    pub(super) decode: &'a dyn Fn(i32) -> String,
    pub(super) monitor: &'a dyn Monitor,
}

impl Sources<'_> {
    /// The columns of a part that the run cannot be without. Ends with [`StageError::Interrupted`]
    /// when somebody asked to stop: every reader of parts comes by here.
    pub(super) fn needed(
        &self,
        table: &'static Table,
        part: u32,
        columns: &[&str],
    ) -> Result<Part, StageError> {
        if self.monitor.is_interrupted() {
            return Err(StageError::Interrupted);
        }
        Ok(read_part(self.store, PartAddress::new(table, part), columns)?)
    }

    /// The columns of a part, when the run has it; ends likewise.
    pub(super) fn optional(
        &self,
        table: &'static Table,
        part: u32,
        columns: &[&str],
    ) -> Result<Option<Part>, StageError> {
        let there = PartAddress::new(table, part).is_there(self.store);
        there.then(|| self.needed(table, part, columns)).transpose()
    }

    /// Names of the tables that the run keeps: a folder whose files were released is none.
    pub(super) fn tables(&self) -> Result<Vec<String>, StageError> {
        let mut names = Vec::new();
        for table in ALL {
            if !self.store.walk(&table.folder(None))?.is_empty() {
                names.push(table.name.to_owned());
            }
        }
        Ok(names)
    }
}

/// A column's value, or none where it is null.
pub(super) fn measure(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row))
}

/// The highest of some layers: of the model, in tables that always hold its last.
pub(super) fn last(layers: impl Iterator<Item = i16>) -> Option<i16> {
    layers.max()
}

/// What a status word means.
pub(super) fn meaning(word: &str) -> &str {
    status::ALL.iter().find(|(known, _)| *known == word).map_or(word, |(_, meaning)| meaning)
}

/// Fills each scenario's divergence curve, layers ascending.
pub(super) fn add_curves(
    sources: &Sources<'_>,
    scenarios: &mut [Scenario],
) -> Result<(), StageError> {
    let columns =
        ["scenario", "layer", "measure", "n_inputs", "n_pairs", "mean", "sd", "min", "max"];
    let part = sources.needed(&DIVERGENCE, 0, &columns)?;
    let (scenario, layer) = (part.texts("scenario")?, part.int16s("layer")?);
    let name = part.texts("measure")?;
    let (inputs, pairs): (&Int64Array, &Int64Array) =
        (part.int64s("n_inputs")?, part.int64s("n_pairs")?);
    let (mean, sd) = (part.float64s("mean")?, part.float64s("sd")?);
    let (min, max) = (part.float64s("min")?, part.float64s("max")?);
    for row in (0..part.rows()).filter(|row| name.value(*row) == FLAT) {
        let Some(of) = scenarios.iter_mut().find(|s| s.name == scenario.value(row)) else {
            continue;
        };
        of.curve.push(CurvePoint {
            layer: layer.value(row),
            mean: measure(mean, row),
            sd: measure(sd, row),
            min: measure(min, row),
            max: measure(max, row),
            n_inputs: inputs.value(row),
            n_pairs: pairs.value(row),
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
    let columns = [
        "scenario",
        "measure",
        "layer",
        "value",
        "threshold",
        "verdict",
        "reason",
        "ci_low",
        "ci_high",
    ];
    let Some(part) = sources.optional(&VERDICT, 0, &columns)? else { return Ok(()) };
    let (scenario, name) = (part.texts("scenario")?, part.texts("measure")?);
    let (value, threshold) = (part.float64s("value")?, part.float64s("threshold")?);
    let (low, high) = (part.float64s("ci_low")?, part.float64s("ci_high")?);
    let (layer, verdict) = (part.int16s("layer")?, part.texts("verdict")?);
    let reason = part.texts("reason")?;
    for row in 0..part.rows() {
        let Some(of) = scenarios.iter_mut().find(|s| s.name == scenario.value(row)) else {
            continue;
        };
        if name.value(row) == FLAT {
            of.verdict = Some(Verdict {
                measure: name.value(row).to_owned(),
                layer: layer.value(row),
                value: measure(value, row),
                threshold: threshold.value(row),
                verdict: verdict.value(row).to_owned(),
                reason: reason.value(row).to_owned(),
            });
        } else {
            of.judgements.push(Judgement {
                measure: name.value(row).to_owned(),
                verdict: verdict.value(row).to_owned(),
                layer: layer.value(row),
                delta: measure(value, row),
                interval: measure(low, row).zip(measure(high, row)),
                reason: reason.value(row).to_owned(),
                disagreement: None,
            });
        }
    }
    Ok(())
}

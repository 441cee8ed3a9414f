//! The rule of a verdict by evidence ([`RULE`](crate::run_dir::summary::RULE) in words), on the rows of table
//! `effect` that it looks at.

use crate::run_dir::summary::EvidenceVerdict;
use crate::stage::feasible::LEVEL;
use crate::stage::judged::Judged;

/// One row of table `effect` that compares tasks with wordings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) layer: i16,
    pub(super) delta: Option<f64>,
    pub(super) interval: Option<(f64, f64)>,
    pub(super) relative: Option<f64>,
    pub(super) relative_interval: Option<(f64, f64)>,
    pub(super) prevalence: Option<f64>,
    /// Over inputs, corrected over all measures and layers that are judged.
    pub(super) p: Option<f64>,
    /// Over ways to deal the wordings out, corrected likewise.
    pub(super) p_wording: Option<f64>,
    pub(super) p_wording_form: Option<f64>,
    /// The smallest difference that matters, in the unit of `delta`.
    pub(super) smallest: Option<f64>,
    pub(super) n_beyond: Option<i64>,
    /// Ids of the first of these inputs.
    pub(super) beyond: Vec<String>,
    pub(super) n_inputs: i64,
    pub(super) n_clusters: i64,
    pub(super) n_reassignments: i64,
    pub(super) n_wordings: i64,
    pub(super) warning: String,
    pub(super) status: String,
}

/// The smallest difference that matters, on the scale on which a measure is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// In the measure's own unit.
    Own(f64),
    /// From 0, as another wording, to 1, as another input.
    Relative(f64),
}

impl Bound {
    /// That of a measure.
    pub(super) fn of(judged: &Judged, measure: &str) -> Self {
        let relative = || Self::Relative(judged.smallest.relative());
        judged.smallest.in_own_unit(measure).map_or_else(relative, Self::Own)
    }

    /// Whether the estimate is at least this; without a scale nothing is too small.
    fn is_reached(self, row: &Row) -> bool {
        match self {
            Self::Own(bound) => row.delta.is_some_and(|delta| delta >= bound),
            Self::Relative(bound) => row.relative.is_none_or(|relative| relative >= bound),
        }
    }

    /// Whether the interval lies within plus and minus this.
    pub(super) fn holds(self, row: &Row) -> bool {
        let (interval, bound) = match self {
            Self::Own(bound) => (row.interval, bound),
            Self::Relative(bound) => (row.relative_interval, bound),
        };
        interval.is_some_and(|(low, high)| -bound < low && high < bound)
    }
}

/// Whether tasks differ more than wordings on this layer, of whatever size.
pub(super) fn is_shown(row: &Row) -> bool {
    row.interval.is_some_and(|(low, _)| low > 0.0)
        && row.p.is_some_and(|p| p < LEVEL)
        && row.p_wording.is_some_and(|p| p < LEVEL)
}

/// Whether they do by as much as matters.
pub(super) fn is_found(row: &Row, bound: Bound) -> bool {
    is_shown(row) && bound.is_reached(row)
}

/// Whether more inputs differ by more than matters than may.
pub(super) fn has_exceptions(row: &Row, judged: &Judged) -> bool {
    row.n_beyond.is_none_or(|n| n as f64 > judged.exceptions * row.n_inputs as f64)
}

/// The verdict on the rows of a measure, of a design that can decide.
pub(super) fn verdict(rows: &[Row], bound: Bound, judged: &Judged) -> EvidenceVerdict {
    if rows.iter().any(|row| is_found(row, bound)) {
        EvidenceVerdict::Supported
    } else if rows.iter().all(|row| bound.holds(row) && !has_exceptions(row, judged)) {
        EvidenceVerdict::Equivalent
    } else {
        EvidenceVerdict::Undecided
    }
}

//! The rule of a verdict by evidence ([`RULE`](crate::run_dir::summary::RULE) in words), on the rows of table
//! `effect` that it looks at.

use crate::run_dir::summary::EvidenceVerdict;
use crate::stage::feasible::{LEVEL, clusters_for};
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
    /// Whether the measure was compared with another input too.
    pub(super) has_other: bool,
    pub(super) n_beyond: Option<i64>,
    /// Ids of the first of these inputs.
    pub(super) beyond: Vec<String>,
    pub(super) n_inputs: i64,
    pub(super) n_clusters: i64,
    pub(super) n_reassignments: i64,
    pub(super) n_wordings: i64,
    pub(super) warning: String,
    pub(super) status: String,
    /// The most that the measure can differ by, in its unit; `None` where there is no such bound.
    pub(super) most: Option<f64>,
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

    /// What an undecided verdict lacks where there is no scale; `None` where there is one, or none is needed.
    pub(super) fn without_scale(self, row: &Row) -> Option<&'static str> {
        let lacks = matches!(self, Self::Relative(_)) && row.smallest.is_none();
        lacks.then_some(if row.has_other {
            "another input is no further away than another wording, and without a `smallest` in the measure's \
             unit nothing says which difference would be too small to matter"
        } else {
            "without the control `other_input` or a `smallest` in the measure's unit nothing says which \
             difference would be too small to matter"
        })
    }

    /// Whether the estimate is at least this; without a scale nothing is too small.
    fn is_reached(self, row: &Row) -> bool {
        match self {
            Self::Own(bound) => row.delta.is_some_and(|delta| delta >= bound),
            Self::Relative(bound) => row.relative.is_none_or(|relative| relative >= bound),
        }
    }

    /// Whether the interval lies within plus and minus this, and would with the inputs that nobody saw.
    pub(super) fn holds(self, row: &Row) -> bool {
        let clusters = row.n_clusters.unsigned_abs();
        self.is_around(row) && self.needed(row).is_none_or(|needed| needed <= clusters)
    }

    /// Whether the interval lies within plus and minus this.
    pub(super) fn is_around(self, row: &Row) -> bool {
        let (interval, bound) = self.interval(row);
        interval.is_some_and(|(low, high)| -bound < low && high < bound)
    }

    fn interval(self, row: &Row) -> (Option<(f64, f64)>, f64) {
        match self {
            Self::Own(bound) => (row.interval, bound),
            Self::Relative(bound) => (row.relative_interval, bound),
        }
    }

    /// How many independent inputs leave no room for unseen ones ([`clusters_for`]) that take a mean with
    /// this interval beyond the bound; `None` where the measure has no most, or the interval is not within it.
    ///
    /// With ε the share of unseen inputs, h the end of the interval, b the bound, M the most, and s the way
    /// from another wording to another input, in the measure's unit: each of the two means may be
    /// (1 - ε) of what was seen, and M on the rest.
    ///
    /// ```text
    /// own unit   (1 - ε) h + ε M  <  b
    /// relative   (1 - ε) h s + ε M  <  b ((1 - ε) s - ε M)
    /// ```
    pub(super) fn needed(self, row: &Row) -> Option<u64> {
        let (most, (Some((low, high)), bound)) = (row.most?, self.interval(row)) else {
            return None;
        };
        let end = high.max(-low);
        if end >= bound {
            return None;
        }
        let share = match self {
            Self::Own(_) => (bound - end) / (most - end),
            Self::Relative(_) => {
                let scale = row.smallest? / bound;
                scale * (bound - end) / (most + bound * most + scale * (bound - end))
            }
        };
        Some(clusters_for(share))
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

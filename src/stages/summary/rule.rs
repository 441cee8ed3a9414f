//! What a verdict by evidence rests on: the rule, and the rows of table `effect` that it looks at.

/// A p below this counts as evidence.
pub(super) const LEVEL: f64 = 0.05;

/// What the verdict is to rest on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    /// The measures: there is one verdict for each.
    pub(super) measures: Vec<String>,
    /// The layers that count; `None` = all captured ones.
    pub(super) layers: Option<Vec<i16>>,
    /// Differences up to this do not matter; `None` when the pipeline does not say which.
    pub(super) equivalence: Option<f64>,
}

/// One row of table `effect` that compares tasks with wordings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) layer: i16,
    pub(super) delta: Option<f64>,
    pub(super) interval: Option<(f64, f64)>,
    pub(super) p: Option<f64>,
    pub(super) p_wording: Option<f64>,
    pub(super) n_inputs: i64,
    pub(super) n_reassignments: i64,
    pub(super) n_wordings: i64,
    pub(super) status: String,
}

/// Tasks differ more than wordings on this layer: over inputs and over ways to deal the wordings out,
/// both corrected over layers.
pub(super) fn is_found(row: &Row) -> bool {
    row.interval.is_some_and(|(low, _)| low > 0.0)
        && row.p.is_some_and(|p| p < LEVEL)
        && row.p_wording.is_some_and(|p| p < LEVEL)
}

//! What a report says of tasks that are told from the vectors: table `decoding`.

/// How often the task is told from the vectors of one site, over the layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// `span` or `last`.
    pub site: String,
    /// Layers ascending.
    pub points: Vec<ToldPoint>,
}

/// How often the task is told on one layer, as shares.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToldPoint {
    /// The layer.
    pub layer: i16,
    /// Inputs that entered.
    pub n_inputs: i64,
    /// Clusters of inputs that entered.
    pub n_clusters: i64,
    /// Tasks to choose among.
    pub n_tasks: i64,
    /// Wordings of the task that has the fewest.
    pub n_wordings: i64,
    /// On wordings and inputs that were not seen.
    pub accuracy: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<(f64, f64)>,
    /// On wordings that were seen, with other inputs.
    pub seen: Option<f64>,
    /// What guessing gives.
    pub chance: Option<f64>,
    /// Wordings dealt to the tasks again, corrected over layers and sites.
    pub p_max_t: Option<f64>,
    /// Why there is no value, in words; empty when there is one.
    pub missing: String,
}

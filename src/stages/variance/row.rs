//! The rows of table `variance_partition`, filled in step by step.

use crate::math::Partition;
use crate::table::schema::VariancePartitionRow;
use crate::table::status;

/// What the vectors are divided by before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Space {
    /// Nothing.
    Raw,
    /// The reference set's standard deviation of each dimension.
    Standardised,
}

impl Space {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Standardised => "standardised",
        }
    }
}

/// The rows that are corrected together: the layers of one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) scenario: String,
    pub(super) site: String,
    pub(super) space: Space,
}

/// A row of table `variance_partition`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) layer: i16,
    pub(super) n_inputs: usize,
    pub(super) n_clusters: usize,
    pub(super) n_tasks: usize,
    pub(super) n_wordings: usize,
    pub(super) n_cells: usize,
    pub(super) partition: Option<Partition>,
    pub(super) p: Option<f64>,
    pub(super) p_max_t: Option<f64>,
    pub(super) n_permutations: usize,
    pub(super) p_wording: Option<f64>,
    pub(super) p_wording_max_t: Option<f64>,
    pub(super) n_reassignments: usize,
    pub(super) status: String,
}

impl Row {
    /// One without numbers yet, of so many inputs, clusters of them, and wordings of each task.
    pub(super) fn new(
        place: Place,
        layer: i16,
        [n_inputs, n_clusters]: [usize; 2],
        wordings: &[usize],
    ) -> Self {
        Self {
            place,
            layer,
            n_inputs,
            n_clusters,
            n_tasks: wordings.len(),
            n_wordings: wordings.iter().copied().min().unwrap_or(0),
            n_cells: wordings.iter().sum(),
            partition: None,
            p: None,
            p_max_t: None,
            n_permutations: 0,
            p_wording: None,
            p_wording_max_t: None,
            n_reassignments: 0,
            status: status::OK.to_owned(),
        }
    }

    /// As the table has it.
    pub(super) fn row(&self) -> VariancePartitionRow<'_> {
        let of = |number: fn(&Partition) -> Option<f64>| self.partition.as_ref().and_then(number);
        VariancePartitionRow {
            scenario: &self.place.scenario,
            layer: self.layer,
            site: &self.place.site,
            space: self.place.space.name(),
            n_inputs: self.n_inputs as i64,
            n_clusters: self.n_clusters as i64,
            n_tasks: self.n_tasks as i64,
            n_wordings: self.n_wordings as i64,
            n_cells: self.n_cells as i64,
            n_units: self.partition.as_ref().map_or(self.n_inputs, |p| p.design.units) as i64,
            ss_total: of(|p| Some(p.total())),
            ss_input: of(|p| Some(p.input)),
            ss_task: of(|p| Some(p.task)),
            ss_wording: of(|p| p.wording),
            ss_interaction: of(|p| Some(p.interaction)),
            ss_rest: of(|p| p.rest),
            r2_input: of(|p| p.share(p.input)),
            r2_task: of(|p| p.share(p.task)),
            r2_wording: of(|p| p.share(p.wording?)),
            r2_interaction: of(|p| p.share(p.interaction)),
            partial_eta2: of(Partition::partial_eta2),
            f_task: of(Partition::f_task),
            f_interaction: of(Partition::f_interaction),
            p: self.p,
            p_max_t: self.p_max_t,
            n_permutations: self.n_permutations as i64,
            p_wording: self.p_wording,
            p_wording_max_t: self.p_wording_max_t,
            n_reassignments: self.n_reassignments as i64,
            status: &self.status,
        }
    }
}

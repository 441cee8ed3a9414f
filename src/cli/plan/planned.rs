//! What other numbers of clusters and wordings would find, of one measure.

use serde_json::{Value, json};

use crate::math;
use crate::stage::feasible::{Feasible, LEVEL};
use crate::table::schema::EFFECT;
use crate::table::view;

/// Numbers of clusters that are tabulated, beside the run's own.
const CLUSTERS: [u64; 6] = [10, 20, 50, 100, 200, 500];

/// Numbers of wordings of each task, likewise.
const WORDINGS: [usize; 6] = [2, 3, 4, 6, 8, 12];

view! {
    /// How much further apart tasks are than wordings, and what that varies by.
    pub(super) struct Measured<'a> of [EFFECT] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        n_clusters: i64,
        delta: Option<f64>,
        relative: Option<f64>,
        mde: Option<f64>,
        smallest: Option<f64>,
        var_clusters: Option<f64>,
        var_wordings: Option<f64>,
    }
}

/// A measure of a scenario, on one layer.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) scenario: String,
    pub(super) measure: String,
    pub(super) layer: i16,
    pub(super) clusters: u64,
    /// Distinct wordings of each task.
    pub(super) wordings: Vec<usize>,
    pub(super) delta: Option<f64>,
    pub(super) relative: Option<f64>,
    /// What the run itself finds.
    pub(super) mde: Option<f64>,
    /// The smallest difference that matters, in the measure's unit.
    pub(super) smallest: Option<f64>,
    /// Variances of what would be run; `None` where the run does not say them.
    variances: Option<math::Planned>,
}

/// A number of clusters and wordings, and what they would find.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) feasible: Feasible,
    pub(super) mde: f64,
}

impl Planned {
    pub(super) fn of(row: &Measured<'_>, wordings: &[usize]) -> Self {
        let clusters = row.n_clusters.unsigned_abs();
        let variances = row.var_clusters.zip(row.var_wordings);
        let variances = variances.filter(|(clusters, wordings)| clusters + wordings > 0.0);
        let variances = variances.map(|(of_cluster, of_wording)| math::Planned {
            of_cluster: of_cluster * clusters as f64,
            of_wording: of_wording * harmonic_mean(wordings),
        });
        Self {
            scenario: row.scenario.to_owned(),
            measure: row.measure.to_owned(),
            layer: row.layer,
            clusters,
            wordings: wordings.to_vec(),
            delta: row.delta,
            relative: row.relative,
            mde: row.mde,
            smallest: row.smallest,
            variances,
        }
    }

    /// The measure's unit on the scale from another wording to another input; `None` without that.
    pub(super) fn scale(&self) -> Option<f64> {
        let scale = self.delta? / self.relative?;
        (scale.is_finite() && scale > 0.0).then_some(scale)
    }

    /// Numbers of clusters, the run's own among them, ascending.
    pub(super) fn rows(&self) -> Vec<u64> {
        let mut all = [&CLUSTERS[..], &[self.clusters]].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Numbers of wordings of each task, the run's own behind the last that is no larger.
    pub(super) fn columns(&self) -> Vec<Vec<usize>> {
        let tasks = self.wordings.len();
        let mut all: Vec<Vec<usize>> = WORDINGS.iter().map(|n| vec![*n; tasks]).collect();
        if !all.contains(&self.wordings) {
            let own = harmonic_mean(&self.wordings);
            let behind = WORDINGS.iter().filter(|n| **n as f64 <= own).count();
            all.insert(behind, self.wordings.clone());
        }
        all
    }

    /// What so many clusters and wordings would find; `None` where the run does not say.
    pub(super) fn choice(&self, clusters: u64, wordings: &[usize]) -> Option<Choice> {
        let own = harmonic_mean(wordings);
        let mde = self.variances.as_ref()?.detectable(clusters as f64, own, 1.0 - LEVEL);
        let feasible = Feasible { clusters, inputs: clusters, wordings: wordings.to_vec() };
        Some(Choice { feasible, mde })
    }

    /// What the run would find with twice the clusters, and with twice the wordings.
    pub(super) fn twice(&self) -> Option<[Choice; 2]> {
        let wordings: Vec<usize> = self.wordings.iter().map(|n| 2 * n).collect();
        let clusters = self.choice(2 * self.clusters, &self.wordings)?;
        Some([clusters, self.choice(self.clusters, &wordings)?])
    }

    /// Why there is nothing to plan with.
    pub(super) fn refusal(&self) -> Option<String> {
        if self.variances.is_some() {
            return None;
        }
        let own = Feasible {
            clusters: self.clusters,
            inputs: self.clusters,
            wordings: self.wordings.clone(),
        };
        let what = match own.wordings.iter().min() {
            Some(0 | 1) | None => own.few_wordings().unwrap_or_default(),
            _ if self.clusters < 2 => own.obstacle().unwrap_or_default(),
            _ => "neither inputs nor wordings vary".to_owned(),
        };
        Some(format!("cannot be planned from this run: {what}"))
    }

    /// All of it as one object.
    pub(super) fn json(&self) -> Value {
        let scale = self.scale();
        let choice = |choice: Choice| {
            let Choice { feasible, mde } = choice;
            json!({
                "clusters": feasible.clusters,
                "wordings": feasible.wordings,
                "ways": feasible.ways(),
                "smallest_p": feasible.smallest_p(),
                "can_decide": feasible.obstacle().is_none(),
                "mde": mde,
                "mde_relative": scale.map(|scale| mde / scale),
            })
        };
        let columns = self.columns();
        let pairs = self
            .rows()
            .into_iter()
            .flat_map(|clusters| columns.iter().map(move |own| (clusters, own)));
        let designs = pairs.filter_map(|(clusters, wordings)| self.choice(clusters, wordings));
        json!({
            "scenario": self.scenario,
            "measure": self.measure,
            "layer": self.layer,
            "clusters": self.clusters,
            "wordings": self.wordings,
            "delta": self.delta,
            "relative": self.relative,
            "mde": self.mde,
            "smallest": self.smallest,
            "scale": scale,
            "designs": designs.map(choice).collect::<Vec<_>>(),
            "twice_clusters": self.twice().map(|[own, _]| own.mde),
            "twice_wordings": self.twice().map(|[_, own]| own.mde),
            "refusal": self.refusal(),
        })
    }
}

/// Of the wordings of all tasks, as the variance over wordings is of a sum over tasks.
fn harmonic_mean(wordings: &[usize]) -> f64 {
    let sum: f64 = wordings.iter().map(|n| 1.0 / *n as f64).sum();
    wordings.len() as f64 / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::names::PARAPHRASE;

    fn row(measure: &'static str, layer: i16, variances: [f64; 2]) -> Measured<'static> {
        Measured {
            scenario: "one",
            layer,
            measure,
            contrast: PARAPHRASE,
            n_clusters: 20,
            delta: Some(0.3),
            relative: Some(0.6),
            mde: Some(0.2),
            smallest: None,
            var_clusters: Some(variances[0]),
            var_wordings: Some(variances[1]),
        }
    }

    /// numpy and `scipy.stats.t.ppf`, from the formula.
    #[test]
    fn a_planned_difference_is_that_of_the_formula() {
        let plan = Planned::of(&row("span", 3, [0.0004, 0.0016]), &[4, 4]);
        let mde = |clusters, wordings: &[usize]| plan.choice(clusters, wordings).unwrap().mde;
        let expected: [(u64, &[usize], f64); 3] = [
            (20, &[4, 4], 0.159_096_253_408_007_95),
            (50, &[8, 8], 0.096_249_018_471_642_34),
            (50, &[3, 5], 0.172_620_922_458_968_8),
        ];
        for (clusters, wordings, expected) in expected {
            let found = mde(clusters, wordings);
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
        assert!((plan.scale().unwrap() - 0.5).abs() < 1e-15);
    }

    #[test]
    fn the_runs_own_numbers_stand_among_the_others() {
        let plan = Planned::of(&row("span", 3, [0.1, 0.1]), &[3, 5]);
        assert_eq!(plan.rows(), [10, 20, 50, 100, 200, 500]);
        let columns = plan.columns();
        assert_eq!((columns.len(), &columns[1..3]), (7, &[vec![3, 3], vec![3, 5]][..]));
        let balanced = Planned { clusters: 40, wordings: vec![4, 4], ..plan };
        assert_eq!((balanced.rows().len(), balanced.columns().len()), (7, 6));
    }

    #[test]
    fn what_does_not_vary_or_has_one_wording_is_refused() {
        let refusal = |variances, wordings: &[usize]| {
            let row = row("span", 3, variances);
            let row =
                if wordings.contains(&1) { Measured { var_wordings: None, ..row } } else { row };
            Planned::of(&row, wordings).refusal()
        };
        assert_eq!(refusal([0.1, 0.1], &[4, 4]), None);
        assert!(refusal([0.0, 0.0], &[4, 4]).unwrap().contains("neither inputs nor wordings vary"));
        assert!(refusal([0.1, 0.1], &[1, 4]).unwrap().contains("give every task 4 wordings"));
    }
}

//! What a design can show, before anything is measured. The verdict, `aqlens check` and `aqlens plan`
//! ask here.

use super::names::JSD_BITS;
use crate::math::ways_to_deal;

/// p must be below this.
pub const LEVEL: f64 = 0.05;
/// Fewer clusters of inputs give no p below [`LEVEL`]: signs of four flip in 16 ways.
pub const LEAST_CLUSTERS: u64 = 5;

/// The rule of three: of n independent inputs none of which does a thing, a share of this over n of all
/// inputs may do it at 95 % (Hanley and Lippman-Hand 1983; -ln 0.05 is 2.996).
const OF_UNSEEN: f64 = 3.0;

/// Inputs and wordings of a scenario, copies counted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feasible {
    /// Clusters of inputs.
    pub clusters: u64,
    /// Inputs; more than clusters where texts repeat or the pipeline names clusters.
    pub inputs: u64,
    /// Distinct wordings of each task: those that differ in more than blanks and case.
    pub wordings: Vec<usize>,
}

impl Feasible {
    /// In how many ways the wordings can be dealt out to the tasks; `None` when they cannot be
    /// counted: enough.
    pub fn ways(&self) -> Option<u64> {
        ways_to_deal(&self.wordings)
    }

    /// The smallest p that dealing wordings out can give.
    pub fn smallest_p(&self) -> f64 {
        self.ways().map_or(0.0, |ways| 1.0 / ways as f64)
    }

    /// Why the design cannot show a difference between tasks, and what to add, all of it; `None` when
    /// it can.
    pub fn obstacle(&self) -> Option<String> {
        let inputs = (self.clusters < LEAST_CLUSTERS).then(|| self.few_clusters());
        let all: Vec<String> = self.few_wordings().into_iter().chain(inputs).collect();
        (!all.is_empty()).then(|| all.join("; and "))
    }

    /// What the tasks and their wordings lack, however many inputs there are; `None` when nothing.
    pub fn few_wordings(&self) -> Option<String> {
        let tasks = self.wordings.len();
        let fewest = self.wordings.iter().min().copied().unwrap_or(0);
        if tasks < 2 {
            return Some("there is one task: add another to compare it with".to_owned());
        }
        if fewest < 2 {
            return Some(format!(
                "a task has one wording (wordings that differ in blanks or case only are one), so a \
                 difference between tasks cannot be told from one between wordings: give every task {} \
                 wordings or more",
                needed(tasks)
            ));
        }
        let p = self.smallest_p();
        (p >= LEVEL).then(|| {
            let ways = self.ways().unwrap_or_default();
            format!(
                "the wordings can be dealt out to the {tasks} tasks in {ways} ways only, so that p can \
                 never be below {LEVEL}: give every task {} wordings or more",
                needed(tasks)
            )
        })
    }

    fn few_clusters(&self) -> String {
        let Self { clusters, inputs, .. } = self;
        let copies = if clusters < inputs {
            format!(" ({inputs} inputs, of which copies and members of one cluster count once)")
        } else {
            String::new()
        };
        let noun = if *clusters == 1 { "independent input" } else { "independent inputs" };
        format!(
            "{clusters} {noun}{copies} cannot show it, since below {LEAST_CLUSTERS} no p over inputs can \
             be under {LEVEL}: add inputs with other texts"
        )
    }
}

/// The fewest wordings of each of so many tasks with which p can be below [`LEVEL`].
pub fn needed(tasks: usize) -> usize {
    let is_enough = |wordings: &usize| {
        ways_to_deal(&vec![*wordings; tasks]).is_none_or(|ways| 1.0 / (ways as f64) < LEVEL)
    };
    (2..=4).find(is_enough).unwrap_or(4)
}

/// The share of all inputs that may do what none of so many independent ones did.
pub fn unseen(clusters: u64) -> f64 {
    (OF_UNSEEN / clusters as f64).min(1.0)
}

/// How many independent inputs must all lack a thing so that less than a `share` of all inputs, 0 to 1, may
/// have it: none where the share is all of them.
pub fn clusters_for(share: f64) -> u64 {
    let is_some = (0.0..1.0).contains(&share);
    if is_some { ((OF_UNSEEN / share).floor() as u64).saturating_add(1) } else { 0 }
}

/// The most that a measure of table `effect` can differ by, in its unit; `None` where no such bound is known.
pub fn most_of(measure: &str) -> Option<f64> {
    // The Jensen-Shannon divergence of two distributions is a bit at most, where they have nothing in
    // common, and none at least. The similarities, 1 less a cosine, are bounded by 2, which no vectors of a
    // model come near.
    (measure == JSD_BITS).then_some(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(clusters: u64, wordings: &[usize]) -> Feasible {
        Feasible { clusters, inputs: clusters.max(5), wordings: wordings.to_vec() }
    }

    #[test]
    fn four_wordings_are_needed_for_two_tasks_three_for_three_and_two_for_more() {
        assert_eq!([2, 3, 4, 5, 12].map(needed), [4, 3, 2, 2, 2]);
    }

    #[test]
    fn the_rule_of_three_says_how_many_inputs_exclude_a_share() {
        assert_eq!([1.0, 0.5, 0.1, 0.01].map(clusters_for), [0, 7, 31, 301]);
        assert_eq!(clusters_for(0.0), u64::MAX, "no number of inputs excludes a single one");
        for share in [0.3, 0.05, 0.01] {
            let n = clusters_for(share) as i32;
            // What is to be shown: with that share, n inputs all without it are rarer than 1 in 20.
            assert!((1.0_f64 - share).powi(n) < LEVEL, "{share}");
        }
    }

    #[test]
    fn a_design_that_cannot_decide_says_what_to_add() {
        for (clusters, wordings, says) in [
            (20, vec![4, 4], None),
            (20, vec![3, 5], None),
            (20, vec![3, 3], Some("in 10 ways only")),
            (20, vec![2, 3], Some("give every task 4 wordings")),
            (20, vec![1, 2], Some("one wording")),
            (20, vec![4], Some("add another")),
            (4, vec![4, 4], Some("4 independent inputs (5 inputs")),
            (1, vec![4, 4], Some("1 independent input (5 inputs")),
            (1, vec![1, 2], Some("4 wordings or more; and 1 independent input")),
        ] {
            let obstacle = design(clusters, &wordings).obstacle();
            match says {
                None => assert_eq!(obstacle, None, "{wordings:?}"),
                Some(says) => {
                    let obstacle = obstacle.unwrap();
                    assert!(obstacle.contains(says), "{obstacle}");
                }
            }
        }
    }
}

//! Which other input the control `other_input` takes: one of another cluster.
//!
//! Another copy of the same text, or another question about the same scene, would say nothing of what
//! another input does. An input takes the next one (the last takes the first) if that is of another
//! cluster, else the last one before it that is, else the first one behind it. Inputs are read in order
//! and two of them remembered, so memory does not grow with their number.

use super::{Input, Inputs, InputsChanged, Survey};

/// The inputs before the present one, as far as others take them.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The last one, and its cluster.
    last: Option<(u64, Input)>,
    /// The last one of any other cluster than that.
    before: Option<Input>,
}

impl Earlier {
    /// The last one that is not of the cluster.
    pub(super) fn other_than(&self, cluster: u64) -> Option<&Input> {
        match &self.last {
            Some((of, _)) if *of == cluster => self.before.as_ref(),
            Some((_, last)) => Some(last),
            None => None,
        }
    }

    /// Takes in the next one.
    pub(super) fn push(&mut self, cluster: u64, input: Input) {
        if let Some((of, last)) = self.last.replace((cluster, input))
            && of != cluster
        {
            self.before = Some(last);
        }
    }
}

/// The first input that is not of the first one's cluster, where the second one is: only those at the
/// start, whose neighbours are all of that cluster, take it. Reads the inputs up to it.
pub(super) fn first_other(
    inputs: &Inputs,
    survey: &Survey,
) -> Result<Option<Input>, InputsChanged> {
    let first = survey.cluster(0);
    if inputs.len() < 2 || survey.cluster(1) != first {
        return Ok(None);
    }
    let at = (2..inputs.len()).find(|i| survey.cluster(*i) != first);
    let Some(at) = at.and_then(|at| usize::try_from(at).ok()) else { return Ok(None) };
    // The iterator ends with an error, and skips none.
    for (i, input) in inputs.read().enumerate() {
        let input = input?;
        if i == at {
            return Ok(Some(input));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(i: usize, cluster: Option<&str>) -> Input {
        Input { id: i.to_string(), text: i.to_string(), cluster: cluster.map(str::to_owned) }
    }

    #[test]
    fn the_last_one_of_another_cluster_is_found_however_long_a_cluster_is() {
        let mut earlier = Earlier::default();
        let clusters = [0_u64, 0, 1, 1, 1, 0, 2, 2, 1];
        for (i, cluster) in clusters.into_iter().enumerate() {
            for wanted in 0..4 {
                let expected = (0..i).rev().find(|j| clusters[*j] != wanted);
                let found = earlier.other_than(wanted).map(|input| input.id.clone());
                assert_eq!(found, expected.map(|j| j.to_string()), "{i} {wanted}");
            }
            earlier.push(cluster, input(i, None));
        }
    }

    #[test]
    fn the_first_one_of_another_cluster_is_read_where_a_file_begins_with_a_cluster() {
        let found = |clusters: &[&str]| {
            let list = (0..).zip(clusters).map(|(i, c)| input(i, Some(c))).collect();
            let inputs = Inputs::Inline(list);
            first_other(&inputs, &inputs.survey()).unwrap().map(|input| input.id)
        };
        assert_eq!(found(&["a", "a", "a", "b", "c"]).as_deref(), Some("3"));
        assert_eq!(found(&["a", "b", "b"]), None, "the second one is at hand");
        assert_eq!(found(&["a", "a"]), None);
        assert_eq!(found(&["a"]), None);
    }
}

//! Which inputs are told together, by a classifier that saw none of them.

use std::collections::BTreeMap;

use crate::store::hex_sha256;

/// The fold of each input, given its cluster's number. Clusters are in the order of a hash of the seed,
/// the scenario and the first of a cluster's ids in the alphabet, and are dealt out to the folds in turn:
/// neither the order of the inputs nor other scenarios matter.
pub(super) fn deal(
    seed: u64,
    scenario: &str,
    inputs: &[String],
    clusters: &[usize],
    folds: usize,
) -> Vec<usize> {
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for (input, cluster) in inputs.iter().zip(clusters) {
        let name = names.entry(*cluster).or_insert(input);
        *name = (*name).min(input.as_str());
    }
    let hash = |name: &str| hex_sha256(format!("fold {:?}", (seed, scenario, name)).as_bytes());
    let mut order: Vec<(String, usize)> =
        names.iter().map(|(cluster, name)| (hash(name), *cluster)).collect();
    order.sort_unstable();
    let fold_of: BTreeMap<usize, usize> =
        order.iter().enumerate().map(|(place, (_, cluster))| (*cluster, place % folds)).collect();
    clusters.iter().map(|cluster| fold_of[cluster]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_stay_together_and_folds_are_as_large_as_each_other() {
        let inputs: Vec<String> = (0..24).map(|i| format!("i{i}")).collect();
        let clusters: Vec<usize> = (0..24).map(|i| i / 2).collect();
        let folds = deal(37, "s", &inputs, &clusters, 5);
        assert!(folds.chunks(2).all(|pair| pair[0] == pair[1]));
        let counts: Vec<usize> =
            (0..5).map(|fold| folds.iter().filter(|of| **of == fold).count()).collect();
        assert_eq!(counts, [6, 6, 4, 4, 4]);
        assert_ne!(folds, deal(38, "s", &inputs, &clusters, 5));
    }

    #[test]
    fn the_order_of_the_inputs_does_not_matter() {
        let inputs: Vec<String> = (0..9).map(|i| format!("i{i}")).collect();
        let reversed: Vec<String> = inputs.iter().rev().cloned().collect();
        let clusters: Vec<usize> = (0..9).collect();
        let mut folds = deal(37, "s", &reversed, &clusters, 3);
        folds.reverse();
        assert_eq!(folds, deal(37, "s", &inputs, &clusters, 3));
    }
}

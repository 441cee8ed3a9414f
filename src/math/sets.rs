//! How far two sets agree, and the pairs of one.

use std::collections::BTreeSet;

/// Shared members over all members, 0..1; `None` when both sets are empty.
pub fn jaccard<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> Option<f64> {
    let shared = a.intersection(b).count();
    let all = a.len() + b.len() - shared;
    (all > 0).then(|| shared as f64 / all as f64)
}

/// All pairs of `n` things, the earlier one first: (0, 1), (0, 2), ..., (1, 2), ... as the notebook's
/// `np.triu_indices(n, k=1)`.
pub fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |a| (a + 1..n).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sets_of_five_have_the_six_values_of_the_notebook() {
        let values: Vec<String> = (0..=5)
            .map(|shared| {
                let a: BTreeSet<i32> = (0..5).collect();
                let b: BTreeSet<i32> = (5 - shared..10 - shared).collect();
                format!("{:.3}", jaccard(&a, &b).unwrap())
            })
            .collect();
        assert_eq!(values, ["0.000", "0.111", "0.250", "0.429", "0.667", "1.000"]);
    }

    #[test]
    fn two_empty_sets_have_no_overlap() {
        assert_eq!(jaccard::<i32>(&BTreeSet::new(), &BTreeSet::new()), None);
    }

    proptest! {
        #[test]
        fn jaccard_is_symmetric_and_within_range(
            a in prop::collection::btree_set(0..20, 0..9),
            b in prop::collection::btree_set(0..20, 1..9),
        ) {
            let value = jaccard(&a, &b).unwrap();
            prop_assert_eq!(Some(value), jaccard(&b, &a));
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert_eq!(value >= 1.0, a == b);
        }
    }
}

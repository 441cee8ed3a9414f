//! The largest entries of a vector.

use std::cmp::Ordering;

/// Indices of the `k` largest values (all, when there are fewer), largest first; equal values by
/// lower index. Takes time in proportion to the length, plus sorting of the `k`.
///
/// The values hold no NaN: extraction refuses to write one.
pub fn top_k<T: PartialOrd>(values: &[T], k: usize) -> Vec<usize> {
    let by_rank = |&a: &usize, &b: &usize| {
        values[b].partial_cmp(&values[a]).unwrap_or(Ordering::Equal).then(a.cmp(&b))
    };
    let mut indices: Vec<usize> = (0..values.len()).collect();
    if k < indices.len() {
        // Everything before place k then ranks above everything after it.
        indices.select_nth_unstable_by(k, by_rank);
        indices.truncate(k);
    }
    indices.sort_unstable_by(by_rank);
    indices
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_values_come_by_lower_index() {
        assert_eq!(top_k(&[0.1, 0.3, 0.3, 0.3, 0.0], 2), [1, 2]);
        assert_eq!(top_k(&[0.25_f32; 4], 3), [0, 1, 2]);
    }

    #[test]
    fn fewer_values_than_asked_for_are_all_of_them() {
        assert_eq!(top_k(&[1.0, 2.0], 5), [1, 0]);
        assert_eq!(top_k::<f64>(&[], 5), [0; 0]);
        assert_eq!(top_k(&[1.0, 2.0], 0), [0; 0]);
    }

    #[test]
    fn minus_zero_ties_with_zero() {
        assert_eq!(top_k(&[-0.0, 0.0, -0.0], 3), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn top_k_is_the_head_of_a_full_stable_sort(
            values in prop::collection::vec(0_i8..12, 0..200), k in 0_usize..20,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            sorted.truncate(k);
            prop_assert_eq!(top_k(&values, k), sorted);
        }
    }
}

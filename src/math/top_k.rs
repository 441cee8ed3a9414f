//! The largest entries of a vector.

use std::cmp::Ordering;

/// Values that are looked at together: most often none of them is among the largest.
const BLOCK: usize = 16;

/// Indices of the `k` largest values (all, when there are fewer), largest first; equal values by
/// lower index. Takes one pass over the values, and sorts the few that are larger than the `k`-th
/// largest before them.
///
/// The values hold no NaN: extraction refuses to write one.
pub fn top_k<T: PartialOrd + Copy>(values: &[T], k: usize) -> Vec<usize> {
    let by_rank = |&a: &usize, &b: &usize| {
        values[b].partial_cmp(&values[a]).unwrap_or(Ordering::Equal).then(a.cmp(&b))
    };
    let mut best: Vec<usize> = (0..values.len().min(k)).collect();
    if k > 0 && k < values.len() {
        // Keeps the best `k`, and gives the least of them.
        let cut = |best: &mut Vec<usize>| {
            let (_, least, _) = best.select_nth_unstable_by(k - 1, by_rank);
            let least = values[*least];
            best.truncate(k);
            least
        };
        let mut least = cut(&mut best);
        for (number, block) in values[k..].chunks(BLOCK).enumerate() {
            // Counted, not searched for: counting takes several values at once.
            if block.iter().map(|value| u32::from(*value > least)).sum::<u32>() == 0 {
                continue;
            }
            let places = k + number * BLOCK..;
            // What equals the least comes after it.
            let larger = places.zip(block).filter(|(_, value)| **value > least);
            best.extend(larger.map(|(place, _)| place));
            if best.len() >= 2 * k.max(BLOCK) {
                least = cut(&mut best);
            }
        }
        best.sort_unstable_by(by_rank);
        best.truncate(k);
        return best;
    }
    best.sort_unstable_by(by_rank);
    best
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
            values in prop_oneof![
                prop::collection::vec(0_i8..12, 0..200),
                prop::collection::vec(any::<i8>(), 0..900),
                // Every value is larger than all before it.
                (0_i8..120).prop_map(|n| (0..n).collect()),
            ],
            k in 0_usize..40,
        ) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            sorted.truncate(k);
            prop_assert_eq!(top_k(&values, k), sorted);
        }
    }
}

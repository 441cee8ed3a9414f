//! Places of values among each other.

/// Places of the values in ascending order, from 1; equal values share the mean of their places
/// (`scipy.stats.rankdata`). No value is NaN.
pub(super) fn average_ranks(values: &[f64]) -> Vec<f64> {
    // The numbers' bits as whole numbers of the same order, as `f64::total_cmp` has it: what is
    // sorted then lies where it is compared.
    let key = |value: f64| {
        let bits = value.to_bits() as i64;
        bits ^ (((bits >> 63) as u64) >> 1) as i64
    };
    let mut order: Vec<(i64, u32)> =
        values.iter().enumerate().map(|(i, value)| (key(*value), i as u32)).collect();
    order.sort_unstable_by_key(|(key, _)| *key);
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0.0;
    let value = |of: &(i64, u32)| values[of.1 as usize];
    // Ascending, so `>=` is equality.
    for ties in order.chunk_by(|a, b| value(a) >= value(b)) {
        let count = ties.len() as f64;
        for &(_, i) in ties {
            ranks[i as usize] = place + f64::midpoint(count, 1.0);
        }
        place += count;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_mean_of_their_places() {
        assert_eq!(average_ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(average_ranks(&[0.0, -0.0]), [1.5, 1.5]);
        let mixed = [-0.5, 2.0, -3.0, 0.0, -0.5, f64::INFINITY, 1e-300, -1e300];
        assert_eq!(average_ranks(&mixed), [3.5, 7.0, 2.0, 5.0, 3.5, 8.0, 6.0, 1.0]);
    }
}

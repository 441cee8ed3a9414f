//! Places of values among each other.

/// Places of the values in ascending order, from 1; equal values share the mean of their places
/// (`scipy.stats.rankdata`). No value is NaN.
pub(super) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0.0;
    // Ascending, so `>=` is equality.
    for ties in order.chunk_by(|&a, &b| values[a] >= values[b]) {
        let count = ties.len() as f64;
        for &i in ties {
            ranks[i] = place + f64::midpoint(count, 1.0);
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
    }
}

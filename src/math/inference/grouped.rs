//! How sure a mean is whose values come in groups: inputs of one cluster are not independent.
//!
//! ```text
//! mean = Σ x / n
//! var  = G/(G-1) Σ_g (S_g - n_g mean)² / n²       S_g: sum of group g, n_g: how many it has
//! ends = mean ± t(0.975, G-1) √var
//! ```
//!
//! the cluster-robust variance of a mean (Liang and Zeger 1986; with one value a group it is the usual
//! one, s²/n). Groups may be merged at will: the interval stays valid, with fewer degrees of freedom.

use super::student::student_quantile;

/// Fewer groups say too little of how far they spread.
const LEAST_GROUPS: usize = 5;

/// The 95 % interval of the mean of all values, from (sum, number) of each group; `None` below five
/// groups.
pub fn grouped_interval(groups: impl Iterator<Item = (f64, u64)> + Clone) -> Option<(f64, f64)> {
    let (sum, n, count) =
        groups.clone().fold((0.0, 0, 0), |(sum, n, count), (s, m)| (sum + s, n + m, count + 1));
    if count < LEAST_GROUPS {
        return None;
    }
    let (n, freedom) = (n as f64, count as f64 - 1.0);
    let mean = sum / n;
    let squares: f64 = groups.map(|(s, m)| (s - m as f64 * mean).powi(2)).sum();
    let half = student_quantile(0.975, freedom) * (squares * (1.0 + 1.0 / freedom)).sqrt() / n;
    Some((mean - half, mean + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: Option<(f64, f64)>, (low, high): (f64, f64)) {
        let (l, h) = found.unwrap();
        assert!((l - low).abs() < 1e-9 && (h - high).abs() < 1e-9, "{l} {h}");
    }

    /// By `scipy.stats.t.interval(0.95, 5, mean, sem)`.
    #[test]
    fn single_values_have_students_interval() {
        let values = [0.3, 0.1, 0.4, 0.1, 0.5, 0.9];
        near(
            grouped_interval(values.iter().map(|x| (*x, 1))),
            (0.069_086_201_999_639, 0.697_580_464_667_027),
        );
    }

    /// By numpy, the sandwich of a regression on a constant with clusters, and Student's quantile.
    #[test]
    fn groups_count_as_one_each() {
        let ends = (0.009_024_765_288_537, 0.546_530_790_267_019);
        let groups = [(0.4, 2), (0.4, 1), (0.6, 3), (0.9, 1), (0.2, 2)];
        near(grouped_interval(groups.into_iter()), ends);
        // Ten copies of everything say no more than one of each.
        let copies = groups.map(|(s, n)| (10.0 * s, 10 * n));
        near(grouped_interval(copies.into_iter()), ends);
        assert_eq!(grouped_interval(groups[..4].iter().copied()), None);
    }
}

//! Statistics of numbers that come one after the other.

/// Count, mean, sample standard deviation and range of the values pushed so far, in a few numbers of
/// memory. Depends on the values and their order alone: how they were cut into parts does not show.
#[derive(Debug, Clone, Copy)]
pub struct Statistics {
    n: u64,
    /// The sum and what its roundings lost (Neumaier), so that ten times 0.9 has the mean 0.9.
    sum: f64,
    lost: f64,
    /// Running mean and sum of squared deviations (Welford), for the standard deviation.
    centre: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            n: 0,
            sum: 0.0,
            lost: 0.0,
            centre: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Statistics {
    /// Takes one value in, finite.
    pub fn push(&mut self, value: f64) {
        self.n += 1;
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.sum = sum;
        let before = value - self.centre;
        self.centre += before / self.n as f64;
        self.squares += before * (value - self.centre);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// How many values there were.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Their mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.sum + self.lost) / self.n as f64)
    }

    /// Their sample standard deviation (n - 1); `None` below two values.
    pub fn sd(&self) -> Option<f64> {
        (self.n > 1).then(|| (self.squares.max(0.0) / (self.n - 1) as f64).sqrt())
    }

    /// The smallest; `None` without values.
    pub fn min(&self) -> Option<f64> {
        (self.n > 0).then_some(self.min)
    }

    /// The largest; `None` without values.
    pub fn max(&self) -> Option<f64> {
        (self.n > 0).then_some(self.max)
    }
}

impl Extend<f64> for Statistics {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl FromIterator<f64> for Statistics {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut statistics = Self::default();
        statistics.extend(values);
        statistics
    }
}

/// The value in the middle, of an even number of them the mean of the two there; `None` without values.
/// None of them is NaN.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let above = *sorted.get(sorted.len() / 2)?;
    let below = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(below, above))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_equal_values_have_exactly_that_mean() {
        let statistics: Statistics = [0.9; 10].into_iter().collect();
        assert_eq!(statistics.mean(), Some(0.9));
        assert!(statistics.sd().unwrap() < 1e-15);
    }

    #[test]
    fn the_standard_deviation_divides_by_one_less() {
        let statistics: Statistics = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().collect();
        assert_eq!(statistics.sd(), Some((32.0_f64 / 7.0).sqrt()));
        assert_eq!((statistics.min(), statistics.max()), (Some(2.0), Some(9.0)));
    }

    #[test]
    fn one_value_has_a_mean_and_no_deviation() {
        let statistics: Statistics = [0.25].into_iter().collect();
        assert_eq!((statistics.mean(), statistics.sd()), (Some(0.25), None));
    }

    #[test]
    fn nothing_has_no_statistics() {
        let none = Statistics::default();
        assert_eq!((none.n(), none.mean(), none.sd(), none.min()), (0, None, None, None));
    }

    #[test]
    fn a_large_offset_does_not_eat_the_deviation() {
        let statistics: Statistics = [1e9, 1e9 + 1.0, 1e9 + 2.0].into_iter().collect();
        assert!((statistics.sd().unwrap() - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn statistics_equal_the_two_pass_formulas(
            values in prop::collection::vec(-1.0_f64..1.0, 2..300),
        ) {
            let statistics: Statistics = values.iter().copied().collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            prop_assert!((statistics.mean().unwrap() - mean).abs() < 1e-14);
            prop_assert!((statistics.sd().unwrap() - variance.sqrt()).abs() < 1e-12);
            prop_assert_eq!(statistics.min(), values.iter().copied().reduce(f64::min));
            prop_assert_eq!(statistics.max(), values.iter().copied().reduce(f64::max));
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }
}

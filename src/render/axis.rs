//! A linear axis with round ends and round ticks.

/// From values to shares of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    step: f64,
}

impl Axis {
    /// From the round number below all values to the one above them; 0 is always on it.
    pub(super) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) =
            values.into_iter().fold((0.0_f64, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let range = if high > low { high - low } else { 1.0 };
        let step = round_step(range / 4.0);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high: if high > low { high } else { low + 4.0 * step }, step }
    }

    /// From 0 to 1, or lower when a value is below 0.
    pub(super) fn unit(values: impl IntoIterator<Item = f64>) -> Self {
        let lowest = values.into_iter().fold(0.0, f64::min);
        Self { low: (lowest / 0.25).floor() * 0.25, high: 1.0, step: 0.25 }
    }

    /// Its ticks, ascending.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let n = ((self.high - self.low) / self.step).round() as i32;
        (0..=n).map(move |i| self.low + f64::from(i) * self.step)
    }

    /// How far along the axis a value lies: 0 at its low end, 1 at its high end.
    pub(super) fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A tick as text, with as many decimals as ticks need to differ.
    pub(super) fn label(self, tick: f64) -> String {
        // Half a step has one decimal more than the step when the step begins with 2.
        let decimals = (0..9_i32).find(|d| is_whole(self.step * 10_f64.powi(*d))).unwrap_or(9);
        let text = format!("{tick:.*}", decimals as usize);
        if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
            return "0".to_owned();
        }
        text
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 && value.round() >= 1.0
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| step <= f * power * (1.0 + 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ends_and_ticks_are_round_and_hold_all_values() {
        let axis = Axis::around([0.013, 0.187]);
        assert_eq!(labels(axis), ["0", "0.05", "0.10", "0.15", "0.20"]);
        let axis = Axis::around([-0.3, 0.9]);
        assert_eq!(labels(axis), ["-0.5", "0", "0.5", "1.0"]);
        assert_eq!(labels(Axis::around([37.0])), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(Axis::around([0.9])), ["0", "0.25", "0.50", "0.75", "1.00"]);
    }

    #[test]
    fn an_axis_without_values_still_has_two_ends() {
        for values in [vec![], vec![0.0]] {
            let axis = Axis::around(values);
            assert!(axis.high > axis.low, "{axis:?}");
            assert!(axis.share(0.0).is_finite());
        }
        assert_eq!(labels(Axis::around([-3.0, -1.0])), ["-3", "-2", "-1", "0"]);
    }

    #[test]
    fn shares_have_an_axis_to_one_and_below_zero_where_they_go() {
        assert_eq!(labels(Axis::unit([0.4])), ["0", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(labels(Axis::unit([-0.1])).len(), 6);
        assert!((Axis::unit([]).share(0.25) - 0.25).abs() < 1e-12);
    }
}

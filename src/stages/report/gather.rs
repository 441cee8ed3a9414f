//! Means of many rows, and why rows had no value.

use std::collections::BTreeMap;

use crate::math::grouped_interval;
use crate::render::evidence::Mean;
use crate::table::status;
use crate::table::status::meaning;

/// Values on their way to a mean, in the order in which they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    total: f64,
    n: u64,
    range: Option<(f64, f64)>,
    /// Sum and number by group, for the interval.
    groups: BTreeMap<u16, (f64, u64)>,
    /// How often each status stood where there was no value.
    missing: BTreeMap<Box<str>, u64>,
}

impl Gathered {
    /// Takes in a row.
    pub(super) fn add(&mut self, value: Option<f64>, status: &str) {
        let Some(value) = value else {
            *self.missing.entry(status.into()).or_default() += 1;
            return;
        };
        self.total += value;
        self.n += 1;
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
    }

    /// Takes in the value of an input of that group: its mean will have an interval.
    pub(super) fn add_of(&mut self, group: u16, value: Option<f64>, status: &str) {
        self.add(value, status);
        if let Some(value) = value {
            let (sum, n) = self.groups.entry(group).or_default();
            *sum += value;
            *n += 1;
        }
    }

    /// Their mean.
    pub(super) fn mean(&self) -> Mean {
        let missing: Vec<String> = self
            .missing
            .iter()
            .map(|(word, n)| format!("{n} without a value: {}", meaning(word)))
            .collect();
        Mean {
            value: (self.n > 0).then(|| self.total / self.n as f64),
            min: self.range.map(|(low, _)| low),
            max: self.range.map(|(_, high)| high),
            interval: grouped_interval(self.groups.values().copied()),
            n: self.n,
            missing: missing.join("; "),
        }
    }
}

/// Why a row has no value, in words; empty when its status is `ok`.
pub(super) fn missing(word: &str) -> String {
    if word == status::OK { String::new() } else { meaning(word).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_counts_values_and_names_what_is_missing() {
        let mut all = Gathered::default();
        assert_eq!(all.mean(), Mean::default());
        for value in [0.5, 0.25, 1.5] {
            all.add(Some(value), status::OK);
        }
        all.add(None, status::SKIPPED);
        all.add(None, status::SKIPPED);
        let mean = all.mean();
        assert_eq!((mean.value, mean.n), (Some(0.75), 3));
        assert_eq!((mean.min, mean.max), (Some(0.25), Some(1.5)));
        assert!(mean.missing.starts_with("2 without a value: one of the prompts"), "{mean:?}");
        assert_eq!(mean.interval, None);
    }

    #[test]
    fn values_of_inputs_have_an_interval_over_their_groups() {
        let mut all = Gathered::default();
        for (group, value) in [(1, 0.25), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (5, 0.5)] {
            all.add_of(group, Some(value), status::OK);
            all.add_of(group, None, status::SKIPPED);
        }
        let groups = [(0.5, 2), (0.5, 1), (0.75, 1), (1.0, 1), (0.5, 1)];
        let (low, high) = grouped_interval(groups.into_iter()).unwrap();
        assert_eq!(all.mean().interval, Some((low, high)));
        assert!((f64::midpoint(low, high) - 3.25 / 6.0).abs() < 1e-12);
    }
}

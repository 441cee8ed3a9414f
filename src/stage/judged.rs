//! What the verdict is to rest on, as stage `summary` names it: the stages that compute its numbers know
//! it too, because a correction over measures and layers is made where their draws are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::names::{JSD_BITS, OUTPUT_LAYER};

/// The smallest difference that matters where the pipeline names none: a tenth of the way from what
/// another wording does to what another input does.
pub const SMALLEST_RELATIVE: f64 = 0.1;

/// Measures and layers that a verdict rests on, and which differences matter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Measures of table `effect`.
    pub measures: Vec<String>,
    /// Layers that count; all captured ones when `None`.
    pub layers: Option<Vec<i16>>,
    /// Which differences matter.
    pub smallest: Smallest,
    /// The share of inputs, 0 to 1, that may differ by more where tasks are called equivalent.
    pub exceptions: f64,
}

/// The smallest difference that matters.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Smallest {
    /// On the scale from 0 (as another wording does) to 1 (as another input does), when the pipeline names
    /// it.
    pub relative: Option<f64>,
    /// By measure, in the measure's own unit.
    pub own: BTreeMap<String, f64>,
    /// In the own unit of every other measure, when the pipeline names it.
    pub any: Option<f64>,
}

impl Default for Judged {
    fn default() -> Self {
        let measures = ["span_standardised", "last_standardised", JSD_BITS];
        Self {
            measures: measures.map(str::to_owned).to_vec(),
            layers: None,
            smallest: Smallest::default(),
            exceptions: 0.0,
        }
    }
}

impl Judged {
    /// Whether a row of table `effect` counts for the verdict. Named layers leave out no measure
    /// without layers.
    pub fn counts(&self, measure: &str, layer: i16) -> bool {
        let is_named = self.measures.iter().any(|named| named == measure);
        let layers = self.layers.as_ref();
        is_named && layers.is_none_or(|layers| layer == OUTPUT_LAYER || layers.contains(&layer))
    }
}

impl Smallest {
    /// For a measure, in its own unit, where the way from another wording to another input is `scale` in
    /// that unit; `None` when the pipeline names none and there is no such way.
    pub fn of(&self, measure: &str, scale: Option<f64>) -> Option<f64> {
        self.in_own_unit(measure).or_else(|| Some(self.relative() * scale?))
    }

    /// For a measure, in its own unit, when the pipeline names it so.
    pub fn in_own_unit(&self, measure: &str) -> Option<f64> {
        self.own.get(measure).copied().or(self.any)
    }

    /// On the scale from another wording to another input.
    pub fn relative(&self) -> f64 {
        self.relative.unwrap_or(SMALLEST_RELATIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_difference_is_relative_unless_a_measure_has_its_own() {
        let mut smallest = Smallest::default();
        let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-15;
        assert!(near(smallest.of("span", Some(0.4)), 0.04));
        assert_eq!(smallest.of("span", None), None);
        smallest.own.insert("span".to_owned(), 0.02);
        assert_eq!(smallest.of("span", Some(0.4)), Some(0.02));
        smallest.relative = Some(0.5);
        assert!(near(smallest.of("last", Some(0.4)), 0.2));
        smallest.any = Some(0.3);
        assert_eq!(smallest.of("last", None), Some(0.3));
    }

    #[test]
    fn named_layers_leave_the_outputs_in() {
        let judged = Judged { layers: Some(vec![3]), ..Judged::default() };
        let counts = |measure, layer| judged.counts(measure, layer);
        assert!(counts("span_standardised", 3) && counts(JSD_BITS, OUTPUT_LAYER));
        assert!(!counts("span_standardised", 4) && !counts("span", 3));
    }
}

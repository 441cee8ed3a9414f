//! How many independent pieces of evidence the inputs of each scenario are.

use std::io::{self, Write};

use serde::Serialize;

use crate::pipeline::{Pipeline, Scenario};
use crate::prompt::visible;

/// Scenarios that are shown to people.
const SHOWN: usize = 20;

/// The inputs of all scenarios.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Units(Vec<OfScenario>);

/// The inputs of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct OfScenario {
    scenario: String,
    inputs: u64,
    /// Inputs with the text of an earlier one.
    repeats: u64,
    /// Inputs of one cluster or one text are one piece of evidence.
    clusters: u64,
}

impl Units {
    pub(super) fn of(pipeline: &Pipeline) -> Self {
        let of_scenario = |scenario: &Scenario| {
            let survey = scenario.inputs.survey();
            OfScenario {
                scenario: scenario.name.clone(),
                inputs: scenario.inputs.len(),
                repeats: survey.repeats,
                clusters: survey.clusters,
            }
        };
        Self(pipeline.scenarios.iter().map(of_scenario).collect())
    }

    /// For people: a line for each scenario, or for the first ones.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (i, scenario) in self.0.iter().take(SHOWN).enumerate() {
            let label = if i == 0 { "inputs" } else { "" };
            writeln!(out, "{label:<9} {}", scenario.words())?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            1 => writeln!(out, "          and those of 1 more scenario"),
            n => writeln!(out, "          and those of {n} more scenarios"),
        }
    }
}

impl OfScenario {
    fn words(&self) -> String {
        let Self { scenario, inputs, repeats, clusters } = self;
        let s = |n: u64| if n == 1 { "" } else { "s" };
        let copies = match repeats {
            0 => String::new(),
            1 => " (1 has the text of an earlier one)".to_owned(),
            n => format!(" (of which {n} have the text of an earlier one)"),
        };
        format!(
            "{}: {inputs} input{}{copies}, {clusters} cluster{}",
            visible(scenario),
            s(*inputs),
            s(*clusters)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_clusters_are_counted_for_people() {
        let of = |scenario: &str, inputs, repeats, clusters| OfScenario {
            scenario: scenario.to_owned(),
            inputs,
            repeats,
            clusters,
        };
        let mut units = Units(vec![of("a", 5, 4, 1), of("b", 3, 0, 3), of("c", 2, 1, 1)]);
        units.0.extend((0..18).map(|_| of("more", 1, 0, 1)));
        let mut out = Vec::new();
        units.write(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        let expected = [
            "inputs    a: 5 inputs (of which 4 have the text of an earlier one), 1 cluster",
            "          b: 3 inputs, 3 clusters",
            "          c: 2 inputs (1 has the text of an earlier one), 1 cluster",
            "          more: 1 input, 1 cluster",
        ];
        assert_eq!(lines[..4], expected);
        assert_eq!(lines[20..], ["          and those of 1 more scenario"]);
    }
}

//! Whether the model uses what differs: table `use_verdict`, and one sentence beside what differs.

use crate::run_dir::summary::{EvidenceVerdict, ScenarioSummary, UseSummary};
use crate::store::Store;
use crate::table::schema::{USE_VERDICT, UseVerdictRow};
use crate::table::{ReadRow as _, TableError};

/// Gives every scenario its verdicts, when the run has the table, and a finding that sets them beside what
/// differs.
pub(super) fn add(store: &Store, scenarios: &mut [ScenarioSummary]) -> Result<(), TableError> {
    let Some(part) = UseVerdictRow::part_if_there(store, &USE_VERDICT, 0)? else { return Ok(()) };
    for row in UseVerdictRow::rows(&part)? {
        let Some(scenario) = scenarios.iter_mut().find(|own| own.scenario == row.scenario) else {
            continue;
        };
        scenario.uses.push(UseSummary {
            task: row.task.to_owned(),
            verdict: row.verdict.to_owned(),
            necessary: row.necessary.to_owned(),
            sufficient: row.sufficient.to_owned(),
            necessity: row.necessity,
            necessity_ci_low: row.necessity_ci_low,
            necessity_ci_high: row.necessity_ci_high,
            best_receiver: row.best_receiver.map(str::to_owned),
            sufficiency: row.sufficiency,
            sufficiency_ci_low: row.sufficiency_ci_low,
            sufficiency_ci_high: row.sufficiency_ci_high,
            margin: row.margin,
            n_inputs: row.n_inputs,
            reason: row.reason.to_owned(),
        });
    }
    for scenario in scenarios.iter_mut().filter(|scenario| !scenario.uses.is_empty()) {
        let finding = finding(scenario);
        scenario.findings.push(finding);
    }
    Ok(())
}

/// What differs, and what of it is used.
fn finding(scenario: &ScenarioSummary) -> String {
    let differs = scenario.evidence.iter().any(|own| own.verdict == EvidenceVerdict::Supported);
    let first = if differs {
        "the input is read in another way under each task"
    } else {
        "that the input is read in another way under each task is not shown"
    };
    let named = |verdict: &str| {
        let own = scenario.uses.iter().filter(|own| own.verdict == verdict);
        own.map(|own| own.task.as_str()).collect::<Vec<_>>()
    };
    let parts = [
        ("the model uses that reading for", "used"),
        ("does not use it for", "not_used"),
        ("it is undecided for", "undecided"),
        ("it cannot be tested for", "not_testable"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, verdict)| !named(verdict).is_empty())
        .map(|(words, verdict)| format!("{words} {}", named(verdict).join(", ")))
        .collect();
    format!("differs and is used: {first}; {}", parts.join("; "))
}

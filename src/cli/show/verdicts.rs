//! The verdicts of a run in sentences: the notebook's, those that rest on evidence, and why they
//! differ.

use std::collections::BTreeSet;
use std::io::{self, Write};

use indexmap::IndexMap;

use crate::cli::grid::write_sentence;
use crate::run_dir::summary::{Evidence, EvidenceVerdict, ScenarioSummary, Verdict};

/// Longest reason, in bytes, that is repeated for another scenario.
const SHORT: usize = 80;

/// Writes a sentence for each scenario and, unless `is_short`, its verdicts by evidence below it.
pub(super) fn write(
    out: &mut impl Write,
    scenarios: &[ScenarioSummary],
    is_short: bool,
) -> io::Result<()> {
    for (indent, sentence) in sentences(scenarios, is_short) {
        write_sentence(out, indent, &sentence)?;
    }
    Ok(())
}

/// Writes how many more scenarios there are, with the notebook's verdict on them.
pub(super) fn write_others(
    out: &mut impl Write,
    others: &[ScenarioSummary],
    root: &str,
) -> io::Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    for scenario in others {
        *counts.entry(scenario.verdict.word()).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(word, n)| format!("{n} {}", capitals(word))).collect();
    let sentence = format!(
        "and {} more: {} by the notebook's test; `aqlens show {root} --table verdict --rows 0` lists \
         every one",
        others.len(),
        counts.join(", ")
    );
    write_sentence(out, 0, &sentence)
}

/// Writes how often the run was judged.
pub(super) fn write_judged(out: &mut impl Write, judged: &str) -> io::Result<()> {
    write_sentence(out, 0, &format!("this run was {judged}"))
}

/// All sentences and how far each is indented. No long reason and no disagreement is given twice.
fn sentences(scenarios: &[ScenarioSummary], is_short: bool) -> Vec<(usize, String)> {
    let mut sentences = Vec::new();
    let mut given = BTreeSet::new();
    for scenario in scenarios {
        sentences.push((0, notebook(scenario)));
        if is_short {
            continue;
        }
        for ((verdict, why), measures) in groups(&scenario.evidence) {
            let is_new = given.insert(format!("{verdict} {why}"));
            let why = if is_new || why.len() <= SHORT { &why } else { "as above" };
            sentences.push((2, format!("{verdict} by {}: {why}", measures.join(", "))));
        }
        let warnings = scenario.evidence.iter().map(|evidence| &evidence.warning);
        for warning in warnings.filter(|warning| !warning.is_empty()) {
            if given.insert(warning.clone()) {
                sentences.push((2, format!("note: {warning}")));
            }
        }
        for why in scenario.evidence.iter().filter_map(|evidence| evidence.disagreement.as_ref()) {
            if given.insert(why.clone()) {
                sentences.push((2, why.clone()));
            }
        }
    }
    sentences
}

/// The measures that have the same verdict for the same reason.
fn groups(evidence: &[Evidence]) -> IndexMap<(String, String), Vec<&str>> {
    let mut groups: IndexMap<_, Vec<&str>> = IndexMap::new();
    for evidence in evidence {
        let sentence = (capitals(evidence.verdict.word()), reason(evidence));
        groups.entry(sentence).or_default().push(&evidence.measure);
    }
    groups
}

/// What a verdict says; its numbers stand in the table of effects.
fn reason(evidence: &Evidence) -> String {
    match evidence.verdict {
        EvidenceVerdict::Supported => "tasks differ more than wordings do".to_owned(),
        EvidenceVerdict::Equivalent if evidence.ci_low.is_some_and(|low| low > 0.0) => {
            "tasks differ more than wordings do, by less than matters".to_owned()
        }
        EvidenceVerdict::Equivalent => {
            "tasks differ as wordings do, to within what matters".to_owned()
        }
        EvidenceVerdict::Undecided => {
            "that tasks differ more than wordings do, by as much as matters, is neither shown nor ruled out"
                .to_owned()
        }
        // It says what to add.
        EvidenceVerdict::NotTestable => evidence.reason.clone(),
    }
}

/// The notebook's verdict.
fn notebook(summary: &ScenarioSummary) -> String {
    let verdict = capitals(summary.verdict.word());
    let says = format!("{}: {verdict} by the notebook's test", summary.scenario);
    let Some(value) = summary.value else { return format!("{says}: {}", summary.reason) };
    let threshold = summary.threshold;
    let side = if summary.verdict == Verdict::Supported { "below" } else { "not below" };
    let mut printed = format!("{value:.4}");
    if printed == format!("{threshold:.4}") {
        // Rounded, it would seem to be the threshold itself.
        printed = value.to_string();
    }
    let skipped = match summary.n_skipped {
        0 => String::new(),
        n => format!(" ({n} of {} prompts skipped)", summary.n_prompts),
    };
    let judged = summary.layers.iter().find(|layer| layer.layer == summary.layer);
    let mostly = match judged.and_then(|layer| layer.position_0_share) {
        Some(share) if share > 0.5 => {
            format!("; position 0 is {share:.3} of what is compared, by squared norm")
        }
        _ => String::new(),
    };
    format!(
        "{says} (no baseline): cosine {printed} at layer {}, {side} {threshold}{skipped}{mostly}",
        summary.layer
    )
}

fn capitals(word: &str) -> String {
    word.to_uppercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(value: Option<f64>, evidence: Vec<Evidence>) -> ScenarioSummary {
        ScenarioSummary {
            scenario: "one".to_owned(),
            form: "plain".to_owned(),
            verdict: Verdict::of(value, 0.9),
            layer: 11,
            value,
            printed: None,
            threshold: 0.9,
            reason: "1 task: there is no pair of tasks to compare".to_owned(),
            findings: Vec::new(),
            n_tasks: 2,
            n_inputs: 1,
            n_pairs: 1,
            n_prompts: 4,
            n_skipped: 0,
            layers: Vec::new(),
            attention: None,
            sinks: Vec::new(),
            outputs: None,
            evidence,
            uses: Vec::new(),
        }
    }

    fn evidence(measure: &str, verdict: EvidenceVerdict) -> Evidence {
        Evidence {
            measure: measure.to_owned(),
            verdict,
            layers: vec![11],
            layer: 11,
            delta: Some(0.1),
            ci_low: None,
            ci_high: None,
            p: None,
            relative: None,
            relative_low: None,
            relative_high: None,
            prevalence: None,
            p_wording: None,
            p_wording_form: None,
            smallest: Some(0.05),
            beyond: Vec::new(),
            n_inputs: 300,
            n_clusters: 300,
            n_wordings: 3,
            warning: String::new(),
            reason: "what to add ".repeat(8),
            disagreement: Some("why they differ".to_owned()),
        }
    }

    fn says(value: Option<f64>) -> String {
        let [(0, sentence)] = &sentences(&[scenario(value, Vec::new())], false)[..] else {
            panic!("one sentence")
        };
        sentence.clone()
    }

    #[test]
    fn a_value_that_rounds_to_the_threshold_is_given_in_full() {
        let head = "one: SUPPORTED by the notebook's test (no baseline): cosine";
        assert_eq!(says(Some(0.25)), format!("{head} 0.2500 at layer 11, below 0.9"));
        assert_eq!(says(Some(0.89999)), format!("{head} 0.89999 at layer 11, below 0.9"));
        let not = "one: NOT SUPPORTED by the notebook's test (no baseline): cosine";
        assert_eq!(says(Some(0.95)), format!("{not} 0.9500 at layer 11, not below 0.9"));
        let none = "one: NOT TESTABLE by the notebook's test: 1 task: there is no pair of tasks to \
                    compare";
        assert_eq!(says(None), none);
    }

    #[test]
    fn measures_with_one_verdict_share_a_line_and_no_reason_is_repeated() {
        let all = || {
            vec![
                evidence("a", EvidenceVerdict::Supported),
                evidence("b", EvidenceVerdict::NotTestable),
                evidence("c", EvidenceVerdict::Supported),
                evidence("d", EvidenceVerdict::Equivalent),
            ]
        };
        let both = [scenario(Some(0.5), all()), scenario(Some(0.5), all())];
        let lines = sentences(&both, false);
        let first = [
            "SUPPORTED by a, c: tasks differ more than wordings do".to_owned(),
            format!("NOT TESTABLE by b: {}", "what to add ".repeat(8)),
            "EQUIVALENT by d: tasks differ as wordings do, to within what matters".to_owned(),
            "why they differ".to_owned(),
        ];
        assert_eq!(lines[1..5], first.clone().map(|line| (2, line)));
        assert_eq!(lines[6], (2, first[0].clone()));
        assert_eq!(lines[7], (2, "NOT TESTABLE by b: as above".to_owned()));
        assert_eq!(lines.len(), 9, "{lines:?}");
        assert_eq!(sentences(&both, true).len(), 2);
    }
}

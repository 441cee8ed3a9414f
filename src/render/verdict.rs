//! A scenario's verdicts as one panel: those that rest on evidence, the notebook's own, and why the
//! two differ.

use serde::Serialize;

use super::answer::{NO_MEASURE, NOT_TESTABLE};
use super::evidence::Judgement;
use super::names;
use super::page::{Alignment, PairValue, Piece, Scenario, Verdict};

/// The panel, ready to be escaped and shown.
#[derive(Debug, Serialize)]
pub(super) struct VerdictPanel<'a> {
    /// Where its name leads; empty where it stands in the scenario's own section.
    link: String,
    name: &'a str,
    judgements: Vec<JudgementView<'a>>,
    notebook: Option<NotebookView<'a>>,
    alignment: Option<String>,
    disagreements: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct NotebookView<'a> {
    word: &'static str,
    class: &'static str,
    value: Option<String>,
    sign: &'static str,
    threshold: f64,
    layer: i16,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct JudgementView<'a> {
    word: &'static str,
    class: &'static str,
    /// The measures that say so; empty where there was none to judge by.
    measures: Vec<Piece>,
    delta: Option<String>,
    /// Interval and place of the number.
    beside: String,
    reason: &'a str,
}

/// The panel of a scenario, whose name leads to `link`; `None` where the run gave no verdict.
pub(super) fn panel(scenario: &Scenario, link: String) -> Option<VerdictPanel<'_>> {
    if scenario.judgements.is_empty() && scenario.verdict.is_none() {
        return None;
    }
    Some(VerdictPanel {
        link,
        name: &scenario.name,
        judgements: judgements(scenario),
        notebook: scenario.verdict.as_ref().map(notebook),
        alignment: scenario.alignment.as_ref().map(alignment),
        disagreements: disagreements(scenario),
    })
}

fn notebook(verdict: &Verdict) -> NotebookView<'_> {
    let (word, class) = match verdict.verdict.as_str() {
        "supported" => ("Supported", "yes"),
        "not_supported" => ("Not supported", "no"),
        _ => ("Not testable", "none"),
    };
    let below = verdict.value.is_some_and(|value| value < verdict.threshold);
    NotebookView {
        word,
        class,
        value: verdict.value.map(|value| format!("{value:.4}")),
        sign: if below { "<" } else { "≥" },
        threshold: verdict.threshold,
        layer: verdict.layer,
        reason: &verdict.reason,
    }
}

/// The verdicts that rest on evidence; measures of which the same is said stand in one.
fn judgements(scenario: &Scenario) -> Vec<JudgementView<'_>> {
    let mut views: Vec<JudgementView<'_>> = Vec::new();
    for own in scenario.judgements.iter().map(judgement) {
        match views.iter_mut().find(|v| v.word == own.word && v.reason == own.reason) {
            Some(same) => same.measures.extend(own.measures),
            None => views.push(own),
        }
    }
    views
}

fn judgement(judgement: &Judgement) -> JudgementView<'_> {
    let (word, class) = match judgement.verdict.as_str() {
        "supported" => ("Supported", "yes"),
        "equivalent" => ("Equivalent", "no"),
        "undecided" => ("Undecided", "none"),
        _ => ("Not testable", "none"),
    };
    let at = if judgement.layer < 0 { "in" } else { "at" };
    let interval =
        judgement.interval.map(|(low, high)| format!("({} to {}) ", four(low), four(high)));
    let measure = Some(&judgement.measure).filter(|name| *name != NO_MEASURE);
    JudgementView {
        word,
        class,
        measures: measure.map(|name| names::piece(name)).into_iter().collect(),
        delta: judgement.delta.map(four),
        beside: format!("{}{at} {}", interval.unwrap_or_default(), names::layer(judgement.layer)),
        reason: &judgement.reason,
    }
}

/// Four decimals; what rounds to zero has no sign.
fn four(value: f64) -> String {
    let text = format!("{value:.4}");
    if text == "-0.0000" { "0.0000".to_owned() } else { text }
}

/// Why the notebook's test says something else, each sentence once. Where nothing could be tested
/// there is nothing to differ from, and the answer says so already.
fn disagreements(scenario: &Scenario) -> Vec<&str> {
    let mut distinct: Vec<&str> = Vec::new();
    let tested = scenario.judgements.iter().filter(|judgement| judgement.verdict != NOT_TESTABLE);
    for why in tested.filter_map(|judgement| judgement.disagreement.as_deref()) {
        if !distinct.contains(&why) {
            distinct.push(why);
        }
    }
    distinct
}

/// What of the number compares the input with itself, in words.
fn alignment(alignment: &Alignment) -> String {
    let mean = |group: &PairValue| group.value.map_or_else(String::new, |v| format!("{v:.4}"));
    let (aligned, shifted) = (&alignment.aligned, &alignment.shifted);
    let all = aligned.n + shifted.n;
    let same = "the input stands at the same positions of both prompts";
    let other = "the input is shifted, so different words are compared";
    match (aligned.n, shifted.n) {
        (1, 0) => format!("In the one comparison {same}."),
        (_, 0) => format!("In all {all} comparisons {same}."),
        (0, 1) => format!("In the one comparison {other}."),
        (0, _) => {
            format!("In none of {all} comparisons {same}: different words are compared throughout.")
        }
        (a, s) => format!(
            "In {a} of {all} comparisons {same}: mean {}. In the other {s} {other}: mean {}.",
            mean(aligned),
            mean(shifted)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        assert_eq!((&*four(-0.000_01), &*four(-0.0125)), ("0.0000", "-0.0125"));
    }

    #[test]
    fn only_what_was_tested_differs_from_the_notebook() {
        let judgement = |verdict: &str, why: &str| Judgement {
            verdict: verdict.to_owned(),
            disagreement: Some(why.to_owned()),
            ..Judgement::default()
        };
        let judgements = vec![
            judgement("undecided", "a"),
            judgement("equivalent", "a"),
            judgement(NOT_TESTABLE, "b"),
        ];
        let scenario = Scenario { judgements, ..Scenario::default() };
        assert_eq!(disagreements(&scenario), ["a"]);
    }

    #[test]
    fn measures_of_which_the_same_is_said_stand_in_one() {
        let judgement = |measure: &str, reason: &str| Judgement {
            measure: measure.to_owned(),
            verdict: "not_testable".to_owned(),
            reason: reason.to_owned(),
            ..Judgement::default()
        };
        let scenario = Scenario {
            judgements: vec![judgement("last", "a"), judgement("span", "a"), judgement("x", "b")],
            ..Scenario::default()
        };
        let views = judgements(&scenario);
        let names: Vec<usize> = views.iter().map(|view| view.measures.len()).collect();
        assert_eq!(names, [2, 1]);
    }
}

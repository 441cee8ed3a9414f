//! A scenario's answer in one plain sentence: what it is, what it rests on, and where the
//! notebook's own test says something else.

use serde::Serialize;

use super::evidence::Judgement;
use super::names;
use super::page::{Piece, Scenario, Verdict};

/// In column `measure` of table `verdict`: there was no measure to judge by.
pub(super) const NO_MEASURE: &str = "effect";

/// In column `verdict` of table `verdict`: the design cannot show it.
pub(super) const NOT_TESTABLE: &str = "not_testable";

/// The verdicts that rest on evidence, the one that says most first.
pub(super) const VERDICTS: [&str; 4] = ["supported", "equivalent", "undecided", NOT_TESTABLE];

/// The sentence: its first word, and the rest.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Answer {
    pub(super) word: &'static str,
    pub(super) pieces: Vec<Piece>,
}

impl Answer {
    fn new(word: &'static str) -> Self {
        Self { word, pieces: Vec::new() }
    }

    fn say(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece { text: text.into(), code: String::new() });
    }

    /// Names the measures as `, in a, b and c`; nothing where there was none to judge by.
    fn name(&mut self, before: &str, judgements: &[&Judgement]) {
        let named: Vec<&&Judgement> = named(judgements).collect();
        for (i, judgement) in named.iter().enumerate() {
            self.say(if i == 0 { before } else { names::joint(i, named.len()) });
            self.pieces.push(names::piece(&judgement.measure));
        }
    }
}

fn named<'a, 'j>(judgements: &'a [&'j Judgement]) -> impl Iterator<Item = &'a &'j Judgement> {
    judgements.iter().filter(|judgement| judgement.measure != NO_MEASURE)
}

/// The answer of a scenario; `None` where the run gave no verdict.
pub(super) fn answer(scenario: &Scenario) -> Option<Answer> {
    let by_evidence = by_evidence(scenario);
    by_evidence.or_else(|| scenario.verdict.as_ref().map(by_notebook))
}

fn by_evidence(scenario: &Scenario) -> Option<Answer> {
    let with = |verdict: &str| -> Vec<&Judgement> {
        scenario.judgements.iter().filter(|j| j.verdict == verdict).collect()
    };
    let mut groups = VERDICTS.map(|verdict| (verdict, with(verdict))).into_iter();
    let (verdict, lead) = groups.find(|(_, group)| !group.is_empty())?;
    let (word, text) = match verdict {
        "supported" => {
            ("Yes", ": prompts of different tasks lie further apart than wordings of one task do")
        }
        "equivalent" => (
            "No",
            ": prompts of different tasks lie as far apart as wordings of one task do, or differ by \
             too little to matter",
        ),
        "undecided" => (
            "Undecided",
            ": that prompts of different tasks lie further apart than wordings of one task do is \
             neither shown nor ruled out",
        ),
        _ => (
            "Not testable",
            ": this run cannot show whether prompts of different tasks lie further apart than \
             wordings of one task do",
        ),
    };
    let mut answer = Answer::new(word);
    answer.say(text);
    answer.name(", in ", &lead);
    if let Some(basis) = basis(lead.iter().map(|j| (j.n_inputs, j.n_wordings))) {
        answer.say(format!(", over {basis}"));
    }
    for (verdict, group) in groups {
        let before = match verdict {
            "equivalent" => "; any difference is too small to matter in ",
            "undecided" => "; undecided in ",
            _ => "; not testable in ",
        };
        answer.name(before, &group);
    }
    notebook(&mut answer, scenario, verdict);
    answer.say(".");
    Some(answer)
}

/// Where the notebook's own test says something else than evidence that came out as `lead`.
fn notebook(answer: &mut Answer, scenario: &Scenario, lead: &str) {
    let Some(verdict) = &scenario.verdict else { return };
    let says = match verdict.verdict.as_str() {
        "supported" => "yes",
        "not_supported" => "no",
        _ => return,
    };
    if lead == NOT_TESTABLE {
        answer.say(format!(
            "; the notebook's own test, which has no baseline, says {says}: {}",
            numbers(verdict)
        ));
        return;
    }
    let all: Vec<&Judgement> = scenario.judgements.iter().collect();
    let other: Vec<&Judgement> =
        all.iter().copied().filter(|judgement| judgement.disagreement.is_some()).collect();
    if named(&other).next().is_none() {
        if matches!((lead, says), ("supported", "yes") | ("equivalent", "no")) {
            answer.say("; the notebook's own test says the same");
        }
    } else if named(&other).count() == named(&all).count() {
        answer.say(format!("; the notebook's own test disagrees and says {says}"));
    } else {
        answer.say(format!("; the notebook's own test says {says} and disagrees"));
        answer.name(" on ", &other);
    }
}

fn by_notebook(verdict: &Verdict) -> Answer {
    let word = match verdict.verdict.as_str() {
        "supported" => "Yes",
        "not_supported" => "No",
        _ => {
            let mut answer = Answer::new("Not testable");
            answer.say(format!(": {}.", verdict.reason));
            return answer;
        }
    };
    let mut answer = Answer::new(word);
    answer
        .say(format!(", by the notebook's own test, which has no baseline: {}.", numbers(verdict)));
    answer
}

/// The notebook's number beside its threshold, and what it rests on.
fn numbers(verdict: &Verdict) -> String {
    let Verdict { layer, threshold, .. } = verdict;
    let Some(value) = verdict.value else { return format!("there is no value at layer {layer}") };
    let mut printed = format!("{value:.4}");
    if printed == format!("{threshold:.4}") && printed.parse() != Ok(value) {
        // Rounded, it would seem to be the threshold itself.
        printed = value.to_string();
    }
    let side = if value < *threshold { "below" } else { "not below" };
    let basis = basis([(verdict.n_inputs, verdict.n_wordings)].into_iter());
    let basis = basis.map_or_else(String::new, |basis| format!(", over {basis}"));
    format!(
        "the mean cosine between tasks at layer {layer} is {printed}, {side} {threshold}{basis}"
    )
}

/// How many inputs, and wordings of each task, measures rest on; `None` where they rest on none.
fn basis(counts: impl Iterator<Item = (i64, i64)> + Clone) -> Option<String> {
    let inputs = range(counts.clone().map(|(inputs, _)| inputs), "input")?;
    Some(match range(counts.map(|(_, wordings)| wordings), "wording") {
        Some(wordings) => format!("{inputs} and {wordings} of each task"),
        None => inputs,
    })
}

fn range(counts: impl Iterator<Item = i64> + Clone, noun: &str) -> Option<String> {
    let (fewest, most) = (counts.clone().min()?, counts.max()?);
    let from = if fewest == most { String::new() } else { format!("{fewest} to ") };
    (most > 0).then(|| from + &names::count(most, noun))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(measure: &str, verdict: &str) -> Judgement {
        Judgement {
            measure: measure.to_owned(),
            verdict: verdict.to_owned(),
            n_inputs: 300,
            n_wordings: 3,
            ..Judgement::default()
        }
    }

    fn disagrees(measure: &str, verdict: &str) -> Judgement {
        Judgement { disagreement: Some("why".to_owned()), ..judgement(measure, verdict) }
    }

    fn flat(verdict: &str, value: Option<f64>) -> Verdict {
        Verdict {
            measure: "flat".to_owned(),
            layer: 11,
            value,
            threshold: 0.9,
            verdict: verdict.to_owned(),
            reason: "1 task: there is no pair of tasks to compare".to_owned(),
            n_inputs: 1,
            n_wordings: 1,
        }
    }

    fn said(judgements: Vec<Judgement>, verdict: Option<Verdict>) -> String {
        let scenario = Scenario { verdict, judgements, ..Scenario::default() };
        let answer = answer(&scenario).unwrap();
        let piece = |piece: &Piece| match &*piece.code {
            "" => piece.text.clone(),
            code => format!("{} [{code}]", piece.text),
        };
        let pieces: Vec<String> = answer.pieces.iter().map(piece).collect();
        answer.word.to_owned() + &pieces.concat()
    }

    #[test]
    fn evidence_answers_and_the_notebook_agrees() {
        let judgements =
            vec![judgement("span_standardised", "supported"), judgement("jsd_bits", "supported")];
        let notebook = flat("supported", Some(0.8));
        assert_eq!(
            said(judgements, Some(notebook)),
            "Yes: prompts of different tasks lie further apart than wordings of one task do, in \
             the input's tokens [span_standardised] and what the model says next [jsd_bits], over \
             300 inputs and 3 wordings of each task; the notebook's own test says the same."
        );
    }

    #[test]
    fn measures_that_differ_are_named_with_what_they_say() {
        let judgements = vec![
            disagrees("last_standardised", "undecided"),
            judgement("span_standardised", "supported"),
            disagrees("jsd_bits", "equivalent"),
        ];
        assert_eq!(
            said(judgements, Some(flat("supported", Some(0.8)))),
            "Yes: prompts of different tasks lie further apart than wordings of one task do, in \
             the input's tokens [span_standardised], over 300 inputs and 3 wordings of each task; \
             any difference is too small to matter in what the model says next [jsd_bits]; \
             undecided in the last token [last_standardised]; the notebook's own test says yes and \
             disagrees on the last token [last_standardised] and what the model says next \
             [jsd_bits]."
        );
    }

    #[test]
    fn the_notebook_disagrees_on_all_measures() {
        let judgements = vec![disagrees("span_standardised", "equivalent")];
        let said = said(judgements, Some(flat("supported", Some(0.8))));
        assert!(said.starts_with("No: prompts of different tasks lie as far apart as"), "{said}");
        assert!(said.ends_with("; the notebook's own test disagrees and says yes."), "{said}");
    }

    #[test]
    fn without_a_baseline_the_notebooks_number_stands_beside() {
        let nothing =
            Judgement { n_inputs: 0, n_wordings: 0, ..disagrees(NO_MEASURE, "not_testable") };
        assert_eq!(
            said(vec![nothing], Some(flat("supported", Some(0.82118)))),
            "Not testable: this run cannot show whether prompts of different tasks lie further \
             apart than wordings of one task do; the notebook's own test, which has no baseline, \
             says yes: the mean cosine between tasks at layer 11 is 0.8212, below 0.9, over 1 \
             input and 1 wording of each task."
        );
    }

    #[test]
    fn the_notebook_answers_alone() {
        assert_eq!(
            said(Vec::new(), Some(flat("not_supported", Some(0.95)))),
            "No, by the notebook's own test, which has no baseline: the mean cosine between tasks \
             at layer 11 is 0.9500, not below 0.9, over 1 input and 1 wording of each task."
        );
        let near = said(Vec::new(), Some(flat("supported", Some(0.899_999))));
        assert!(near.contains("is 0.899999, below 0.9"), "{near}");
        assert_eq!(
            said(Vec::new(), Some(flat("not_testable", None))),
            "Not testable: 1 task: there is no pair of tasks to compare."
        );
        assert_eq!(answer(&Scenario::default()), None);
    }

    #[test]
    fn measures_on_different_inputs_rest_on_a_range() {
        let few = Judgement { n_inputs: 280, ..judgement("jsd_bits", "undecided") };
        let said = said(vec![judgement("last", "undecided"), few], None);
        assert!(said.ends_with(", over 280 to 300 inputs and 3 wordings of each task."), "{said}");
    }
}

//! The history of a run's judgements: how often verdicts were made of its numbers, and by how many
//! rules. Whoever judges until a verdict pleases leaves a trace.
//!
//! A judgement is recorded when stage `summary` was made by another rule, or gave other words, than
//! the one before it. The rule is the settings of the stages `summary` and `effect`. No part of the
//! lineage: times would make equal runs differ.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::layout::SUMMARY;
use super::made_by::THIS_VERSION;
use super::summary::{Judged, ScenarioSummary, Summaries};
use crate::store::{Store, hex_sha256};

/// The first judgements that are kept.
const FIRST: usize = 10;
/// All that are kept: the others are the last ones.
const MOST: usize = 100;
/// Verdicts that are kept of a judgement; its hash is of all of them.
const VERDICTS: usize = 50;

/// What `run.json` keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgements {
    /// The present pipeline's rule: SHA-256 over the settings of its stages `summary` and `effect`;
    /// `None` without stage `summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// How many judgements there were.
    pub times: u64,
    /// By how many rules; one that comes back after a hundred judgements counts again.
    pub rules: u64,
    /// The first 10 and the last 90 of them, in their order.
    pub list: Vec<Judgement>,
}

/// One judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The rule, as in [`Judgements::rule`].
    pub rule: String,
    /// When it was found, RFC 3339 in UTC, to the second.
    pub time: String,
    /// The version of aqlens that found it.
    pub aqlens: String,
    /// How many verdicts it gave.
    pub n_verdicts: u64,
    /// SHA-256 over all of them.
    pub verdicts_sha256: String,
    /// The first 50 of them.
    pub verdicts: Vec<JudgedVerdict>,
}

/// One verdict of a judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedVerdict {
    /// The scenario.
    pub scenario: String,
    /// The measure, as in table `effect`.
    pub measure: String,
    /// The word.
    pub verdict: String,
}

impl Judgements {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What `summary.json` is to say with these verdicts of the present rule.
    pub(crate) fn judged(&self, scenarios: &[ScenarioSummary]) -> Judged {
        let rule = self.rule.clone().unwrap_or_default();
        if self.ends_with(&rule, &sha256(scenarios)) {
            return Judged { times: self.times, rules: self.rules, rule };
        }
        let is_new = !self.list.iter().any(|judgement| judgement.rule == rule);
        let rules = self.rules.saturating_add(is_new.into());
        Judged { times: self.times.saturating_add(1), rules, rule }
    }

    /// Adds what the `summary.json` of a run directory says, unless it is the last one already.
    pub(crate) fn add_summary_of(&mut self, store: &Store) {
        let text = store.read(SUMMARY).unwrap_or_default();
        if let Ok(summaries) = serde_json::from_slice(&text) {
            self.add(&summaries, now());
        }
    }

    /// A document of an earlier version says nothing of it.
    fn add(&mut self, summaries: &Summaries, time: String) {
        let Some(judged) = &summaries.judged else { return };
        let verdicts_sha256 = sha256(&summaries.scenarios);
        if self.ends_with(&judged.rule, &verdicts_sha256) {
            return;
        }
        let is_new = !self.list.iter().any(|judgement| judgement.rule == judged.rule);
        // Where a record was lost, the document knows of more.
        self.times = self.times.saturating_add(1).max(judged.times);
        self.rules = self.rules.saturating_add(is_new.into()).max(judged.rules);
        let all = || verdicts(&summaries.scenarios);
        self.list.push(Judgement {
            rule: judged.rule.clone(),
            time,
            aqlens: THIS_VERSION.to_owned(),
            n_verdicts: all().count() as u64,
            verdicts_sha256,
            verdicts: all().take(VERDICTS).collect(),
        });
        while self.list.len() > MOST {
            self.list.remove(FIRST);
        }
    }

    fn ends_with(&self, rule: &str, verdicts_sha256: &str) -> bool {
        self.list
            .last()
            .is_some_and(|last| last.rule == rule && last.verdicts_sha256 == verdicts_sha256)
    }
}

fn verdicts(scenarios: &[ScenarioSummary]) -> impl Iterator<Item = JudgedVerdict> {
    scenarios.iter().flat_map(|scenario| {
        scenario.evidence.iter().map(|evidence| JudgedVerdict {
            scenario: scenario.scenario.clone(),
            measure: evidence.measure.clone(),
            verdict: evidence.verdict.word().to_owned(),
        })
    })
}

fn sha256(scenarios: &[ScenarioSummary]) -> String {
    let line = |of: JudgedVerdict| format!("{:?}\n", (of.scenario, of.measure, of.verdict));
    hex_sha256(verdicts(scenarios).map(line).collect::<String>().as_bytes())
}

fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    rfc3339(now.map_or(0, |now| now.as_secs()))
}

/// Seconds since 1970 as date and time in UTC (days to dates: Hinnant 2021, `civil_from_days`).
fn rfc3339(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the day of a leap year is its last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summaries(history: &Judgements) -> Summaries {
        let scenarios = Vec::new();
        Summaries { judged: Some(history.judged(&scenarios)), scenarios }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }

    #[test]
    fn a_judgement_is_kept_when_rule_or_words_are_others_and_the_list_stays_short() {
        let mut history = Judgements { rule: Some("a".to_owned()), ..Judgements::default() };
        for _ in 0..2 {
            let same = summaries(&history);
            assert_eq!(same.judged, Some(Judged { times: 1, rules: 1, rule: "a".to_owned() }));
            history.add(&same, "then".to_owned());
            assert_eq!((history.times, history.rules, history.list.len()), (1, 1, 1));
        }
        for i in 0..200 {
            history.rule = Some(if i % 2 == 0 { "b" } else { "a" }.to_owned());
            let summaries = summaries(&history);
            assert_eq!(summaries.judged.as_ref().unwrap().times, history.times + 1);
            history.add(&summaries, format!("time {i}"));
        }
        assert_eq!((history.times, history.rules, history.list.len()), (201, 2, MOST));
        assert_eq!((&*history.list[9].time, &*history.list[10].time), ("time 8", "time 110"));
        let said = summaries(&history).judged.unwrap().sentence().unwrap();
        assert!(said.starts_with("judged 201 times under 2 rules"), "{said}");
        assert_eq!(Judged { times: 1, rules: 1, rule: String::new() }.sentence(), None);
    }

    #[test]
    fn a_lost_record_takes_the_numbers_of_the_document() {
        let mut history = Judgements::default();
        let judged = Some(Judged { times: 7, rules: 3, rule: "a".to_owned() });
        history.add(&Summaries { judged, scenarios: Vec::new() }, String::new());
        assert_eq!((history.times, history.rules, history.list.len()), (7, 3, 1));
        history.add(&Summaries { judged: None, scenarios: Vec::new() }, String::new());
        assert_eq!(history.times, 7, "an early version's");
    }
}

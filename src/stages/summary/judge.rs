//! The verdict that rests on evidence: tasks compared with wordings, on measures and layers that were
//! named before anything was seen.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::rule::{self, Bound, Row, is_found, is_shown};
use super::words;
use crate::prompt::Role;
use crate::run_dir::summary::{Evidence, EvidenceVerdict, ScenarioSummary};
use crate::stage::feasible::{Feasible, most_of};
use crate::stage::judged::Judged;
use crate::stage::names::{OUTPUT_LAYER, PARAPHRASE};
use crate::stage::read::wordings::{Wordings, read_wordings};
use crate::stage::{Context, StageError};
use crate::store::Store;
use crate::table::schema::EFFECT;
use crate::table::{ReadRow as _, TableError, status, view};

/// Where the run has no table `effect`, its name takes the place of the measure's.
const NO_EFFECT: &str = EFFECT.name;

/// Gives every scenario its verdicts, from table `effect` when the run has it.
pub(super) fn judge(
    context: &Context<'_>,
    judged: &Judged,
    scenarios: &mut [ScenarioSummary],
) -> Result<(), StageError> {
    let table = Table::read(context.store)?;
    // Without the table nothing is asked of the wordings.
    let wordings = if table.is_some() { read_wordings(context)? } else { IndexMap::new() };
    for scenario in scenarios {
        scenario.evidence = match &table {
            None => vec![without_rows(NO_EFFECT, &[], words::no_effect_stage())],
            Some(table) => {
                let of = |measure: &String| {
                    let rows = table.rows(&scenario.scenario, measure, judged);
                    evidence(measure, &rows, judged, wordings.get(&scenario.scenario))
                };
                judged.measures.iter().map(of).collect()
            }
        };
        for evidence in &mut scenario.evidence {
            evidence.disagreement = words::disagreement(scenario.verdict, evidence.verdict);
        }
    }
    Ok(())
}

/// The verdict on one measure: first whether the design can decide, then what it decides.
fn evidence(measure: &str, rows: &[Row], judged: &Judged, wordings: Option<&Wordings>) -> Evidence {
    if rows.is_empty() {
        return without_rows(measure, rows, words::no_rows(measure));
    }
    if let Some(reason) = obstacle(rows, wordings) {
        return without_rows(measure, rows, reason);
    }
    let bound = Bound::of(judged, measure);
    let verdict = rule::verdict(rows, bound, judged);
    let row = telling(verdict, rows, bound);
    let reason = words::evidence(verdict, (rows, &row), bound, judged);
    of(measure, verdict, rows, &row, reason)
}

/// The row whose numbers say most about a verdict.
fn telling(verdict: EvidenceVerdict, rows: &[Row], bound: Bound) -> Row {
    let those = |which: &dyn Fn(&&Row) -> bool| -> Vec<Row> {
        let some: Vec<Row> = rows.iter().filter(which).cloned().collect();
        if some.is_empty() { rows.to_vec() } else { some }
    };
    let furthest = |row: &Row| row.interval.map(|(low, high)| high.max(-low));
    match verdict {
        EvidenceVerdict::Supported => extreme(&those(&|row| is_found(row, bound)), |row| row.delta),
        _ if rows.iter().any(is_shown) => extreme(&those(&|row| is_shown(row)), |row| row.delta),
        EvidenceVerdict::Equivalent => extreme(rows, |row| row.delta.map(f64::abs)),
        // What keeps it from being equivalent.
        _ => extreme(&those(&|row| !bound.holds(row)), furthest),
    }
}

/// Why nothing can be shown; `None` when something could be.
fn obstacle(rows: &[Row], wordings: Option<&Wordings>) -> Option<String> {
    let most = |of: fn(&Row) -> i64| rows.iter().map(of).max().unwrap_or(0).unsigned_abs();
    let has_value = |row: &Row| row.delta.is_some();
    let sizes = wordings.map(Wordings::sizes).unwrap_or_default();
    if !rows.iter().any(has_value) && rows[0].status != status::NO_PAIRS {
        return Some(words::no_values(&rows[0].status));
    }
    let (clusters, inputs) = (most(|row| row.n_clusters), most(|row| row.n_inputs));
    let design = Feasible { clusters, inputs, wordings: sizes };
    // Without a second wording there is no value, however many inputs there are.
    let has_values = rows.iter().any(has_value);
    let lacks = if has_values { design.obstacle() } else { design.few_wordings() };
    lacks.or_else(|| {
        if rows.iter().all(|row| row.status == status::CONSTANT) {
            return Some(words::nothing_varies());
        }
        (most(|row| row.n_reassignments) == 0).then(words::no_ways)
    })
}

/// The row with the largest number; the first row when none has it.
fn extreme(rows: &[Row], number: impl Fn(&Row) -> Option<f64>) -> Row {
    let by = |a: &&Row, b: &&Row| {
        let number = |row: &Row| number(row).unwrap_or(f64::NEG_INFINITY);
        number(a).total_cmp(&number(b)).then(b.layer.cmp(&a.layer))
    };
    rows.iter().max_by(by).expect("there is a row").clone()
}

fn of(
    measure: &str,
    verdict: EvidenceVerdict,
    rows: &[Row],
    row: &Row,
    reason: String,
) -> Evidence {
    let ends = |interval: Option<(f64, f64)>| interval.unzip();
    let (ci_low, ci_high) = ends(row.interval);
    let (relative_low, relative_high) = ends(row.relative_interval);
    Evidence {
        measure: measure.to_owned(),
        verdict,
        layers: rows.iter().map(|row| row.layer).collect(),
        layer: row.layer,
        delta: row.delta,
        ci_low,
        ci_high,
        relative: row.relative,
        relative_low,
        relative_high,
        prevalence: row.prevalence,
        p: row.p,
        p_wording: row.p_wording,
        p_wording_form: row.p_wording_form,
        smallest: row.smallest,
        beyond: words::most_beyond(rows).map(|row| row.beyond.clone()).unwrap_or_default(),
        n_inputs: row.n_inputs.unsigned_abs(),
        n_clusters: row.n_clusters.unsigned_abs(),
        n_wordings: row.n_wordings.unsigned_abs(),
        warning: row.warning.clone(),
        reason,
        disagreement: None,
    }
}

/// A measure of which nothing can be said, with the numbers that there are.
fn without_rows(measure: &str, rows: &[Row], reason: String) -> Evidence {
    let verdict = EvidenceVerdict::NotTestable;
    let nothing = Row {
        layer: OUTPUT_LAYER,
        delta: None,
        interval: None,
        relative: None,
        relative_interval: None,
        prevalence: None,
        p: None,
        p_wording: None,
        p_wording_form: None,
        smallest: None,
        has_other: false,
        n_beyond: None,
        beyond: Vec::new(),
        n_inputs: 0,
        n_clusters: 0,
        n_reassignments: 0,
        n_wordings: 0,
        warning: String::new(),
        status: String::new(),
        most: None,
    };
    let row = if rows.is_empty() { nothing } else { extreme(rows, |row| row.delta) };
    of(measure, verdict, rows, &row, reason)
}

view! {
    /// What a verdict rests on.
    struct Tested<'a> of [EFFECT] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        n_inputs: i64,
        n_clusters: i64,
        n_wordings: i64,
        delta: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        relative: Option<f64>,
        relative_low: Option<f64>,
        relative_high: Option<f64>,
        prevalence: Option<f64>,
        smallest: Option<f64>,
        n_beyond: Option<i64>,
        beyond: &'a str,
        p_joint: Option<f64>,
        p_wording_joint: Option<f64>,
        p_wording_form: Option<f64>,
        n_reassignments: i64,
        warning: &'a str,
        status: &'a str,
    }
}

impl Tested<'_> {
    /// The scenario, the measure and the layer.
    fn place(&self) -> (&str, &str, i16) {
        (self.scenario, self.measure, self.layer)
    }

    fn values(&self, has_other: bool) -> Row {
        Row {
            layer: self.layer,
            delta: self.delta,
            interval: self.ci_low.zip(self.ci_high),
            relative: self.relative,
            relative_interval: self.relative_low.zip(self.relative_high),
            prevalence: self.prevalence,
            p: self.p_joint,
            p_wording: self.p_wording_joint,
            p_wording_form: self.p_wording_form,
            smallest: self.smallest,
            has_other,
            n_beyond: self.n_beyond,
            beyond: serde_json::from_str(self.beyond).unwrap_or_default(),
            n_inputs: self.n_inputs,
            n_clusters: self.n_clusters,
            n_reassignments: self.n_reassignments,
            n_wordings: self.n_wordings,
            warning: self.warning.to_owned(),
            status: self.status.to_owned(),
            most: most_of(self.measure),
        }
    }
}

/// Table `effect`: the rows that compare tasks with wordings, by scenario and measure.
#[derive(Debug)]
struct Table {
    rows: IndexMap<(String, String), Vec<Row>>,
}

impl Table {
    fn read(store: &Store) -> Result<Option<Self>, TableError> {
        let Some(frame) = Tested::frame_if_there(store, &EFFECT, 0)? else {
            return Ok(None);
        };
        let all = Tested::rows(&frame)?;
        let is_other =
            |row: &&Tested<'_>| row.contrast == Role::OtherInput.name() && row.status == status::OK;
        let others: BTreeSet<_> = all.iter().filter(is_other).map(Tested::place).collect();
        let mut rows: IndexMap<(String, String), Vec<Row>> = IndexMap::new();
        for row in all.iter().filter(|row| row.contrast == PARAPHRASE) {
            let key = (row.scenario.to_owned(), row.measure.to_owned());
            rows.entry(key).or_default().push(row.values(others.contains(&row.place())));
        }
        Ok(Some(Self { rows }))
    }

    /// Those of a measure that count.
    fn rows(&self, scenario: &str, measure: &str, judged: &Judged) -> Vec<Row> {
        let own = self.rows.get(&(scenario.to_owned(), measure.to_owned()));
        let counts = |row: &&Row| judged.counts(measure, row.layer);
        own.into_iter().flatten().filter(counts).cloned().collect()
    }
}

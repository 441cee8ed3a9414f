//! The verdict that rests on evidence: tasks compared with wordings, on measures and layers that were
//! named before anything was seen.

use super::rule::{LEVEL, Row, Rule, is_found};
use super::words;
use crate::run_dir::summary::{Evidence, EvidenceVerdict, ScenarioSummary};
use crate::stage::names::{OUTPUT_LAYER, PARAPHRASE};
use crate::store::Store;
use crate::table::schema::EFFECT;
use crate::table::{ReadRow as _, TableError, status, view};

/// Fewer inputs can neither give a p below [`LEVEL`] nor an interval.
const LEAST_INPUTS: i64 = 5;
/// Where the run has no table `effect`, its name takes the place of the measure's.
const NO_EFFECT: &str = EFFECT.name;

/// Gives every scenario its verdicts, from table `effect` when the run has it.
pub(super) fn judge(
    store: &Store,
    rule: &Rule,
    scenarios: &mut [ScenarioSummary],
) -> Result<(), TableError> {
    let table = Table::read(store)?;
    for scenario in scenarios {
        scenario.evidence = match &table {
            None => vec![without_rows(NO_EFFECT, rule, &[], words::no_effect_stage())],
            Some(table) => {
                let of = |measure: &String| evidence(table, rule, &scenario.scenario, measure);
                rule.measures.iter().map(of).collect()
            }
        };
        for evidence in &mut scenario.evidence {
            evidence.disagreement = words::disagreement(scenario.verdict, evidence.verdict);
        }
    }
    Ok(())
}

/// The verdict on one measure.
fn evidence(table: &Table, rule: &Rule, scenario: &str, measure: &str) -> Evidence {
    let rows = table.rows(scenario, measure);
    let counts = |row: &&Row| {
        let is_named = rule.layers.as_ref().is_none_or(|layers| layers.contains(&row.layer));
        is_named || row.layer == OUTPUT_LAYER
    };
    let rows: Vec<Row> = rows.iter().filter(counts).cloned().collect();
    if rows.is_empty() {
        return without_rows(measure, rule, &rows, words::no_rows(measure));
    }
    if let Some(bound) = rule.equivalence
        && rows
            .iter()
            .all(|row| row.interval.is_some_and(|(low, high)| -bound < low && high < bound))
    {
        let row = extreme(&rows, |row| row.delta.map(f64::abs));
        return of(measure, EvidenceVerdict::Equivalent, &rows, &row, rule);
    }
    if let Some(reason) = obstacle(&rows) {
        return without_rows(measure, rule, &rows, reason);
    }
    let found: Vec<Row> = rows.iter().filter(|row| is_found(row)).cloned().collect();
    let (verdict, row) = if found.is_empty() {
        (EvidenceVerdict::Undecided, extreme(&rows, |row| row.delta))
    } else {
        (EvidenceVerdict::Supported, extreme(&found, |row| row.delta))
    };
    of(measure, verdict, &rows, &row, rule)
}

/// Why nothing can be shown; `None` when something could be.
fn obstacle(rows: &[Row]) -> Option<String> {
    let most = |of: fn(&Row) -> i64| rows.iter().map(of).max().unwrap_or(0);
    let wordings = most(|row| row.n_wordings);
    let has_value = |row: &Row| row.delta.is_some();
    if rows.iter().all(|row| row.status == status::NO_PAIRS) || wordings == 1 {
        return Some(words::one_wording());
    }
    if !rows.iter().any(has_value) {
        return Some(words::no_values(&rows[0].status));
    }
    let inputs = most(|row| row.n_inputs);
    if inputs < LEAST_INPUTS {
        return Some(words::few_inputs(inputs, LEAST_INPUTS));
    }
    if rows.iter().all(|row| row.status == status::CONSTANT) {
        return Some(words::nothing_varies());
    }
    let ways = most(|row| row.n_reassignments);
    (ways == 0 || 1.0 / ways as f64 >= LEVEL).then(|| words::few_ways(ways, wordings))
}

/// The row with the largest number; the first row when none has it.
fn extreme(rows: &[Row], number: impl Fn(&Row) -> Option<f64>) -> Row {
    let by = |a: &&Row, b: &&Row| {
        let number = |row: &Row| number(row).unwrap_or(f64::NEG_INFINITY);
        number(a).total_cmp(&number(b)).then(b.layer.cmp(&a.layer))
    };
    rows.iter().max_by(by).expect("there is a row").clone()
}

fn of(measure: &str, verdict: EvidenceVerdict, rows: &[Row], row: &Row, rule: &Rule) -> Evidence {
    let reason = words::evidence(verdict, rows, row, rule);
    Evidence {
        measure: measure.to_owned(),
        verdict,
        layers: rows.iter().map(|row| row.layer).collect(),
        layer: row.layer,
        delta: row.delta,
        ci_low: row.interval.map(|interval| interval.0),
        ci_high: row.interval.map(|interval| interval.1),
        p: row.p,
        p_wording: row.p_wording,
        equivalence: rule.equivalence,
        n_inputs: row.n_inputs.unsigned_abs(),
        n_wordings: row.n_wordings.unsigned_abs(),
        reason,
        disagreement: None,
    }
}

/// A measure of which nothing can be said, with the numbers that there are.
fn without_rows(measure: &str, rule: &Rule, rows: &[Row], reason: String) -> Evidence {
    let verdict = EvidenceVerdict::NotTestable;
    let nothing = Row {
        layer: OUTPUT_LAYER,
        delta: None,
        interval: None,
        p: None,
        p_wording: None,
        n_inputs: 0,
        n_reassignments: 0,
        n_wordings: 0,
        status: String::new(),
    };
    let row = if rows.is_empty() { nothing } else { extreme(rows, |row| row.delta) };
    let layers = rows.iter().map(|row| row.layer).collect();
    let rows = [row.clone()];
    Evidence { layers, reason, ..of(measure, verdict, &rows, &row, rule) }
}

view! {
    /// What a verdict rests on.
    struct Tested<'a> of [EFFECT] {
        scenario: &'a str,
        layer: i16,
        measure: &'a str,
        contrast: &'a str,
        n_inputs: i64,
        delta: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        p_max_t: Option<f64>,
        p_wording_max_t: Option<f64>,
        n_reassignments: i64,
        n_wordings: i64,
        status: &'a str,
    }
}

/// Table `effect`: the rows that compare tasks with wordings.
#[derive(Debug)]
struct Table {
    rows: Vec<(String, String, Row)>,
}

impl Table {
    fn read(store: &Store) -> Result<Option<Self>, TableError> {
        let Some(frame) = Tested::frame_if_there(store, &EFFECT, 0)? else {
            return Ok(None);
        };
        let row = |row: Tested<'_>| {
            let values = Row {
                layer: row.layer,
                delta: row.delta,
                interval: row.ci_low.zip(row.ci_high),
                p: row.p_max_t,
                p_wording: row.p_wording_max_t,
                n_inputs: row.n_inputs,
                n_reassignments: row.n_reassignments,
                n_wordings: row.n_wordings,
                status: row.status.to_owned(),
            };
            (row.scenario.to_owned(), row.measure.to_owned(), values)
        };
        let rows = Tested::rows(&frame)?.into_iter();
        let rows = rows.filter(|row| row.contrast == PARAPHRASE).map(row).collect();
        Ok(Some(Self { rows }))
    }

    fn rows(&self, scenario: &str, measure: &str) -> Vec<Row> {
        let own = self.rows.iter().filter(|(s, m, _)| s == scenario && m == measure);
        own.map(|(.., row)| row.clone()).collect()
    }
}

//! A comparison as a page.

use indexmap::IndexMap;

use super::{came_from, conclusion, labels, tables, verdicts};
use crate::compare::{self, Curve, LISTED, Point, VerdictOf, VerdictRow};
use crate::prompt::visible;
use crate::render::comparison::{Chart, Comparison, Group, Pair, Plain, Scenario};
use crate::render::names;
use crate::render::overlay::{Across, Dot};
use crate::stage::names::{FLAT, OUTPUT_LAYER};

/// Scenarios that have pictures.
const MOST_SCENARIOS: usize = 20;

/// Verdicts that are listed.
const MOST_VERDICTS: usize = 100;

/// From this many runs on there are curves along the runs.
const SEVERAL: usize = 3;

/// What curves measure: table and column, the title of their charts, and how to read them.
const COLUMNS: [(&str, &str, &str, &str); 5] = [
    (
        "effect",
        "relative",
        "Effect on the relative scale",
        "The difference between tasks, on a scale from 0 (as another wording of one task does) to 1 (as another \
         input does), with its 95 % interval over inputs and wordings.",
    ),
    (
        "effect",
        "delta",
        "Effect in the measure's own unit",
        "How much further apart prompts of different tasks are than wordings of one, with its 95 % interval.",
    ),
    (
        "decoding",
        "accuracy",
        "How often the task is told from the vectors",
        "On wordings and inputs that the classifier did not see, with its 95 % interval.",
    ),
    (
        "variance_partition",
        "r2_task",
        "Share of the variance that is the task's",
        "Sum of squares of the tasks' means over that of all vectors.",
    ),
    (
        "divergence",
        "mean",
        "Mean similarity of tasks",
        "Mean over inputs and pairs of tasks; the lines reach from the smallest to the largest.",
    ),
];

/// The page; what it says is what the terminal says, with the curves.
pub(super) fn page(found: &compare::Comparison) -> Comparison {
    let has_depth = found.runs.iter().any(|run| run.n_layer != found.runs[0].n_layer);
    let mut scenarios: IndexMap<&str, Vec<Group>> = IndexMap::new();
    if found.runs.len() >= SEVERAL {
        for (name, group) in along_runs(found) {
            scenarios.entry(name).or_default().push(group);
        }
    }
    for (name, group) in by_layer(found, has_depth) {
        scenarios.entry(name).or_default().push(group);
    }
    let more_scenarios = scenarios.len().saturating_sub(MOST_SCENARIOS);
    let scenarios = scenarios.into_iter().take(MOST_SCENARIOS);
    Comparison {
        labels: found.runs.iter().map(|run| visible(&run.label)).collect(),
        conclusion: conclusion::sentence(found),
        runs: runs(found),
        pairs: found.pairs.iter().map(|own| pair(found, own)).collect(),
        verdicts: plain(verdicts::rows(found, MOST_VERDICTS), 3),
        legend: verdicts::LEGEND.to_owned(),
        scenarios: scenarios
            .map(|(name, groups)| Scenario { name: visible(name), groups })
            .collect(),
        more_scenarios,
    }
}

fn plain(mut rows: Vec<Vec<String>>, words: usize) -> Plain {
    if rows.len() < 2 {
        return Plain::default();
    }
    let head = rows.remove(0);
    Plain { head, words, rows }
}

fn runs(found: &compare::Comparison) -> Plain {
    let head = ["run", "directory", "pipeline", "model", "aqlens", "layers", "prompts", "skipped"];
    let rows = found.runs.iter().map(|run| {
        let layers = run.n_layer.map_or("?".to_owned(), |n| n.to_string());
        let words =
            [&run.label, &run.path, &run.pipeline, &run.model, &run.aqlens].map(|w| visible(w));
        let numbers = [layers, run.prompts.to_string(), run.skipped.to_string()];
        words.into_iter().chain(numbers).collect()
    });
    Plain { head: head.map(str::to_owned).to_vec(), words: 5, rows: rows.collect() }
}

fn pair(found: &compare::Comparison, own: &compare::Pair) -> Pair {
    let [base, other] = labels(found, own);
    Pair {
        title: format!("{other} compared with {base}"),
        lineage: came_from(own, LISTED, [base, other]),
        tables: plain(tables::counts(own, [base, other]), 1),
        changes: tables::sentences(own, [base, other]),
    }
}

/// The measures by layer, one group for each column of a scenario.
fn by_layer(found: &compare::Comparison, has_depth: bool) -> Vec<(&str, Group)> {
    let mut all = Vec::new();
    for (table, column, title, note) in COLUMNS {
        let mut groups: IndexMap<&str, Vec<Chart>> = IndexMap::new();
        let own = found.curves.iter().filter(|own| own.table == table && own.column == column);
        for curve in own {
            let charts = groups.entry(&curve.scenario).or_default();
            charts.extend(chart(found, curve, has_depth));
        }
        let groups = groups.into_iter().filter(|(_, charts)| !charts.is_empty());
        all.extend(groups.map(|(name, charts)| {
            (name, Group { title: title.to_owned(), note: note.to_owned(), charts })
        }));
    }
    all
}

/// `None` where no run has a point on a layer: what the model says in the end has none.
fn chart(found: &compare::Comparison, curve: &Curve, has_depth: bool) -> Option<Chart> {
    let lines: Vec<Vec<Dot>> = found
        .runs
        .iter()
        .zip(&curve.runs)
        .map(|(run, points)| {
            let points = points.iter().filter(|point| point.layer != OUTPUT_LAYER);
            points.filter_map(|point| dot(&run.label, point, has_depth)).collect()
        })
        .collect();
    let across = if has_depth { Across::Depth } else { Across::Layers };
    let is_drawn = lines.iter().any(|dots| dots.len() > 1);
    is_drawn.then(|| Chart {
        caption: caption(&curve.measure),
        name: curve.column.replace('_', " "),
        across,
        lines,
    })
}

fn caption(measure: &str) -> String {
    let name = names::measure(measure);
    visible(&if name == measure { name.to_owned() } else { format!("{name} ({measure})") })
}

fn dot(label: &str, point: &Point, has_depth: bool) -> Option<Dot> {
    let x = if has_depth { point.depth? } else { f64::from(point.layer) };
    let ends = point.low.zip(point.high);
    let interval =
        ends.map_or(String::new(), |(low, high)| format!(", from {low:.6} to {high:.6}"));
    let hint = format!("{label}, layer {}: {:.6}{interval}", point.layer, point.value);
    Some(Dot { x, value: point.value, ends, hint: visible(&hint) })
}

/// What the verdicts rest on, run after run.
fn along_runs(found: &compare::Comparison) -> Vec<(&str, Group)> {
    let mut groups: IndexMap<&str, Vec<Chart>> = IndexMap::new();
    for row in &found.verdicts {
        groups.entry(&row.scenario).or_default().extend(along(found, row));
    }
    let group = |charts| Group {
        title: "Along the runs".to_owned(),
        note: "What each verdict rests on, in the order in which the runs were given.".to_owned(),
        charts,
    };
    let groups = groups.into_iter().filter(|(_, charts)| !charts.is_empty());
    groups.map(|(name, charts)| (name, group(charts))).collect()
}

fn along(found: &compare::Comparison, row: &VerdictRow) -> Option<Chart> {
    let is_relative = row.runs.iter().flatten().any(|own| own.relative.is_some());
    let value = |own: &VerdictOf| {
        if is_relative {
            return (own.relative, own.relative_low, own.relative_high);
        }
        (own.value, own.low, own.high)
    };
    let dots = (0_u32..).zip(found.runs.iter().zip(&row.runs)).filter_map(|(place, (run, own))| {
        let own = own.as_ref()?;
        let (value, low, high) = value(own);
        let verdict = own.verdict.replace('_', " ");
        let hint = format!("{}: {:.6}, {verdict}, {}", run.label, value?, names::layer(own.layer));
        Some(Dot { x: place.into(), value: value?, ends: low.zip(high), hint: visible(&hint) })
    });
    let dots: Vec<Dot> = dots.collect();
    let name = match (is_relative, row.measure.as_str()) {
        (true, _) => "relative",
        (false, FLAT) => "mean cosine",
        (false, _) => "difference",
    };
    let labels = found.runs.iter().map(|run| visible(&run.label)).collect();
    (dots.len() > 1).then(|| Chart {
        caption: caption(&row.measure),
        name: name.to_owned(),
        across: Across::Runs(labels),
        lines: vec![dots],
    })
}
